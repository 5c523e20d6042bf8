"""Old versions of the classic group requests, byte for byte: what clients of today do not send any more."""

import pytest

from harness.waiting import wait_until
from harness.wire import Out

pytestmark = pytest.mark.groups

FIND_COORDINATOR, JOIN_GROUP, HEARTBEAT, LEAVE_GROUP, SYNC_GROUP = 10, 11, 12, 13, 14
NONE, NOT_COORDINATOR, ILLEGAL_GENERATION, INCONSISTENT_PROTOCOL, INVALID_GROUP_ID, UNKNOWN_MEMBER = 0, 16, 22, 23, 24, 25
COORDINATOR_LOADING, COORDINATOR_NOT_AVAILABLE, INVALID_SESSION_TIMEOUT = 14, 15, 26
MEMBER_ID_REQUIRED = 79


@pytest.fixture
def connection(broker):
    with broker.connect() as connection:
        yield connection


def find_coordinator(connection, group):
    return connection.call(FIND_COORDINATOR, 0, Out().string(group)).i16()


@pytest.fixture
def group(connection, topic):
    # __consumer_offsets is made when it is first needed.
    wait_until(lambda: find_coordinator(connection, topic) == NONE, "a coordinator")
    return topic


def join(connection, version, group, member="", session_ms=10_000, protocols=("range",), kind="test"):
    body = Out().string(group).i32(session_ms)
    if version >= 1:
        body.i32(10_000)
    body.string(member)
    if version >= 5:
        body.string(None)
    body.string(kind).i32(len(protocols))
    for name in protocols:
        body.string(name).bytes(b"m " + name.encode())
    answer = connection.call(JOIN_GROUP, version, body)
    if version >= 2:
        assert answer.i32() == 0
    told = {"error": answer.i16(), "generation": answer.i32(), "protocol": answer.string(), "leader": answer.string()}
    told["member"] = answer.string()
    told["members"] = []
    for _ in range(answer.i32()):
        name = answer.string()
        if version >= 5:
            assert answer.string() is None
        told["members"].append((name, answer.bytes()))
    assert answer.at == len(answer.data)
    return told


def joined(connection, version, group):
    """Joins, again while the coordinator is still loading."""
    told = {}

    def is_loaded():
        told.update(join(connection, version, group))
        return told["error"] not in (COORDINATOR_LOADING, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR)

    wait_until(is_loaded, "the coordinator has loaded")
    return told


@pytest.mark.parametrize("version", [0, 1, 2, 3])
def test_before_version_4_a_member_joins_at_once(connection, group, version):
    told = joined(connection, version, group)
    member = told.pop("member")
    assert told == {
        "error": NONE, "generation": 1, "protocol": "range", "leader": member, "members": [(member, b"m range")],
    }  # fmt: skip
    sync = Out().string(group).i32(1).string(member).i32(1).string(member).bytes(b"all")
    answer = connection.call(SYNC_GROUP, 0, sync)
    assert (answer.i16(), answer.bytes()) == (NONE, b"all")
    beat = Out().string(group).i32(1).string(member)
    assert connection.call(HEARTBEAT, 0, beat).i16() == NONE
    assert connection.call(HEARTBEAT, 0, Out().string(group).i32(2).string(member)).i16() == ILLEGAL_GENERATION
    # Before version 3 the error of the one member is that of the response.
    assert connection.call(LEAVE_GROUP, 0, Out().string(group).string("nobody")).i16() == UNKNOWN_MEMBER
    assert connection.call(LEAVE_GROUP, 0, Out().string(group).string(member)).i16() == NONE
    assert connection.call(HEARTBEAT, 0, beat).i16() == UNKNOWN_MEMBER


@pytest.mark.parametrize("version", [4, 5])
def test_from_version_4_on_a_member_is_given_its_id_first(connection, group, version):
    first = joined(connection, version, group)
    assert (first["error"], first["generation"], first["protocol"], first["leader"]) == (MEMBER_ID_REQUIRED, -1, "", "")
    told = join(connection, version, group, first["member"])
    assert (told["error"], told["member"], told["generation"]) == (NONE, first["member"], 1)


def test_errors_of_requests_that_no_group_would_take(connection, group):
    member = joined(connection, 2, group)["member"]
    assert join(connection, 2, "")["error"] == INVALID_GROUP_ID
    assert join(connection, 2, group, session_ms=10)["error"] == INVALID_SESSION_TIMEOUT
    assert join(connection, 2, group, kind="connect")["error"] == INCONSISTENT_PROTOCOL
    assert join(connection, 2, group, protocols=("other",))["error"] == INCONSISTENT_PROTOCOL
    refused = join(connection, 2, group, member="nobody")
    assert (refused["error"], refused["member"], refused["protocol"]) == (UNKNOWN_MEMBER, "nobody", "")
    sync = Out().string(group).i32(0).string(member).i32(0)
    assert connection.call(SYNC_GROUP, 0, sync).i16() == ILLEGAL_GENERATION
    # From version 5 on the protocol must be named: compact strings, nulls for both.
    nameless = Out().compact_string(group).i32(1).compact_string(member).uvarint(0).uvarint(0).uvarint(0)
    answer = connection.call(SYNC_GROUP, 5, nameless.compact_count(0).no_tags(), flexible=True)
    assert (answer.i32(), answer.i16()) == (0, INCONSISTENT_PROTOCOL)
