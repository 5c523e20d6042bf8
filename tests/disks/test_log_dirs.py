"""Several log directories: one fails or fills up and the others serve on; partitions move between them."""

import itertools
import json
import os
import re
import shutil
import subprocess

import pytest

from harness import wire
from harness.waiting import wait_until

STORAGE_ERROR = 56
INVALID_REPLICATION_FACTOR = 38
# The checkpoint of high watermarks is what notices a directory that went away while nobody writes to it.
CONFIG = {"replica.high.watermark.checkpoint.interval.ms": 200, "log.retention.check.interval.ms": 500,
          "log.initial.task.delay.ms": 100}  # fmt: skip


class TwoDirectories:
    """A broker with log directories a, which has the metadata log, and b; topic t with four partitions over both."""

    def __init__(self, factory, tools, config=None):
        self.broker = factory.new()
        self.tools = tools
        self.a, self.b = self.broker.directory / "a", self.broker.directory / "b"
        self.broker.config |= {"log.dirs": f"{self.a},{self.b}", "metadata.log.dir": self.a} | CONFIG | (config or {})

    def start(self):
        self.broker.start()
        with self.broker.connect() as connection:
            assert wire.create_topic(connection, "t", 4)[0] == 0
        # Apache Kafka makes the folders after it has answered.
        wait_until(lambda: len(self.partitions_in(self.a) + self.partitions_in(self.b)) == 4, "the logs", 20)
        return self

    def run(self, name, *arguments):
        return self.tools.run(name, "--bootstrap-server", self.broker.bootstrap, *arguments).ok().out

    def reassign(self, *arguments):
        main = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
        return self.tools.run_class(main, "--bootstrap-server", self.broker.bootstrap, *arguments).ok().out

    def describe(self):
        """What kafka-log-dirs tells of each directory."""
        out = self.run("log-dirs", "--describe")
        (broker,) = json.loads(next(line for line in out.splitlines() if line.startswith("{")))["brokers"]
        return {entry["logDir"]: entry for entry in broker["logDirs"]}

    def partitions_in(self, directory):
        return sorted(
            int(re.fullmatch(r"t-(\d+)", entry.name)[1]) for entry in directory.iterdir() if entry.name[:2] == "t-"
            and entry.name[2:].isdigit()
        )  # fmt: skip

    def directory_of(self, partition):
        return self.a if partition in self.partitions_in(self.a) else self.b

    def produce(self, partition, count=1, value=b"v" * 100):
        """The errors of `count` produce requests, each with one record."""
        with self.broker.connect() as connection:
            return [
                wire.produce(connection, "t", wire.Batch([value]), partition=partition).error for _ in range(count)
            ]

    def high_watermark(self, partition):
        with self.broker.connect() as connection:
            answer = wire.fetch(connection, "t", 0, partition=partition)
            return answer.error, answer.high_watermark

    def topic_line(self, partition):
        out = self.run("topics", "--describe", "--topic", "t")
        return next(line for line in out.splitlines() if f"Partition: {partition}\t" in line)


@pytest.fixture
def two(factory, tools):
    return TwoDirectories(factory, tools)


