"""What GET /metrics tells, as prometheus_client reads it, and that no client of it gets in the broker's way."""

import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic
from prometheus_client.parser import text_string_to_metric_families

from harness import facts, paths
from harness.waiting import wait_until

pytestmark = pytest.mark.odradek_only("Apache Kafka has no HTTP endpoint for metrics")

SETTINGS = {
    "odradek.metrics.listener": "127.0.0.1:0",
    "odradek.log.scrub.interval.ms": 1,
    "odradek.log.scrub.io.max.bytes.per.second": 100_000_000,
}
SEGMENT_BYTES = 1048576


def url_of(broker):
    """Of the last start, which says so a moment after the broker's ports answer."""

    def said():
        return re.findall(r"metrics on (http://\S+)\n", broker.log_text().rpartition("=== odradek starts")[2])

    return wait_until(said, "the line with the address")[0]


def address_of(broker):
    host, port = re.fullmatch(r"http://(.*):(\d+)/metrics", url_of(broker)).groups()
    return host, int(port)


def fetch(broker):
    with urllib.request.urlopen(url_of(broker), timeout=10) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return answer.read().decode()


def samples(broker):
    """(name, labels as sorted pairs) -> value."""
    out = {}
    for family in text_string_to_metric_families(fetch(broker)):
        assert family.documentation and family.type in ("counter", "gauge"), family
        for sample in family.samples:
            out[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return out


def value(broker, name, **labels):
    return samples(broker).get((name, tuple(sorted(labels.items()))))


def in_data_dir(broker, name, **labels):
    return value(broker, name, logDirectory=str(broker.data_dir), **labels)


def fill_sealed_segments(broker, topic):
    new = NewTopic(topic, 1, 1, config={"segment.bytes": str(SEGMENT_BYTES)})
    admin = facts.admin_client(broker)
    admin.create_topics([new], operation_timeout=15)[topic].result(15)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 20, "log_level": 0})
    for i in range(3000):
        producer.produce(topic, b"%d-" % i + b"x" * 1000)
    assert producer.flush(30) == 0
    segments = sorted(broker.partition_dir(topic).glob("*.log"))
    assert len(segments) >= 3
    return segments


def test_a_bit_that_the_scrub_found_is_counted_and_still_counted_after_restarts(factory):
    broker = factory.start(SETTINGS)
    segment = fill_sealed_segments(broker, "my-orders")[1]
    assert in_data_dir(broker, "odradek_log_scrub_damaged_ranges_total") == 0
    assert in_data_dir(broker, "odradek_log_scrub_damaged_ranges", topic="my-orders", partition="0") is None
    with open(segment, "r+b") as file:
        file.seek(70_000)
        byte = file.read(1)[0]
        file.seek(70_000)
        file.write(bytes([byte ^ 4]))
    before = time.time()
    wait_until(lambda: in_data_dir(broker, "odradek_log_scrub_damaged_ranges_total") == 1, "the scrub's finding", 60)
    assert in_data_dir(broker, "odradek_log_scrub_damaged_ranges", topic="my-orders", partition="0") == 1
    found = in_data_dir(broker, "odradek_log_scrub_last_damage_timestamp_seconds")
    assert before - 1 <= found <= time.time()
    bytes_read = in_data_dir(broker, "odradek_log_scrub_read_bytes_total")
    assert bytes_read > SEGMENT_BYTES

    broker.stop()
    broker.start()
    passes = in_data_dir(broker, "odradek_log_scrub_passes_total")
    wait_until(lambda: in_data_dir(broker, "odradek_log_scrub_passes_total") > passes + 1, "two more passes", 60)
    assert in_data_dir(broker, "odradek_log_scrub_damaged_ranges_total") == 1
    assert in_data_dir(broker, "odradek_log_scrub_damaged_ranges", topic="my-orders", partition="0") == 1
    assert in_data_dir(broker, "odradek_log_scrub_last_damage_timestamp_seconds") == found
    assert in_data_dir(broker, "odradek_log_scrub_read_bytes_total") > bytes_read


def test_figures_are_those_of_the_broker(factory):
    broker = factory.start(SETTINGS)
    segments = fill_sealed_segments(broker, "sized")
    now = samples(broker)
    directory = (("logDirectory", str(broker.data_dir)),)
    assert now["kafka_server_replicamanager_partitioncount", ()] == 1
    assert now["odradek_log_directory_partitions", directory] == 1
    assert now["odradek_log_directory_log_bytes", directory] == sum(file.stat().st_size for file in segments)
    assert now["kafka_log_logmanager_offlinelogdirectorycount", ()] == 0
    assert now["kafka_log_logcleanermanager_uncleanable_partitions_count", directory] == 0
    status = os.statvfs(broker.data_dir)
    assert now["odradek_log_directory_filesystem_bytes", directory] == status.f_blocks * status.f_frsize
    assert now["process_start_time_seconds", ()] <= time.time()
    assert 1e6 < now["process_resident_memory_bytes", ()] < 1e9
    assert now["process_open_fds", ()] > 10
    assert any(name == "odradek_build_info" for name, _ in now)
    connections = now["kafka_server_socket_server_metrics_connection_count", ()]
    with broker.connect():
        wait_until(
            lambda: value(broker, "kafka_server_socket_server_metrics_connection_count") > connections, "a connection"
        )


def test_nothing_else_is_there_and_nothing_else_is_understood(factory):
    broker = factory.start(SETTINGS)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url_of(broker) + "/more", timeout=10)
    assert refused.value.code == 404
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url_of(broker), data=b"x" * 10_000, timeout=10)
    assert refused.value.code == 405
    asked = urllib.request.Request(url_of(broker), method="HEAD")
    with urllib.request.urlopen(asked, timeout=10) as answer:
        assert int(answer.headers["Content-Length"]) > 1000 and answer.read() == b""


def test_clients_that_never_ask_hold_up_neither_the_broker_nor_its_stop(factory):
    broker = factory.start(SETTINGS)
    silent = [socket.create_connection(address_of(broker), timeout=10) for _ in range(20)]
    for client in silent:
        client.sendall(b"GET /metrics HTTP/1.1\r\n")
    producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
    producer.produce("beside", b"x")
    assert producer.flush(20) == 0
    # Each gives its place back after ten seconds, and there are fewer places than silent clients.
    with urllib.request.urlopen(url_of(broker), timeout=60) as answer:
        assert answer.status == 200
    began = time.monotonic()
    broker.stop()
    assert time.monotonic() - began < 20
    for client in silent:
        client.close()


def test_a_port_that_is_taken_stops_the_start_with_one_line(factory):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listener = f"127.0.0.1:{taken.getsockname()[1]}"
        broker = factory.new(SETTINGS | {"odradek.metrics.listener": listener})
        broker.format()
        done = subprocess.run(
            [paths.ODRADEK, "start", broker.properties_file], capture_output=True, text=True, timeout=30
        )
    assert done.returncode == 1
    said = [line for line in done.stderr.splitlines() if line.startswith("odradek: ")]
    assert said == [
        f"odradek: odradek.metrics.listener={listener}: cannot listen: the port is in use by another process; "
        "choose another"
    ]


def test_without_the_key_nobody_listens(factory):
    broker = factory.start()
    assert "metrics on" not in broker.log_text()
