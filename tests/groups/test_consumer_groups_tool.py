"""kafka-consumer-groups in each of its modes."""

import re
import time
from datetime import UTC, datetime

import confluent_kafka
import pytest
from confluent_kafka import TopicPartition

from harness import wire
from harness.waiting import wait_until

MINUTE_MS = 60_000
COUNT = 10
COMMITTED = 5


@pytest.fixture
def groups(broker, tools):
    """kafka-consumer-groups with arguments; all that it printed, whether it failed or not."""

    def groups(*arguments):
        result = tools.run("consumer-groups", "--bootstrap-server", broker.bootstrap, *arguments)
        assert "Exception in thread" not in result.err, str(result)
        return result.out + result.err

    return groups


def rows(text):
    """The table that a --describe printed, as one dictionary per line."""
    sentences = ("Consumer group ", "Error: ")
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith(sentences)]
    start = next((i for i, line in enumerate(lines) if line[0] in ("GROUP", "TOPIC")), None)
    assert start is not None, text
    return [dict(zip(lines[start], line, strict=False)) for line in lines[start + 1 :]]


def first_record_ms():
    # An hour ago: a timestamp far in the past would be deleted by retention.
    return int(time.time() * 1000) - 60 * MINUTE_MS


@pytest.fixture
def written(broker, topic):
    """A topic of two partitions; record i of each is i minutes younger than an hour ago. Gives that hour's start."""
    start = first_record_ms()
    with broker.connect() as connection:
        assert wire.create_topic(connection, topic, 2)[0] == 0
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap})
    for partition in range(2):
        for i in range(COUNT):
            producer.produce(topic, b"v", partition=partition, timestamp=start + i * MINUTE_MS)
    assert producer.flush(20) == 0
    return start


def new_member(broker, group, topic, protocol="classic", **config):
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": broker.bootstrap,
            "group.id": group,
            "group.protocol": protocol,
            "client.id": f"client-of-{group}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
        | config
    )
    consumer.subscribe([topic])

    def has_partitions():
        consumer.poll(0.05)
        return consumer.assignment()

    wait_until(has_partitions, f"an assignment for {group}", timeout_s=30)
    return consumer


@pytest.fixture
def member(broker, topic, written):
    consumer = new_member(broker, topic, topic)
    yield consumer
    consumer.close()


def commit(broker, group, topic, offset=COMMITTED, partitions=(0, 1)):
    consumer = confluent_kafka.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group})
    try:
        done = consumer.commit(offsets=[TopicPartition(topic, p, offset) for p in partitions], asynchronous=False)
        assert not [partition.error for partition in done if partition.error]
    finally:
        consumer.close()


@pytest.fixture
def group(broker, topic, written):
    """A group without members, at offset 5 of both partitions. It is named as the topic."""
    commit(broker, topic, topic)
    return topic


def offsets_of(groups, group):
    return {int(row["PARTITION"]): row["CURRENT-OFFSET"] for row in rows(groups("--describe", "--group", group))}


# --- list -------------------------------------------------------------------------------------------------------------


def test_list_names_states_and_types(groups, broker, topic, member):
    commit(broker, f"{topic}-empty", topic)
    newer = new_member(broker, f"{topic}-newer", topic, "consumer")
    try:
        names = [topic, f"{topic}-empty", f"{topic}-newer"]
        assert set(names) <= set(groups("--list").split())
        listed = {row["GROUP"]: row["STATE"] for row in rows(groups("--list", "--state"))}
        wait_until(lambda: "Stable" in groups("--list", "--state", "Stable"), "a stable group")
        assert [listed[name] for name in names][:2] == ["Stable", "Empty"]
        types = {row["GROUP"]: row["TYPE"] for row in rows(groups("--list", "--type"))}
        assert [types[name] for name in names] == ["Classic", "Classic", "Consumer"]
        empty = groups("--list", "--state", "Empty").split()
        assert f"{topic}-empty" in empty
        assert topic not in empty
        of_type = groups("--list", "--type", "consumer").split()
        assert f"{topic}-newer" in of_type
        assert topic not in of_type
    finally:
        newer.close()


# --- describe ---------------------------------------------------------------------------------------------------------


