"""All that a client can see of a broker: topics, configs, every record. Two brokers on one directory must agree."""

from confluent_kafka import Consumer, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType

from .waiting import TimedOut, wait_until


def admin_client(broker):
    return AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0})


def topic_names(admin):
    return sorted(name for name in admin.list_topics(timeout=15).topics if not name.startswith("__"))


def own_configs(admin, kind, name):
    """The dynamic configs of one entity itself, without what it inherits."""
    (future,) = admin.describe_configs([ConfigResource(kind, name)]).values()
    # 1: of the topic, 2: of the broker, 3: the cluster's default.
    wanted = {ResourceType.TOPIC: 1, ResourceType.BROKER: 2 if name else 3}[kind]
    return {entry.name: entry.value for entry in future.result(15).values() if entry.source == wanted}


def offsets(admin, partitions, spec):
    futures = admin.list_offsets({partition: spec for partition in partitions})
    return {(p.topic, p.partition): future.result(15).offset for p, future in futures.items()}


def read_all(broker, starts, ends):
    """Every record between the offsets, {(topic, partition): [(offset, timestamp, key, value, headers)]}."""
    records = {where: [] for where in ends}
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap,
            "group.id": "facts",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "check.crcs": True,
            "log_level": 0,
        }
    )
    try:
        consumer.assign([TopicPartition(*where, start) for where, start in starts.items() if start < ends[where]])
        waiting = {where for where, end in ends.items() if starts[where] < end}

        def read_some():
            for message in consumer.consume(5000, timeout=0.2):
                assert not message.error(), message.error()
                where = (message.topic(), message.partition())
                records[where].append(
                    (message.offset(), message.timestamp(), message.key(), message.value(), message.headers())
                )
                if message.offset() >= ends[where] - 1:
                    waiting.discard(where)
            return not waiting

        wait_until(read_some, "all records", timeout_s=40)
    finally:
        consumer.close()
    return records


def gather(broker, timeout_s=30):
    """The facts, asked for again while the broker answers with an error that passes, as it does after a start."""
    failures = []

    def try_it():
        try:
            return _gather(broker)
        except KafkaException as error:
            failures.append(error.args[0])
            return None

    try:
        return wait_until(try_it, "the facts", timeout_s, interval_s=0.1)
    except TimedOut as error:
        raise TimedOut(f"{error}; the last failure: {failures[-1:]}") from error


def _gather(broker):
    admin = admin_client(broker)
    names = topic_names(admin)
    topics, configs = {}, {}
    partitions = []
    for name, future in admin.describe_topics(TopicCollection(names)).items() if names else ():
        described = future.result(15)
        topics[name] = {
            "id": str(described.topic_id),
            "partitions": {p.id: ([n.id for n in p.replicas], [n.id for n in p.isr]) for p in described.partitions},
        }
        configs[name] = own_configs(admin, ResourceType.TOPIC, name)
        partitions += [TopicPartition(name, p.id) for p in described.partitions]
    starts = offsets(admin, partitions, OffsetSpec.earliest())
    ends = offsets(admin, partitions, OffsetSpec.latest())
    newest = offsets(admin, partitions, OffsetSpec.max_timestamp())
    return {
        "cluster id": admin.describe_cluster().result(15).cluster_id,
        "topics": topics,
        "topic configs": configs,
        "broker configs": own_configs(admin, ResourceType.BROKER, str(broker.node_id)),
        "starts": starts,
        "ends": ends,
        # Apache Kafka names a record below the log start when its whole batch has the newest timestamp.
        "newest timestamps": {
            where: max(offset, starts[where]) if offset >= 0 else -1 for where, offset in newest.items()
        },
        "records": read_all(broker, starts, ends),
    }


def assert_same(before, after):
    """Compares fact by fact, so that a failure names what differs instead of printing both whole."""
    for fact, value in before.items():
        if fact == "records":
            for where, records in value.items():
                got = after[fact].get(where)
                assert got is not None, f"{where} is gone"
                assert len(got) == len(records), f"{where} has {len(got)} records, had {len(records)}"
                for one, other in zip(records, got, strict=True):
                    assert one == other, f"{where} differs"
        elif after[fact] != value:
            raise AssertionError(f"{fact} differ: {_difference(value, after[fact])}")


def _difference(before, after):
    if not isinstance(before, dict):
        return f"{before!r} became {after!r}"
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return "; ".join(f"{key}: {before.get(key)!r} became {after.get(key)!r}" for key in keys)
