"""The Java client, librdkafka, kafka-python and aiokafka as members of one group."""

import asyncio
import subprocess
import threading

import aiokafka
import confluent_kafka
import kafka
import pytest
from aiokafka.coordinator.assignors.range import RangePartitionAssignor as AioRange
from kafka.coordinator.assignors.range import RangePartitionAssignor as PythonRange

from harness import java, wire
from harness.waiting import wait_until

PARTITIONS = 8
COUNT = 50


class Member:
    """Runs in a thread of its own. `assigned`: its partitions; `read`: (partition, offset) of each record it got."""

    def __init__(self, broker, group, topic):
        self.broker, self.group, self.topic = broker, group, topic
        self.assigned = set()
        self.read = set()
        self.failure = None
        self.process = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            self.run()
        except Exception as error:  # Told by the test, not by the thread.
            self.failure = error

    def stop(self):
        self.stopping.set()
        self.thread.join(20)


class JavaMember(Member):
    config = {
        "heartbeat.interval.ms": 300,
        "partition.assignment.strategy": "org.apache.kafka.clients.consumer.RangeAssignor",
    }

    def run(self):
        command = java.java_command(
            "GroupMember", self.broker.bootstrap, self.group, self.topic,
            *(f"{key}={value}" for key, value in self.config.items()),
            heap_mb=128, options=["-Dodradek.test.loglevel=OFF"],
        )  # fmt: skip
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            self.process = process
            for line in process.stdout:
                what, *numbers = line.split()
                if what == "assigned":
                    self.assigned = {int(number) for number in numbers}
                else:
                    self.read.add(tuple(map(int, numbers)))

    def stop(self):
        if self.process and not self.process.stdin.closed:
            self.process.stdin.close()
        self.thread.join(20)


class LibrdkafkaMember(Member):
    def run(self):
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": self.broker.bootstrap, "group.id": self.group, "auto.offset.reset": "earliest",
                "partition.assignment.strategy": "range", "heartbeat.interval.ms": 300,
            }
        )  # fmt: skip
        consumer.subscribe([self.topic])
        while not self.stopping.is_set():
            for message in consumer.consume(100, timeout=0.1):
                assert not message.error(), message.error()
                self.read.add((message.partition(), message.offset()))
            self.assigned = {partition.partition for partition in consumer.assignment()}
        consumer.close()


class KafkaPythonMember(Member):
    def run(self):
        consumer = kafka.KafkaConsumer(
            self.topic, bootstrap_servers=self.broker.bootstrap, group_id=self.group, auto_offset_reset="earliest",
            heartbeat_interval_ms=300, partition_assignment_strategy=[PythonRange],
        )  # fmt: skip
        while not self.stopping.is_set():
            for records in consumer.poll(100).values():
                self.read |= {(record.partition, record.offset) for record in records}
            self.assigned = {partition.partition for partition in consumer.assignment()}
        consumer.close()


class AioKafkaMember(Member):
    def run(self):
        asyncio.run(self._consume())

    async def _consume(self):
        consumer = aiokafka.AIOKafkaConsumer(
            self.topic, bootstrap_servers=self.broker.bootstrap, group_id=self.group, auto_offset_reset="earliest",
            heartbeat_interval_ms=300, partition_assignment_strategy=[AioRange],
        )  # fmt: skip
        await consumer.start()
        while not self.stopping.is_set():
            for records in (await consumer.getmany(timeout_ms=100)).values():
                self.read |= {(record.partition, record.offset) for record in records}
            self.assigned = {partition.partition for partition in consumer.assignment()}
        await consumer.stop()


MEMBERS = [JavaMember, LibrdkafkaMember, KafkaPythonMember, AioKafkaMember]


def produce(broker, topic):
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap})
    for partition in range(PARTITIONS):
        for _ in range(COUNT):
            producer.produce(topic, b"v", partition=partition)
    assert producer.flush(20) == 0


def shared_by(members):
    """Whether each has the same number of partitions, and together they have all, each once."""
    for member in members:
        assert member.failure is None, member.failure
    owned = [member.assigned for member in members]
    return all(len(part) == PARTITIONS // len(members) for part in owned) and len(set().union(*owned)) == PARTITIONS


@pytest.mark.groups
def test_clients_of_all_languages_share_one_group(broker, run, topic):
    with broker.connect() as connection:
        assert wire.create_topic(connection, topic, PARTITIONS)[0] == 0
    produce(broker, topic)
    members = [kind(broker, topic, topic) for kind in MEMBERS]
    try:
        wait_until(lambda: shared_by(members), "each member to have two partitions", timeout_s=60)
        produce(broker, topic)
        wanted = {(partition, offset) for partition in range(PARTITIONS) for offset in range(2 * COUNT)}
        wait_until(lambda: set().union(*(member.read for member in members)) == wanted, "all records", timeout_s=30)
        described = run("consumer-groups", "--describe", "--group", topic, "--state")
        assert "range" in described
        assert described.split()[-1] == str(len(MEMBERS)), described
        for gone in (members[0], members[2]):
            gone.stop()
        wait_until(lambda: shared_by([members[1], members[3]]), "the others to have four each", timeout_s=60)
    finally:
        for member in members:
            member.stop()
