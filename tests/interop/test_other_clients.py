"""kcat, confluent-kafka, kafka-python and aiokafka, and the matrix: each codec by each writer and reader."""

import asyncio
import json
import re
import subprocess
import time

import aiokafka
import confluent_kafka
import kafka
import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, OffsetSpec, ResourceType
from kafka.admin import KafkaAdminClient
from kafka.admin import NewTopic as PythonNewTopic

from harness.waiting import wait_until

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
COUNT = 300


def run_kcat(broker, *arguments, stdin=""):
    command = ["kcat", "-b", broker.bootstrap, *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def admin(broker):
    return AdminClient({"bootstrap.servers": broker.bootstrap})


def make_topic(admin, name, partitions=1, **configs):
    (future,) = admin.create_topics([NewTopic(name, partitions, 1, config=configs)], operation_timeout=10).values()
    future.result(15)
    # The broker learns of the new topic a moment after the controller's answer.
    wait_until(lambda: len(admin.list_topics(name, timeout=10).topics[name].partitions) == partitions, f"topic {name}")


@pytest.fixture
def made(admin, topic):
    make_topic(admin, topic)
    return topic


# --- the matrix -------------------------------------------------------------------------------------------------------


def value(i):
    return f"value {i} " + "x" * 100


def rows(topic, header=str):
    return [f"{topic}|{i}|k{i}|{value(i)}|{header(i)}" for i in range(COUNT)]


class Java:
    name = "java"

    def __init__(self, broker, tools):
        self.broker, self.tools = broker, tools

    def write(self, topic, codec):
        self.tools.run_class("Matrix", "write", self.broker.bootstrap, topic, codec, COUNT).ok()

    def read(self, topic):
        return self.tools.run_class("Matrix", "read", self.broker.bootstrap, COUNT, topic).ok().lines()


class Kcat:
    name = "kcat"

    def __init__(self, broker, tools):
        self.broker = broker

    def write(self, topic, codec):
        # kcat gives all records the same headers: one call for all, then a header that a reader can know.
        lines = "".join(f"k{i}\t{value(i)}\n" for i in range(COUNT))
        run_kcat(self.broker, "-P", "-t", topic, "-p", 0, "-K", "\t", "-z", codec, "-H", "h=all", stdin=lines)

    def read(self, topic):
        out = run_kcat(self.broker, "-C", "-t", topic, "-p", 0, "-o", "beginning", "-c", COUNT, "-f",
                       "%t|%o|%k|%s|%h\\n", "-X", "check.crcs=true")  # fmt: skip
        return [re.sub(r"\|h=([^|]*)$", r"|\1", line) for line in out.splitlines()]


class Confluent:
    name = "confluent-kafka"

    def __init__(self, broker, tools):
        self.broker = broker

    def write(self, topic, codec):
        failures = []
        producer = confluent_kafka.Producer(
            {"bootstrap.servers": self.broker.bootstrap, "compression.type": codec, "linger.ms": 50}
        )
        for i in range(COUNT):
            producer.produce(
                topic, value(i), f"k{i}", 0, headers={"h": str(i)},
                on_delivery=lambda error, _: failures.append(error) if error else None,
            )  # fmt: skip
        assert producer.flush(20) == 0
        assert not failures, failures[0]

    def read(self, topic):
        config = {"bootstrap.servers": self.broker.bootstrap, "group.id": "none", "enable.auto.commit": False}
        consumer = confluent_kafka.Consumer(config | {"check.crcs": True})
        try:
            consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
            got = []
            deadline = time.monotonic() + 15
            while len(got) < COUNT and time.monotonic() < deadline:
                for m in consumer.consume(COUNT, timeout=0.2):
                    assert not m.error(), m.error()
                    header = dict(m.headers())["h"].decode()
                    got.append(f"{topic}|{m.offset()}|{m.key().decode()}|{m.value().decode()}|{header}")
            return got
        finally:
            consumer.close()


class KafkaPython:
    name = "kafka-python"

    def __init__(self, broker, tools):
        self.broker = broker

    def write(self, topic, codec):
        producer = kafka.KafkaProducer(
            bootstrap_servers=self.broker.bootstrap, compression_type=None if codec == "none" else codec, linger_ms=50
        )
        futures = [
            producer.send(
                topic, value(i).encode(), f"k{i}".encode(), [("h", str(i).encode())], 0, 1_600_000_000_000 + i
            )
            for i in range(COUNT)
        ]
        producer.flush(20)
        assert [future.get(10).offset for future in futures] == list(range(COUNT))
        producer.close()

    def read(self, topic):
        consumer = kafka.KafkaConsumer(
            bootstrap_servers=self.broker.bootstrap, group_id=None, auto_offset_reset="earliest", check_crcs=True,
            consumer_timeout_ms=15000,
        )  # fmt: skip
        consumer.assign([kafka.TopicPartition(topic, 0)])
        got = []
        for m in consumer:
            got.append(f"{topic}|{m.offset}|{m.key.decode()}|{m.value.decode()}|{dict(m.headers)['h'].decode()}")
            if len(got) == COUNT:
                break
        consumer.close()
        return got


class AioKafka:
    name = "aiokafka"

    def __init__(self, broker, tools):
        self.broker = broker

    def write(self, topic, codec):
        async def write():
            producer = aiokafka.AIOKafkaProducer(
                bootstrap_servers=self.broker.bootstrap, compression_type=None if codec == "none" else codec,
                linger_ms=50, acks="all",
            )  # fmt: skip
            await producer.start()
            try:
                sent = [
                    await producer.send(topic, value(i).encode(), f"k{i}".encode(), 0, headers=[("h", str(i).encode())])
                    for i in range(COUNT)
                ]
                await asyncio.gather(*sent)
            finally:
                await producer.stop()

        asyncio.run(asyncio.wait_for(write(), 30))

    def read(self, topic):
        async def read():
            consumer = aiokafka.AIOKafkaConsumer(
                bootstrap_servers=self.broker.bootstrap, auto_offset_reset="earliest", check_crcs=True
            )
            await consumer.start()
            try:
                consumer.assign([aiokafka.TopicPartition(topic, 0)])
                got = []
                while len(got) < COUNT:
                    m = await consumer.getone()
                    header = dict(m.headers)["h"].decode()
                    got.append(f"{topic}|{m.offset}|{m.key.decode()}|{m.value.decode()}|{header}")
                return got
            finally:
                await consumer.stop()

        return asyncio.run(asyncio.wait_for(read(), 30))


CLIENTS = [Java, Kcat, Confluent, KafkaPython, AioKafka]


@pytest.fixture(scope="module")
def written(broker, tools, admin):
    """Gives the topic that a writer filled with a codec, filled on first use."""
    topics = {}

    def written(writer, codec):
        topic = f"matrix-{writer.name}-{codec}"
        if topic not in topics:
            make_topic(admin, topic)
            # Noted first: a writer that fails must not write again for the next reader.
            topics[topic] = "the writer failed before"
            writer(broker, tools).write(topic, codec)
            topics[topic] = None
        if topics[topic]:
            pytest.fail(topics[topic], pytrace=False)
        return topic

    return written


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("writer", CLIENTS, ids=lambda client: client.name)
@pytest.mark.parametrize("reader", CLIENTS, ids=lambda client: client.name)
def test_what_one_client_writes_each_client_reads(broker, tools, written, writer, reader, codec):
    topic = written(writer, codec)
    got = reader(broker, tools).read(topic)
    assert got == rows(topic, (lambda _: "all") if writer is Kcat else str)


# --- kcat -------------------------------------------------------------------------------------------------------------


def test_kcat_lists_brokers_and_topics(broker, made):
    listed = json.loads(run_kcat(broker, "-L", "-J"))
    assert listed["brokers"] == [{"id": 1, "name": broker.bootstrap}]
    assert listed["controllerid"] == 1
    (topic,) = [entry for entry in listed["topics"] if entry["topic"] == made]
    assert topic["partitions"] == [{"partition": 0, "leader": 1, "replicas": [{"id": 1}], "isrs": [{"id": 1}]}]


def test_kcat_queries_offsets_by_time(broker, made):
    run_kcat(broker, "-P", "-t", made, "-p", 0, stdin="a\nb\nc\n")

    def query(timestamp):
        return run_kcat(broker, "-Q", "-t", f"{made}:0:{timestamp}").strip()

    assert query(-2) == f"{made} [0] offset 0"
    assert query(-1) == f"{made} [0] offset 3"
    assert query(0) == f"{made} [0] offset 0"
    in_an_hour = int((time.time() + 3600) * 1000)
    assert query(in_an_hour) in (f"{made} [0] offset -1", f"{made} [0] offset 3")


def test_kcat_reads_the_last_records(broker, made):
    run_kcat(broker, "-P", "-t", made, "-p", 0, stdin="".join(f"{i}\n" for i in range(10)))
    assert run_kcat(broker, "-C", "-t", made, "-p", 0, "-o", -3, "-e").split() == ["7", "8", "9"]
    assert run_kcat(broker, "-C", "-t", made, "-p", 0, "-o", 4, "-c", 2).split() == ["4", "5"]


# --- confluent-kafka --------------------------------------------------------------------------------------------------


def test_confluent_idempotent_producer_keeps_order(broker, made):
    offsets = []
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": broker.bootstrap, "enable.idempotence": True, "batch.num.messages": 10, "linger.ms": 0}
    )
    for i in range(5000):
        producer.produce(
            made, str(i), partition=0, on_delivery=lambda error, m: offsets.append((m.offset(), m.value()))
        )
    assert producer.flush(30) == 0
    assert offsets == [(i, b"%d" % i) for i in range(5000)]


