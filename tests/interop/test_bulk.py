"""Many records in and out, every one of them checked."""

import os
import subprocess

import pytest

from harness import java


@pytest.mark.bulk
def test_every_record_of_a_large_run_comes_back_as_it_was_sent(factory, tools, kind):
    count = int(os.environ.get("ODRADEK_BULK_RECORDS", 10_000_000))
    broker = factory.start({"log.segment.bytes": 256 << 20, "num.partitions": 4}, full_jit=True)
    tools.run("topics", "--bootstrap-server", broker.bootstrap, "--create", "--topic", "bulk").ok()
    # A JVM of its own with the optimising compiler: the client is what costs here.
    command = java.java_command("Bulk", broker.bootstrap, "bulk", count, 4, heap_mb=1024, fast_start=False,
                                options=["-XX:+UseParallelGC", "-Dodradek.test.loglevel=WARN"])  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"read and checked {count} records" in done.stdout
