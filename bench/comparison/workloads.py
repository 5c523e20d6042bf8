"""The workloads: what is done to a broker, and which figures are kept. Each is bounded in time and in bytes."""

import json
import os
import subprocess
import time
from dataclasses import dataclass

from . import subjects
from .subjects import KAFKA, LOAD, Failed, Floor

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


def run_load(broker, command, *arguments):
    """odradek-load against the broker. Gives: what it measured. Raises: Failed."""
    words = [str(LOAD), command, "--json", "--broker", f"127.0.0.1:{broker.port}", "--broker-pid", str(broker.pid)]
    words += ["--floor"] if broker.kind == subjects.FLOOR else []
    words += [str(argument) for argument in arguments]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=LOAD_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{command}: not done within {LOAD_TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise Failed((done.stderr or done.stdout).strip()[-300:] or f"{command}: exit code {done.returncode}")
    return json.loads(done.stdout)


class Workload:
    """name: for --only. group: workloads of a group share one broker process, in this order. floor: its program."""

    name = ""
    title = ""
    group = "load"
    metrics = ()
    floor = None

    def run(self, broker, scale):
        """Gives: a dictionary with the keys of the metrics. Raises: Failed."""
        raise NotImplementedError

    def start_floor(self):
        return Floor(*self.floor)


class Load(Workload):
    """One call of odradek-load; `scale` shortens it. Warm-up is longer for a JVM."""

    def __init__(self, name, title, command, arguments, metrics, floor=None, size=None):
        self.name, self.title, self.command, self.arguments = name, title, command, arguments
        self.metrics, self.floor, self.size = metrics, floor, size or {}

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
        if self.command == "produce" and broker.kind != subjects.FLOOR:
            arguments += ["--verify"]
        return run_load(broker, self.command, *arguments)


class Start(Workload):
    name = "start"
    title = "start on an empty directory, until the first answer; memory when idle"
    group = "fresh"
    metrics = (Metric("start_ms", "start to first answer, ms"), Metric("rss_mb", "idle RSS, MB"))

    def run(self, broker, scale):
        time.sleep(scale.settle_s)
        return {"start_ms": broker.start_s * 1e3, "rss_mb": broker.rss_mb()}


class IdleConnections(Workload):
    name = "idle-connections"
    title = "memory for each idle connection (after one ApiVersions exchange)"
    group = "fresh"
    metrics = (Metric("rss_kb_per_connection", "RSS per connection, kB"), Metric("open_s", "opened in, s"))

    def run(self, broker, scale):
        # The first connections make a broker allocate what the later ones share.
        run_load(broker, "connect", "--hello", "--connections", 100)
        return run_load(broker, "connect", "--hello", "--connections", scale.connections)


class ManyPartitions(Workload):
    name = "topics"
    title = "create a topic of 2,000 partitions; CPU when it idles"
    group = "topics"
    metrics = (
        Metric("answered_s", "answered after, s"),
        Metric("usable_s", "every partition usable after, s"),
        Metric("rss_growth_mb", "RSS growth, MB"),
        Metric("idle_cpu_percent", "idle CPU, % of a core"),
    )

    def run(self, broker, scale):
        report = run_load(broker, "topics", "--partitions", 2000, "--keep-topic")
        time.sleep(scale.settle_s)
        before, started = broker.cpu_s(), time.monotonic()
        time.sleep(scale.idle_s)
        passed = time.monotonic() - started
        return report | {"idle_cpu_percent": 100 * (broker.cpu_s() - before) / passed}


class Claim(Workload):
    name = "claim"
    title = "200 connections that each claim a frame of 100 MB and send nothing"
    group = "claim"
    metrics = (
        Metric("still_answers", "answers another client (1: yes)", higher=True),
        Metric("answer_s", "after, s"),
        Metric("rss_growth_mb", "RSS growth, MB"),
    )

    def run(self, broker, scale):
        return run_load(broker, "claim")


class Groups(Workload):
    """Consumer groups that only live, on a broker of their own: members that are gone end after a while, which costs."""

    def __init__(self, name, title, arguments, metrics, groups):
        self.name, self.title, self.arguments, self.metrics, self.groups = name, title, arguments, metrics, groups
        self.group = name

    def run(self, broker, scale):
        count = max(1, round(self.groups * scale.size))
        # The first group makes a broker create and load what the others share.
        run_load(broker, "groups", "--groups", 1, "--seconds", 0)
        return run_load(broker, "groups", "--groups", count, "--seconds", scale.seconds_max, *self.arguments)


MANY_GROUPS = (
    Metric("joins_per_s", "members joined/s", higher=True),
    Metric("rss_kb_per_group", "RSS per group, kB"),
    Metric("steady_heartbeats_per_s", "heartbeats/s", higher=True),
    *latency("p50", "p99", "p999", prefix="steady_heartbeat"),
    Metric("steady_cpu_percent", "broker CPU, % of a core"),
    Metric("steady_cpu_us_per_request", "broker CPU µs/heartbeat"),
)
LARGE_GROUP = (
    Metric("join_s", "all settled after, s"),
    Metric("join_cpu_s", "broker CPU s for it"),
    *latency("p99", prefix="join_heartbeat"),
    *latency("p50", "p99", prefix="steady_heartbeat"),
    Metric("leave_s", "settled after one left, s"),
    Metric("leave_cpu_s", "broker CPU s for it"),
)
COMMITS = (
    Metric("commit_requests_per_s", "commits/s", higher=True),
    Metric("commit_cpu_us_per_request", "broker CPU µs/commit"),
    Metric("produce_cpu_us_per_request", "broker CPU µs/produce"),
    Metric("commit_cpu_to_produce", "a commit costs produces"),
    *latency("p50", "p99", prefix="commit"),
)
MANY = ["--unsettled-ms", 500, "--connections", 1500]
LARGE = ["--members", 1000, "--partitions", 2000, "--leave"]
SMALL = ["--batch-bytes", 100, "--record-bytes", 100]
ECHO = ("floor-echo",)

ALL = (
    Start(),
    IdleConnections(),
    Load(
        "produce-1p",
        "produce, 64 KiB batches of 1 KiB records, 1 partition, 1 connection, 5 in flight",
        "produce",
        [],
        (MB_PER_S, CPU_PER_GB, *latency("p50", "p99", "p999"), RSS),
        floor=("floor-produce",),
        size={"--bytes": 2 * GB},
    ),
    Load(
        "produce-4p",
        "produce, 64 KiB batches of 1 KiB records, 4 partitions, 4 connections, 5 in flight each",
        "produce",
        ["--partitions", 4, "--connections", 4],
        (MB_PER_S, CPU_PER_GB, *latency("p50", "p99", "p999"), RSS),
        floor=("floor-produce",),
        size={"--bytes": 2 * GB},
    ),
    Load(
        "produce-small",
        "produce, one 100-byte record a request, 1 connection, 20 in flight",
        "produce",
        [*SMALL, "--in-flight", 20],
        (REQUESTS_PER_S, CPU_PER_REQUEST, *latency("p50", "p99", "p999")),
        # Requests come in bursts here, and a burst can be one write.
        floor=("floor-echo", "--gather"),
        size={"--requests": 500_000},
    ),
    Load(
        "produce-single",
        "produce, one 100-byte record a request, 4 connections, one in flight on each",
        "produce",
        [*SMALL, "--in-flight", 1, "--connections", 4],
        (REQUESTS_PER_S, CPU_PER_REQUEST, *latency("p50", "p99", "p999")),
        floor=ECHO,
        size={"--requests": 200_000},
    ),
    Load(
        "fetch",
        "fetch from the page cache, answers of 4 MiB, one consumer",
        "fetch",
        ["--fill-bytes", GB // 2],
        (MB_PER_S, CPU_PER_GB, *latency("p50", "p99")),
        floor=("floor-fetch", str(GB // 2)),
        size={"--bytes": 20 * GB},
    ),
    Load(
        "e2e",
        "end to end, 1,000 records/s of 100 bytes, one a request",
        "e2e",
        ["--warmup-seconds", 3],
        (*latency("p50", "p99", "p999", prefix="e2e"), *latency("p50", "p99", prefix="ack"), CPU_PER_REQUEST),
        size={"--seconds": 10},
    ),
    Load(
        "connect",
        "5,000 connections (--quick: 500) opened one after another, then small produces over them in turn, 64 in flight",
        "connect",
        [],
        (Metric("open_s", "opened in, s"), REQUESTS_PER_S, CPU_PER_REQUEST, *latency("p50", "p99"), RSS),
        floor=ECHO,
        size={"--warmup-requests": 20_000, "--requests": 100_000},
    ),
    Load(
        "commits",
        "OffsetCommits of one partition beside produces of one 100-byte record: 8 connections, one in flight on each",
        "commits",
        ["--warmup-seconds", 2],
        COMMITS,
        size={"--seconds": 5},
    ),
    Load(
        "commits-pipelined",
        "the same, 20 in flight on each",
        "commits",
        ["--warmup-seconds", 2, "--in-flight", 20],
        COMMITS,
        size={"--seconds": 5},
    ),
    Groups(
        "groups-consumer",
        "10,000 groups of 3 members (--quick: 2,000), consumer protocol, heartbeats every 5 s",
        MANY,
        MANY_GROUPS,
        10_000,
    ),
    Groups(
        "groups-classic",
        "10,000 groups of 3 members (--quick: 2,000), classic protocol, heartbeats every 3 s",
        [*MANY, "--protocol", "classic"],
        MANY_GROUPS,
        10_000,
    ),
    Groups(
        "large-group-consumer",
        "one group of 1,000 members over 2,000 partitions, consumer protocol",
        LARGE,
        LARGE_GROUP,
        1,
    ),
    Groups(
        "large-group-classic",
        "one group of 1,000 members over 2,000 partitions, classic protocol",
        [*LARGE, "--protocol", "classic"],
        LARGE_GROUP,
        1,
    ),
    ManyPartitions(),
    Claim(),
)
