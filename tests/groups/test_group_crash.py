"""SIGKILL of the broker amid commits and rebalances: an acknowledged commit is never lost, and groups recover.

ODRADEK_GROUP_CRASH_ROUNDS says how often (default 5), ODRADEK_SEED replays the random points of a run.
"""

import os
import random
import threading
import time

import confluent_kafka
import pytest
from confluent_kafka import KafkaException, TopicPartition

from harness import wire
from harness.waiting import wait_until

ROUNDS = int(os.environ.get("ODRADEK_GROUP_CRASH_ROUNDS", 5))
SEED = int(os.environ.get("ODRADEK_SEED", 0)) or random.SystemRandom().randrange(1 << 32)
TOPIC = "load"
PARTITIONS = 6

CONFIG = {
    "group.min.session.timeout.ms": 1000,
    "group.consumer.min.session.timeout.ms": 1000,
    "group.consumer.session.timeout.ms": 3000,
    "group.consumer.min.heartbeat.interval.ms": 100,
    "group.consumer.heartbeat.interval.ms": 300,
    # Several segments of the offsets topic, and compaction, are among what a crash interrupts.
    "offsets.topic.segment.bytes": 1 << 20,
    # Lets Apache Kafka in again soon after it was killed.
    "broker.session.timeout.ms": 1000,
    "broker.heartbeat.interval.ms": 200,
}
CLIENT = {
    "reconnect.backoff.ms": 10,
    "reconnect.backoff.max.ms": 50,
    "retry.backoff.ms": 10,
    "retry.backoff.max.ms": 50,
    "log_level": 0,
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
}


class Load:
    """A thread that is told to stop. `acked`: the highest offset that was acknowledged, per partition."""

    def __init__(self, broker, group):
        self.bootstrap, self.group = broker.bootstrap, group
        self.acked = [0] * PARTITIONS
        self.count = 0
        self.failure = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.stopping.set()
        self.thread.join(30)

    def _run(self):
        try:
            while not self.stopping.is_set():
                self.turn()
        except Exception as error:
            self.failure = error

    def commit(self, consumer, partitions):
        """Commits, and notes what was acknowledged; an error leaves it open whether the commit took place."""
        try:
            done = consumer.commit(offsets=partitions, asynchronous=False)
        except KafkaException:
            return False
        for partition in done:
            if partition.error is None:
                self.acked[partition.partition] = max(self.acked[partition.partition], partition.offset)
                self.count += 1
        return True


class Committer(Load):
    """Commits rising offsets without being a member."""

    def turn(self):
        consumer = confluent_kafka.Consumer(
            CLIENT | {"bootstrap.servers": self.bootstrap, "group.id": self.group, "socket.timeout.ms": 2000}
        )
        offset = max(self.acked)
        while not self.stopping.is_set():
            offset += 1
            self.commit(consumer, [TopicPartition(TOPIC, p, offset, metadata=f"at {offset}") for p in range(PARTITIONS)])
        consumer.close()


class Members(Load):
    """Members that join, read, commit what they read, and leave. The group is empty of others."""

    def __init__(self, broker, group, protocol, seed):
        super().__init__(broker, group)
        self.protocol = protocol
        self.random = random.Random(seed)
        self.joined = 0

    def turn(self):
        config = CLIENT | {"bootstrap.servers": self.bootstrap, "group.id": self.group, "group.protocol": self.protocol}
        if self.protocol == "classic":
            config |= {"session.timeout.ms": 2000, "heartbeat.interval.ms": 200}
        consumers = []
        for _ in range(2):
            consumer = confluent_kafka.Consumer(config)
            consumer.subscribe([TOPIC])
            consumers.append(consumer)
        stay = time.monotonic() + self.random.uniform(1, 3)
        while time.monotonic() < stay and not self.stopping.is_set():
            for consumer in consumers:
                self.read(consumer)
        for consumer in consumers:
            consumer.close()

    def read(self, consumer):
        ends = {}
        for message in consumer.consume(50, timeout=0.05):
            if not message.error():
                ends[message.partition()] = message.offset() + 1
        if ends:
            self.joined += 1
            self.commit(consumer, [TopicPartition(TOPIC, p, offset) for p, offset in ends.items()])


class Records(Load):
    """Gives the members something to read, slowly."""

    def turn(self):
        producer = confluent_kafka.Producer({"bootstrap.servers": self.bootstrap, "log_level": 0})
        while not self.stopping.wait(0.02):
            for partition in range(PARTITIONS):
                producer.produce(TOPIC, b"v", partition=partition)
            producer.poll(0)
        producer.purge()


def check(broker, loads, acked):
    for load in loads:
        # Not librdkafka's admin client: it dies of an error that passes (librdkafka 2.16).
        with broker.connect() as connection:
            told = wait_until(
                lambda connection=connection, load=load: wire.committed_offsets(connection, load.group),
                f"the offsets of {load.group}", 30,
            )  # fmt: skip
        for partition, offset in enumerate(acked[load.group]):
            got, _, metadata = told.get((TOPIC, partition), (0, -1, ""))
            assert got >= offset, f"{load.group}: partition {partition} was acknowledged at {offset}, is at {got}"
            if isinstance(load, Committer) and offset:
                # confluent-kafka counts the terminating zero of the metadata in.
                assert metadata.rstrip("\0") == f"at {got}"


@pytest.mark.groups
def test_sigkill_amid_commits_and_rebalances_loses_no_commit(factory):
    print(f"ODRADEK_SEED={SEED}")
    rng = random.Random(SEED)
    broker = factory.start(CONFIG)
    with broker.connect() as connection:
        assert wire.create_topic(connection, TOPIC, PARTITIONS)[0] == 0
    records = Records(broker, "none")
    loads = [
        Committer(broker, "committer-a"),
        Committer(broker, "committer-b"),
        Members(broker, "classic", "classic", rng.random()),
        Members(broker, "consumer", "consumer", rng.random()),
    ]
    for load in [records, *loads]:
        load.start()
    try:
        for round_ in range(ROUNDS):
            for load in loads:
                before = load.count
                wait_until(
                    lambda load=load, before=before: load.count > before or load.failure,
                    f"{load.group} to commit in round {round_}", 60,
                )  # fmt: skip
                assert load.failure is None, load.failure
            # The random point.
            loads[0].stopping.wait(rng.uniform(0, 1.0))
            broker.kill()
            acked = {load.group: list(load.acked) for load in loads}
            broker.start()
            check(broker, loads, acked)
        for load in loads:
            before = load.count
            wait_until(lambda load=load, before=before: load.count > before, f"{load.group} to commit again", 60)
    finally:
        for load in [records, *loads]:
            load.stopping.set()
        for load in [records, *loads]:
            load.stop()
    # And after a clean stop, from what the log holds.
    broker.restart()
    check(broker, loads, {load.group: load.acked for load in loads})
    print({load.group: load.count for load in loads})
