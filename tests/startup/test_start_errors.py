"""A start that cannot work ends at once, with one line that says what is wrong, where, and what helps."""

import os
import re
import shutil
import socket
import subprocess

import pytest

from harness import paths, wire
from harness.broker import CLUSTER_ID, KAFKA, ODRADEK
from harness.waiting import wait_until

pytestmark = pytest.mark.odradek_only("it fails with stack traces, or goes on")

LOG_LINE = re.compile(r"^\[\d{4}-\d\d-\d\d [\d:,]+\] (info|warning|debug) ")


def run_to_end(broker, *arguments, environment=None):
    """Runs `odradek start` on the broker's properties as they are; gives (exit code, log lines, other lines)."""
    broker.write_properties()
    done = subprocess.run(
        [*broker.command(), *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=broker.directory,
        env=os.environ | (environment or {}),
    )
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    log = [line for line in lines if LOG_LINE.match(line)]
    return done.returncode, log, [line for line in lines if not LOG_LINE.match(line)]


def assert_refuses(broker, *words, arguments=()):
    """Exit code 1 and one line with all the words in it, besides the log of what went well before."""
    code, _, said = run_to_end(broker, *arguments)
    assert code == 1, (code, said)
    assert len(said) == 1, "\n".join(said)
    for word in words:
        assert str(word) in said[0], f"{word!r} is not in: {said[0]}"
    return said[0]


@pytest.fixture
def broker_to_be(factory):
    return factory.new()


@pytest.fixture
def data(broker_to_be):
    """A data directory that was in use and was left cleanly."""
    broker_to_be.start()
    broker_to_be.stop()
    return broker_to_be


BAD_VALUES = {
    "not a number": ("num.io.threads", "abc"),
    "below the range": ("num.network.threads", "0"),
    "not one of the words": ("compression.type", "zip"),
    "not a boolean": ("auto.create.topics.enable", "maybe"),
    "a listener without a port": ("listeners", "PLAINTEXT://127.0.0.1"),
    "a listener whose name has no protocol": ("listeners", "NOPE://127.0.0.1:1"),
    "a bad port": ("listeners", "PLAINTEXT://127.0.0.1:99999,CONTROLLER://127.0.0.1:0"),
    "an unknown role": ("process.roles", "broker,king"),
    "a negative node id": ("node.id", "-7"),
    "voters without the node": ("controller.quorum.voters", "9@127.0.0.1:1"),
}


@pytest.mark.parametrize("name", BAD_VALUES)
def test_bad_value_is_named_with_its_key(broker_to_be, name):
    key, value = BAD_VALUES[name]
    broker_to_be.config[key] = value
    assert_refuses(broker_to_be, key)
    assert not broker_to_be.data_dir.exists() or not any(broker_to_be.data_dir.iterdir()), "it wrote before it checked"


@pytest.mark.parametrize("key", ["node.id", "process.roles", "listeners"])
def test_missing_or_empty_required_key_is_named(broker_to_be, key):
    broker_to_be.config[key] = ""
    assert_refuses(broker_to_be, key)


def test_override_is_checked_like_the_file(broker_to_be):
    assert_refuses(broker_to_be, "num.io.threads", "many", arguments=("--override", "num.io.threads=many"))


def test_unknown_key_is_a_warning_that_names_the_nearest_key_and_the_start_goes_on(broker_to_be):
    broker_to_be.config["log.retention.hour"] = "5"
    broker_to_be.start()
    warnings = [line for line in broker_to_be.log_text().splitlines() if "log.retention.hour" in line]
    assert warnings and "log.retention.hours" in warnings[0]


def test_missing_properties_file_is_named(broker_to_be):
    broker_to_be.properties_file = broker_to_be.directory / "nowhere.properties"
    broker_to_be.write_properties = lambda: None
    assert_refuses(broker_to_be, "nowhere.properties")


def test_port_in_use_is_named(broker_to_be):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(broker_to_be.address)
        other.listen()
        assert_refuses(broker_to_be, broker_to_be.port, "another process")


def test_controller_port_in_use_is_named(broker_to_be):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", broker_to_be.controller_port))
        other.listen()
        assert_refuses(broker_to_be, broker_to_be.controller_port, "another process")


def test_wrong_node_id_in_meta_properties_names_both(data):
    data.config["node.id"] = 2
    assert_refuses(data, "meta.properties", "1", "2", "node.id")


def test_wrong_cluster_id_in_one_of_two_directories_names_both(factory):
    broker = factory.new()
    first, second = broker.directory / "a", broker.directory / "b"
    broker.config["log.dirs"] = f"{first},{second}"
    broker.format()
    meta = second / "meta.properties"
    meta.write_text(meta.read_text().replace(CLUSTER_ID, "AAAAAAAAAAAAAAAAAAAAAA"))
    assert_refuses(broker, "cluster.id", CLUSTER_ID, "AAAAAAAAAAAAAAAAAAAAAA")


def test_two_directories_with_the_same_directory_id_are_refused(factory):
    broker = factory.new()
    first, second = broker.directory / "a", broker.directory / "b"
    broker.config["log.dirs"] = f"{first},{second}"
    broker.format()
    shutil.copy(first / "meta.properties", second / "meta.properties")
    assert_refuses(broker, "directory.id")


def test_damaged_meta_properties_is_named(data):
    (data.data_dir / "meta.properties").write_text("version=7\n")
    assert_refuses(data, "meta.properties")


@pytest.mark.parametrize("owner", [ODRADEK, KAFKA])
def test_directory_that_a_running_broker_has_locked_is_named(factory, owner):
    running = factory.new(kind=owner).start()
    other = factory.new()
    other.config["log.dirs"] = running.config["log.dirs"]
    assert_refuses(other, running.data_dir, "lock")
    with running.connect() as connection:
        assert wire.api_versions(connection)[0] == 0
    running.kill()


def test_apache_kafka_refuses_a_directory_that_odradek_has_locked(factory):
    running = factory.start()
    other = factory.new(kind=KAFKA)
    other.config["log.dirs"] = running.config["log.dirs"]
    other.spawn()
    try:
        wait_until(lambda: "Failed to acquire lock on file .lock" in other.log_text(), "Kafka to notice the lock", 40)
    finally:
        other.kill()
    with running.connect() as connection:
        assert wire.api_versions(connection)[0] == 0


def test_lock_of_a_killed_broker_is_no_obstacle(factory):
    broker = factory.start()
    broker.kill()
    assert (broker.data_dir / ".lock").exists()
    broker.start()


def is_root():
    return os.geteuid() == 0


def test_data_directory_that_is_a_file_is_named(broker_to_be):
    broker_to_be.data_dir.write_text("I am a file")
    assert_refuses(broker_to_be, broker_to_be.data_dir)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MB; gives the function that mounts it again with other options."""
    mount_point = tmp_path / "small"
    mount_point.mkdir()
    if not is_root():
        pytest.skip("mounting needs root")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(mount_point)], capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    try:
        yield mount_point
    finally:
        subprocess.run(["umount", "-l", str(mount_point)], check=False)


def remount(mount_point, options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(mount_point)], check=True)


def test_read_only_directory_is_named(factory, small_disk):
    broker = factory.new({"log.dirs": small_disk / "data"})
    broker.start()
    broker.stop()
    remount(small_disk, "ro")
    line = assert_refuses(broker, small_disk / "data")
    assert "read-only" in line.lower()


def test_full_disk_at_start_is_named(factory, small_disk):
    broker = factory.new({"log.dirs": small_disk / "data"})
    with open(small_disk / "filler", "wb", buffering=0) as filler, pytest.raises(OSError):
        while True:
            filler.write(bytes(4096))
    line = assert_refuses(broker, small_disk)
    assert "no space" in line.lower()


def test_disk_that_fills_up_under_load_fails_produces_but_never_acknowledged_records(factory, small_disk):
    config = {"log.dirs": small_disk / "data", "log.index.size.max.bytes": 4096, "log.segment.bytes": 1 << 20}
    broker = factory.start(config)
    acknowledged = 0
    with broker.connect() as connection:
        assert wire.create_topic(connection, "t")[0] == 0
        batch = wire.Batch([b"x" * 100_000]).encode()
        try:
            for _ in range(100):
                answer = wire.produce(connection, "t", batch)
                if answer.error not in (0, 3, 6):
                    break
                acknowledged += answer.error == 0
            assert 0 < acknowledged < 100
        except wire.Closed:
            pass
    # Whoever runs it makes room and starts again: everything acknowledged is there.
    broker.kill()
    remount(small_disk, "size=64m")
    broker.start()
    with broker.connect() as connection:
        error, _, end = wait_until(
            lambda: (found := wire.list_offset(connection, "t", -1))[0] == 0 and found, "the partition's leader"
        )
        assert (error, end >= acknowledged) == (0, True)


def test_start_says_in_one_line_what_listens_where(factory):
    broker = factory.start()
    said = [line for line in broker.log_text().splitlines() if str(broker.port) in line]
    assert any(str(broker.controller_port) in line and "PLAINTEXT" in line for line in said), broker.log_text()


def test_empty_directory_formats_itself(factory):
    broker = factory.new()
    broker.spawn()
    broker.wait_ready()
    meta = dict(
        line.split("=", 1) for line in (broker.data_dir / "meta.properties").read_text().splitlines() if "=" in line
    )
    assert (meta["node.id"], meta["version"]) == ("1", "1")
    assert len(meta["cluster.id"]) == 22 and len(meta["directory.id"]) == 22
    broker.restart()
    assert meta["cluster.id"] in (broker.data_dir / "meta.properties").read_text()


def test_format_twice_is_refused_unless_told_to_ignore(broker_to_be):
    broker_to_be.format()
    command = [paths.ODRADEK, "format", "-t", CLUSTER_ID, "-c", broker_to_be.properties_file, "--standalone"]
    again = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert again.returncode == 1
    assert "already formatted" in again.stdout + again.stderr
    ignoring = subprocess.run([*command, "--ignore-formatted"], capture_output=True, text=True, timeout=20)
    assert ignoring.returncode == 0
