"""One broker starts on the directory that the other one left, and back again; clients see the same."""

import itertools
import random

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from harness import facts, wire
from harness.broker import CLUSTER_ID
from harness.wire import Batch

CONFIG = {
    # Lets a broker in again soon after its predecessor was killed.
    "broker.session.timeout.ms": 1000,
    "broker.heartbeat.interval.ms": 200,
}


def successions(kind):
    """Who starts, who takes over. The reference alone proves the suite."""
    return [("kafka", "kafka")] if kind == "kafka" else [("odradek", "kafka"), ("kafka", "odradek")]


def pytest_generate_tests(metafunc):
    if "succession" in metafunc.fixturenames:
        pairs = successions(metafunc.config.getoption("--broker"))
        metafunc.parametrize("succession", pairs, ids=[f"{a} to {b}" for a, b in pairs])


def all_done(futures):
    for future in futures.values():
        future.result(15)


class Story:
    """What happens to a cluster while it changes hands; each chapter leaves something new behind."""

    def __init__(self, broker):
        self.broker = broker
        self.chapters = itertools.count(1)
        self.producer_id = None
        self.random = random.Random(7)

    def first_chapter(self):
        admin = facts.admin_client(self.broker)
        topics = [
            NewTopic("plain", 3, 1),
            NewTopic("small-segments", 1, 1, config={"segment.bytes": "1048576", "index.interval.bytes": "200"}),
            NewTopic("compacted", 2, 1, config={"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1"}),
            NewTopic("append-time", 1, 1, config={"message.timestamp.type": "LogAppendTime"}),
            NewTopic("trimmed", 1, 1),
            NewTopic("idempotent", 1, 1),
            NewTopic("empty", 5, 1),
            NewTopic("deleted", 2, 1),
        ]
        all_done(admin.create_topics(topics, operation_timeout=15))
        self.any_chapter()
        self.produce("deleted", 10)
        all_done(admin.delete_topics(["deleted"], operation_timeout=15))
        all_done(admin.delete_records([TopicPartition("trimmed", 0, 37)]))
        self.alter(ResourceType.TOPIC, "plain", "retention.ms", "123456789")
        self.alter(ResourceType.BROKER, "1", "log.retention.ms", "987654321")

    def any_chapter(self):
        number = next(self.chapters)
        admin = facts.admin_client(self.broker)
        for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
            self.produce("plain", 100, compression=codec)
        self.produce("small-segments", 3000, size=1000)
        self.produce("compacted", 50)
        self.produce("append-time", 20)
        self.produce("trimmed", 50)
        all_done(admin.create_topics([NewTopic(f"chapter-{number}", 1, 1)], operation_timeout=15))
        self.produce(f"chapter-{number}", 10)
        all_done(admin.create_partitions([NewPartitions("empty", 5 + number)]))
        self.alter(ResourceType.TOPIC, "empty", "max.message.bytes", str(100000 + number))
        self.idempotent_batch(number - 1)

    def produce(self, topic, count, compression="none", size=50):
        refused = []
        producer = Producer(
            {
                "bootstrap.servers": self.broker.bootstrap,
                "compression.type": compression,
                "linger.ms": 5,
                "batch.num.messages": 50,
                # Each idempotent librdkafka producer waits half a second for its id: one topic is enough.
                "enable.idempotence": topic == "small-segments",
                "log_level": 0,
            }
        )
        for i in range(count):
            value = self.random.randbytes(size // 2) + b"x" * (size // 2)
            headers = [("number", str(i).encode()), ("null", None)] if i % 5 == 0 else None
            producer.produce(
                topic,
                None if i % 7 == 3 and topic != "compacted" else value,
                b"key-%d" % (i % 20),
                headers=headers,
                on_delivery=lambda error, _: refused.append(error) if error else None,
            )
        assert producer.flush(20) == 0, "records were not acknowledged"
        assert not refused, refused[0]

    def alter(self, kind, name, key, value):
        admin = facts.admin_client(self.broker)
        entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        all_done(admin.incremental_alter_configs([ConfigResource(kind, name, incremental_configs=[entry])]))

    def idempotent_batch(self, sequence):
        """One batch of one record, sent twice: the broker must know its sequence, whoever wrote the one before."""
        with self.broker.connect() as connection:
            while self.producer_id is None:
                error, producer_id, _ = wire.init_producer_id(connection)
                self.producer_id = producer_id if error == 0 else None
            for _ in range(2):
                assert self.send_sequence(connection, sequence) == (0, sequence)

    def send_sequence(self, connection, sequence):
        batch = Batch([b"s%d" % sequence], producer_id=self.producer_id, producer_epoch=0, base_sequence=sequence)
        answer = wire.produce(connection, "idempotent", batch)
        return answer.error, answer.base_offset

    def duplicate_is_still_known(self, sequence):
        with self.broker.connect() as connection:
            assert self.send_sequence(connection, sequence) == (0, sequence), "a duplicate was written again"
            assert self.send_sequence(connection, sequence + 5)[0] == 45, "a gap in the sequence was accepted"


def end(broker, how):
    if how == "clean stop":
        broker.stop()
    else:
        broker.kill()


# Loggers of the reference whose errors mean that it found something wrong in what it read.
ABOUT_FILES = ("kafka.log", "storage.internals", "kafka.raft", "kafka.image", "kafka.metadata", "server.fault")


def log_since(broker, mark):
    return [line for line in broker.log_text()[mark:].splitlines() if "state.change.logger" not in line]


@pytest.mark.parametrize("how", ["clean stop", "kill -9"])
@pytest.mark.parametrize("static_voters", [False, True], ids=["dynamic voters", "static voters"])
def test_the_other_broker_takes_over_and_gives_back(factory, succession, static_voters, how):
    first, second = succession
    broker = factory.new(CONFIG, kind=first, static_voters=static_voters).start()
    story = Story(broker)
    story.first_chapter()
    before = facts.gather(broker)
    assert len(before["records"][("small-segments", 0)]) == 3000
    for sequence, taker in enumerate((second, first)):
        end(broker, how)
        mark = len(broker.log_text())
        broker.start(taker)
        facts.assert_same(before, facts.gather(broker))
        story.duplicate_is_still_known(sequence)
        story.any_chapter()
        before = facts.gather(broker)
        if taker == "kafka":
            said = log_since(broker, mark)
            errors = [line for line in said if " ERROR " in line and any(name in line for name in ABOUT_FILES)]
            assert not errors, "\n".join(errors)
            assert not [line for line in said if "corrupt" in line.lower()]
            if how == "clean stop":
                assert any("clean shutdown file was found" in line for line in said), "it recovered every log"
    end(broker, how)


@pytest.mark.parametrize("how", ["clean stop", "kill -9"])
def test_directory_that_only_was_formatted_is_taken(factory, succession, how):
    formatter, starter = succession
    broker = factory.new(CONFIG, kind=starter)
    broker.format(kind=formatter)
    broker.start()
    Story(broker).first_chapter()
    before = facts.gather(broker)
    end(broker, how)
    broker.start(formatter)
    facts.assert_same(before, facts.gather(broker))


@pytest.mark.parametrize("static_voters", [False, True], ids=["dynamic voters", "static voters"])
def test_kafka_storage_info_finds_nothing_wrong_with_a_formatted_directory(factory, kind, tools, static_voters):
    broker = factory.new(kind=kind, static_voters=static_voters)
    broker.format()
    info = tools.run("storage", "info", "-c", broker.properties_file).ok().out
    assert f"Found log directory:\n  {broker.data_dir}" in info
    assert f"clusterId={CLUSTER_ID}" in info or f"cluster.id={CLUSTER_ID}" in info, info
    assert "Found problem" not in info, info


def test_dump_log_finds_nothing_wrong_after_each_has_written(factory, succession, tools):
    first, second = succession
    broker = factory.new(CONFIG, kind=first).start()
    story = Story(broker)
    story.first_chapter()
    broker.restart(second)
    story.any_chapter()
    broker.stop()
    files = [path for path in broker.data_dir.glob("*/*") if path.suffix in (".log", ".index", ".timeindex")]
    # Apache Kafka itself leaves the indexes of deleted partitions and of the metadata log untrimmed.
    files = [path for path in files if not path.parent.name.endswith("-delete")]
    files = [path for path in files if path.parent.name != "__cluster_metadata-0" or path.suffix == ".log"]
    assert len(files) > 30
    result = tools.run("dump-log", "--deep-iteration", "--files", ",".join(map(str, files)), timeout_s=60).ok()
    for bad in ("isvalid: false", "Mismatches in", "Found timestamp mismatch", "Found out of order timestamp"):
        assert bad not in result.out + result.err
