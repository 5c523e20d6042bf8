"""Groups that one broker wrote go on at the other, on the same directory, and back: offsets, members, generations."""

import faulthandler
import re
import sys

import confluent_kafka
import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import NewTopic

from harness import facts, wire
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


def new_consumer(broker, group, number=0, **config):
    defaults = {
        "bootstrap.servers": broker.bootstrap,
        "group.id": group,
        "client.id": f"client-{number}",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "reconnect.backoff.ms": 20,
        "reconnect.backoff.max.ms": 100,
        # Apache Kafka's last answers while it stops name no broker at all. librdkafka then forgets every broker that it
        # knows, and begins anew with bootstrap.servers only after this time: five minutes unless told otherwise.
        "metadata.recovery.rebootstrap.trigger.ms": 1000,
        "log_level": 0,
    }
    if "group.instance.id" in config:
        config["group.instance.id"] += f"-{number}"
    return confluent_kafka.Consumer(defaults | config)


@pytest.fixture(autouse=True)
def ends_in_time():
    """A call into librdkafka that never returns ends the run with all stacks, instead of holding it up."""
    faulthandler.dump_traceback_later(180, exit=True, file=sys.__stderr__)
    yield
    faulthandler.cancel_dump_traceback_later()


class LiveGroup:
    """Two members that stay while the broker changes."""

    def __init__(self, broker, name, config):
        self.name = name
        self.members = [new_consumer(broker, name, i, **config) for i in range(2)]
        for member in self.members:
            member.subscribe([TOPIC])

    def poll(self):
        for member in self.members:
            member.poll(0.02)

    def assignments(self):
        return [sorted(partition.partition for partition in member.assignment()) for member in self.members]

    def is_settled(self):
        self.poll()
        return sorted(sum(self.assignments(), [])) == list(range(PARTITIONS)) and all(self.assignments())

    def commit(self, offset):
        """Each member commits what it owns; tried again while the broker is away."""

        def commits(member):
            try:
                offsets = [TopicPartition(TOPIC, p.partition, offset, metadata=self.name) for p in member.assignment()]
                return not [p for p in member.commit(offsets=offsets, asynchronous=False) if p.error]
            except KafkaException:
                return False

        for member in self.members:
            wait_until(lambda member=member: commits(member), f"{self.name} to commit {offset}", 30)

    def close(self):
        for member in self.members:
            member.close()


def make_groups(broker):
    admin = facts.admin_client(broker)
    (future,) = admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)]).values()
    future.result(15)
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap})
    for partition in range(PARTITIONS):
        for _ in range(COUNT):
            producer.produce(TOPIC, b"v", partition=partition)
    assert producer.flush(20) == 0
    consumer = new_consumer(broker, "simple")
    offsets = [TopicPartition(TOPIC, p, p + 1, metadata=f"metadata of {p}") for p in range(PARTITIONS)]
    consumer.commit(offsets=offsets, asynchronous=False)
    consumer.close()
    for name, protocol in (("left", "classic"), ("left of consumer", "consumer")):
        group = LiveGroup(broker, name, {"group.protocol": protocol})
        wait_until(group.is_settled, f"{name} to settle", 30)
        group.commit(7)
        group.close()
    live = [LiveGroup(broker, name, dict(config)) for name, config in LIVE.items()]
    for group in live:
        wait_until(group.is_settled, f"{group.name} to settle", 30)
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


@pytest.mark.groups
@pytest.mark.parametrize("how", ["clean stop", "kill -9"])
def test_groups_go_on_at_the_other_broker_and_back(factory, succession, tools, how):
    first, second = succession
    broker = factory.new(CONFIG, kind=first).start()
    live = make_groups(broker)
    try:
        for offset, taker in enumerate((second, first), start=2):
            before = wait_until(lambda: gather(broker, tools), "the groups", 30)
            assignments = {group.name: group.assignments() for group in live}
            if how == "clean stop":
                broker.stop()
            else:
                broker.kill()
            broker.start(taker)
            after = wait_until(lambda: gather(broker, tools), "the groups after the change", 30)
            facts.assert_same(before, after)
            for group in live:
                group.commit(offset)
                assert group.is_settled()
                assert group.assignments() == assignments[group.name], f"{group.name} was shuffled"
    finally:
        for group in live:
            group.close()
