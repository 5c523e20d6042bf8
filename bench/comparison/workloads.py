"""The workloads, in the order in which they run. Each is bounded in time and in bytes."""

from .pressure import WritePressure
from .scenarios import Claim, ColdReads, Groups, IdleConnections, ManyPartitions, Mixed, Start, TopicCreation
from .workload import CPU_PER_GB, CPU_PER_REQUEST, GB, MB_PER_S, REQUESTS_PER_S, RSS, Load, Metric, latency

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
LARGE = ["--members", 1000, "--partitions", 1000, "--leave"]
SMALL = ["--batch-bytes", 100, "--record-bytes", 100]
ECHO = ("floor-echo",)
E2E = latency("p50", "p99", prefix="e2e")
DURABLE = ["--topic-config", "flush.messages=1", "--batch-bytes", 1024, "--in-flight", 1]


def produce_as(name, codec, stored=None):
    """Batches of a codec, which the broker checks; or that it has to store in another one."""
    what = f"in {codec}" if codec != "none" else "not compressed"
    title = f"produce, 64 KiB batches of 1 KiB records, {what}" + (f", stored in {stored}" if stored else "")
    config = ["--topic-config", f"compression.type={stored}"] if stored else []
    metrics = (MB_PER_S, CPU_PER_GB, *latency("p50", "p99"))
    # Less than elsewhere: these are bytes as sent, and some of them are unpacked and packed anew.
    return Load(name, title, "produce", ["--words", "--codec", codec, *config], metrics, size={"--bytes": GB // 2})


CODECS = (
    *(produce_as(f"produce-{codec}", codec) for codec in ("gzip", "snappy", "lz4", "zstd")),
    produce_as("recompress-none-lz4", "none", "lz4"),
    produce_as("recompress-lz4-zstd", "lz4", "zstd"),
    produce_as("recompress-zstd-gzip", "zstd", "gzip"),
    produce_as("recompress-gzip-none", "gzip", "uncompressed"),
    produce_as("recompress-lz4-snappy", "lz4", "snappy"),
)

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
        "produce-64p",
        "produce, 64 KiB batches of 1 KiB records, 64 partitions, 8 connections, 5 in flight each",
        "produce",
        ["--partitions", 64, "--connections", 8],
        (MB_PER_S, CPU_PER_GB, *latency("p50", "p99", "p999"), RSS),
        floor=("floor-produce",),
        size={"--bytes": 2 * GB},
    ),
    *CODECS,
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
    *(
        Load(
            f"fetch-{consumers}",
            f"the same, {consumers} consumers of as many partitions",
            "fetch",
            ["--consumers", consumers, "--partitions", consumers, "--fill-bytes", GB // 2 // consumers],
            (MB_PER_S, CPU_PER_GB, *latency("p50", "p99")),
            floor=("floor-fetch", str(GB // 2)),
            size={"--bytes": 20 * GB},
        )
        for consumers in (4, 64)
    ),
    *(
        Load(
            name,
            f"the same, one consumer, answers of {what}",
            "fetch",
            ["--max-bytes", max_bytes, "--fill-bytes", GB // 5],
            (MB_PER_S, CPU_PER_GB, CPU_PER_REQUEST, *latency("p50", "p99")),
            floor=("floor-fetch", str(GB // 5)),
            size={"--bytes": size},
        )
        for name, what, max_bytes, size in (
            ("fetch-1m", "1 MiB", 1 << 20, 20 * GB),
            ("fetch-64k", "65 KiB, a batch each", 65 << 10, 3 * GB),
        )
    ),
    Load(
        "fan-out",
        "32 MB/s of 64 KiB batches into one partition, which 16 consumers follow",
        "tail",
        ["--rate", 500, "--batch-bytes", 65536, "--record-bytes", 1024, "--warmup-seconds", 3],
        (Metric("delivered_mb_per_s", "delivered MB/s", higher=True), CPU_PER_GB, *E2E),
        size={"--seconds": 15},
    ),
    Load(
        "fetch-sessions",
        "4 consumers of 250 partitions each in fetch sessions, 1,000 records/s over all partitions",
        "tail",
        ["--consumers", 4, "--partitions", 1000, "--partitions-each", 250, "--warmup-seconds", 3],
        (Metric("fetches_per_s", "fetches/s"), Metric("broker_cpu_us_per_request", "broker CPU µs/fetch"), *E2E),
        size={"--seconds": 15},
    ),
    Load(
        "long-polls",
        "2,000 consumers that wait for records which do not come, 500 ms each time",
        "tail",
        ["--consumers", 2000, "--partitions", 100, "--partitions-each", 1, "--rate", 0, "--warmup-seconds", 3],
        (
            Metric("broker_cpu_percent", "broker CPU, % of a core"),
            Metric("broker_cpu_us_per_request", "broker CPU µs/fetch"),
            Metric("rss_kb_per_consumer", "RSS per consumer, kB"),
        ),
        size={"--seconds": 15},
    ),
    Load(
        "durable",
        "produce with flush.messages=1, 1 KiB batches, one connection, one in flight",
        "produce",
        DURABLE,
        (REQUESTS_PER_S, *latency("p50", "p99"), CPU_PER_REQUEST),
        floor=("floor-sync",),
        size={"--requests": 5000},
    ),
    Load(
        "durable-32",
        "the same over 32 connections: one sync for all that wait",
        "produce",
        [*DURABLE, "--connections", 32],
        (REQUESTS_PER_S, *latency("p50", "p99"), CPU_PER_REQUEST),
        floor=("floor-sync",),
        size={"--requests": 50_000},
    ),
    Load(
        "e2e",
        "end to end, 1,000 records/s of 100 bytes, one a request",
        "e2e",
        ["--warmup-seconds", 3],
        (*latency("p50", "p99", "p999", prefix="e2e"), *latency("p50", "p99", prefix="ack"), CPU_PER_REQUEST),
        floor=("floor-relay",),
        size={"--seconds": 10},
    ),
    Load(
        "connect",
        "10,000 connections (--quick: 500) opened one after another, then small produces over them in turn, 64 in flight",
        "connect",
        [],
        (Metric("open_s", "opened in, s"), REQUESTS_PER_S, CPU_PER_REQUEST, *latency("p50", "p99"), RSS),
        floor=ECHO,
        size={"--warmup-requests": 20_000, "--requests": 100_000},
    ),
    Load(
        "connect-busy",
        "10,000 connections (--quick: 500) with a small produce under way on each",
        "connect",
        [],
        (REQUESTS_PER_S, CPU_PER_REQUEST, *latency("p50", "p99"), RSS),
        floor=ECHO,
        size={"--warmup-requests": 20_000, "--requests": 100_000},
        all_busy=True,
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
        "one group of 1,000 members over 1,000 partitions, consumer protocol",
        LARGE,
        LARGE_GROUP,
        1,
    ),
    Groups(
        "large-group-classic",
        "one group of 1,000 members over 1,000 partitions, classic protocol",
        [*LARGE, "--protocol", "classic"],
        LARGE_GROUP,
        1,
    ),
    ColdReads(),
    # As many connections as Apache Kafka has request threads (num.io.threads), and fewer.
    WritePressure("write-pressure", 8),
    WritePressure("write-pressure-2", 2),
    Mixed(),
    TopicCreation(),
    ManyPartitions(),
    Claim(),
)
