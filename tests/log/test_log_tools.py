"""odradek log dump, verify, repair and scrub-status on directories of both brokers, and held against kafka-dump-log."""

import json
import shutil
import subprocess
import time

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import NewTopic

from harness import facts, paths
from harness.waiting import wait_until

SETTINGS = {
    "log.index.interval.bytes": 200,
    "odradek.log.scrub.interval.ms": 1,
    "odradek.log.scrub.io.max.bytes.per.second": 100_000_000,
    "group.initial.rebalance.delay.ms": 0,
}
SEGMENT_BYTES = 1048576


def run(*arguments, ok=None):
    done = subprocess.run([paths.ODRADEK, "log", *map(str, arguments)], capture_output=True, timeout=120)
    if ok is not None:
        assert done.returncode == ok, (arguments, done.returncode, done.stdout[-4000:], done.stderr[-4000:])
    return done


def produce(broker, topic, count, size=100, **settings):
    producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 20, "log_level": 0} | settings)
    transactional = "transactional.id" in settings
    if transactional:
        producer.init_transactions(20)
    for i in range(count):
        if transactional and i % 10 == 0:
            producer.begin_transaction()
        value = None if i % 13 == 5 else b"value-%d-" % i + b"x" * size
        headers = [("number", str(i).encode()), ("empty", b""), ("null", None)] if i % 4 == 0 else None
        producer.produce(topic, value, None if i % 7 == 3 else "schlüssel-%d" % i, headers=headers)
        if transactional and i % 10 == 9:
            producer.flush(20)
            producer.abort_transaction(20) if i % 20 == 9 else producer.commit_transaction(20)
    assert producer.flush(30) == 0


