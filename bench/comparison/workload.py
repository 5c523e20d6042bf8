"""What a workload is, and the one that is a single call of odradek-load."""

import json
import os
import subprocess
from dataclasses import dataclass

from .names import FLOOR, KAFKA
from .subjects import LOAD, Failed, Floor

LOAD_TIMEOUT_S = 400
GB = 1_000_000_000


@dataclass(frozen=True)
class Metric:
    """One figure of a report. `higher`: more is better."""

    key: str
    title: str
    higher: bool = False


MB_PER_S = Metric("mb_per_s", "MB/s", higher=True)
REQUESTS_PER_S = Metric("requests_per_s", "requests/s", higher=True)
CPU_PER_GB = Metric("broker_cpu_s_per_gb", "broker CPU s/GB")
CPU_PER_REQUEST = Metric("broker_cpu_us_per_request", "broker CPU µs/request")
RSS = Metric("broker_rss_mb", "RSS after, MB")


def latency(*names, prefix="latency"):
    return tuple(Metric(f"{prefix}_{name}_us", f"{prefix} {title(name)}, µs") for name in names)


def title(name):
    return "p99.9" if name == "p999" else name


class RunningLoad:
    """odradek-load against the broker, while something else goes on."""

    def __init__(self, broker, command, *arguments):
        self.command = command
        words = [str(LOAD), command, "--json", "--broker", f"127.0.0.1:{broker.port}", "--broker-pid", str(broker.pid)]
        words += ["--floor"] if broker.kind == FLOOR else []
        words += [str(argument) for argument in arguments]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def result(self, timeout_s=LOAD_TIMEOUT_S):
        """Waits for its end. Gives: what it measured. Raises: Failed."""
        try:
            out, err = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{self.command}: not done within {timeout_s} s") from error
        if self.process.returncode != 0:
            raise Failed((err or out).strip()[-300:] or f"{self.command}: exit code {self.process.returncode}")
        return json.loads(out)


def run_load(broker, command, *arguments):
    """One load to its end. Gives: what it measured. Raises: Failed."""
    with RunningLoad(broker, command, *arguments) as load:
        return load.result()


class Workload:
    """name: for --only. group: workloads of a group share one broker process, in this order. floor: its program.
    needs_slow_disk: the group's broker has a second log directory, on a SlowDisk."""

    name = ""
    title = ""
    group = "load"
    metrics = ()
    floor = None
    needs_slow_disk = False

    def run(self, broker, scale):
        """Gives: a dictionary with the keys of the metrics. Raises: Failed."""
        raise NotImplementedError

    def start_floor(self):
        return Floor(*self.floor)


class Load(Workload):
    """One call of odradek-load; `scale` shortens it. Warm-up is longer for a JVM."""

    def __init__(self, name, title, command, arguments, metrics, floor=None, size=None,
                 all_busy=False):
        self.name, self.title, self.command, self.arguments = name, title, command, arguments
        self.metrics, self.floor, self.size = metrics, floor, size or {}
        self.all_busy = all_busy  # of connections: a request under way on each

    def run(self, broker, scale):
        # What the workload before left dirty is not this one's to pay.
        os.sync()
        arguments = list(self.arguments)
        for option, value in self.size.items():
            arguments += [option, max(1, round(value * scale.size))]
        if self.command in ("produce", "fetch"):
            warmup_s = scale.warmup_s if broker.kind == KAFKA else 1
            arguments += ["--warmup-seconds", warmup_s, "--warmup-bytes", round(2 * GB * scale.size)]
            arguments += ["--seconds", scale.seconds_max]
        if self.command == "connect":
            arguments += ["--connections", scale.connections]
            if self.all_busy:
                arguments += ["--in-flight", scale.connections]
        if self.command == "produce" and broker.kind != FLOOR:
            arguments += ["--verify"]
        return run_load(broker, self.command, *arguments)
