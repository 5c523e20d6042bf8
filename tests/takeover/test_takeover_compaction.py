"""Compaction: each broker cleans a copy of one directory, and what is left is the same; then each goes on with the
other's."""

import random
import re
import shutil
import subprocess

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import NewTopic

from harness import facts, paths
from harness.waiting import wait_until

# Nothing is ever that dirty.
NO_CLEANING = {"log.cleaner.min.cleanable.ratio": "1.0"}
EAGER_CLEANING = {
    "log.cleaner.min.cleanable.ratio": "0.01",
    "log.cleaner.backoff.ms": "100",
    "log.cleaner.threads": "1",
    "broker.session.timeout.ms": "1000",
    "broker.heartbeat.interval.ms": "200",
}
TOPICS = {
    "plain": {},
    "no-retention": {"delete.retention.ms": "1"},
    "transactions": {"delete.retention.ms": "1"},
    "append-time": {"message.timestamp.type": "LogAppendTime"},
}


def make_topics(broker):
    small = {"cleanup.policy": "compact", "segment.bytes": "1048576", "index.interval.bytes": "1000"}
    wanted = [NewTopic(name, 1, 1, config=small | own) for name, own in TOPICS.items()]
    admin = facts.admin_client(broker)
    for future in admin.create_topics(wanted, operation_timeout=15).values():
        future.result(15)


class Writer:
    """Records of a few hundred keys with tombstones, headers and every codec, the same for the same seed."""

    def __init__(self, broker, seed):
        self.broker = broker
        self.random = random.Random(seed)

    def records(self, producer, topic, count):
        for i in range(count):
            key = b"key-%d" % self.random.randrange(300)
            value = None if self.random.random() < 0.1 else self.random.randbytes(self.random.randrange(900))
            headers = [("number", str(i).encode()), ("null", None)] if i % 5 == 0 else None
            producer.produce(topic, value, key, headers=headers)
            producer.poll(0)

    def fill(self, topic, count):
        for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
            producer = Producer(
                {
                    "bootstrap.servers": self.broker.bootstrap,
                    "compression.type": codec,
                    "linger.ms": 5,
                    "batch.num.messages": 40,
                    "enable.idempotence": codec in ("none", "lz4"),
                    "log_level": 0,
                }
            )
            self.records(producer, topic, count)
            assert producer.flush(30) == 0

    def transactions(self, count):
        for number in range(count):
            producer = Producer(
                {
                    "bootstrap.servers": self.broker.bootstrap,
                    "transactional.id": f"writer-{number % 3}",
                    "linger.ms": 5,
                    "batch.num.messages": 40,
                    "log_level": 0,
                }
            )
            producer.init_transactions(30)
            for turn in range(3):
                producer.begin_transaction()
                self.records(producer, "transactions", 120)
                if (number + turn) % 3 == 0:
                    producer.flush(30)
                    producer.abort_transaction(30)
                else:
                    producer.commit_transaction(30)


def segments(broker, topic):
    return sorted(broker.partition_dir(topic).glob("*.log"))


def clean_to(broker, topic):
    text = (broker.data_dir / "cleaner-offset-checkpoint").read_text()
    for line in text.splitlines()[2:]:
        name, _, offset = line.split()
        if name == topic:
            return int(offset)
    return None


def is_clean(broker, topic):
    """Up to the active segment, which has the highest name."""
    return clean_to(broker, topic) == int(segments(broker, topic)[-1].stem)


def clean_all(broker, topics):
    wait_until(lambda: all(is_clean(broker, topic) for topic in topics), "the cleaner", timeout_s=90)


def dump(tools, broker, topic):
    """What kafka-dump-log shows of every record and batch, without what the time of the cleaning decides."""
    files = ",".join(map(str, segments(broker, topic)))
    out = tools.run("dump-log", "--deep-iteration", "--print-data-log", "--files", files, timeout_s=90).ok().out
    for bad in ("isvalid: false", "Mismatches in", "Found timestamp mismatch", "Found out of order"):
        assert bad not in out
    lines = []
    for line in out.splitlines():
        # Positions and sizes follow from the compressor's library, and the CRC from all of them.
        line = re.sub(r" (position|size|crc): \d+", "", line)
        line = re.sub(r"deleteHorizonMs: OptionalLong\[\d+\]", "deleteHorizonMs: set", line)
        if line.startswith(("baseOffset", "|")):
            lines.append(line)
    return lines


def index_files_are_sound(tools, broker, topic):
    files = [*broker.partition_dir(topic).glob("*.index"), *broker.partition_dir(topic).glob("*.timeindex")]
    out = tools.run("dump-log", "--files", ",".join(map(str, files)), timeout_s=90).ok().out
    for bad in ("Mismatches in", "Found timestamp mismatch", "Found out of order"):
        assert bad not in out


