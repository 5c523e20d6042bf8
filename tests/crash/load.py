"""Producers that go on through crashes of the broker, and know what was acknowledged.

Record n of a partition must end at offset n: the producers are idempotent and the only writers, so a record that is
lost, doubled or out of order shows as an offset that differs from its number.
"""

import json
import random
import subprocess
import threading

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from harness import java, wire
from harness.waiting import wait_until

FILLER = bytes(random.Random(4).randbytes(2000))

# A client that gives up, or waits long before it connects again, would test nothing.
CLIENT = {
    "reconnect.backoff.ms": 10,
    "reconnect.backoff.max.ms": 50,
    "retry.backoff.ms": 10,
    "retry.backoff.max.ms": 50,
    "topic.metadata.refresh.fast.interval.ms": 50,
    "log_level": 0,
}


def value_of(number):
    return b"%d:" % number + FILLER[: (number * 37) % 400]


class LibrdkafkaLoad:
    """confluent-kafka in a thread of this process. acked[p] counts the acknowledged records of partition p."""

    def __init__(self, bootstrap, topic, partitions, compression):
        self.acked = [0] * partitions
        self.failed = threading.Event()
        self.failure = None
        self._topic = topic
        self._next = [0] * partitions
        self._stop = threading.Event()
        config = {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 2,
            "batch.num.messages": 100,
            "compression.type": compression,
            "message.timeout.ms": 300000,
            "error_cb": self._on_error,
        }
        self._producer = Producer(CLIENT | config)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def total_acked(self):
        return sum(self.acked)

    def finish(self):
        """Lets everything sent be acknowledged."""
        self._stop.set()
        self._thread.join()
        left = self._producer.flush(60)
        if left:
            self._fail(f"{left} records were not acknowledged within 60 s")

    def _run(self):
        while not self._stop.is_set() and not self.failed.is_set():
            # Bounded: what is in flight at a crash is what makes it interesting, not how much waits here.
            if len(self._producer) < 2000:
                for partition in range(len(self._next)):
                    for _ in range(25):
                        self._send(partition)
            self._producer.poll(0.01)

    def _send(self, partition):
        number = self._next[partition]
        self._next[partition] += 1

        def acknowledged(error, message):
            if error is not None:
                self._fail(f"record {number} of partition {partition}: {error}")
            elif message.offset() != number:
                self._fail(f"record {number} of partition {partition} was acknowledged at {message.offset()}")
            else:
                self.acked[partition] = number + 1

        self._producer.produce(self._topic, value_of(number), partition=partition, on_delivery=acknowledged)

    def _on_error(self, error):
        if error.fatal():
            self._fail(f"fatal: {error}")

    def _fail(self, why):
        self.failure = self.failure or why
        self.failed.set()


class JavaLoad:
    """The Java producer in a process of its own (tests/crash/java/CrashLoad.java)."""

    def __init__(self, bootstrap, topic, partitions, compression):
        self.failed = threading.Event()
        self.failure = None
        command = java.java_command(
            "CrashLoad", bootstrap, topic, partitions, compression, heap_mb=128, options=["-Dodradek.test.loglevel=OFF"]
        )
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._lock = threading.Lock()

    @property
    def acked(self):
        return self._ask("acked")

    def total_acked(self):
        return sum(self.acked)

    def finish(self):
        self._ask("finish")

    def close(self):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def _ask(self, what):
        with self._lock:
            self._process.stdin.write(f"{what}\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
        if answer["failure"]:
            self.failure = answer["failure"]
            self.failed.set()
        return answer["acked"]


class Verifier:
    """Reads on where it stopped, through restarts, and holds each record against its number."""

    def __init__(self, broker, topic, partitions):
        self._broker = broker
        self._topic = topic
        self.verified = [0] * partitions
        config = {
            "bootstrap.servers": broker.bootstrap,
            "group.id": "verifier",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            # A log that lost its end must be an error, not a silent reset.
            "auto.offset.reset": "error",
            "check.crcs": True,
            "fetch.error.backoff.ms": 10,
            "fetch.wait.max.ms": 100,
        }
        self._consumer = Consumer(CLIENT | config)
        self._consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])

    def close(self):
        self._consumer.close()

    def verify_to_end(self, at_least):
        """Everything up to the log end is right, and the end is at or beyond at_least[p]."""
        ends = self._end_offsets()
        for partition, end in enumerate(ends):
            assert end >= at_least[partition], (
                f"partition {partition} ends at {end}, {at_least[partition]} records were acknowledged"
            )
        wait_until(lambda: self._read_some(ends), f"the records up to {ends}, read up to {self.verified}", timeout_s=30)

    def _read_some(self, ends):
        for message in self._consumer.consume(5000, timeout=0.05):
            if message.error():
                code = message.error().code()
                assert code in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE), (
                    f"the consumer got {message.error()}"
                )
                continue
            partition, offset = message.partition(), message.offset()
            want = self.verified[partition]
            assert offset == want, f"partition {partition}: offset {offset} follows {want - 1}"
            # The Java load has no filler.
            if message.value() not in (value_of(want), b"%d:" % want):
                raise AssertionError(f"partition {partition}, offset {want} has {message.value()[:30]!r}")
            self.verified[partition] = want + 1
        return all(done >= end for done, end in zip(self.verified, ends, strict=True))

    def _end_offsets(self):
        with self._broker.connect() as connection:

            def end(partition):
                error, _, offset = wire.list_offset(connection, self._topic, -1, partition)
                return (offset,) if error == 0 else None

            return [
                wait_until(lambda: end(partition), f"partition {partition} to have a leader")[0]
                for partition in range(len(self.verified))
            ]