def fill(broker):
    admin = facts.admin_client(broker)
    small = {"segment.bytes": str(SEGMENT_BYTES), "index.interval.bytes": "200"}
    topics = [
        NewTopic("plain", 2, 1, config={"index.interval.bytes": "200"}),
        NewTopic("segments", 1, 1, config=small),
        NewTopic("append-time", 1, 1, config={"message.timestamp.type": "LogAppendTime"}),
        NewTopic("transactions", 1, 1, config={"index.interval.bytes": "200"}),
    ]
    for future in admin.create_topics(topics, operation_timeout=15).values():
        future.result(15)
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        produce(broker, "plain", 200, **{"compression.type": codec})
    produce(broker, "segments", 4000, size=1000, **{"enable.idempotence": True})
    produce(broker, "append-time", 20)
    if broker.kind == "kafka":
        produce(broker, "transactions", 100, **{"transactional.id": "t"})
    for protocol in ("classic", "consumer"):
        consumer = Consumer(
            {
                "bootstrap.servers": broker.bootstrap,
                "group.id": f"group-{protocol}",
                "group.protocol": protocol,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        consumer.subscribe(["plain"])
        wait_until(lambda: consumer.poll(1.0), "a record", 40)
        consumer.commit(asynchronous=False)
        consumer.close()
    admin.delete_topics(["append-time"], operation_timeout=15)["append-time"].result(15)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, tools):
    """Kind -> a data directory of that broker after a clean stop."""
    from harness.broker import BrokerFactory

    out = {}
    for kind in ("odradek", "kafka"):
        factory = BrokerFactory(kind, tmp_path_factory.mktemp(f"log-{kind}"), tools)
        broker = factory.new(SETTINGS).start()
        try:
            fill(broker)
            broker.stop()
        finally:
            factory.close()
        out[kind] = broker
    return out


@pytest.fixture
def copy(stopped, tmp_path):
    """A directory that a test may break."""

    def make(kind):
        target = tmp_path / f"data-{kind}"
        shutil.copytree(stopped[kind].data_dir, target)
        return target

    return make


DECODERS = {
    "__consumer_offsets": "--offsets-decoder",
    "__transaction_state": "--transaction-log-decoder",
    "__cluster_metadata": "--cluster-metadata-decoder",
    "__share_group_state": "--share-group-state-decoder",
}


def files_of(data_dir):
    for folder in sorted(path for path in data_dir.iterdir() if path.is_dir()):
        for file in sorted(folder.iterdir()):
            if file.suffix in (".log", ".index", ".timeindex", ".txnindex", ".snapshot", ".checkpoint"):
                if file.suffix != ".log" or file.stat().st_size:
                    yield folder.name.rpartition("-")[0], file


def compared(tools, options, files):
    names = ",".join(map(str, files))
    theirs = tools.run("dump-log", *options, "--files", names, timeout_s=120)
    ours = run("dump", *options, "--files", names)
    assert theirs.exit_code == 0, str(theirs)
    mine = ours.stdout.decode().splitlines()
    wanted = theirs.out.splitlines()
    for ours_line, theirs_line in zip(mine, wanted):
        assert ours_line == theirs_line
    assert len(mine) == len(wanted)
    return mine


@pytest.mark.parametrize("kind", ["odradek", "kafka"])
class TestDump:
    def test_every_file_is_printed_as_by_kafka_dump_log(self, stopped, tools, kind):
        files = [file for _, file in files_of(stopped[kind].data_dir)]
        assert len({file.suffix for file in files}) >= 5
        lines = compared(tools, ["--deep-iteration"], files)
        assert any("LeaderChange: {" in line for line in lines)
        assert any("KRaftVersion {" in line for line in lines) and any("KRaftVoters {" in line for line in lines)

    def test_keys_and_values_are_printed_as_by_kafka_dump_log(self, stopped, tools, kind):
        logs = [f for topic, f in files_of(stopped[kind].data_dir) if f.suffix == ".log" and topic not in DECODERS]
        lines = compared(tools, ["--print-data-log"], logs)
        assert any("key: schlüssel-4 payload: value-4-" in line for line in lines)
        compared(tools, ["--print-data-log", "--skip-record-metadata"], logs)

    def test_each_decoder_prints_as_kafka_dump_log(self, stopped, tools, kind):
        seen = set()
        for topic, option in DECODERS.items():
            files = [
                file
                for name, file in files_of(stopped[kind].data_dir)
                if name == topic and file.suffix in (".log", ".checkpoint")
            ]
            if files:
                lines = compared(tools, [option], files)
                if any('{"type":' in line for line in lines):
                    seen.add(topic)
        wanted = {"__consumer_offsets", "__cluster_metadata"}
        assert seen >= (wanted | {"__transaction_state"} if kind == "kafka" else wanted)

    def test_a_range_is_cut_out_of_a_folder(self, stopped, kind):
        folder = stopped[kind].partition_dir("segments")
        out = run("dump", folder, "--deep-iteration", "--json", "--from-offset", 2100, "--to-offset", 2149, ok=0)
        records = [json.loads(line) for line in out.stdout.splitlines()]
        offsets = [record["offset"] for record in records if record["kind"] == "record"]
        assert offsets == list(range(2100, 2150))
        times = [record["timestamp"] for record in records if record["kind"] == "record"]
        out = run("dump", folder, "--deep-iteration", "--json", "--from-time", times[10], "--to-time", times[20], ok=0)
        found = [json.loads(line) for line in out.stdout.splitlines()]
        assert {2110, 2120} <= {line["offset"] for line in found if line["kind"] == "record"}
        assert all(times[10] <= line["timestamp"] <= times[20] for line in found if line["kind"] == "record")


@pytest.mark.parametrize("kind", ["odradek", "kafka"])
class TestVerify:
    def test_a_directory_after_a_clean_stop_is_sound(self, stopped, kind):
        done = run("verify", "--json", stopped[kind].data_dir)
        report = json.loads(done.stdout)
        wrong = [f for f in report["findings"] if f["severity"] != "note"]
        assert (done.returncode, wrong) == (0, [])
        assert report["summary"]["records"] > 5000

    def test_a_flipped_bit_in_a_sealed_segment_is_found_with_its_offsets(self, copy, kind):
        data = copy(kind)
        segment = sorted((data / "segments-0").glob("*.log"))[1]
        flip(segment, 70_000)
        done = run("verify", "--json", data, ok=1)
        found = [f for f in json.loads(done.stdout)["findings"] if f["severity"] == "damage"]
        assert len(found) == 1 and found[0]["file"] == str(segment)
        assert found[0]["position"] <= 70_000 < found[0]["position"] + found[0]["length"]
        lines = run("dump", segment, "--json").stdout.splitlines()
        broken = [json.loads(line) for line in lines if b'"isvalid":false' in line]
        assert [(b["baseOffset"], b["lastOffset"]) for b in broken] == [
            (found[0]["firstOffset"], found[0]["lastOffset"])
        ]
        assert "bytes" in run("verify", data, ok=1).stdout.decode()

    def test_a_repair_makes_indexes_anew_that_kafka_finds_sound(self, copy, tools, kind):
        data = copy(kind)
        folder = data / "segments-0"
        indexes = [file for file in sorted(folder.glob("*index")) if file.stat().st_size and "txn" not in file.name][:4]
        assert len(indexes) == 4
        for index in indexes:
            flip(index, index.stat().st_size // 2)
        assert run("verify", data).returncode == 1
        would = run("repair", data, ok=1).stdout.decode()
        assert "would repair" in would and run("verify", data).returncode == 1
        run("repair", data, "--execute", ok=0)
        run("verify", "--strict", data, ok=0)
        names = ",".join(map(str, indexes))
        checked = tools.run("dump-log", "--verify-index-only", "--files", names)
        assert "ismatch" not in checked.err and "not found" not in checked.err and checked.exit_code == 0


def flip(file, position):
    data = bytearray(file.read_bytes())
    data[position] ^= 4
    file.write_bytes(data)


def test_usage_and_missing_directories_have_their_own_exit_status(tmp_path):
    assert run("verify").returncode == 2
    assert run("verify", tmp_path / "nothing").returncode == 2
    assert run("verify", tmp_path).returncode == 2
    assert run("dump", tmp_path / "nothing.log").returncode == 2


def test_a_repair_refuses_the_directory_of_a_running_broker(factory):
    broker = factory.start()
    assert run("verify", broker.data_dir, ok=0).stdout.count(b"in use by a broker") == 1
    done = run("repair", broker.data_dir, "--execute")
    assert done.returncode == 2 and b"stop it first" in done.stderr


def test_the_scrub_names_a_flipped_bit_and_kafka_starts_on_the_directory(stopped, factory):
    broker = factory.new(SETTINGS, kind="odradek")
    shutil.copytree(stopped["odradek"].data_dir, broker.data_dir)
    segment = sorted(broker.partition_dir("segments").glob("*.log"))[1]
    flip(segment, 70_000)
    broker.start()

    def status():
        done = run("scrub-status", "--json", broker.data_dir)
        return json.loads(done.stdout)[0] if done.returncode in (0, 1) else {"findings": []}

    wait_until(lambda: status()["findings"], "the scrub to find the bit", 60)
    found = status()["findings"]
    assert [f["file"] for f in found] == [f"segments-0/{segment.name}"]
    assert found[0]["position"] <= 70_000 < found[0]["position"] + found[0]["length"]
    assert "found by the scrub" in broker.log_text()
    began = time.monotonic()
    broker.stop()
    assert time.monotonic() - began < 20
    assert status()["damagedRanges"] == 1
    assert b"broken ranges" in run("scrub-status", broker.data_dir, ok=1).stdout
    # Counts outlive a restart, and Apache Kafka takes no notice of the file.
    broker.start()
    wait_until(lambda: status()["cycle"] > 1, "another cycle", 60)
    assert status()["damagedRanges"] == 1
    broker.stop()
    broker.start(kind="kafka")
    broker.stop()
    assert (broker.data_dir / ".odradek-scrub").exists()
