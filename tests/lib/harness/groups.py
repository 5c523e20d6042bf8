"""What tests of groups send on raw connections: the consumer protocol's heartbeat, offset commits, classic joins."""

import uuid
from dataclasses import dataclass, field

from . import wire
from .waiting import wait_until
from .wire import In, Out

OFFSET_COMMIT, FIND_COORDINATOR, JOIN_GROUP, HEARTBEAT, LEAVE_GROUP, SYNC_GROUP = 8, 10, 11, 12, 13, 14
CONSUMER_GROUP_HEARTBEAT = 68
NONE, COORDINATOR_LOADING, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR = 0, 14, 15, 16
ILLEGAL_GENERATION, UNKNOWN_MEMBER, REBALANCE_IN_PROGRESS, STALE_MEMBER_EPOCH = 22, 25, 27, 113
PASSING = (COORDINATOR_LOADING, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR)


def partition_of(group, partitions):
    """Which partition of __consumer_offsets an ASCII name belongs to."""
    value = 0
    for character in group:
        value = (value * 31 + ord(character)) & 0xFFFFFFFF
    return abs(value - (1 << 32) if value >= 1 << 31 else value) % partitions


def await_coordinator(connection, group):
    """Until the group's shard has loaded; __consumer_offsets is made when somebody asks first."""

    def is_there():
        if connection.call(FIND_COORDINATOR, 0, Out().string(group)).i16() != NONE:
            return False
        return wire.committed_offsets(connection, group) is not None

    wait_until(is_there, f"the coordinator of {group}")


@dataclass
class Told:
    error: int
    member: str | None
    epoch: int
    assignment: set | None  # of (topic id, partition); None: as before


def consumer_heartbeat(connection, group, member, epoch, topics=None, owned=None, instance=None):
    """ConsumerGroupHeartbeat 1. `owned`: {topic id: [partition]}; None leaves a field out."""
    body = Out().compact_string(group).compact_string(member).i32(epoch).compact_string(instance).compact_string(None)
    body.i32(30_000 if epoch == 0 else -1)
    if topics is None:
        body.uvarint(0)
    else:
        body.compact_count(len(topics))
        for topic in topics:
            body.compact_string(topic)
    body.compact_string(None).compact_string(None)
    if owned is None:
        body.uvarint(0)
    else:
        body.compact_count(len(owned))
        for topic_id, partitions in owned.items():
            body.raw(topic_id.bytes).compact_count(len(partitions))
            for partition in partitions:
                body.i32(partition)
            body.no_tags()
    answer = connection.call(CONSUMER_GROUP_HEARTBEAT, 1, body.no_tags(), flexible=True)
    answer.i32()
    error = answer.i16()
    answer.compact_string()
    member, epoch = answer.compact_string(), answer.i32()
    answer.i32()
    assignment = None
    if answer.i8() >= 0:
        assignment = set()
        for _ in range(answer.uvarint() - 1):
            topic_id = uuid.UUID(bytes=answer.raw(16))
            assignment |= {(topic_id, partition) for partition in answer.compact_array(In.i32)}
            answer.tags()
    return Told(error, member, epoch, assignment)


@dataclass
class ConsumerMember:
    """A member of the consumer protocol that takes and gives up at once what it is told to."""

    connection: wire.Connection
    group: str
    topics: list
    member: str = field(default_factory=lambda: str(uuid.uuid4()))
    epoch: int = 0
    owned: set = field(default_factory=set)

    def beat(self):
        owned = {}
        for topic_id, partition in sorted(self.owned, key=str):
            owned.setdefault(topic_id, []).append(partition)
        told = consumer_heartbeat(
            self.connection, self.group, self.member, self.epoch, self.topics if self.epoch == 0 else None, owned
        )
        if told.error == NONE:
            self.epoch = told.epoch
            if told.assignment is not None:
                self.owned = told.assignment
        return told.error

    def leave(self):
        return consumer_heartbeat(self.connection, self.group, self.member, -1).error


def commit_body(group, topic, offsets, member="", generation=-1, version=9):
    """OffsetCommit 2 to 4 or 9 of {partition: offset}; of version 10 `topic` is the topic's id."""
    if version <= 4:
        body = Out().string(group).i32(generation).string(member).i64(-1).i32(1).string(topic).i32(len(offsets))
        for partition, offset in offsets.items():
            body.i32(partition).i64(offset).string("")
        return body
    body = Out().compact_string(group).i32(generation).compact_string(member).compact_string(None).compact_count(1)
    body.raw(topic.bytes) if version >= 10 else body.compact_string(topic)
    body.compact_count(len(offsets))
    for partition, offset in offsets.items():
        body.i32(partition).i64(offset).i32(-1).compact_string("").no_tags()
    return body.no_tags().no_tags()


def read_commit_answer(answer, version=9):
    """{partition: error}"""
    if version <= 4:
        if version >= 3:
            answer.i32()
        assert answer.i32() == 1
        answer.string()
        return dict(answer.array(lambda i: i.unpack("ih")))
    answer.i32()
    assert answer.uvarint() == 2
    answer.raw(16) if version >= 10 else answer.compact_string()

    def partition(i):
        told = i.unpack("ih")
        i.tags()
        return told

    return dict(answer.compact_array(partition))


def commit(connection, group, topic, offsets, member="", generation=-1, version=9):
    """{partition: error}"""
    body = commit_body(group, topic, offsets, member, generation, version)
    return read_commit_answer(connection.call(OFFSET_COMMIT, version, body, flexible=version >= 8), version)
