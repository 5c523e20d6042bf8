"""Workloads that are more than one call of odradek-load."""

import contextlib
import os
import time

from .subjects import Failed
from .workload import GB, Metric, RunningLoad, Workload, latency, run_load

STOP_TIMEOUT_S = 600  # 100,000 logs to sync take a while


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
    """Topics of 10,000 partitions at most, as many as are needed."""

    name = "topics"
    title = "2,000 partitions (--partitions for others) with a record in each: create, idle, restart, restart after SIGKILL"
    group = "topics"
    metrics = (
        Metric("answered_s", "created: answered after, s"),
        Metric("usable_s", "every partition usable after, s"),
        Metric("rss_growth_mb", "RSS growth, MB"),
        Metric("idle_cpu_percent", "idle CPU, % of a core"),
        Metric("stop_s", "clean stop, every log synced, s"),
        Metric("restart_s", "restart until all usable, s"),
        Metric("crash_s", "restart after SIGKILL, s"),
        Metric("crash_rss_mb", "RSS then, MB"),
    )

    def run(self, broker, scale):
        topics = -(-scale.partitions // 10_000)
        words = ["--topic", "many", "--topics", topics, "--partitions", scale.partitions // topics]
        report = run_load(broker, "topics", *words, "--keep-topic", "--fill")
        time.sleep(scale.settle_s)
        before, started = broker.cpu_s(), time.monotonic()
        time.sleep(scale.idle_s)
        passed = time.monotonic() - started
        report["idle_cpu_percent"] = 100 * (broker.cpu_s() - before) / passed
        started = time.monotonic()
        broker.stop(STOP_TIMEOUT_S)
        report["stop_s"] = time.monotonic() - started
        report["restart_s"] = self.usable_after(broker, words, report["records"])
        broker.kill()
        report["crash_s"] = self.usable_after(broker, words, report["records"])
        report["crash_rss_mb"] = broker.rss_mb()
        return report

    def usable_after(self, broker, words, records):
        started = time.monotonic()
        broker.spawn_timed()
        found = run_load(broker, "topics", *words, "--existing", "--keep-topic")
        if found["records"] != records:
            raise Failed(f"{found['records']:.0f} records after a restart, {records:.0f} before")
        return time.monotonic() - started


class TopicCreation(Workload):
    name = "topic-creation"
    title = "200 topics of one partition, one request after the other"
    group = "topics"
    metrics = (
        Metric("topics_per_s", "topics/s", higher=True),
        *latency("p50", "p99", prefix="create"),
        Metric("usable_s", "all usable after, s"),
    )

    def run(self, broker, scale):
        count = max(20, round(200 * scale.size))
        run_load(broker, "topics", "--topics", 5, "--partitions", 1)  # a JVM's first ones are slow
        return run_load(broker, "topics", "--topics", count, "--partitions", 1)


class ColdReads(Workload):
    """The readers go through the topic again and again; before each pass it is dropped from the page cache."""

    name = "cold-reads"
    title = "a quiet partition end to end at 1,000 records/s, alone, then while 4 consumers read 3 GB that are not cached"
    group = "cold"
    metrics = (
        *latency("p50", "p99", "p999", prefix="alone"),
        *latency("p50", "p99", "p999", prefix="warm"),
        *latency("p50", "p99", "p999", prefix="cold"),
        Metric("p99_to_alone", "cold p99 to alone"),
        Metric("p99_to_warm", "cold p99 to warm (the same readers, cached)"),
        Metric("cold_mb_per_s", "read beside it, MB/s", higher=True),
        Metric("disk_gb", "of it from the disk, GB", higher=True),
        Metric("cold_cpu_percent", "broker CPU, % of a core"),
    )

    def run(self, broker, scale):
        seconds = max(5, round(10 * scale.size))
        topic, size = f"cold-{broker.kind}", round(3 * GB * scale.size)
        run_load(broker, "produce", "--topic", topic, "--keep-topic", "--partitions", 4, "--connections", 4,
                 "--warmup-seconds", 0, "--bytes", size, "--seconds", 60)
        os.sync()
        logs = sorted(broker.data_dir.glob(f"{topic}-*/*.log"))
        alone = run_load(broker, "e2e", "--warmup-seconds", 3, "--seconds", seconds)
        report = renamed("alone", alone)
        report |= self.beside(broker, "warm", seconds, topic, size, lambda: None)
        report |= self.beside(broker, "cold", seconds, topic, size, lambda: drop_cached(logs))
        if report["cold_disk_gb"] < 0.5 * report["cold_gb"]:
            raise Failed("most of it came from the page cache: nothing was measured")
        return report | {
            "p99_to_alone": report["cold_p99_us"] / report["alone_p99_us"],
            "p99_to_warm": report["cold_p99_us"] / report["warm_p99_us"],
            "disk_gb": report["cold_disk_gb"],
        }

    def beside(self, broker, name, seconds, topic, size, before_each_pass):
        cpu_before, disk_before, started = broker.cpu_s(), disk_bytes(broker.pid), time.monotonic()
        passes = []
        with RunningLoad(broker, "e2e", "--warmup-seconds", 1, "--seconds", seconds) as quiet:
            while quiet.process.poll() is None:
                before_each_pass()
                passes.append(run_load(broker, "fetch", "--topic", topic, "--consumers", 4, "--warmup-seconds", 0,
                                       "--bytes", size, "--seconds", 60))
            report = renamed(name, quiet.result())
        read = sum(each["mb"] for each in passes)
        return report | {
            f"{name}_gb": read / 1e3,
            f"{name}_mb_per_s": read / sum(each["seconds"] for each in passes),
            f"{name}_disk_gb": (disk_bytes(broker.pid) - disk_before) / GB,
            f"{name}_cpu_percent": 100 * (broker.cpu_s() - cpu_before) / (time.monotonic() - started),
        }


def renamed(name, report):
    return {f"{name}_{key[4:]}": value for key, value in report.items() if key.startswith("e2e_")}


def drop_cached(files):
    """Needs: nothing of them is dirty."""
    for file in files:
        with open(file, "rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def disk_bytes(pid):
    """What the process made the kernel read from a disk."""
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        return int(dict(line.split(": ") for line in file.read().splitlines())["read_bytes"])


class Mixed(Workload):
    """Everything at once, each at a rate that either broker can keep up with; the figures are those of the quiet ones."""

    name = "mixed"
    title = (
        "1,000 records/s end to end beside 32 MB/s of 64 KiB batches, 8 consumers of a tail of 16 MB/s, 500 groups of 3"
    )
    group = "mixed"
    metrics = (
        *latency("p50", "p99", "p999", prefix="e2e"),
        *latency("p50", "p99", prefix="ack"),
        Metric("tail_e2e_p50_us", "batch of the tail p50, µs"),
        Metric("tail_e2e_p99_us", "batch of the tail p99, µs"),
        Metric("broker_cpu_percent", "broker CPU, % of a core"),
    )

    def run(self, broker, scale):
        seconds = max(5, round(20 * scale.size))
        beside = [
            ("produce", "--rate", 500, "--connections", 4, "--partitions", 4, "--warmup-seconds", 0, "--bytes", 0,
             "--seconds", seconds + 4, "--verify"),
            ("tail", "--rate", 250, "--consumers", 8, "--partitions", 8, "--batch-bytes", 65536, "--record-bytes", 1024,
             "--seconds", seconds + 3),
            ("groups", "--groups", 500, "--unsettled-ms", 500, "--warmup-seconds", 0, "--seconds", seconds + 1),
        ]
        with contextlib.ExitStack() as stack:
            loads = [stack.enter_context(RunningLoad(broker, *words)) for words in beside]
            time.sleep(2)  # until they are under way
            cpu_before, started = broker.cpu_s(), time.monotonic()
            report = run_load(broker, "e2e", "--warmup-seconds", 1, "--seconds", seconds)
            report["broker_cpu_percent"] = 100 * (broker.cpu_s() - cpu_before) / (time.monotonic() - started)
            _, tail, _ = [load.result() for load in loads]
        return report | {f"tail_{key}": value for key, value in tail.items()}


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
