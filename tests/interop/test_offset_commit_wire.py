"""OffsetCommit as no client library would send it: of an older epoch, and many at once on one connection."""

import pytest

from harness import groups, wire
from harness.groups import NONE, STALE_MEMBER_EPOCH, ConsumerMember
from harness.waiting import wait_until

pytestmark = pytest.mark.groups

PARTITIONS = 4


@pytest.fixture
def connection(broker):
    with broker.connect() as connection:
        yield connection


@pytest.fixture
def topic_id(connection, topic):
    assert wire.create_topic(connection, topic, PARTITIONS)[0] == NONE
    groups.await_coordinator(connection, topic)

    def found():
        told = wire.metadata(connection, topic)
        return told.topic_id if told.error == NONE and told.partitions == PARTITIONS else None

    return wait_until(found, "the topic")


def beat_until(condition, members, what):
    def turn():
        assert [member.beat() for member in members] == [NONE] * len(members)
        return condition()

    wait_until(turn, what)


@pytest.mark.parametrize("version", [9, 10])
def test_a_member_commits_what_it_still_holds_under_the_epoch_it_had_before(connection, topic, topic_id, version):
    """KIP-1251. Up to version 9 the topic has no id on the wire."""
    first, second = (ConsumerMember(connection, topic, [topic]) for _ in range(2))
    beat_until(lambda: len(first.owned) == PARTITIONS, [first], "the first member to have all")
    epoch = first.epoch
    beat_until(lambda: len(first.owned) == len(second.owned) == 2, [first, second], "both to share")
    beat_until(lambda: first.epoch > epoch, [first, second], "the first member's next epoch")
    kept = next(iter(first.owned))[1]
    gone = next(iter(second.owned))[1]
    named = topic_id if version >= 10 else topic

    def commit(offsets, generation):
        return groups.commit(connection, topic, named, offsets, first.member, generation, version)

    assert commit({kept: 5}, epoch) == {kept: NONE}
    assert commit({gone: 5}, epoch) == {gone: STALE_MEMBER_EPOCH}
    assert commit({kept: 6}, first.epoch) == {kept: NONE}
    assert commit({kept: 7}, first.epoch + 1) == {kept: STALE_MEMBER_EPOCH}
    assert wire.committed_offsets(connection, topic)[topic, kept][0] == 6


@pytest.mark.parametrize("count", [2, 500])
def test_commits_that_follow_each_other_at_once_all_count_and_the_last_one_stays(connection, topic, topic_id, count):
    """All are sent before any answer is read. What is asked right behind them sees the last."""
    frames = b""
    for i in range(1, count + 1):
        # Each writes two partitions, so that an order turned round would show in one of them.
        body = groups.commit_body(topic, topic, {i % PARTITIONS: i, (i + 1) % PARTITIONS: i})
        frames += connection.frame(groups.OFFSET_COMMIT, 9, body, flexible=True)
    connection.send_raw(frames + connection.frame(wire.OFFSET_FETCH, 5, wire.Out().string(topic).i32(-1)))
    for i in range(1, count + 1):
        correlation, answer = connection.receive()
        answer.tags()
        told = groups.read_commit_answer(answer)
        assert told == {i % PARTITIONS: NONE, (i + 1) % PARTITIONS: NONE}, f"commit {i}"
    correlation_of_fetch, answer = connection.receive()
    assert correlation_of_fetch == correlation + 1
    last = {}
    for i in range(1, count + 1):
        last |= {(topic, i % PARTITIONS): i, (topic, (i + 1) % PARTITIONS): i}
    assert {at: told[0] for at, told in wire.read_committed_offsets(answer).items()} == last


def test_a_commit_behind_others_of_another_group_waits_for_no_answer(connection, topic, topic_id):
    """Commits of several groups, so of several shards, on one connection: answers in the order of the requests."""
    names = [f"{topic}-{i}" for i in range(8)]
    sent = []
    frames = b""
    for offset in range(1, 41):
        name = names[offset * 5 % len(names)]
        sent.append((name, offset))
        body = groups.commit_body(name, topic, {0: offset})
        frames += connection.frame(groups.OFFSET_COMMIT, 9, body, flexible=True)
    connection.send_raw(frames)
    before = None
    for name, offset in sent:
        correlation, answer = connection.receive()
        assert before is None or correlation == before + 1
        before = correlation
        answer.tags()
        assert groups.read_commit_answer(answer) == {0: NONE}, f"{name} at {offset}"
    for name, offset in dict(sent).items():
        assert wire.committed_offsets(connection, name)[topic, 0][0] == offset
