"""Classic members and members of the consumer protocol in one group, while it changes from one to the other and back."""

import confluent_kafka
import pytest
from test_mixed_clients import COUNT, PARTITIONS, JavaMember, produce

from harness import wire
from harness.broker import BrokerFactory
from harness.waiting import wait_until

pytestmark = pytest.mark.groups

COOPERATIVE = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"
RANGE = "org.apache.kafka.clients.consumer.RangeAssignor"


@pytest.fixture(scope="module")
def broker(kind, tmp_path_factory, tools):
    factory = BrokerFactory(kind, tmp_path_factory.mktemp("migration"), tools)
    yield factory.start(
        {
            "group.consumer.min.heartbeat.interval.ms": 100,
            "group.consumer.heartbeat.interval.ms": 200,
            "group.consumer.min.session.timeout.ms": 1000,
        }
    )
    factory.close()


class Classic(JavaMember):
    def __init__(self, broker, group, topic, assignor=COOPERATIVE, instance=None):
        self.config = {"heartbeat.interval.ms": 200, "partition.assignment.strategy": assignor}
        if instance:
            self.config["group.instance.id"] = instance
        super().__init__(broker, group, topic)


class Modern(JavaMember):
    def __init__(self, broker, group, topic, instance=None):
        self.config = {"group.protocol": "consumer"}
        if instance:
            self.config["group.instance.id"] = instance
        super().__init__(broker, group, topic)


@pytest.fixture
def members(broker, topic):
    """Makes members of a group that has the topic's name, and ends those that are left."""
    with broker.connect() as connection:
        assert wire.create_topic(connection, topic, PARTITIONS)[0] == 0
    made = []

    def join(kind, **options):
        made.append(kind(broker, topic, topic, **options))
        return made[-1]

    yield join
    for member in made:
        member.stop()


def await_shared(*members):
    """Each partition has one owner, and each member its part."""

    def is_shared():
        for member in members:
            assert member.failure is None, member.failure
        owned = [member.assigned for member in members]
        return all(owned) and sum(map(len, owned)) == PARTITIONS and set().union(*owned) == set(range(PARTITIONS))

    wait_until(is_shared, f"the partitions to be shared by {len(members)}", 60)


def await_type(run, group, kind, members):
    """What kafka-consumer-groups says of the group."""

    def is_so():
        listed = dict(line.split()[:2] for line in run("consumer-groups", "--list", "--type").splitlines()[1:])
        state = run("consumer-groups", "--describe", "--group", group, "--state").split()
        return listed.get(group) == kind and state[-2:] == ["Stable", str(members)]

    wait_until(is_so, f"{group} to be a stable {kind} group of {members}", 30)


def await_all_read(broker, topic, rounds, members):
    """Nothing was left out on the way: each record of so many rounds was read by somebody."""
    wanted = {(partition, offset) for partition in range(PARTITIONS) for offset in range(rounds * COUNT)}
    wait_until(lambda: set().union(*(member.read for member in members)) == wanted, "all records", 30)


@pytest.mark.parametrize("assignor", [RANGE, COOPERATIVE], ids=["eager", "cooperative"])
def test_a_group_goes_over_to_the_consumer_protocol_member_by_member_and_back(broker, run, topic, members, assignor):
    old = [members(Classic, assignor=assignor) for _ in range(2)]
    await_shared(*old)
    await_type(run, topic, "Classic", 2)
    produce(broker, topic)
    # The first one of the new protocol converts the group; the classic members stay in it.
    new = [members(Modern)]
    await_shared(*old, *new)
    await_type(run, topic, "Consumer", 3)
    produce(broker, topic)
    old[0].stop()
    new.append(members(Modern))
    await_shared(old[1], *new)
    old[1].stop()
    await_shared(*new)
    await_type(run, topic, "Consumer", 2)
    produce(broker, topic)
    # And back: the last one of the new protocol that leaves makes it a classic group again.
    back = [members(Classic, assignor=assignor) for _ in range(2)]
    await_shared(*new, *back)
    await_type(run, topic, "Consumer", 4)
    new[0].stop()
    await_shared(new[1], *back)
    new[1].stop()
    await_shared(*back)
    await_type(run, topic, "Classic", 2)
    produce(broker, topic)
    await_all_read(broker, topic, 4, [*old, *new, *back])


def test_a_static_member_is_replaced_by_one_of_the_other_protocol(broker, run, topic, members):
    other = members(Modern)
    moving = members(Modern, instance="moving")
    await_shared(other, moving)
    await_type(run, topic, "Consumer", 2)
    kept, moved = set(other.assigned), set(moving.assigned)
    # Its partitions wait for it while it is away.
    for successor in (Classic, Modern, Classic):
        moving.stop()
        assert other.assigned == kept
        moving = members(successor, instance="moving")
        await_shared(other, moving)
        assert (other.assigned, moving.assigned) == (kept, moved)
        await_type(run, topic, "Consumer", 2)
    other.stop()
    await_shared(moving)
    await_type(run, topic, "Classic", 1)


def test_a_group_whose_policy_forbids_it_is_not_converted(factory, topic):
    broker = factory.start({"group.consumer.migration.policy": "disabled"})
    with broker.connect() as connection:
        assert wire.create_topic(connection, topic, PARTITIONS)[0] == 0
    old = Classic(broker, topic, topic)
    try:
        await_shared(old)
        config = {"bootstrap.servers": broker.bootstrap, "group.id": topic, "group.protocol": "consumer", "log_level": 0}
        consumer = confluent_kafka.Consumer(config)
        consumer.subscribe([topic])
        told = []

        def is_refused():
            message = consumer.poll(0.1)
            if message is not None and message.error():
                told.append(message.error().code())
            return confluent_kafka.KafkaError.GROUP_ID_NOT_FOUND in told or confluent_kafka.KafkaError._FATAL in told

        wait_until(is_refused, "the new protocol to be refused", 30)
        assert old.assigned == set(range(PARTITIONS))
        consumer.close()
    finally:
        old.stop()