@pytest.fixture
def mounted():
    """mounted(path, size) makes a file system of its own there."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    points = []

    def mount(path, size):
        path.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], capture_output=True, text=True
        )
        if done.returncode != 0:
            pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
        points.append(path)

    yield mount
    for path in points:
        subprocess.run(["umount", "-l", str(path)], check=False, capture_output=True)


def assert_b_is_offline_alone(two, lost, kept):
    """Gives how many writes to the lost partition were acknowledged before the failure was noticed."""
    acknowledged = 0

    def refuses():
        nonlocal acknowledged
        (error,) = two.produce(lost)
        acknowledged += error == 0
        return error == STORAGE_ERROR

    wait_until(refuses, "the lost partition to refuse writes", 20)
    wait_until(lambda: "Leader: none" in two.topic_line(lost), "the controller to take its leader away", 20)
    assert two.high_watermark(lost)[0] == STORAGE_ERROR
    described = two.describe()
    assert described[str(two.b)]["error"] is not None
    assert described[str(two.a)]["error"] is None
    assert two.produce(kept, 20) == [0] * 20
    # A new topic finds its place.
    with two.broker.connect() as connection:
        assert wire.create_topic(connection, "later", 3)[0] == 0
    assert "Leader: none" not in two.run("topics", "--describe", "--topic", "later")
    return acknowledged


def test_a_directory_that_is_removed_goes_offline_alone(two):
    two.start()
    lost, kept = two.partitions_in(two.b)[0], two.partitions_in(two.a)[0]
    assert two.produce(lost, 5) + two.produce(kept, 5) == [0] * 10
    shutil.rmtree(two.b)
    assert_b_is_offline_alone(two, lost, kept)
    two.broker.stop()


def test_the_node_stops_when_all_its_log_directories_have_failed(two):
    two.broker.config["metadata.log.dir"] = two.broker.directory / "metadata"
    two.start()
    for directory in (two.a, two.b):
        shutil.rmtree(directory)
    assert two.broker.wait_exit(60) != 0
    assert re.search(r"all log dir.* have failed", two.broker.log_text())


def test_a_directory_whose_disk_goes_away_is_whole_again_after_a_restart_with_the_disk(two, mounted):
    disk = two.broker.directory / "disk"
    mounted(disk, "64m")
    two.b.parent.mkdir(exist_ok=True)
    two.b.mkdir()
    subprocess.run(["mount", "--bind", str(disk), str(two.b)], check=True)
    try:
        two.start()
        lost, kept = two.partitions_in(two.b)[0], two.partitions_in(two.a)[0]
        assert two.produce(lost, 5) + two.produce(kept, 5) == [0] * 10
        subprocess.run(["umount", "-l", str(two.b)], check=True)
        two.b.rmdir()
        late = assert_b_is_offline_alone(two, lost, kept)
        # Without the disk the next start serves the rest, and makes no empty log where one was.
        two.broker.stop()
        two.b.write_text("no folder")
        two.broker.start()
        assert "Leader: none" in two.topic_line(lost)
        wait_until(lambda: two.produce(kept) == [0], "the other directory to be served", 20)
        two.broker.stop()
        two.b.unlink()
        two.b.mkdir()
        subprocess.run(["mount", "--bind", str(disk), str(two.b)], check=True)
        two.broker.start()
        wait_until(lambda: two.produce(lost) == [0], "the lost partition to be back", 20)
        assert two.high_watermark(lost) == (0, 5 + late + 1)
    finally:
        subprocess.run(["umount", "-l", str(two.b)], check=False, capture_output=True)


@pytest.mark.odradek_only("Kafka takes the directory offline and needs a restart")
def test_a_full_disk_refuses_writes_alone_and_takes_them_again_by_itself(two, mounted):
    mounted(two.b, "8m")
    two.start()
    lost, kept = two.partitions_in(two.b)[0], two.partitions_in(two.a)[0]
    assert two.produce(lost, 5) == [0] * 5
    filler = two.b / "filler"
    with open(filler, "wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(bytes(1024))
    wait_until(lambda: two.produce(lost, value=b"v" * 50_000) == [STORAGE_ERROR], "writes to be refused", 20)
    stored = two.high_watermark(lost)[1]
    assert two.high_watermark(lost)[0] == 0
    assert two.produce(kept, 20) == [0] * 20
    # Checkpoints could not be written either, and that takes nothing offline.
    wait_until(lambda: "cannot write" in two.broker.log_text(), "a checkpoint to fail", 20)
    assert two.describe()[str(two.b)]["error"] is None
    filler.unlink()
    wait_until(lambda: two.produce(lost) == [0], "writes to be taken again", 20)
    assert two.high_watermark(lost) == (0, stored + 1)
    two.broker.restart()
    assert two.high_watermark(lost) == (0, stored + 1)


def test_reassign_partitions_moves_a_log_to_another_directory(two, tmp_path):
    two.start()
    partition = two.partitions_in(two.a)[0]
    assert two.produce(partition, 50, b"x" * 100_000) == [0] * 50
    plan = tmp_path / "plan.json"
    move = {"topic": "t", "partition": partition, "replicas": [1], "log_dirs": [str(two.b)]}
    plan.write_text(json.dumps({"version": 1, "partitions": [move]}))
    # So slow that the copy can be seen under way.
    two.reassign("--reassignment-json-file", plan, "--execute", "--replica-alter-log-dirs-throttle", 200_000)
    (future,) = [entry for entry in two.describe()[str(two.b)]["partitions"] if entry["isFuture"]]
    assert future["partition"] == f"t-{partition}"
    assert future["offsetLag"] > 0
    assert list(two.b.glob(f"t-{partition}.*-future"))
    assert two.produce(partition, 5) == [0] * 5
    # It goes on after a kill.
    two.broker.kill()
    two.broker.start()
    two.run("configs", "--alter", "--entity-type", "brokers", "--entity-name", "1", "--delete-config",
            "replica.alter.log.dirs.io.max.bytes.per.second")  # fmt: skip
    wait_until(lambda: two.directory_of(partition) == two.b, "the log to stand in b", 30)
    verified = two.reassign("--reassignment-json-file", plan, "--verify")
    assert "completed successfully" in verified
    wait_until(lambda: two.produce(partition) == [0], "the moved partition to be served", 10)
    assert two.high_watermark(partition) == (0, 56)
    two.broker.restart()
    assert two.directory_of(partition) == two.b
    assert two.high_watermark(partition) == (0, 56)
    assert not list(two.b.glob("*-future"))


def test_moves_back_and_forth_under_load_lose_nothing(two, tmp_path):
    two.start()
    plan = tmp_path / "plan.json"
    produced = 0
    for target in (two.b, two.a, two.b):
        moves = [{"topic": "t", "partition": 0, "replicas": [1], "log_dirs": [str(target)]}]
        plan.write_text(json.dumps({"version": 1, "partitions": moves}))
        two.reassign("--reassignment-json-file", plan, "--execute")

        def arrives(target=target):
            nonlocal produced
            assert two.produce(0, 20) == [0] * 20
            produced += 20
            return two.directory_of(0) == target and not list(target.glob("*-future"))

        wait_until(arrives, f"partition 0 to stand in {target}", 30)
    assert two.high_watermark(0) == (0, produced)
    two.broker.restart()
    assert two.high_watermark(0) == (0, produced)


def test_a_cordoned_directory_gets_no_new_partition(two):
    two.start()
    two.run("configs", "--alter", "--entity-type", "brokers", "--entity-name", "1", "--add-config",
            f"cordoned.log.dirs={two.a}")  # fmt: skip
    with two.broker.connect() as connection:
        assert wire.create_topic(connection, "later", 6)[0] == 0
    wait_until(lambda: len(list(two.b.glob("later-*"))) == 6, "six logs in b", 20)
    assert not list(two.a.glob("later-*"))
    assert two.produce(two.partitions_in(two.a)[0], 3) == [0] * 3
    two.run("configs", "--alter", "--entity-type", "brokers", "--entity-name", "1", "--delete-config",
            "cordoned.log.dirs")  # fmt: skip
    with two.broker.connect() as connection:
        assert wire.create_topic(connection, "after", 6)[0] == 0
    wait_until(lambda: list(two.a.glob("after-*")), "logs in a again", 20)


def test_all_directories_cordoned_refuse_topics(two):
    two.start()
    two.run("configs", "--alter", "--entity-type", "brokers", "--entity-name", "1", "--add-config",
            "cordoned.log.dirs=*")  # fmt: skip

    names = (f"topic-{i}" for i in itertools.count())

    def is_refused():
        with two.broker.connect() as connection:
            return wire.create_topic(connection, next(names), 1)[0] == INVALID_REPLICATION_FACTOR

    wait_until(is_refused, "the controller to hear of it", 20, interval_s=0.1)


def test_recovery_threads_change_for_the_whole_cluster_and_the_next_start_has_them(two):
    threads = "num.recovery.threads.per.data.dir"
    default = ("--entity-type", "brokers", "--entity-default")
    two.start()
    assert two.broker.log_text().count(" 16 at a time") == 2  # the described default, 2, is Kafka's
    two.run("configs", "--alter", *default, "--add-config", f"{threads}=4")
    assert f"{threads}=4 sensitive=false" in two.run("configs", "--describe", *default)

    def is_in_force():
        out = two.run("configs", "--describe", "--entity-type", "brokers", "--entity-name", "1", "--all")
        return f"{threads}=4 sensitive=false synonyms={{DYNAMIC_DEFAULT_BROKER_CONFIG:{threads}=4," in out

    wait_until(is_in_force, "the broker to apply its new number of threads", 20)
    refused = two.tools.run(
        "configs", "--bootstrap-server", two.broker.bootstrap, "--alter", *default, "--add-config", f"{threads}=9"
    )
    assert refused.exit_code != 0
    assert "should not be greater than double the current value 4" in refused.out + refused.err
    two.broker.restart()
    assert two.broker.log_text().count(" 4 at a time") == 2


def test_a_topic_past_retention_shrinks_without_a_restart_and_its_files_go_after_their_delay(two):
    two.start()
    partition = two.partitions_in(two.b)[0]
    folder = two.b / f"t-{partition}"
    assert two.produce(partition, 10) == [0] * 10
    two.run("configs", "--alter", "--entity-type", "topics", "--entity-name", "t", "--add-config",
            "retention.ms=1,file.delete.delay.ms=500")  # fmt: skip
    wait_until(lambda: (folder / f"{10:020}.log").exists(), "the active segment to be rolled", 40)
    wait_until(lambda: not list(folder.glob(f"{0:020}.*")), "the old files to go", 20)
    assert two.produce(partition, 1) == [0]
