"""Clients that open a connection, join, and are never heard of again: nothing of them stays, nor of their groups."""

import pytest

from harness import groups, wire
from harness.broker import ODRADEK, BrokerFactory
from harness.waiting import wait_until
from harness.wire import Out

pytestmark = pytest.mark.groups

LIST_GROUPS = 16
GROUPS = 200
ROUNDS = 6

CONFIG = {
    "group.min.session.timeout.ms": 500,
    "group.consumer.min.session.timeout.ms": 500,
    "group.consumer.session.timeout.ms": 500,
    "group.consumer.min.heartbeat.interval.ms": 100,
    "group.consumer.heartbeat.interval.ms": 100,
    # How often groups without members and offsets are looked for.
    "offsets.retention.check.interval.ms": 300,
}


@pytest.fixture(scope="module")
def broker(kind, tmp_path_factory, tools):
    factory = BrokerFactory(kind, tmp_path_factory.mktemp("vanished"), tools)
    yield factory.start(CONFIG)
    factory.close()


def list_groups(broker):
    """Names of all groups; None while some are being loaded."""
    with broker.connect() as connection:
        answer = connection.call(LIST_GROUPS, 0, b"")
        error = answer.i16()
        names = {name for name, _type in answer.array(lambda i: (i.string(), i.string()))}
        return names if error == 0 else None


def join_and_vanish(broker, group):
    """One client of each kind, in a group each. None reads more than it must to be taken in."""
    protocols = Out().string("consumer").i32(1).string("range").bytes(b"")
    with broker.connect() as pending:
        # Is told its member id, and never joins with it.
        body = Out().string(f"{group}-pending").i32(500).i32(500).string("").raw(protocols.data)
        answer = pending.call(groups.JOIN_GROUP, 4, body)
        assert (answer.i32(), answer.i16()) == (0, 79)
    with broker.connect() as classic:
        body = Out().string(f"{group}-classic").i32(500).i32(500).string("").raw(protocols.data)
        classic.send_raw(classic.frame(groups.JOIN_GROUP, 2, body))
        # A second one, for which the first is asked to join again, which it never does.
        body = Out().string(f"{group}-classic").i32(500).i32(500).string("").raw(protocols.data)
        with broker.connect() as second:
            second.send_raw(second.frame(groups.JOIN_GROUP, 2, body))
    with broker.connect() as modern:
        assert groups.ConsumerMember(modern, f"{group}-consumer", ["topic"]).beat() == groups.NONE


def test_clients_that_vanish_leave_nothing_behind(broker):
    with broker.connect() as connection:
        assert wire.create_topic(connection, "topic", 1)[0] == 0
        for number in range(8):  # groups of all four partitions
            groups.await_coordinator(connection, f"probe-{number}")
    sizes = []
    for round_ in range(ROUNDS):
        for number in range(GROUPS):
            join_and_vanish(broker, f"{round_}-{number}")
        assert list_groups(broker), "no group was ever there"
        wait_until(lambda: list_groups(broker) == set(), "all groups to be gone", 60)
        sizes.append(broker.resident_bytes())
    print([size >> 10 for size in sizes], "KiB")
    if broker.kind == ODRADEK:
        # 800 members and 600 groups a round: what it keeps of one would show as megabytes.
        assert sizes[-1] - sizes[1] < 1 << 20
