"""Data directories damaged at random: a start repairs, or refuses with a line that names the file; it never crashes.

ODRADEK_DAMAGE_ROUNDS says how often (default 24; the soak takes hundreds), ODRADEK_SEED replays the choices of a run.
"""

import os
import random
import shutil
import signal

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic
from test_crash import rng  # noqa: F401  the fixture

from harness import facts, wire
from harness.waiting import wait_until
from harness.wire import Batch

ROUNDS = int(os.environ.get("ODRADEK_DAMAGE_ROUNDS", 24))
PARTITIONS = 3
TOPICS = ["plain", "rolled"]
# Never damaged by a disk alone: who holds it is the kernel's to say.
LEFT_ALONE = {".lock"}


def fill(broker, rng):
    """What stands in each partition: a value per offset."""
    written = {}
    with broker.connect() as connection:
        error, producer, epoch = wire.init_producer_id(connection)
        assert error == 0
        for topic in TOPICS:
            configs = {"segment.ms": "1"} if topic == "rolled" else {}
            assert wire.create_topic(connection, topic, PARTITIONS, configs)[0] == 0
            for partition in range(PARTITIONS):
                values = written[topic, partition] = []
                for n in range(rng.randrange(3, 15)):
                    value = b"%s-%d-%d " % (topic.encode(), partition, n) + bytes(rng.randrange(2000))
                    # Of segments that roll with time there are as many as batches whose times differ.
                    batch = Batch([value], timestamp_ms=1_700_000_000_000 + 10 * n)
                    if partition == 0:
                        batch.producer_id, batch.producer_epoch, batch.base_sequence = producer, epoch, n
                    assert wire.produce(connection, topic, batch, partition).error == 0
                    values.append(value)
    return written


def damage(path, rng):
    """Gives: what was done, for the report."""
    content = bytearray(path.read_bytes())
    kind = rng.choice(["remove", "cut", "flip", "zero", "append garbage", "append zeros", "overwrite"])
    at = rng.randrange(len(content)) if content else 0
    if kind == "remove":
        path.unlink()
        return kind
    if kind == "cut":
        del content[at:]
    elif kind == "flip" and content:
        content[at] ^= 1 << rng.randrange(8)
    elif kind == "zero":
        end = min(len(content), at + rng.randrange(1, 1000))
        content[at:end] = bytes(end - at)
    elif kind == "append garbage":
        content += rng.randbytes(rng.randrange(1, 300))
    elif kind == "append zeros":
        content += bytes(rng.randrange(1, 9000))
    elif kind == "overwrite":
        content = bytearray(rng.randbytes(len(content)))
    path.write_bytes(content)
    return f"{kind} at {at}"


def starts(broker):
    """Whether it serves; False when it refused to start. Dying of a signal is neither."""
    broker.spawn()

    def decided():
        if broker.process.poll() is not None:
            return True
        try:
            with broker.connect(timeout_s=2) as connection:
                return wire.api_versions(connection)[0] == 0
        except (OSError, wire.Closed):
            return False

    wait_until(decided, "the broker to serve or to refuse", 60, interval_s=0.01)
    code = broker.process.poll()
    if code is None:
        return True
    assert code >= 0, f"it died of {signal.Signals(-code).name}\n{broker.log_tail()}"
    broker.process = None
    return False


def served(broker, written):
    """What each partition gives to a consumer that skips nothing: values by offset, until the first refusal."""
    told = {}
    with broker.connect() as connection:
        for topic, partition in written:
            values = told[topic, partition] = {}
            offset = 0
            while True:
                answer = wire.fetch(connection, topic, offset, partition=partition, max_wait_ms=0)
                if answer.error or answer.top_error or not answer.records:
                    break
                batches = list(batches_of(answer.records))
                for base, crc_is_right, value in batches:
                    values[base] = value if crc_is_right else None
                if not batches or batches[-1][0] < offset:
                    break
                offset = batches[-1][0] + 1
    return told


def batches_of(data):
    """Base offset, whether the CRC is right, and the value of each whole batch of one record."""
    while len(data) >= 61:
        base = int.from_bytes(data[0:8], "big")
        size = 12 + int.from_bytes(data[8:12], "big")
        if size > len(data) or size < 61:
            return
        right = wire.crc32c.crc32c(bytes(data[21:size])) == int.from_bytes(data[17:21], "big")
        yield base, right, value_of(bytes(data[61:size])) if right else None
        data = data[size:]


