"""A tiny Kafka protocol client on raw sockets, for what no well-behaved client would send.

It speaks one old, non-flexible version of each API (Produce 8, Fetch 11, ListOffsets 5, CreateTopics 4) and the
versions that carry topic ids (Produce 13, Fetch 13, Metadata 12).
"""

import socket
import struct
import time
import uuid
from dataclasses import dataclass

import crc32c

OFFSET_FETCH = 9
PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS, CREATE_TOPICS, INIT_PRODUCER_ID = 0, 1, 2, 3, 18, 19, 22
ALTER_REPLICA_LOG_DIRS = 34


class Closed(Exception):
    """The broker closed the connection."""


class Out:
    """Encoder: each call appends one primitive."""

    def __init__(self):
        self.data = bytearray()

    def pack(self, layout, *values):
        self.data += struct.pack(">" + layout, *values)
        return self

    def i8(self, value):
        return self.pack("b", value)

    def i16(self, value):
        return self.pack("h", value)

    def i32(self, value):
        return self.pack("i", value)

    def i64(self, value):
        return self.pack("q", value)

    def raw(self, value):
        self.data += value
        return self

    def string(self, value):
        if value is None:
            return self.i16(-1)
        return self.i16(len(value.encode())).raw(value.encode())

    def bytes(self, value):
        if value is None:
            return self.i32(-1)
        return self.i32(len(value)).raw(value)

    def uvarint(self, value):
        while value >= 0x80:
            self.data.append(value & 0x7F | 0x80)
            value >>= 7
        self.data.append(value)
        return self

    def varint(self, value):
        return self.uvarint(value << 1 ^ value >> 63 if value >= 0 else (~value << 1) | 1)

    def compact_string(self, value):
        if value is None:
            return self.uvarint(0)
        return self.uvarint(len(value.encode()) + 1).raw(value.encode())

    def compact_bytes(self, value):
        if value is None:
            return self.uvarint(0)
        return self.uvarint(len(value) + 1).raw(value)

    def compact_count(self, count):
        return self.uvarint(count + 1)

    def no_tags(self):
        return self.uvarint(0)


class In:
    """Decoder over one response body."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def unpack(self, layout):
        values = struct.unpack_from(">" + layout, self.data, self.at)
        self.at += struct.calcsize(">" + layout)
        return values[0] if len(values) == 1 else values

    def i8(self):
        return self.unpack("b")

    def i16(self):
        return self.unpack("h")

    def i32(self):
        return self.unpack("i")

    def i64(self):
        return self.unpack("q")

    def raw(self, size):
        value = bytes(self.data[self.at : self.at + size])
        assert len(value) == size, "the response ends early"
        self.at += size
        return value

    def string(self):
        size = self.i16()
        return None if size < 0 else self.raw(size).decode()

    def bytes(self):
        size = self.i32()
        return None if size < 0 else self.raw(size)

    def uvarint(self):
        value, shift = 0, 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def compact_string(self):
        size = self.uvarint()
        return None if size == 0 else self.raw(size - 1).decode()

    def compact_bytes(self):
        size = self.uvarint()
        return None if size == 0 else self.raw(size - 1)

    def tags(self):
        for _ in range(self.uvarint()):
            self.uvarint()
            self.raw(self.uvarint())

    def array(self, read):
        return [read(self) for _ in range(max(0, self.i32()))]

    def compact_array(self, read):
        return [read(self) for _ in range(max(0, self.uvarint() - 1))]


class Connection:
    """One connection. Requests get their correlation ids in order of sending, from 1."""

    def __init__(self, address, timeout_s=10.0, source_ip=None):
        host, port = address
        self.socket = socket.create_connection((host, port), timeout_s, (source_ip, 0) if source_ip else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._correlation = 0

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.close()

    def close(self):
        self.socket.close()

    def send_raw(self, data):
        try:
            self.socket.sendall(data)
        except (ConnectionResetError, BrokenPipeError) as error:
            raise Closed from error

    def frame(self, api_key, version, body, flexible=False, client_id="wire"):
        """A whole request with its size in front; counts the correlation id up."""
        self._correlation += 1
        out = Out().i16(api_key).i16(version).i32(self._correlation).string(client_id)
        if flexible:
            out.no_tags()
        out.raw(body.data if isinstance(body, Out) else body)
        return struct.pack(">i", len(out.data)) + bytes(out.data)

    def receive(self):
        """The next answer as (correlation id, In after it). Raises Closed at the end of the stream."""
        (size,) = struct.unpack(">i", self._exactly(4))
        payload = self._exactly(size)
        return struct.unpack_from(">i", payload)[0], In(payload[4:])

    def call(self, api_key, version, body, flexible=False):
        """One request, its answer. A flexible response header's tags are skipped (ApiVersions has none)."""
        self.send_raw(self.frame(api_key, version, body, flexible))
        correlation, answer = self.receive()
        assert correlation == self._correlation
        if flexible and api_key != API_VERSIONS:
            answer.tags()
        return answer

    def is_closed_by_peer(self, timeout_s=10.0):
        """True once the broker has closed; False when it neither closes nor sends for timeout_s."""
        self.socket.settimeout(timeout_s)
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def _exactly(self, size):
        parts = []
        while size:
            try:
                part = self.socket.recv(min(size, 1 << 20))
            except ConnectionResetError as error:
                raise Closed from error
            if not part:
                raise Closed
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


