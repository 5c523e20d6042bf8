"""A broker as a process: Odradek, or Apache Kafka 4.3.0 as the reference. Both run one combined KRaft node.

A Broker is a data directory, a server.properties and two ports; which program serves them may change from start to
start, which is what the takeover suite is about.
"""

import os
import signal
import subprocess
import tempfile
from pathlib import Path

import psutil

from . import java, paths, wire
from .ports import free_port
from .waiting import wait_until

KAFKA, ODRADEK = "kafka", "odradek"
CLUSTER_ID = "5L6g3nShT-eMCtK--X86sw"
# How long a broker may take to answer or to end; far above what it needs, so that only a hang reaches it.
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60


class BrokerFailed(AssertionError):
    """The broker ended or hung where it should not have; carries the end of its log."""


class Broker:
    """Needs: a directory of its own. Owner: the fixture that made it, which calls close()."""

    def __init__(self, kind, directory, tools, config=None, static_voters=False, node_id=1, full_jit=False):
        self.kind = kind
        self.directory = Path(directory)
        self.tools = tools
        self.node_id = node_id
        self.static_voters = static_voters
        self.full_jit = full_jit
        self.port = free_port()
        self.controller_port = free_port()
        self.process = None
        self.log_file = self.directory / "broker.log"
        self.properties_file = self.directory / "server.properties"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config = self._basic_config() | (config or {})

    # --- addresses ---

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    @property
    def controller_bootstrap(self):
        return f"127.0.0.1:{self.controller_port}"

    @property
    def data_dir(self):
        """The first of them, where there are several."""
        return Path(str(self.config["log.dirs"]).split(",")[0])

    def connect(self, **options):
        return wire.Connection(self.address, **options)

    # --- life ---

    def format(self, cluster_id=CLUSTER_ID, kind=None):
        """Formats the data directory with the program's own command."""
        self.write_properties()
        arguments = ["format", "-t", cluster_id, "-c", str(self.properties_file)]
        if not self.static_voters:
            arguments.append("--standalone")
        if (kind or self.kind) == KAFKA:
            self.tools.run("storage", *arguments).ok()
            return
        done = subprocess.run([paths.ODRADEK, *arguments], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, f"odradek format failed:\n{done.stdout}{done.stderr}"

    def start(self, kind=None, wait=True):
        """Starts the program, by default the broker's own kind, and waits until it answers."""
        assert not self.is_running(), "already running"
        self.kind = kind or self.kind
        if not (self.data_dir / "meta.properties").exists():
            self.format()
        self.spawn()
        if wait:
            self.wait_ready()
        return self

    def spawn(self):
        """Starts the process on the directory as it is, and does not wait."""
        self.write_properties()
        with open(self.log_file, "ab") as log:
            log.write(f"=== {self.kind} starts\n".encode())
            log.flush()
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.directory
            )
        return self

    def command(self):
        if self.kind == ODRADEK:
            return [str(paths.ODRADEK), "start", str(self.properties_file)]
        return java.java_command("kafka.Kafka", self.properties_file, fast_start=not self.full_jit, archive="broker")

    def wait_ready(self, timeout_s=START_TIMEOUT_S):
        def answers():
            if self.process.poll() is not None:
                raise BrokerFailed(f"{self.kind} ended with {self.process.returncode} at start\n{self.log_tail()}")
            try:
                with self.connect(timeout_s=2.0) as connection:
                    return wire.api_versions(connection)[0] == 0
            except (OSError, wire.Closed):
                return False

        wait_until(answers, f"{self.kind} to answer on port {self.port}", timeout_s, interval_s=0.01)

    def stop(self, timeout_s=STOP_TIMEOUT_S):
        """SIGTERM, and a clean end."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        code = self.wait_exit(timeout_s)
        # The JVM reports the signal that it handled.
        if code not in (0, 128 + signal.SIGTERM):
            raise BrokerFailed(f"{self.kind} ended with {code} after SIGTERM\n{self.log_tail()}")

    def kill(self):
        """SIGKILL: what a crash of the process leaves behind, page cache intact."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self, kind=None):
        self.stop()
        return self.start(kind)

    def wait_exit(self, timeout_s):
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            tail = self.log_tail(20)
            self.kill()
            raise BrokerFailed(f"{self.kind} did not end within {timeout_s} s\n{tail}") from None
        self.process = None
        return code

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def close(self):
        """Whatever state it is in: no process stays behind."""
        self.kill()

    # --- what it looks like from outside ---

    def resident_bytes(self):
        return psutil.Process(self.process.pid).memory_info().rss

    def open_files(self):
        return psutil.Process(self.process.pid).num_fds()

    def log_text(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def log_tail(self, lines=60):
        return "\n".join(self.log_text().splitlines()[-lines:])

    def partition_dir(self, topic, partition=0):
        return self.data_dir / f"{topic}-{partition}"

    # --- configuration ---

    def write_properties(self):
        text = "".join(f"{key}={value}\n" for key, value in self.config.items())
        self.properties_file.write_text(text)

    def _basic_config(self):
        config = {
            "process.roles": "broker,controller",
            "node.id": self.node_id,
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self.directory / "data",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 4,
            "group.initial.rebalance.delay.ms": 0,
        }
        if self.static_voters:
            config["controller.quorum.voters"] = f"{self.node_id}@127.0.0.1:{self.controller_port}"
        else:
            config["controller.quorum.bootstrap.servers"] = f"127.0.0.1:{self.controller_port}"
        return config


class BrokerFactory:
    """Makes brokers below one directory and ends them all."""

    def __init__(self, kind, directory, tools):
        self.kind = kind
        self.directory = Path(directory)
        self.tools = tools
        self.made = []

    def new(self, config=None, kind=None, **options):
        directory = tempfile.mkdtemp(prefix="broker-", dir=self.directory)
        broker = Broker(kind or self.kind, directory, self.tools, config, **options)
        self.made.append(broker)
        return broker

    def start(self, config=None, **options):
        return self.new(config, **options).start()

    def close(self):
        for broker in self.made:
            broker.close()


def make_class_data_archive(directory, tools):
    """Records which classes the reference broker loads, so that its later starts are quick (java.py)."""
    if not java.archive_file("broker").exists():
        broker = Broker(KAFKA, os.path.join(directory, "archive"), tools)
        broker.format()
        recording = Path(str(java.archive_file("broker")) + ".new")
        command = java.java_command("kafka.Kafka", broker.properties_file)
        command.insert(1, f"-XX:ArchiveClassesAtExit={recording}")
        log = open(broker.log_file, "ab")
        broker.process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            broker.wait_ready()
            with broker.connect() as connection:
                wire.create_topic(connection, "archive")
            tools.run("topics", "--bootstrap-server", broker.bootstrap, "--list")
            broker.process.send_signal(signal.SIGTERM)
            broker.wait_exit(STOP_TIMEOUT_S)
            recording.rename(java.archive_file("broker"))
        finally:
            broker.close()
            log.close()
