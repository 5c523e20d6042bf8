"""Who is measured: Odradek, Apache Kafka, and the floor programs, each as a process with a port and a directory."""

import os
import select
import shutil
import subprocess
import time

from harness import broker as brokers
from harness import paths, wire
from harness.waiting import wait_until

from .names import FLOOR, KAFKA, ODRADEK

BENCH_BUILD = paths.BUILD / "bench"
DATA = BENCH_BUILD / "data"
LOAD = BENCH_BUILD / "bench" / "odradek-load"

# How bin/kafka-server-start.sh runs the broker.
KAFKA_JVM_OPTIONS = [
    "-Xmx1G",
    "-Xms1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
]
# Deleted topics free their space before the next workload fills the disk.
CONFIG = {
    "log.segment.delete.delay.ms": 1000,
    "log.initial.task.delay.ms": 30000,
    "offsets.topic.num.partitions": 50,
}
READY_TIMEOUT_S = 180
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A broker or a load did not do its part; the run goes on without this figure."""


def class_path():
    return ":".join(map(str, sorted(paths.KAFKA_LIBS.glob("*.jar"))))


class Broker(brokers.Broker):
    """A broker below build/bench/data, with the settings that every measured broker gets. more_log_dirs: elsewhere."""

    def __init__(self, kind, name, keeps_files=False, more_log_dirs=()):
        self.keeps_files = keeps_files
        super().__init__(kind, DATA / name, tools=None, config=CONFIG, full_jit=True)
        if more_log_dirs:
            first = self.config["log.dirs"]
            self.config["log.dirs"] = ",".join(map(str, [first, *more_log_dirs]))
            self.config["metadata.log.dir"] = first

    @property
    def pid(self):
        return self.process.pid

    def format(self):
        self.write_properties()
        arguments = ["format", "-t", brokers.CLUSTER_ID, "-c", str(self.properties_file), "--standalone"]
        if self.kind == KAFKA:
            command = ["java", "-Xshare:auto", "-cp", class_path(), "kafka.tools.StorageTool", *arguments]
        else:
            command = [str(paths.ODRADEK), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise Failed(f"format: {done.stdout[-300:]}{done.stderr[-300:]}")

    def command(self):
        if self.kind == ODRADEK:
            return super().command()
        log_config = f"-Dlog4j2.configurationFile={paths.LOG4J_CONFIG}"
        return ["java", *KAFKA_JVM_OPTIONS, log_config, "-cp", class_path(), "kafka.Kafka", str(self.properties_file)]

    def start_timed(self):
        """Starts on a directory that holds nothing, or for Kafka only what it cannot start without. Gives: seconds
        until an ApiVersions request is answered."""
        if self.kind == KAFKA:
            self.format()
        return self.spawn_timed()

    def spawn_timed(self):
        """The same on the directory as it is."""
        started = time.monotonic()
        self.spawn()
        wait_until(self._answers, "an answer", READY_TIMEOUT_S, interval_s=0.001)
        return time.monotonic() - started

    def _answers(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.kind} ended at its start: {self.log_tail(5)}")
        try:
            with self.connect(timeout_s=2.0) as connection:
                return wire.api_versions(connection)[0] == 0
        except (OSError, wire.Closed):
            return False

    def cpu_s(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def rss_mb(self):
        return self.resident_bytes() / 1e6

    def rss_peak_mb(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as file:
            return next(int(line.split()[1]) * 1024 / 1e6 for line in file if line.startswith("VmHWM:"))

    def has_partition(self, directory, topic, partition=0):
        return os.path.isdir(f"{directory}/{topic}-{partition}")

    def close(self):
        super().close()
        # ext4 is slow to create files where many were deleted within the last half minute, which the next broker would
        # pay. So directories of many small files stay until the run is over; those of large ones must go.
        if not self.keeps_files:
            shutil.rmtree(self.directory, ignore_errors=True)


class Floor:
    """A floor program: the same bytes, the same system calls, nothing else."""

    kind = FLOOR

    def __init__(self, program, *arguments):
        DATA.mkdir(parents=True, exist_ok=True)
        command = [str(BENCH_BUILD / "bench" / program), str(DATA), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        readable, _, _ = select.select([self.process.stdout], [], [], READY_TIMEOUT_S)
        line = self.process.stdout.readline() if readable else ""
        if not line.startswith("port "):
            self.close()
            raise Failed(f"{program} does not start")
        self.port = int(line.split()[1])

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process.poll() is None

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
