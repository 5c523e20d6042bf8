"""Apache Kafka's command-line tools, as users run them, each on its own topic."""

import json
import re
import shutil

import pytest

from harness.waiting import wait_until


def produce(run, topic, lines, *arguments):
    run("console-producer", "--topic", topic, *arguments, stdin="".join(f"{line}\n" for line in lines))


def consume(run, topic, count, *arguments, offset="earliest", partition=0):
    out = run("console-consumer", "--topic", topic, "--partition", partition, "--offset", offset, "--max-messages",
              count, "--timeout-ms", 20000, *arguments)  # fmt: skip
    return out.splitlines()


# --- console clients --------------------------------------------------------------------------------------------------


def test_console_producer_to_console_consumer(run, topic):
    run("topics", "--create", "--topic", topic)
    lines = [f"line {i}" for i in range(500)]
    produce(run, topic, lines)
    assert consume(run, topic, 500) == lines
    assert consume(run, topic, 3, offset=497) == lines[497:]
    assert consume(run, topic, 500, "--isolation-level", "read_committed") == lines


def test_console_producer_creates_the_topic(run, topic):
    produce(run, topic, ["first"])
    assert consume(run, topic, 1) == ["first"]


def test_keys_headers_nulls_timestamps_and_partitions_survive(run, topic):
    run("topics", "--create", "--topic", topic)
    lines = ["h1:v1,h2:v2\tk1\tone", "h1:NULL\tNULL\ttwo", "h:x\tk3\tNULL"]
    produce(run, topic, lines, "--reader-property", "parse.key=true", "--reader-property", "parse.headers=true",
            "--reader-property", "null.marker=NULL")  # fmt: skip
    options = []
    for name in ("print.key", "print.headers", "print.offset", "print.partition", "print.timestamp"):
        options += ["--formatter-property", f"{name}=true"]
    got = consume(run, topic, 3, *options)
    assert [re.sub(r"^CreateTime:\d{13}\t", "", line) for line in got] == [
        "Partition:0\tOffset:0\th1:v1,h2:v2\tk1\tone",
        "Partition:0\tOffset:1\th1:null\tnull\ttwo",
        "Partition:0\tOffset:2\th:x\tk3\tnull",
    ]


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_console_producer_compresses(run, broker, tools, topic, codec):
    run("topics", "--create", "--topic", topic)
    lines = [f"{codec} {i} " + "x" * 50 for i in range(200)]
    produce(run, topic, lines, "--compression-codec", codec)
    assert consume(run, topic, 200) == lines
    dump = tools.run("dump-log", "--files", broker.partition_dir(topic) / f"{0:020}.log").ok().out
    assert f"compresscodec: {codec} " in dump


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_console_producer_with_each_acks(run, topic, acks):
    run("topics", "--create", "--topic", topic)
    produce(run, topic, ["a", "b"], "--request-required-acks", acks, "--command-property", "enable.idempotence=false")
    assert consume(run, topic, 2) == ["a", "b"]


@pytest.mark.groups
def test_console_consumer_in_a_group_reads_all_partitions_and_commits(run, topic):
    run("topics", "--create", "--topic", topic, "--partitions", "3")
    lines = [f"k{i}\tv{i}" for i in range(60)]
    produce(run, topic, lines, "--reader-property", "parse.key=true")
    out = run("console-consumer", "--topic", topic, "--group", f"{topic}-group", "--from-beginning", "--max-messages",
              60, "--timeout-ms", 20000)  # fmt: skip
    assert sorted(out.splitlines()) == sorted(f"v{i}" for i in range(60))
    described = run("consumer-groups", "--describe", "--group", f"{topic}-group")
    lags = [line.split()[5] for line in described.splitlines() if topic in line and line.split()[1] == topic]
    assert lags == ["0", "0", "0"], described


# --- kafka-topics -----------------------------------------------------------------------------------------------------