def test_describe_of_a_group_without_members_shows_its_offsets(groups, group):
    shown = [
        (row["TOPIC"], row["PARTITION"], row["CURRENT-OFFSET"], row["LOG-END-OFFSET"], row["LAG"], row["CONSUMER-ID"])
        for row in rows(groups("--describe", "--group", group))
    ]
    assert shown == [(group, str(p), "5", "10", "5", "-") for p in range(2)]
    assert "has no active members" in groups("--describe", "--group", group)
    (state,) = rows(groups("--describe", "--group", group, "--state"))
    assert (state["STATE"], state["#MEMBERS"]) == ("Empty", "0"), state


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_describe_shows_members_their_partitions_and_the_state(groups, broker, topic, written, protocol):
    member = new_member(broker, topic, topic, protocol)
    try:
        member.commit(offsets=[TopicPartition(topic, 0, 3)], asynchronous=False)
        by_partition = {row["PARTITION"]: row for row in rows(groups("--describe", "--group", topic))}
        assert by_partition["0"]["CURRENT-OFFSET"] == "3"
        assert by_partition["1"]["CURRENT-OFFSET"] == "-"
        consumer_id = by_partition["0"]["CONSUMER-ID"]
        assert by_partition["1"]["CONSUMER-ID"] == consumer_id != "-"
        assert by_partition["0"]["HOST"] == "/127.0.0.1"
        assert by_partition["0"]["CLIENT-ID"] == f"client-of-{topic}"
        (described,) = rows(groups("--describe", "--group", topic, "--members"))
        assert (described["CONSUMER-ID"], described["#PARTITIONS"]) == (consumer_id, "2")
        verbose = groups("--describe", "--group", topic, "--members", "--verbose")
        assert re.search(rf"{topic}(\(|:)0,\s?({topic}:)?1", verbose), verbose
        (state,) = rows(groups("--describe", "--group", topic, "--state"))
        # The coordinator's column is "host:port (id)", two words.
        line = groups("--describe", "--group", topic, "--state")
        assert f"{broker.bootstrap} " in line or f"{broker.bootstrap}  (1)" in line
        assert re.search(r"\bStable\s+1\b", line), line
        assert ("range" if protocol == "classic" else "uniform") in line
        assert state["GROUP"] == topic
    finally:
        member.close()


def test_describe_of_all_groups_names_each(groups, broker, group):
    commit(broker, f"{group}-2", group)
    out = groups("--describe", "--all-groups")
    assert {f"{group}-2", group} <= set(out.split())


def test_describe_of_an_unknown_group_is_an_error(groups, topic):
    out = groups("--describe", "--group", f"{topic}-nobody")
    assert f"GroupIdNotFoundException: Group {topic}-nobody not found" in out


# --- reset-offsets ----------------------------------------------------------------------------------------------------


def iso(timestamp_ms):
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000")


FORMS = {
    "to-earliest": (lambda start: ["--to-earliest"], 0),
    "to-latest": (lambda start: ["--to-latest"], 10),
    "to-current": (lambda start: ["--to-current"], 5),
    "to-offset": (lambda start: ["--to-offset", 7], 7),
    "to-offset beyond the end": (lambda start: ["--to-offset", 700], 10),
    "shift-by forwards": (lambda start: ["--shift-by", 3], 8),
    "shift-by backwards": (lambda start: ["--shift-by", -3], 2),
    "shift-by beyond the start": (lambda start: ["--shift-by", -50], 0),
    # A second after record 3, so that the rounding to seconds does not matter.
    "to-datetime": (lambda start: ["--to-datetime", iso(start + 3 * MINUTE_MS + 1000)], 4),
    "to-datetime beyond the end": (lambda start: ["--to-datetime", iso(start + 30 * MINUTE_MS)], 10),
    "by-duration": (lambda start: ["--by-duration", "PT56M30S"], 4),
}


@pytest.mark.parametrize("form", FORMS)
def test_reset_offsets(groups, group, written, form):
    arguments, wanted = FORMS[form]
    reset = ["--reset-offsets", "--group", group, "--topic", group, *arguments(written)]
    told = {row["PARTITION"]: row["NEW-OFFSET"] for row in rows(groups(*reset, "--dry-run"))}
    assert told == {"0": str(wanted), "1": str(wanted)}
    assert offsets_of(groups, group) == {0: "5", 1: "5"}, "a dry run changed something"
    groups(*reset, "--execute")
    assert offsets_of(groups, group) == {0: str(wanted), 1: str(wanted)}


