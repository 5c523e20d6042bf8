"""More is written to a disk than it takes: what becomes of that, and of those who write little."""

import contextlib
import time

from harness import wire
from harness.waiting import wait_until

from .names import KAFKA
from .slow_disk import BYTES_PER_S
from .subjects import Failed
from .workload import Metric, RunningLoad, Workload, latency, run_load

BATCH_BYTES = 65536
IN_FLIGHT = 40
QUIET_RATE = 500
PERCENTILES = ("p50", "p99", "p999", "max")
SMALL = ["--batch-bytes", 100, "--record-bytes", 100]
# The answers for a partition that does not exist yet (unknown topic, replica not available): the wish is kept.
WISH_IS_KEPT = (0, 3, 9)


class WritePressure(Workload):
    """The figures of the quiet ones are those of the time in which twice what the slow disk takes is offered."""

    metrics = (
        *latency(*PERCENTILES, prefix="elsewhere"),
        *latency(*PERCENTILES, prefix="beside"),
        *latency(*PERCENTILES, prefix="heavy"),
        Metric("heavy_mb_per_s", "heavy MB/s", higher=True),
        Metric("cpu_percent", "broker CPU, % of a core"),
        Metric("cpu_s_per_gb", "broker CPU s/GB"),
        Metric("rss_peak_mb", "RSS at most, MB"),
        Metric("verified_mb", "acknowledged and read back, MB", higher=True),
    )
    needs_slow_disk = True

    def __init__(self, name, connections):
        self.name = self.group = name
        self.connections = connections
        self.title = (
            f"one of two log directories on a disk of 80 MiB/s, 64 KiB batches to it at twice that, {connections}"
            f" connections, {IN_FLIGHT} in flight over all; beside it {QUIET_RATE} small produces/s to a partition in each"
            " directory"
        )

    def run(self, broker, scale):
        seconds = max(5, round(10 * scale.size))
        fast, slow = broker.config["log.dirs"].split(",")
        topics = {"heavy": slow, "beside": slow, "elsewhere": fast}
        for topic, directory in topics.items():
            prefer(broker, topic, directory)
        warmup_s = scale.warmup_s if broker.kind == KAFKA else 1
        run_load(broker, "produce", "--warmup-seconds", 0, "--rate", 1000, "--bytes", 0, "--seconds", warmup_s)
        with contextlib.ExitStack() as stack:
            quiet = {
                topic: stack.enter_context(RunningLoad(
                    broker, "produce", "--topic", topic, "--keep-topic", *SMALL, "--rate", QUIET_RATE, "--in-flight", 1000,
                    "--bytes", 0, "--warmup-seconds", 3, "--seconds", seconds, "--verify",
                ))
                for topic in ("beside", "elsewhere")
            }  # fmt: skip
            time.sleep(3)  # their warm-up
            cpu_before, started = broker.cpu_s(), time.monotonic()
            heavy = stack.enter_context(RunningLoad(
                broker, "produce", "--topic", "heavy", "--keep-topic", "--batch-bytes", BATCH_BYTES,
                "--rate", 2 * BYTES_PER_S / BATCH_BYTES, "--connections", self.connections, "--in-flight",
                IN_FLIGHT // self.connections, "--bytes", 0, "--warmup-seconds", 0, "--seconds", seconds, "--verify",
            ))  # fmt: skip
            time.sleep(seconds)
            cpu_percent = 100 * (broker.cpu_s() - cpu_before) / (time.monotonic() - started)
            reports = {topic: load.result() for topic, load in quiet.items()} | {"heavy": heavy.result()}
        for topic, directory in topics.items():
            if not broker.has_partition(directory, topic):
                raise Failed(f"{topic} is not in {directory}: nothing was measured")
        return figures(reports) | {"cpu_percent": cpu_percent, "rss_peak_mb": broker.rss_peak_mb()}


def figures(reports):
    # The heavy load waits for longer and longer in the sender: what it offers cannot be done. What counts is how long a
    # request takes that was sent.
    found = {
        f"{topic}_{name}_us": report[f"{'service' if topic == 'heavy' else 'latency'}_{name}_us"]
        for topic, report in reports.items()
        for name in PERCENTILES
    }
    heavy = reports["heavy"]
    return found | {
        "heavy_mb_per_s": heavy["mb_per_s"],
        "cpu_s_per_gb": heavy["broker_cpu_s_per_gb"],
        "verified_mb": sum(report["verified_mb"] for report in reports.values()),
    }


def prefer(broker, topic, directory):
    """The topic's partition is to be made there."""

    def is_accepted():
        with broker.connect() as connection:
            return wire.alter_replica_log_dir(connection, topic, 0, directory) in WISH_IS_KEPT

    wait_until(is_accepted, f"{directory} to be taken for {topic}", 20)