# --- record batches ---------------------------------------------------------------------------------------------------


def record(value, key=None, offset_delta=0, timestamp_delta=0, headers=()):
    body = Out().i8(0).varint(timestamp_delta).varint(offset_delta)
    for part in (key, value):
        body.varint(-1 if part is None else len(part)).raw(part or b"")
    body.varint(len(headers))
    for name, content in headers:
        body.varint(len(name)).raw(name)
        body.varint(-1 if content is None else len(content)).raw(content or b"")
    return bytes(Out().varint(len(body.data)).raw(body.data).data)


@dataclass
class Batch:
    """A record batch, format 2. Fields left at None are computed; set them to lie."""

    values: list
    base_offset: int = 0
    attributes: int = 0
    magic: int = 2
    producer_id: int = -1
    producer_epoch: int = -1
    base_sequence: int = -1
    timestamp_ms: int | None = None
    length: int | None = None
    crc: int | None = None
    last_offset_delta: int | None = None
    count: int | None = None
    records: bytes | None = None

    def encode(self):
        now = int(time.time() * 1000) if self.timestamp_ms is None else self.timestamp_ms
        records = self.records
        if records is None:
            records = b"".join(record(value, offset_delta=i) for i, value in enumerate(self.values))
        count = len(self.values) if self.count is None else self.count
        last = len(self.values) - 1 if self.last_offset_delta is None else self.last_offset_delta
        body = Out().i16(self.attributes).i32(last).i64(now).i64(now)
        body.i64(self.producer_id).i16(self.producer_epoch).i32(self.base_sequence).i32(count).raw(records)
        crc = crc32c.crc32c(bytes(body.data)) if self.crc is None else self.crc
        tail = Out().i32(0).i8(self.magic).pack("I", crc).raw(body.data)
        length = len(tail.data) if self.length is None else self.length
        return bytes(Out().i64(self.base_offset).i32(length).raw(tail.data).data)


# --- APIs -------------------------------------------------------------------------------------------------------------


@dataclass
class ProduceAnswer:
    error: int
    base_offset: int
    message: str | None


@dataclass
class FetchAnswer:
    error: int
    high_watermark: int
    log_start_offset: int
    records: bytes
    top_error: int = 0


@dataclass
class TopicMetadata:
    error: int
    name: str | None
    topic_id: uuid.UUID
    partitions: int
    brokers: int


def api_versions(connection):
    """ApiVersions 0: error code and {key: (min, max)}."""
    answer = connection.call(API_VERSIONS, 0, b"")
    error = answer.i16()
    return error, {key: (low, high) for key, low, high in answer.array(lambda i: i.unpack("hhh"))}


def produce_body(topic, partition, records, acks=-1, timeout_ms=5000):
    out = Out().string(None).i16(acks).i32(timeout_ms).i32(1).string(topic).i32(1).i32(partition)
    return out.bytes(records)


def read_produce_answer(answer):
    assert answer.i32() == 1
    answer.string()
    assert answer.i32() == 1
    answer.i32()
    error, base_offset, _append_time, _start = answer.unpack("hqqq")
    errors = answer.array(lambda i: (i.i32(), i.string()))
    message = answer.string()
    return ProduceAnswer(error, base_offset, message or (errors[0][1] if errors else None))


def produce(connection, topic, records, partition=0, acks=-1):
    if isinstance(records, Batch):
        records = records.encode()
    return read_produce_answer(connection.call(PRODUCE, 8, produce_body(topic, partition, records, acks)))


def produce_by_id(connection, topic_id, records, partition=0):
    """Produce 13, by topic id; the error code."""
    body = Out().compact_string(None).i16(-1).i32(5000).compact_count(1).raw(topic_id.bytes)
    body.compact_count(1).i32(partition).compact_bytes(records).no_tags().no_tags().no_tags()
    answer = connection.call(PRODUCE, 13, body, flexible=True)
    assert answer.uvarint() == 2
    answer.raw(16)
    assert answer.uvarint() == 2
    answer.i32()
    return answer.i16()


def fetch_body(topic, offset, partition=0, max_wait_ms=500, min_bytes=1, max_bytes=1 << 20, leader_epoch=-1):
    out = Out().i32(-1).i32(max_wait_ms).i32(min_bytes).i32(50 << 20).i8(0).i32(0).i32(-1)
    out.i32(1).string(topic).i32(1)
    out.i32(partition).i32(leader_epoch).i64(offset).i64(-1).i32(max_bytes)
    return out.i32(0).string("")


