"""Groups that one broker wrote go on at the other, on the same directory, and back: offsets, members, generations."""

import re
from contextlib import ExitStack

import confluent_kafka
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewTopic

from harness import facts, wire
from harness.broker import KAFKA
from harness.members import LiveGroup, MembersProcess, new_consumer
from harness.waiting import wait_until

TOPIC = "shared"
PARTITIONS = 6
COUNT = 20

CONFIG = {
    # Lets a broker in again soon after its predecessor was killed.
    "broker.session.timeout.ms": 1000,
    "broker.heartbeat.interval.ms": 200,
    "group.consumer.min.heartbeat.interval.ms": 100,
    "group.consumer.heartbeat.interval.ms": 300,
}
LIVE = {
    "classic range": {"partition.assignment.strategy": "range", "heartbeat.interval.ms": 300},
    "classic cooperative": {"partition.assignment.strategy": "cooperative-sticky", "heartbeat.interval.ms": 300},
    "classic static": {"heartbeat.interval.ms": 300, "group.instance.id": "instance"},
    "consumer": {"group.protocol": "consumer"},
    "consumer static": {"group.protocol": "consumer", "group.instance.id": "instance"},
}
GROUPS = [*LIVE, "left", "left of consumer", "simple"]


def pytest_generate_tests(metafunc):
    kind = metafunc.config.getoption("--broker")
    pairs = [("kafka", "kafka")] if kind == "kafka" else [("odradek", "kafka"), ("kafka", "odradek")]
    metafunc.parametrize("succession", pairs, ids=[f"{a} to {b}" for a, b in pairs])


@pytest.fixture
def members():
    process = MembersProcess()
    yield process
    process.close()


def make_groups(broker, members):
    admin = facts.admin_client(broker)
    (future,) = admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)]).values()
    future.result(15)
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap})
    for partition in range(PARTITIONS):
        for _ in range(COUNT):
            producer.produce(TOPIC, b"v", partition=partition)
    assert producer.flush(20) == 0
    consumer = new_consumer(broker.bootstrap, "simple")
    offsets = [TopicPartition(TOPIC, p, p + 1, metadata=f"metadata of {p}") for p in range(PARTITIONS)]
    consumer.commit(offsets=offsets, asynchronous=False)
    consumer.close()
    for name, protocol in (("left", "classic"), ("left of consumer", "consumer")):
        group = LiveGroup(members, broker, name, TOPIC, PARTITIONS, {"group.protocol": protocol})
        group.commit(7)
        group.close()
    live = [LiveGroup(members, broker, name, TOPIC, PARTITIONS, config) for name, config in LIVE.items()]
    for group in live:
        group.commit(1)
    return live


def gather(broker, tools):
    """Everything that OffsetFetch and kafka-consumer-groups tell of the groups; None while they load."""

    def describe(*arguments):
        result = tools.run("consumer-groups", "--bootstrap-server", broker.bootstrap, *arguments).ok()
        assert "Error" not in result.out + result.err, str(result)
        # The columns are as wide as their widest word, the lines in the order of a hash table.
        return sorted(re.sub(r"\s+", " ", line) for line in result.lines() if "GROUP" not in line)

    # Not librdkafka's admin client: it dies of an error that passes (librdkafka 2.16).
    with broker.connect() as connection:
        told = {f"offsets of {group}": wire.committed_offsets(connection, group) for group in GROUPS}
    if None in told.values():
        return None
    told["list"] = describe("--list", "--state", "--type")
    for group in GROUPS:
        told[f"state of {group}"] = describe("--describe", "--group", group, "--state", "--verbose")
        told[f"members of {group}"] = describe("--describe", "--group", group, "--members", "--verbose")
        told[f"table of {group}"] = describe("--describe", "--group", group, "--verbose")
    return told


def change(broker, how, taker, members, tools):
    """Ends the broker, starts the other, and gives what that tells of the groups.

    Part of the soak, not of the default run: about once in ten runs all members are silent after Apache Kafka's clean stop even
    so; probably an answer was under way to them before they were held, but that has not been seen.

    Two moments of Apache Kafka 4.3.0 are not for members, which are held still:
    - While it stops cleanly its answers to Metadata name no broker at all. librdkafka (2.16) then forgets every broker
      that it knows, and a member is not heard of again for minutes.
    - After a kill it leads its partitions twice, as it had and after it was fenced. Where the first load has not ended by
      then, the second goes over the groups that are in use, and heartbeats meanwhile find that there is no such group,
      which ends a member for good.
    """
    stops_without_brokers = broker.kind == KAFKA and how == "clean stop"
    loads_twice = taker == KAFKA and how == "kill -9"
    with ExitStack() as held:
        if stops_without_brokers or loads_twice:
            held.enter_context(members.held_still())
        broker.stop() if how == "clean stop" else broker.kill()
        if not loads_twice:
            held.close()
        broker.start(taker)
        return wait_until(lambda: gather(broker, tools), "the groups after the change", 30)


@pytest.mark.groups
@pytest.mark.parametrize("how", ["clean stop", "kill -9"])
def test_groups_go_on_at_the_other_broker_and_back(factory, succession, tools, members, how):
    first, second = succession
    broker = factory.new(CONFIG, kind=first).start()
    live = make_groups(broker, members)
    for offset, taker in enumerate((second, first), start=2):
        before = wait_until(lambda: gather(broker, tools), "the groups", 30)
        assignments = {group.name: group.assignments() for group in live}
        facts.assert_same(before, change(broker, how, taker, members, tools))
        for group in live:
            group.commit(offset)
            assert group.is_settled()
            assert group.assignments() == assignments[group.name], f"{group.name} was shuffled"
    for group in live:
        group.close()