def test_topics_create_list_describe_alter_delete(run, fails, topic):
    run("topics", "--create", "--topic", topic, "--partitions", "3", "--config", "retention.ms=123456")
    assert topic in run("topics", "--list").splitlines()
    described = run("topics", "--describe", "--topic", topic)
    head, *partitions = described.strip().splitlines()
    assert re.match(rf"Topic: {topic}\tTopicId: [\w-]{{22}}\tPartitionCount: 3\tReplicationFactor: 1\tConfigs: ", head)
    assert "retention.ms=123456" in head
    assert [line.split() for line in partitions] == [
        ["Topic:", topic, "Partition:", str(i), "Leader:", "1", "Replicas:", "1", "Isr:", "1", "Elr:", "LastKnownElr:"]
        for i in range(3)
    ]

    assert "already exists" in fails("topics", "--create", "--topic", topic)
    run("topics", "--create", "--topic", topic, "--if-not-exists")

    run("topics", "--alter", "--topic", topic, "--partitions", "5")
    wait_until(lambda: "PartitionCount: 5" in run("topics", "--describe", "--topic", topic), "five partitions")
    assert "2 would not be an increase" in fails("topics", "--alter", "--topic", topic, "--partitions", "2")
    produce(run, topic, ["k\tv"], "--reader-property", "parse.key=true")

    run("topics", "--delete", "--topic", topic)
    wait_until(lambda: topic not in run("topics", "--list").splitlines(), "the topic to go")
    assert "does not exist as expected" in fails("topics", "--delete", "--topic", topic)


def test_deleted_topic_leaves_the_disk_and_its_name_is_free(run, broker, topic):
    for round_ in range(3):
        wait_until(lambda: topic not in run("topics", "--list").splitlines(), "the old topic to go")
        run("topics", "--create", "--topic", topic)
        produce(run, topic, [f"round {round_}"])
        assert consume(run, topic, 1) == [f"round {round_}"]
        run("topics", "--delete", "--topic", topic)
    wait_until(lambda: not broker.partition_dir(topic).exists(), "the directory to be renamed")


def test_topics_describe_filters(run, topic):
    run("topics", "--create", "--topic", topic)
    for option in ("--under-replicated-partitions", "--unavailable-partitions", "--under-min-isr-partitions"):
        assert run("topics", "--describe", option).strip() == ""
    assert topic in run("topics", "--describe", "--at-min-isr-partitions")


def test_topic_with_more_replicas_than_brokers_is_refused(fails, topic):
    out = fails("topics", "--create", "--topic", topic, "--replication-factor", "3")
    assert "Unable to replicate the partition 3 time(s)" in out
    assert "InvalidReplicationFactorException" in out


def test_topic_with_explicit_replica_assignment(run, fails, topic):
    run("topics", "--create", "--topic", topic, "--replica-assignment", "1,1")
    assert "PartitionCount: 2" in run("topics", "--describe", "--topic", topic)
    assert "InvalidReplicaAssignmentException" in fails(
        "topics", "--create", "--topic", f"{topic}-x", "--replica-assignment", "7"
    )


# --- kafka-configs ----------------------------------------------------------------------------------------------------


def test_topic_configs_alter_describe_delete(run, fails, topic):
    run("topics", "--create", "--topic", topic)
    entity = ("--entity-type", "topics", "--entity-name", topic)
    run("configs", "--alter", *entity, "--add-config", "retention.ms=1000000,cleanup.policy=[compact,delete]")
    described = run("configs", "--describe", *entity)
    assert "retention.ms=1000000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=1000000" in described
    assert "cleanup.policy=compact,delete sensitive=false" in described
    run("configs", "--alter", *entity, "--delete-config", "retention.ms")
    assert "retention.ms" not in run("configs", "--describe", *entity)
    assert "InvalidConfigurationException" in fails("configs", "--alter", *entity, "--add-config", "nonsense=1")
    assert "Not a number of type LONG" in fails("configs", "--alter", *entity, "--add-config", "retention.ms=soon")


def test_topic_configs_describe_all_lists_every_topic_config_with_its_default(run, topic):
    run("topics", "--create", "--topic", topic)
    described = run("configs", "--describe", "--entity-type", "topics", "--entity-name", topic, "--all")
    values = dict(re.findall(r"^  ([\w.]+)=(.*?) sensitive=", described, re.MULTILINE))
    assert values == TOPIC_DEFAULTS
    assert (
        "segment.bytes=1073741824 sensitive=false synonyms={DEFAULT_CONFIG:log.segment.bytes=1073741824}" in described
    )