def value_of(record):
    fields = wire.In(record)

    def varint():
        number = fields.uvarint()
        return (number >> 1) ^ -(number & 1)

    varint(), fields.i8(), varint(), varint(), varint()  # length, attributes, time, offset, no key
    return fields.raw(varint())


def check(broker, written, path, relative, what):
    told = served(broker, written)
    for (topic, partition), values in written.items():
        report = f"{relative}: {what}; {topic}-{partition}\n{broker.log_tail(30)}"
        for offset, value in told[topic, partition].items():
            if value is not None and path.suffix != ".log":
                assert value == values[offset], report
        mine = path.parent.name == f"{topic}-{partition}" and path.suffix == ".log"
        if not mine and path.parent.name != "__cluster_metadata-0" and path.name != "log-start-offset-checkpoint":
            assert told[topic, partition] == dict(enumerate(values)), report
    return told


@pytest.mark.odradek_only("Apache Kafka takes the directory offline, or serves what an index says")
def test_a_damaged_file_is_repaired_or_refused_by_name(factory, rng):  # noqa: F811
    made = factory.start({"log.index.interval.bytes": 256})
    written = fill(made, rng)
    if rng.random() < 0.5:
        made.stop()
        made.start()
    killed = made.directory / "killed"
    clean = made.directory / "clean"
    made.kill()
    shutil.copytree(made.data_dir, killed)
    made.start()
    made.stop()
    shutil.copytree(made.data_dir, clean)
    refused = 0
    for round_ in range(ROUNDS):
        shutil.rmtree(made.data_dir)
        shutil.copytree(rng.choice([killed, clean]), made.data_dir)
        files = sorted(each for each in made.data_dir.rglob("*") if each.is_file() and each.name not in LEFT_ALONE)
        path = rng.choice(files)
        relative = path.relative_to(made.data_dir)
        what = damage(path, rng)
        made.log_file.write_bytes(b"")
        print(f"round {round_}: {relative}: {what}", flush=True)
        if not starts(made):
            refused += 1
            named = path.name in made.log_text() or path.parent.name in made.log_text()
            assert named, f"refused without naming {relative} ({what})\n{made.log_tail()}"
            continue
        first = check(made, written, path, relative, what)
        made.kill()
        assert starts(made), f"{relative}: {what}: the second start is refused\n{made.log_tail()}"
        if path.suffix != ".log":
            assert served(made, written) == first, f"{relative}: {what}"
        made.stop()
    print(f"{ROUNDS} rounds, {refused} refused")


# --- directories of Apache Kafka

KAFKA_TOPICS = {
    "packed": {"segment.bytes": "1048576", "index.interval.bytes": "500"},
    "rolling": {"segment.ms": "1"},
    "transactions": {},
    "compacted": {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"},
}
KAFKA_WRITES = {"log.cleaner.backoff.ms": "100"}
# What is compared must not change by itself.
NOTHING_MOVES = {"log.cleaner.enable": "false"}
# What speaks of the whole node, wherever it stands.
NODE_FILES = {"meta.properties", "bootstrap.checkpoint", ".kafka_cleanshutdown", "quorum-state"}


def fill_by_kafka(broker, rng):
    """Every codec, idempotent and transactional producers, aborted transactions, many segments, a cleaned topic."""
    wanted = [NewTopic(name, 2, 1, config=config) for name, config in KAFKA_TOPICS.items()]
    admin = facts.admin_client(broker)
    for future in admin.create_topics(wanted, operation_timeout=15).values():
        future.result(15)

    def producer(**more):
        return Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 2, "batch.num.messages": 20, "log_level": 0} | more)

    def records(to, topic, count):
        for n in range(count):
            to.produce(topic, rng.randbytes(rng.randrange(400)) * 4, b"key-%d" % rng.randrange(20), partition=n % 2)
        assert to.flush(30) == 0

    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        one = producer(**{"compression.type": codec, "enable.idempotence": codec in ("none", "zstd")})
        for topic in ("packed", "rolling", "rolling", "compacted", "compacted"):
            records(one, topic, 60)
    for number in range(4):
        one = producer(**{"transactional.id": f"writer-{number}"})
        one.init_transactions(30)
        for turn in range(2):
            one.begin_transaction()
            records(one, "transactions", 30)
            one.commit_transaction(30) if (number + turn) % 2 else one.abort_transaction(30)

    def was_cleaned():
        path = broker.data_dir / "cleaner-offset-checkpoint"
        return path.exists() and "compacted 0" in path.read_text()

    wait_until(was_cleaned, "the cleaner", timeout_s=60)


