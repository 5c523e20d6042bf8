"""A node of many partitions: made, written to, stopped, killed and started again, with what each step takes.

ODRADEK_PARTITIONS says how many (default 2000; 100000 is what the project promises to start in 5 s after a crash).
The figures are printed; only what no machine could miss is asserted, but every partition is read after each start.
"""

import os
import time

import psutil
import pytest

from harness import wire
from harness.wire import Batch, Out

PARTITIONS = int(os.environ.get("ODRADEK_PARTITIONS", 2000))
PER_TOPIC = 1000
# How long anything may take before it counts as hanging.
PATIENCE_S = 30 + PARTITIONS / 100
IDLE_S = 5

TOPICS = [f"many-{n}" for n in range((PARTITIONS + PER_TOPIC - 1) // PER_TOPIC)]
# Every tenth topic rolls its segments with each batch, so that there are sealed ones too.
BATCH_BYTES = 300


class Stopwatch:
    def __init__(self, broker):
        self._broker = broker

    def measure(self, what, work):
        started = time.monotonic()
        work()
        passed = time.monotonic() - started
        process = self._broker.process
        memory = psutil.Process(process.pid).memory_info().rss >> 20 if process else 0
        cpu = sum(psutil.Process(process.pid).cpu_times()[:2]) if process else 0
        print(f"{what}: {passed:.2f} s (resident {memory} MB, {cpu:.2f} s of CPU since its start)", flush=True)
        return passed


def partitions_of(topic):
    number = TOPICS.index(topic)
    return min(PER_TOPIC, PARTITIONS - number * PER_TOPIC)


def create_all(broker):
    with broker.connect(timeout_s=PATIENCE_S) as connection:
        for number, topic in enumerate(TOPICS):
            configs = {} if number % 10 else {"segment.ms": "1"}
            error, message = wire.create_topic(connection, topic, partitions_of(topic), configs)
            assert error == 0, message


def produce_all(broker, timestamp_ms):
    """One batch to each partition, a topic per request."""
    batch = Batch([b"v" * (BATCH_BYTES - 75)], timestamp_ms=timestamp_ms).encode()
    with broker.connect(timeout_s=PATIENCE_S) as connection:
        for topic in TOPICS:
            count = partitions_of(topic)
            body = Out().string(None).i16(-1).i32(30000).i32(1).string(topic).i32(count)
            for partition in range(count):
                body.i32(partition).bytes(batch)
            answer = connection.call(wire.PRODUCE, 8, body)
            assert answer.i32() == 1
            answer.string()
            for _ in range(answer.i32()):
                partition, error = answer.i32(), answer.i16()
                assert error == 0, (topic, partition, error)
                answer.unpack("qqq")
                answer.array(lambda i: (i.i32(), i.string()))
                answer.string()


def ends_of(connection, topic):
    count = partitions_of(topic)
    body = Out().i32(-1).i8(0).i32(1).string(topic).i32(count)
    for partition in range(count):
        body.i32(partition).i32(-1).i64(-1)
    answer = connection.call(wire.LIST_OFFSETS, 5, body)
    answer.i32()
    assert answer.i32() == 1
    answer.string()
    return answer.array(lambda i: i.unpack("ihqqi"))


def all_end_at(broker, end):
    with broker.connect(timeout_s=PATIENCE_S) as connection:
        for topic in TOPICS:
            for partition, error, _, offset, _ in ends_of(connection, topic):
                assert (error, offset) == (0, end), (topic, partition)


def start_until_read(broker):
    """From the start of the process to the first answer to a fetch."""
    broker.spawn()
    broker.wait_ready(PATIENCE_S)
    with broker.connect(timeout_s=PATIENCE_S) as connection:
        answer = wire.fetch(connection, TOPICS[-1], 0, partition=partitions_of(TOPICS[-1]) - 1)
        assert (answer.error, answer.top_error) == (0, 0)
        assert answer.records


@pytest.mark.odradek_only("Apache Kafka takes minutes")
def test_a_node_of_many_partitions_starts_and_stops_in_seconds(factory):
    broker = factory.start({"log.initial.task.delay.ms": 3_600_000})
    watch = Stopwatch(broker)
    now = int(time.time() * 1000)
    print(f"\n{PARTITIONS} partitions in {len(TOPICS)} topics", flush=True)
    watch.measure("create", lambda: create_all(broker))
    watch.measure("first batches", lambda: produce_all(broker, now))
    watch.measure("second batches", lambda: produce_all(broker, now + 10))
    watch.measure("kill", broker.kill)
    watch.measure("start after a kill, everything past the recovery point", lambda: start_until_read(broker))
    all_end_at(broker, 2)
    cpu = psutil.Process(broker.process.pid).cpu_times()
    time.sleep(IDLE_S)  # the measurement itself
    after = psutil.Process(broker.process.pid).cpu_times()
    used = after.user + after.system - cpu.user - cpu.system
    print(f"idle: {100 * used / IDLE_S:.1f} % of a core")
    watch.measure("clean stop", lambda: broker.stop(PATIENCE_S))
    watch.measure("start after it", lambda: start_until_read(broker))
    all_end_at(broker, 2)
    watch.measure("kill", broker.kill)
    crashed = watch.measure("start after a kill, nothing past the recovery point", lambda: start_until_read(broker))
    all_end_at(broker, 2)
    watch.measure("third batches", lambda: produce_all(broker, now + 20))
    watch.measure("kill", broker.kill)
    watch.measure("start after a kill, a batch past the recovery point", lambda: start_until_read(broker))
    all_end_at(broker, 3)
    watch.measure("clean stop", lambda: broker.stop(PATIENCE_S))
    assert crashed < 20 + PARTITIONS / 500