def test_confluent_producer_learns_that_a_record_is_too_large(broker, admin, topic):
    make_topic(admin, topic, **{"max.message.bytes": "1000"})
    errors = []
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap})
    producer.produce(topic, b"x" * 2000, on_delivery=lambda error, _: errors.append(error.name()))
    producer.flush(10)
    assert errors == ["MSG_SIZE_TOO_LARGE"]


def test_confluent_nulls_headers_and_timestamps(broker, made):
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap})
    producer.produce(made, None, None, 0, timestamp=1234567890123, headers=[("a", b"1"), ("a", None), ("b", b"")])
    assert producer.flush(10) == 0
    consumer = confluent_kafka.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "none"})
    consumer.assign([confluent_kafka.TopicPartition(made, 0, 0)])
    (message,) = consumer.consume(1, timeout=10)
    consumer.close()
    assert (message.key(), message.value()) == (None, None)
    assert message.timestamp() == (confluent_kafka.TIMESTAMP_CREATE_TIME, 1234567890123)
    assert message.headers() == [("a", b"1"), ("a", None), ("b", b"")]


def test_confluent_consumer_watermarks_and_offsets_for_times(broker, made):
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap})
    for i in range(10):
        producer.produce(made, b"v", partition=0, timestamp=1000 + i)
    producer.flush(10)
    consumer = confluent_kafka.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "none"})
    partition = confluent_kafka.TopicPartition(made, 0)
    assert consumer.get_watermark_offsets(partition, timeout=10) == (0, 10)
    (found,) = consumer.offsets_for_times([confluent_kafka.TopicPartition(made, 0, 1005)], timeout=10)
    assert found.offset == 5
    consumer.close()