TOPIC_DEFAULTS = {
    "cleanup.policy": "delete",
    "compression.gzip.level": "-1",
    "compression.lz4.level": "9",
    "compression.type": "producer",
    "compression.zstd.level": "3",
    "delete.retention.ms": "86400000",
    "file.delete.delay.ms": "60000",
    "flush.messages": "9223372036854775807",
    "flush.ms": "9223372036854775807",
    "follower.replication.throttled.replicas": "",
    "index.interval.bytes": "4096",
    "leader.replication.throttled.replicas": "",
    "local.retention.bytes": "-2",
    "local.retention.ms": "-2",
    "max.compaction.lag.ms": "9223372036854775807",
    "max.message.bytes": "1048588",
    "message.timestamp.after.max.ms": "3600000",
    "message.timestamp.before.max.ms": "9223372036854775807",
    "message.timestamp.type": "CreateTime",
    "min.cleanable.dirty.ratio": "0.5",
    "min.compaction.lag.ms": "0",
    "min.insync.replicas": "1",
    "preallocate": "false",
    "remote.log.copy.disable": "false",
    "remote.log.delete.on.disable": "false",
    "remote.storage.enable": "false",
    "retention.bytes": "-1",
    "retention.ms": "604800000",
    "segment.bytes": "1073741824",
    "segment.index.bytes": "10485760",
    "segment.jitter.ms": "0",
    "segment.ms": "604800000",
    "unclean.leader.election.enable": "false",
}


def test_broker_configs_per_broker_and_cluster_wide(run, fails):
    one = ("--entity-type", "brokers", "--entity-name", "1")
    default = ("--entity-type", "brokers", "--entity-default")
    run("configs", "--alter", *default, "--add-config", "log.retention.ms=7000000")
    run("configs", "--alter", *one, "--add-config", "log.retention.ms=8000000,log.cleaner.threads=2")
    assert "log.retention.ms=7000000" in run("configs", "--describe", *default)

    def described():
        out = run("configs", "--describe", *one)
        return out if "log.cleaner.threads=2" in out else None

    out = wait_until(described, "the broker to apply its new configs")
    assert (
        "log.retention.ms=8000000 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:log.retention.ms=8000000,"
        " DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=7000000" in out
    )
    run("configs", "--alter", *one, "--delete-config", "log.retention.ms,log.cleaner.threads")
    run("configs", "--alter", *default, "--delete-config", "log.retention.ms")
    wait_until(lambda: "log.retention.ms=" not in run("configs", "--describe", *one), "the configs to go")
    # What needs a restart cannot be changed at run time.
    assert "InvalidRequestException" in fails("configs", "--alter", *one, "--add-config", "node.id=7")


def test_broker_configs_describe_all(run):
    described = run("configs", "--describe", "--entity-type", "brokers", "--entity-name", "1", "--all")
    for line in (
        "node.id=1 sensitive=false synonyms={STATIC_BROKER_CONFIG:node.id=1}",
        "log.segment.bytes=1073741824 sensitive=false synonyms={DEFAULT_CONFIG:log.segment.bytes=1073741824}",
        "offsets.topic.num.partitions=4 sensitive=false synonyms={STATIC_BROKER_CONFIG:offsets.topic.num.partitions=4,",
        "process.roles=broker,controller",
        "ssl.keystore.password=null sensitive=true",
    ):
        assert line in described


# --- offsets and records ----------------------------------------------------------------------------------------------


