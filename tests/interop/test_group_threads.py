"""Groups on a broker of several network threads: each partition of __consumer_offsets is coordinated on one of them, and
their members' connections are served by others. A busy thread's connections move to the next, amid it all."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import groups, wire
from harness.broker import BrokerFactory
from harness.groups import NONE, REBALANCE_IN_PROGRESS, ConsumerMember
from harness.waiting import wait_until
from harness.wire import Out

pytestmark = pytest.mark.groups

THREADS = 4
MEMBERS = 8
LOAD_S = 2  # a thread's load is looked at ten times a second


@pytest.fixture(scope="module")
def broker(kind, tmp_path_factory, tools):
    factory = BrokerFactory(kind, tmp_path_factory.mktemp("threads"), tools)
    yield factory.start({"num.network.threads": THREADS, "offsets.topic.num.partitions": THREADS})
    factory.close()


@pytest.fixture
def connections(broker):
    made = [broker.connect(timeout_s=30.0) for _ in range(MEMBERS)]
    yield made
    for connection in made:
        connection.close()


@pytest.fixture(params=range(THREADS), ids=lambda partition: f"partition {partition}")
def group(connections, topic, request):
    """A topic of one partition for each member, and a group that belongs to that partition of __consumer_offsets."""
    assert wire.create_topic(connections[0], topic, MEMBERS)[0] == NONE
    wait_until(lambda: wire.metadata(connections[0], topic).partitions == MEMBERS, "the topic")
    numbered = (f"{topic}-{number}" for number in range(1000))
    group = next(name for name in numbered if groups.partition_of(name, THREADS) == request.param)
    groups.await_coordinator(connections[0], group)
    return group


def at_once(function, arguments):
    """Calls function(argument) of each at the same time, and gives what they gave."""
    barrier = threading.Barrier(len(arguments))

    def call(argument):
        barrier.wait(10)
        return function(argument)

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(call, arguments))


def test_a_group_of_the_consumer_protocol_shares_its_partitions(connections, group, topic):
    members = [ConsumerMember(connection, group, [topic]) for connection in connections]

    def is_shared():
        assert at_once(ConsumerMember.beat, members) == [NONE] * MEMBERS
        owned = [sorted(partition for _, partition in member.owned) for member in members]
        assert len(sum(owned, [])) == len(set(sum(owned, []))), f"two owners: {owned}"
        return sorted(owned) == [[partition] for partition in range(MEMBERS)]

    wait_until(is_shared, "each partition to have its owner")

    def commit(member):
        ((_, partition),) = member.owned
        return groups.commit(member.connection, group, topic, {partition: 100 + partition}, member.member, member.epoch)

    assert [error for told in at_once(commit, members) for error in told.values()] == [NONE] * MEMBERS
    for connection in connections:
        told = wire.committed_offsets(connection, group)
        assert {at[1]: offset for at, (offset, *_) in told.items()} == {p: 100 + p for p in range(MEMBERS)}
    assert at_once(ConsumerMember.leave, members) == [NONE] * MEMBERS


class ClassicMember:
    """A classic member. Its JoinGroup waits for the others, so each needs a connection of its own."""

    def __init__(self, connection, group):
        self.connection, self.group = connection, group
        self.member, self.generation, self.members, self.told = "", -1, [], ""

    def join(self):
        body = Out().string(self.group).i32(30_000).i32(30_000).string(self.member).string("consumer")
        body.i32(1).string("range").bytes(b"")
        answer = self.connection.call(groups.JOIN_GROUP, 2, body)
        _throttle, error, self.generation = answer.unpack("ihi")
        answer.string()
        answer.string()
        self.member = answer.string()
        self.members = answer.array(lambda i: (i.string(), i.bytes())[0])
        return error

    def sync(self):
        """The leader, which alone was told the members, gives each its number and says how many there are."""
        body = Out().string(self.group).i32(self.generation).string(self.member).i32(len(self.members))
        for number, member in enumerate(sorted(self.members)):
            body.string(member).bytes(b"%d of %d" % (number, len(self.members)))
        answer = self.connection.call(groups.SYNC_GROUP, 0, body)
        self.told = (answer.i16(), answer.bytes())[1].decode()

    def heartbeat(self):
        body = Out().string(self.group).i32(self.generation).string(self.member)
        return self.connection.call(groups.HEARTBEAT, 0, body).i16()

    def leave(self):
        return self.connection.call(groups.LEAVE_GROUP, 0, Out().string(self.group).string(self.member)).i16()

    def stay_until_whole(self):
        """Joins, and joins again at each rebalance, until all members are in one generation."""

        def is_whole():
            if self.heartbeat() == NONE:
                return self.told.endswith(f" of {MEMBERS}")
            if self.join() == NONE:
                self.sync()
            return False

        wait_until(is_whole, "all in one generation", 30)
        return self.told


def test_a_classic_group_rebalances_until_all_are_in_one_generation(connections, group):
    members = [ClassicMember(connection, group) for connection in connections]
    told = at_once(ClassicMember.stay_until_whole, members)
    assert sorted(told) == [f"{number} of {MEMBERS}" for number in range(MEMBERS)]
    assert len({member.generation for member in members}) == 1
    assert members[0].leave() == NONE
    assert at_once(ClassicMember.heartbeat, members[1:]) == [REBALANCE_IN_PROGRESS] * (MEMBERS - 1)
    assert at_once(ClassicMember.leave, members[1:]) == [NONE] * (MEMBERS - 1)


def test_commits_of_one_group_from_all_threads_at_once_all_count(connections, group, topic):
    end = time.monotonic() + LOAD_S
    last = [0] * MEMBERS

    def commit(number):
        connection = connections[number]
        while time.monotonic() < end:
            frames = b""
            for offset in range(last[number] + 1, last[number] + 51):
                body = groups.commit_body(group, topic, {number: offset})
                frames += connection.frame(groups.OFFSET_COMMIT, 9, body, flexible=True)
            connection.send_raw(frames)
            for _ in range(50):
                _, answer = connection.receive()
                answer.tags()
                assert groups.read_commit_answer(answer) == {number: NONE}
            last[number] += 50

    at_once(commit, range(MEMBERS))
    assert all(last)
    told = wire.committed_offsets(connections[0], group)
    assert {at[1]: offset for at, (offset, *_) in told.items()} == dict(enumerate(last))
