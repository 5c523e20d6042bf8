"""Consumer groups outlive the broker that coordinated them: offsets, kinds and states are there under the next one."""

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import NewTopic

from harness import facts
from harness.waiting import wait_until
from test_takeover import CONFIG, successions

pytestmark = pytest.mark.groups

RECORDS = 30


def pytest_generate_tests(metafunc):
    pairs = successions(metafunc.config.getoption("--broker"))
    metafunc.parametrize("succession", pairs, ids=[f"{a} to {b}" for a, b in pairs])


def consume(broker, group, count, protocol="classic"):
    """Reads `count` records as a member of the group and leaves, its offsets committed."""
    config = {
        "bootstrap.servers": broker.bootstrap,
        "group.id": group,
        "group.protocol": protocol,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
    consumer = Consumer(config)
    consumer.subscribe(["orders"])
    values = []

    def read_some():
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            values.append(message.value())
            consumer.commit(message, asynchronous=False)
        return len(values) >= count

    wait_until(read_some, f"{count} records for {group}", timeout_s=30)
    consumer.close()
    return values


def commit_by_hand(broker, group, offset, metadata):
    """A group without members, whose name's hash is negative: it must be found in the same partition by both."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group})
    consumer.commit(offsets=[TopicPartition("orders", 0, offset, metadata)], asynchronous=False)
    consumer.close()


def committed(broker, group):
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group})
    found = consumer.committed([TopicPartition("orders", 0)], timeout=10)[0]
    consumer.close()
    return found.offset, found.metadata


def groups_of(broker):
    admin = facts.admin_client(broker)
    listed = admin.list_consumer_groups().result(10)
    assert not listed.errors
    return {each.group_id: (each.type.name, each.state.name) for each in listed.valid}


def test_groups_go_on_under_the_next_broker_and_back(factory, succession):
    first, second = succession
    broker = factory.start(CONFIG, kind=first)
    admin = facts.admin_client(broker)
    for future in admin.create_topics([NewTopic("orders", 1, 1)]).values():
        future.result(15)
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for i in range(RECORDS):
        producer.produce("orders", b"%d" % i)
    assert producer.flush(20) == 0
    protocols = {"old-group": "classic", "new-group": "consumer"}
    for number, kind in enumerate((first, second, first)):
        if number > 0:
            broker.restart(kind)
        for group, protocol in protocols.items():
            begin = 5 * number
            assert consume(broker, group, 5, protocol) == [b"%d" % i for i in range(begin, begin + 5)]
        if number > 0:
            assert committed(broker, "simple") == (number, f"by hand {number}")
        commit_by_hand(broker, "simple", number + 1, f"by hand {number + 1}")
        assert groups_of(broker) == {
            "old-group": ("CLASSIC", "EMPTY"),
            "new-group": ("CONSUMER", "EMPTY"),
            "simple": ("CLASSIC", "EMPTY"),
        }