def latest_values(records):
    """What a reader ends up with. How far a tombstone is on its way out, and which segment is still written to, is of the
    moment."""
    latest = {key: (value, headers) for _, _, key, value, headers in records}
    return {key: found for key, found in latest.items() if found[0] is not None}


@pytest.fixture
def input_directory(factory):
    """A directory that Apache Kafka wrote, with nothing cleaned."""
    broker = factory.new(NO_CLEANING, kind="kafka").start()
    make_topics(broker)
    writer = Writer(broker, 11)
    for topic in TOPICS:
        writer.fill(topic, 700)
    writer.transactions(12)
    broker.stop()
    return broker


def copy_of(factory, original, kind):
    broker = factory.new(EAGER_CLEANING, kind=kind)
    shutil.copytree(original.data_dir, broker.data_dir)
    return broker


def test_both_brokers_leave_the_same_records_and_each_goes_on_with_the_other_directory(
    factory, input_directory, tools, kind
):
    brokers = [copy_of(factory, input_directory, each) for each in ("kafka", kind)]
    before = {topic: dump(tools, input_directory, topic) for topic in TOPICS}
    for broker in brokers:
        broker.start()
        clean_all(broker, TOPICS)
        broker.stop()
    for topic in TOPICS:
        theirs, ours = (dump(tools, broker, topic) for broker in brokers)
        assert len(theirs) < len(before[topic]), "nothing was cleaned"
        assert ours == theirs
        assert [path.name for path in segments(brokers[0], topic)] == [path.name for path in segments(brokers[1], topic)]
        index_files_are_sound(tools, brokers[1], topic)
    for broker in brokers:
        # Every CRC, offset, index entry, epoch and sequence.
        done = subprocess.run([paths.ODRADEK, "log", "verify", broker.data_dir], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    # Once more, with more records, each on what the other left.
    brokers = [copy_of(factory, brokers[1], "kafka"), copy_of(factory, brokers[0], kind)]
    left = []
    for broker in brokers:
        mark = len(broker.log_text())
        broker.start()
        for topic in TOPICS:
            if topic != "append-time":
                Writer(broker, 12).fill(topic, 500)
        clean_all(broker, TOPICS)
        bounds = {topic: clean_to(broker, topic) for topic in TOPICS}
        records = facts.gather(broker)["records"]
        for topic, bound in bounds.items():
            keys = [key for offset, _, key, _, _ in records[topic, 0] if offset < bound]
            assert len(keys) == len(set(keys)), f"{topic} has more than the latest of a key below {bound}"
        left.append({topic: latest_values(records[topic, 0]) for topic in TOPICS})
        broker.stop()
        said = broker.log_text()[mark:]
        assert "uncleanable" not in said.lower() and "corrupt" not in said.lower(), said[-3000:]
    for topic in TOPICS:
        assert len(left[0][topic]) > 100
        assert left[0][topic] == left[1][topic], topic


def test_committed_offsets_outlive_the_cleaning_of_their_topic_and_a_crash(factory, kind):
    config = EAGER_CLEANING | {"offsets.topic.num.partitions": 1, "offsets.topic.segment.bytes": "1048576"}
    broker = factory.new(config, kind=kind).start()
    admin = facts.admin_client(broker)
    admin.create_topics([NewTopic("input", 300, 1)], operation_timeout=15)["input"].result(15)
    where = [TopicPartition("input", partition) for partition in range(300)]
    groups = ("first", "second", "gone")
    consumers = {
        group: Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group, "log_level": 0}) for group in groups
    }
    for offset in range(1, 31):
        for group, consumer in consumers.items():
            commits = [TopicPartition("input", each.partition, offset, metadata=group * 20) for each in where]
            consumer.commit(offsets=commits, asynchronous=False)
    for consumer in consumers.values():
        consumer.close()
    admin.delete_consumer_groups(["gone"])["gone"].result(15)
    assert len(segments(broker, "__consumer_offsets")) >= 1
    wait_until(lambda: (clean_to(broker, "__consumer_offsets") or 0) > 0, "the cleaner", timeout_s=60)

    def committed(group):
        wanted = [ConsumerGroupTopicPartitions(group, where)]
        answer = admin.list_consumer_group_offsets(wanted)[group].result(15)
        return {each.partition: each.offset for each in answer.topic_partitions}

    expected = {partition: 30 for partition in range(300)}
    for end in (broker.kill, broker.stop):
        end()
        broker.start()
        admin = facts.admin_client(broker)
        for group in ("first", "second"):
            assert wait_until(lambda name=group: committed(name) or None, "offsets", timeout_s=30) == expected
        assert set(committed("gone").values()) == {-1001}