def batches_served(broker):
    """The bytes of each whole batch that a consumer gets, by offset; None where the CRC is wrong."""
    told = {}
    with broker.connect() as connection:
        for topic in KAFKA_TOPICS:
            for partition in range(2):
                found = told[topic, partition] = {}
                offset = 0
                while True:
                    answer = wire.fetch(connection, topic, offset, partition=partition, max_wait_ms=0)
                    if answer.error or answer.top_error or not answer.records:
                        break
                    data, before = answer.records, offset
                    while len(data) >= 61:
                        base = int.from_bytes(data[0:8], "big")
                        size = 12 + int.from_bytes(data[8:12], "big")
                        if size > len(data) or size < 61:
                            break
                        right = wire.crc32c.crc32c(bytes(data[21:size])) == int.from_bytes(data[17:21], "big")
                        found[base] = bytes(data[16:size]) if right else None
                        offset = max(offset, base + 1 + int.from_bytes(data[23:27], "big", signed=True))
                        data = data[size:]
                    if offset == before:
                        break
    return told


def choose(files, data_dir, rng):
    """As often a file of the node or its metadata as one of a partition; of a topic more often than of a coordinator."""
    def kind(path):
        folder = path.parent.name
        if path.parent == data_dir or path.name in NODE_FILES:
            return "node"
        if folder.startswith("__cluster_metadata"):
            return "metadata"
        return "coordinator" if folder.startswith("__") else "topic"

    kinds = {kind(path) for path in files}
    wanted = rng.choice([each for each in ("node", "metadata", "topic", "topic", "coordinator") if each in kinds])
    return rng.choice([path for path in files if kind(path) == wanted])


def check_kafka(made, truth, path, report):
    told = batches_served(made)
    if path.parent.name == "__cluster_metadata-0" or path.name == "log-start-offset-checkpoint":
        for each, batches in told.items():  # less may be left, but nothing else
            assert all(truth[each].get(base, b"") == data for base, data in batches.items()), report
        return told
    for (topic, partition), batches in told.items():
        if path.parent.name == f"{topic}-{partition}" and path.suffix == ".log":
            right = [data for data in batches.values() if data is not None]
            assert set(right) <= set(truth[topic, partition].values()), report
        else:
            assert batches == truth[topic, partition], f"{topic}-{partition}: {report}"
    return told


@pytest.mark.odradek_only("Apache Kafka takes the directory offline, or serves what an index says")
def test_a_damaged_directory_of_apache_kafka_is_repaired_or_refused_by_name(factory, rng):  # noqa: F811
    made = factory.new(KAFKA_WRITES, kind="kafka").start()
    fill_by_kafka(made, rng)
    copies = [made.directory / "killed", made.directory / "clean"]
    made.kill()
    shutil.copytree(made.data_dir, copies[0])
    made.start()
    made.stop()
    shutil.copytree(made.data_dir, copies[1])
    made.kind = "odradek"
    made.config |= NOTHING_MOVES
    truths = []
    for copy in copies:
        shutil.rmtree(made.data_dir)
        shutil.copytree(copy, made.data_dir)
        made.start()
        truths.append(batches_served(made))
        assert all(batches and None not in batches.values() for batches in truths[-1].values())
        made.stop()
    refused = 0
    for round_ in range(ROUNDS):
        which = rng.randrange(2)
        shutil.rmtree(made.data_dir)
        shutil.copytree(copies[which], made.data_dir)
        files = sorted(each for each in made.data_dir.rglob("*") if each.is_file() and each.name not in LEFT_ALONE)
        path = choose(files, made.data_dir, rng)
        what = f"{path.relative_to(made.data_dir)}: {damage(path, rng)}"
        made.log_file.write_bytes(b"")
        print(f"round {round_}: {copies[which].name}: {what}", flush=True)
        if not starts(made):
            refused += 1
            named = path.name in made.log_text() or path.parent.name in made.log_text()
            assert named, f"refused without naming the file: {what}\n{made.log_tail()}"
            continue
        first = check_kafka(made, truths[which], path, f"{what}\n{made.log_tail(30)}")
        made.kill()
        assert starts(made), f"{what}: the second start is refused\n{made.log_tail()}"
        if path.suffix != ".log":
            assert batches_served(made) == first, what
        made.stop()
    print(f"{ROUNDS} rounds, {refused} refused")