def test_get_offsets_knows_every_special(run, topic):
    run("topics", "--create", "--topic", topic, "--partitions", "2")
    produce(run, topic, ["a", "b", "c"])
    total = 0
    for line in run("get-offsets", "--topic", topic).split():
        name, partition, offset = line.split(":")
        assert name == topic and partition in "01"
        total += int(offset)
    assert total == 3

    def at(time):
        return run("get-offsets", "--topic", topic, "--time", time).split()

    assert at("earliest") == at("-2") == [f"{topic}:0:0", f"{topic}:1:0"]
    assert at("latest") == at("-1")
    assert sum(int(line.split(":")[2]) for line in at("latest")) == 3
    assert at("earliest-local") == at("-4") == at("earliest")
    # What has no answer is not printed: nothing is tiered, an empty partition has no newest record.
    assert at("latest-tiered") == at("-5") == at(str(2**62)) == []
    assert at("max-timestamp") == at("-3") != []
    assert at("0") == [line.rsplit(":", 1)[0] + ":0" for line in at("-3")]


def test_delete_records_moves_the_log_start(run, fails, broker, tools, topic, tmp_path):
    run("topics", "--create", "--topic", topic)
    produce(run, topic, [str(i) for i in range(10)])
    plan = tmp_path / "plan.json"

    def delete_to(offset):
        entry = {"topic": topic, "partition": 0, "offset": offset}
        plan.write_text(json.dumps({"version": 1, "partitions": [entry]}))
        return run("delete-records", "--offset-json-file", plan)

    assert "low_watermark: 4" in delete_to(4)
    assert run("get-offsets", "--topic", topic, "--time", "earliest").strip() == f"{topic}:0:4"
    assert consume(run, topic, 6) == [str(i) for i in range(4, 10)]
    assert "low_watermark: 10" in delete_to(-1)
    assert run("get-offsets", "--topic", topic, "--time", "earliest").strip() == f"{topic}:0:10"
    assert "OffsetOutOfRangeException" in delete_to(99)


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def dump(tools):
    def dump(*arguments):
        result = tools.run("dump-log", *arguments).ok()
        return result.out + result.err

    return dump


def test_dump_log_reads_segment_and_indexes(run, broker, dump, topic):
    run("topics", "--create", "--topic", topic, "--config", "segment.bytes=1048576", "--config",
        "index.interval.bytes=100")  # fmt: skip
    lines = [f"value {i} " + "x" * 1000 for i in range(3000)]
    produce(run, topic, lines, "--batch-size", "4000")
    directory = broker.partition_dir(topic)
    segments = sorted(directory.glob("*.log"))
    assert len(segments) >= 3
    for segment in segments:
        out = dump("--files", segment, "--deep-iteration", "--print-data-log")
        assert f"Log starting offset: {int(segment.stem)}" in out
        assert f"payload: {lines[int(segment.stem)]}" in out
        assert "isvalid: false" not in out
        index = dump("--files", segment.with_suffix(".index"), "--index-sanity-check")
        # The entries of the segment being written may still be in memory; its index file is valid, and may be empty.
        verdicts = ["passed sanity check."] + (["is empty."] if segment == segments[-1] else [])
        assert any(f"{segment.with_suffix('.index')} {verdict}" in index for verdict in verdicts)
        # Without the option each entry is looked up in the log; mismatches are reported.
        for suffix in (".index", ".timeindex"):
            out = dump("--files", segment.with_suffix(suffix))
            assert "Mismatches in" not in out and "Index is empty" not in out and "Found" not in out, out
            if segment != segments[-1]:
                assert re.search(r"offset: \d+", out)


def test_dump_log_decodes_the_metadata_log(run, broker, dump, topic):
    run("topics", "--create", "--topic", topic, "--config", "retention.ms=4711")
    log = broker.data_dir / "__cluster_metadata-0" / f"{0:020}.log"
    out = dump("--files", log, "--cluster-metadata-decoder")
    for kind in ("REGISTER_BROKER_RECORD", "FEATURE_LEVEL_RECORD", "TOPIC_RECORD", "PARTITION_RECORD", "CONFIG_RECORD"):
        assert f'"type":"{kind}"' in out
    assert f'"name":"{topic}"' in out
    assert "LeaderChange" in out
    assert "isvalid: false" not in out and "Could not read" not in out and "Error" not in out