def read_fetch_answer(answer):
    _throttle, top_error, _session = answer.unpack("ihi")
    if answer.i32() == 0:
        return FetchAnswer(top_error, -1, -1, b"", top_error)
    answer.string()
    assert answer.i32() == 1
    _index, error, high_watermark, _stable, start = answer.unpack("ihqqq")
    answer.array(lambda i: i.unpack("qq"))
    answer.i32()
    return FetchAnswer(error, high_watermark, start, answer.bytes() or b"", top_error)


def fetch(connection, topic, offset, **options):
    return read_fetch_answer(connection.call(FETCH, 11, fetch_body(topic, offset, **options)))


def fetch_by_id(connection, topic_id, offset=0, partition=0):
    """Fetch 13, by topic id: (top error, partition error)."""
    body = Out().i32(-1).i32(100).i32(1).i32(1 << 20).i8(0).i32(0).i32(-1)
    body.compact_count(1).raw(topic_id.bytes).compact_count(1)
    body.i32(partition).i32(-1).i64(offset).i32(-1).i64(-1).i32(1 << 20).no_tags().no_tags()
    body.compact_count(0).compact_string("").no_tags()
    answer = connection.call(FETCH, 13, body, flexible=True)
    _throttle, top_error, _session = answer.unpack("ihi")
    if answer.uvarint() <= 1:
        return top_error, None
    answer.raw(16)
    assert answer.uvarint() == 2
    answer.i32()
    return top_error, answer.i16()


def list_offset(connection, topic, timestamp, partition=0):
    """ListOffsets 5: (error, timestamp, offset)."""
    body = Out().i32(-1).i8(0).i32(1).string(topic).i32(1).i32(partition).i32(-1).i64(timestamp)
    answer = connection.call(LIST_OFFSETS, 5, body)
    answer.i32()
    assert answer.i32() == 1
    answer.string()
    assert answer.i32() == 1
    _index, error, found, offset = answer.unpack("ihqq")
    return error, found, offset


def metadata(connection, topic, auto_create=False):
    """Metadata 12 for one topic by name."""
    body = Out().compact_count(1).raw(bytes(16)).compact_string(topic).no_tags()
    body.pack("??", auto_create, False).no_tags()
    answer = connection.call(METADATA, 12, body, flexible=True)
    answer.i32()

    def read_broker(i):
        i.i32(), i.compact_string(), i.i32(), i.compact_string(), i.tags()

    def read_partition(i):
        i.unpack("hiii")
        for _ in range(3):
            i.compact_array(In.i32)
        i.tags()

    brokers = len(answer.compact_array(read_broker))
    answer.compact_string()
    answer.i32()
    assert answer.uvarint() == 2
    error = answer.i16()
    name = answer.compact_string()
    topic_id = uuid.UUID(bytes=answer.raw(16))
    answer.i8()
    return TopicMetadata(error, name, topic_id, len(answer.compact_array(read_partition)), brokers)


def create_topic(connection, topic, partitions=1, configs=None):
    """CreateTopics 4: (error, message)."""
    body = Out().i32(1).string(topic).i32(partitions).i16(1).i32(0).i32(len(configs or {}))
    for name, value in (configs or {}).items():
        body.string(name).string(value)
    answer = connection.call(CREATE_TOPICS, 4, body.i32(10000).pack("?", False))
    answer.i32()
    assert answer.i32() == 1
    answer.string()
    return answer.i16(), answer.string()


def alter_replica_log_dir(connection, topic, partition, directory):
    """AlterReplicaLogDirs 1 of one partition: the error."""
    body = Out().i32(1).string(directory).i32(1).string(topic).i32(1).i32(partition)
    answer = connection.call(ALTER_REPLICA_LOG_DIRS, 1, body)
    answer.i32()
    assert answer.i32() == 1 and answer.string() == topic and answer.i32() == 1 and answer.i32() == partition
    return answer.i16()


def init_producer_id(connection):
    """InitProducerId 1 without a transactional id: (error, producer id, epoch)."""
    answer = connection.call(INIT_PRODUCER_ID, 1, Out().string(None).i32(60000))
    answer.i32()
    return answer.unpack("hqh")


def committed_offsets(connection, group):
    """OffsetFetch 5 of all topics: {(topic, partition): (offset, leader epoch, metadata)}; None on an error."""
    return read_committed_offsets(connection.call(OFFSET_FETCH, 5, Out().string(group).i32(-1)))


def read_committed_offsets(answer):
    answer.i32()
    told = {}
    for _ in range(answer.i32()):
        topic = answer.string()
        for _ in range(answer.i32()):
            partition, offset, epoch = answer.unpack("iqi")
            told[topic, partition] = (offset, epoch, answer.string())
            if answer.i16() != 0:
                return None
    return told if answer.i16() == 0 else None