def test_confluent_admin(broker, admin, topic):
    make_topic(admin, topic, 2, **{"retention.ms": "777000"})
    (configs,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
    assert configs.result(10)["retention.ms"].value == "777000"
    (grown,) = admin.create_partitions([NewPartitions(topic, 4)]).values()
    grown.result(10)
    wait_until(lambda: len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == 4, "four partitions")
    partition = confluent_kafka.TopicPartition(topic, 3)
    wait_until(lambda: _offset_of(admin, partition) == 0, "the new partition's leader")
    assert admin.describe_cluster().result(10).cluster_id == admin.list_topics(timeout=10).cluster_id
    (again,) = admin.create_topics([NewTopic(topic, 1, 1)]).values()
    with pytest.raises(confluent_kafka.KafkaException) as refused:
        again.result(10)
    assert refused.value.args[0].name() == "TOPIC_ALREADY_EXISTS"
    (deleted,) = admin.delete_topics([topic], operation_timeout=10).values()
    deleted.result(15)
    wait_until(lambda: topic not in admin.list_topics(timeout=10).topics, "the topic to go")


def _offset_of(admin, partition):
    try:
        return admin.list_offsets({partition: OffsetSpec.latest()})[partition].result(10).offset
    except confluent_kafka.KafkaException:
        return None


# --- kafka-python -----------------------------------------------------------------------------------------------------


def test_kafka_python_admin(broker, topic):
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        admin.create_topics([PythonNewTopic(topic, 2, 1)])
        wait_until(lambda: topic in admin.list_topics(), "the topic")
        admin.delete_topics([topic])
        wait_until(lambda: topic not in admin.list_topics(), "the topic to go")
    finally:
        admin.close()


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_kafka_python_with_each_acks(broker, made, acks):
    producer = kafka.KafkaProducer(bootstrap_servers=broker.bootstrap, acks=acks, enable_idempotence=False)
    for i in range(50):
        producer.send(made, b"%d" % i)
    producer.flush(10)
    producer.close()
    consumer = kafka.KafkaConsumer(bootstrap_servers=broker.bootstrap, consumer_timeout_ms=10000)
    partition = kafka.TopicPartition(made, 0)
    wait_until(lambda: consumer.end_offsets([partition]) == {partition: 50}, "fifty records")
    assert consumer.beginning_offsets([partition]) == {partition: 0}
    found = consumer.offsets_for_times({partition: 0})[partition]
    assert found.offset == 0
    consumer.close()