def test_reset_of_one_partition_leaves_the_other(groups, group):
    groups("--reset-offsets", "--group", group, "--topic", f"{group}:1", "--to-latest", "--execute")
    assert offsets_of(groups, group) == {0: "5", 1: "10"}


def test_reset_of_all_topics_of_all_groups(groups, group):
    out = groups("--reset-offsets", "--group", group, "--all-topics", "--to-offset", 6, "--execute")
    assert len(rows(out)) == 2
    assert offsets_of(groups, group) == {0: "6", 1: "6"}


def test_reset_exports_a_plan_and_executes_it_from_the_file(groups, group, tmp_path):
    plan = groups("--reset-offsets", "--group", group, "--all-topics", "--to-offset", 9, "--export")
    lines = [line.replace('"', "") for line in plan.splitlines() if group in line]
    assert sorted(lines) == [f"{group},{p},9" for p in range(2)], plan
    assert offsets_of(groups, group) == {0: "5", 1: "5"}
    file = tmp_path / "plan.csv"
    file.write_text("".join(f"{line}\n" for line in lines).replace(f"{group},1,9", f"{group},1,4"))
    groups("--reset-offsets", "--group", group, "--all-topics", "--from-file", file, "--execute")
    assert offsets_of(groups, group) == {0: "9", 1: "4"}


def test_reset_makes_offsets_for_a_group_that_does_not_exist_yet(groups, topic, written):
    groups("--reset-offsets", "--group", topic, "--topic", topic, "--to-offset", 2, "--execute")
    assert offsets_of(groups, topic) == {0: "2", 1: "2"}


def test_reset_is_refused_while_the_group_has_members(groups, topic, member):
    member.commit(offsets=[TopicPartition(topic, 0, 3)], asynchronous=False)
    out = groups("--reset-offsets", "--group", topic, "--topic", topic, "--to-earliest", "--execute")
    assert "is inactive, but the current state is Stable" in out
    assert offsets_of(groups, topic)[0] == "3"


# --- delete -----------------------------------------------------------------------------------------------------------


def test_delete_removes_the_group(groups, group):
    assert f"Deletion of requested consumer groups ('{group}') was successful" in groups("--delete", "--group", group)
    assert group not in groups("--list").split()
    assert f"Group {group} not found" in groups("--describe", "--group", group)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_delete_is_refused_while_the_group_has_members(groups, broker, topic, written, protocol):
    member = new_member(broker, topic, topic, protocol)
    try:
        out = groups("--delete", "--group", topic)
        assert "GroupNotEmptyException" in out, out
        assert topic in groups("--list").split()
    finally:
        member.close()
    wait_until(lambda: topic in groups("--list", "--state", "Empty").split(), "the group to be empty")
    groups("--delete", "--group", topic)
    assert topic not in groups("--list").split()


def test_delete_of_an_unknown_group_is_an_error(groups, topic):
    assert "GroupIdNotFoundException" in groups("--delete", "--group", f"{topic}-nobody")


def test_delete_offsets_of_a_topic(groups, group):
    out = groups("--delete-offsets", "--group", group, "--topic", f"{group}:1")
    assert "Successful" in out, out
    assert offsets_of(groups, group) == {0: "5"}


def test_delete_offsets_is_refused_while_a_member_subscribes_to_the_topic(groups, topic, member):
    member.commit(offsets=[TopicPartition(topic, 0, 3)], asynchronous=False)
    out = groups("--delete-offsets", "--group", topic, "--topic", topic)
    assert "GROUP_SUBSCRIBED_TO_TOPIC" in out or "subscribed to" in out, out
    assert offsets_of(groups, topic)[0] == "3"


def test_delete_offsets_of_an_unknown_group_is_an_error(groups, topic, written):
    out = groups("--delete-offsets", "--group", f"{topic}-nobody", "--topic", topic)
    assert "GROUP_ID_NOT_FOUND" in out or "GroupIdNotFound" in out or "not exist" in out or "not found" in out, out