def test_metadata_shell_shows_the_cluster(run, broker, tools, topic, tmp_path):
    run("topics", "--create", "--topic", topic)
    # The shell wants the directory's lock, which the broker has: give it a copy.
    copy = tmp_path / "copy" / "__cluster_metadata-0"
    shutil.copytree(broker.data_dir / "__cluster_metadata-0", copy)

    def shows(text, *command):
        # The shell answers when it has read the files, at times before all that it read is in its image.
        def shown():
            out = tools.run("metadata-shell", "--snapshot", copy / f"{0:020}.log", *command).ok().out
            return out if text in out else None

        return wait_until(shown, f"the shell to answer {command} with {text}", 30)

    shows(topic, "ls", "/image/topics/byName")
    assert shows("1", "ls", "/image/cluster/brokers").split() == ["1"]
    partition = shows("leader=1", "cat", f"/image/topics/byName/{topic}/0")
    assert "replicas=[1]" in partition and "isr=[1]" in partition
    endpoint = f"listenerName='PLAINTEXT', securityProtocol=PLAINTEXT, host='127.0.0.1', port={broker.port}"
    assert "Optional[4.3-IV0]" in shows(endpoint, "tree", "/image")


# --- cluster ----------------------------------------------------------------------------------------------------------


def test_log_dirs(run, broker, topic):
    run("topics", "--create", "--topic", topic)
    produce(run, topic, ["x" * 1000])
    out = run("log-dirs", "--describe", "--topic-list", topic)
    (described,) = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    (log_dir,) = described["brokers"][0]["logDirs"]
    assert log_dir["logDir"] == str(broker.data_dir) and log_dir["error"] is None
    (partition,) = log_dir["partitions"]
    size = (broker.partition_dir(topic) / f"{0:020}.log").stat().st_size
    assert partition == {"partition": f"{topic}-0", "size": size, "offsetLag": 0, "isFuture": False}


def test_metadata_quorum(run, broker, tools):
    status = run("metadata-quorum", "describe", "--status")
    assert re.search(r"LeaderId:\s+1\n", status)
    assert re.search(r"MaxFollowerLag:\s+0\n", status)
    assert f"{broker.controller_port}" in status
    replication = run("metadata-quorum", "describe", "--replication")
    assert re.search(r"^1\s+[\w-]{22}\s+\d+\s+0\s+.*Leader", replication, re.MULTILINE)
    by_controller = tools.run("metadata-quorum", "--bootstrap-controller", broker.controller_bootstrap, "describe",
                              "--status").ok().out  # fmt: skip
    assert re.search(r"LeaderId:\s+1\n", by_controller)


def test_features(run):
    described = run("features", "describe")
    found = dict(re.findall(r"Feature: (\S+) .*FinalizedVersionLevel: (\S+) ", described))
    assert found == FEATURES


# The levels that Apache Kafka's storage tool gives to a new 4.3 cluster.
FEATURES = {
    "eligible.leader.replicas.version": "1",
    "group.version": "1",
    "kraft.version": "1",
    "metadata.version": "4.3-IV0",
    "share.version": "1",
    "streams.version": "1",
    "transaction.version": "2",
}


def test_cluster_id(tools, broker):
    from harness.broker import CLUSTER_ID

    assert (
        f"Cluster ID: {CLUSTER_ID}"
        in tools.run("cluster", "cluster-id", "--bootstrap-server", broker.bootstrap).ok().out
    )


def test_broker_api_versions(run, broker):
    out = run("broker-api-versions")
    assert out.startswith(f"127.0.0.1:{broker.port} (id: 1 rack: null isFenced: false) -> (")
    assert re.search(r"Produce\(0\): 0 to 13 \[usable: 13\]", out)
    assert re.search(r"Fetch\(1\): 4 to 18 \[usable: 18\]", out)


def test_producer_perf_test_and_consumer_perf_test(run, tools, broker, topic):
    run("topics", "--create", "--topic", topic)
    out = tools.run("producer-perf-test", "--topic", topic, "--num-records", 20000, "--record-size", 100,
                    "--throughput", -1, "--producer-props", f"bootstrap.servers={broker.bootstrap}").ok().out  # fmt: skip
    assert "20000 records sent" in out
    assert run("get-offsets", "--topic", topic).strip() == f"{topic}:0:20000"
