"""SIGKILL under load, again and again: nothing acknowledged is lost, nothing is doubled, order is kept.

ODRADEK_CRASH_ROUNDS says how often (default 100), ODRADEK_SEED replays the random points of a run.
"""

import os
import random
import threading
import time

import pytest
from load import JavaLoad, LibrdkafkaLoad, Verifier

from harness import wire
from harness.waiting import wait_until

ROUNDS = int(os.environ.get("ODRADEK_CRASH_ROUNDS", 100))
PARTITIONS = 4
TOPIC = "load"

# Small segments, so that rolls and several segments are among what a crash interrupts.
CONFIG = {"log.segment.bytes": 1 << 20, "log.index.interval.bytes": 512}
# Apache Kafka's controller does not let a broker back in before the session of its killed predecessor has ended.
KAFKA_CONFIG = {"broker.session.timeout.ms": 1000, "broker.heartbeat.interval.ms": 200}


@pytest.fixture
def rng():
    seed = int(os.environ.get("ODRADEK_SEED", 0)) or random.SystemRandom().randrange(1 << 32)
    print(f"ODRADEK_SEED={seed}")
    return random.Random(seed)


class TopicMaker:
    """Creates topics while the broker is killed; a topic whose creation was acknowledged must be there afterwards."""

    def __init__(self, broker):
        self._broker = broker
        self._made = 0
        self._thread = None
        self.acknowledged = []

    def start_one(self):
        self._made += 1
        self._thread = threading.Thread(target=self._make, args=(f"made-{self._made}",), daemon=True)
        self._thread.start()

    def verify(self):
        if self._thread is None:
            return
        self._thread.join()
        with self._broker.connect() as connection:
            for name in self.acknowledged[-3:]:
                wait_until(lambda: wire.metadata(connection, name).error == 0, f"topic {name}, which was acknowledged")

    def verify_all(self):
        with self._broker.connect() as connection:
            for name in self.acknowledged:
                assert wire.metadata(connection, name).error == 0, f"topic {name} is lost"

    def _make(self, name):
        try:
            with self._broker.connect(timeout_s=5) as connection:
                if wire.create_topic(connection, name)[0] == 0:
                    self.acknowledged.append(name)
        except (OSError, wire.Closed):
            pass


def crash_rounds(broker, load, rng, rounds):
    verifier = Verifier(broker, TOPIC, PARTITIONS)
    topics = TopicMaker(broker)
    try:
        for round_ in range(rounds):
            before = load.total_acked()
            wait_until(
                lambda: load.total_acked() > before or load.failed.is_set(), f"an acknowledgement in round {round_}", 60
            )
            # The random point. Event.wait, so that a failure ends the run at once.
            load.failed.wait(rng.uniform(0, 0.25))
            assert not load.failed.is_set(), load.failure
            if rng.random() < 0.3:
                topics.start_one()
                load.failed.wait(rng.uniform(0, 0.02))
            broker.kill()
            acked = list(load.acked)
            if rng.random() < 0.2:
                # Again, while it recovers from the crash before.
                broker.spawn()
                load.failed.wait(rng.uniform(0, 1.2 if broker.kind == "kafka" else 0.1))
                broker.kill()
            broker.start()
            verifier.verify_to_end(acked)
            topics.verify()
        load.finish()
        assert not load.failed.is_set(), load.failure
        acked = list(load.acked)
        verifier.verify_to_end(acked)
        topics.verify_all()
    finally:
        verifier.close()
    return acked


def whole_log_is_right(broker, acked):
    verifier = Verifier(broker, TOPIC, PARTITIONS)
    try:
        verifier.verify_to_end(acked)
        return sum(verifier.verified)
    finally:
        verifier.close()


@pytest.mark.parametrize(
    ("load_type", "compression", "rounds"),
    [
        pytest.param(LibrdkafkaLoad, "none", ROUNDS - ROUNDS // 5, id="librdkafka"),
        pytest.param(LibrdkafkaLoad, "lz4", max(1, ROUNDS // 10), id="librdkafka, lz4"),
        pytest.param(JavaLoad, "none", max(1, ROUNDS // 10), id="java"),
    ],
)
def test_sigkill_under_load_loses_and_doubles_nothing(factory, kind, rng, load_type, compression, rounds):
    broker = factory.start(CONFIG | (KAFKA_CONFIG if kind == "kafka" else {}))
    with broker.connect() as connection:
        assert wire.create_topic(connection, TOPIC, PARTITIONS)[0] == 0
    load = load_type(broker.bootstrap, TOPIC, PARTITIONS, compression)
    started = time.monotonic()
    try:
        acked = crash_rounds(broker, load, rng, rounds)
    finally:
        load.failed.set()
        if load_type is JavaLoad:
            load.close()
    print(f"{rounds} rounds, {(time.monotonic() - started) / rounds:.2f} s each")
    # From the beginning, with a new consumer, after a clean restart.
    broker.restart()
    print(f"{whole_log_is_right(broker, acked)} records")
