#include "base/config/broker_config.h"

#include <gtest/gtest.h>

#include "base/config/log_config.h"
#include "base/config/served_keys.h"

namespace odr::config {
namespace {

ConfigMap with(ConfigMap extra) {
    ConfigMap out = dev_defaults("/data");
    for (auto& [key, value] : extra) out.insert_or_assign(key, value);
    return out;
}

ConfigMap without(std::initializer_list<std::string_view> names, ConfigMap extra = {}) {
    ConfigMap out = with(std::move(extra));
    for (const std::string_view name : names) out.erase(std::string{name});
    return out;
}

std::string error_of(const ConfigMap& properties) {
    const auto config = BrokerConfig::make(properties);
    return config ? "" : config.error();
}

TEST(BrokerConfig, TheDevNodeStarts) {
    const BrokerConfig config = BrokerConfig::load(dev_defaults("/data"));
    EXPECT_EQ(config.node_id(), BrokerId{1});
    EXPECT_TRUE(config.is_broker() && config.is_controller());
    EXPECT_EQ(config.log_dirs(), std::vector<std::string>{"/data"});
    EXPECT_EQ(config.metadata_log_dir(), "/data");
    ASSERT_EQ(config.broker_listeners().size(), 1U);
    EXPECT_EQ(to_string(config.broker_listeners()[0]), "PLAINTEXT://127.0.0.1:9092");
    EXPECT_EQ(to_string(config.advertised_controller_listeners()[0]), "CONTROLLER://127.0.0.1:9093");
    EXPECT_EQ(config.inter_broker_listener_name(), "PLAINTEXT");
    EXPECT_EQ(config.get_int("offsets.topic.replication.factor"), 1);
    EXPECT_EQ(config.get_int("num.network.threads"), 3);
    EXPECT_TRUE(config.warnings().empty());
}

TEST(BrokerConfig, OverridesWinOverTheFileAndTheLastOneOverEarlierOnes) {
    const std::string file =
        "process.roles=broker\nnode.id=2\nlisteners=PLAINTEXT://:9092\ncontroller.listener.names=CONTROLLER\n"
        "controller.quorum.voters=1@c:9093\nnum.partitions=3\n";
    const BrokerConfig config = BrokerConfig::load(file, {"num.partitions=4", "num.partitions=5"}, {});
    EXPECT_EQ(config.get_int("num.partitions"), 5);
    EXPECT_EQ(config.controller_quorum_voters(), (std::vector<Voter>{{1, {"c", 9093}}}));
    EXPECT_EQ(config.listeners()[0].host, "");
    EXPECT_THROW(BrokerConfig::load(file, {"num.partitions"}, {}), ConfigError);
}

struct Refusal {
    ConfigMap properties;
    std::string_view begins;
};

const std::vector<Refusal> kRefused{
    {with({{"log.segment.bytes", "12x"}}),
     "log.segment.bytes=12x: Invalid value 12x for configuration log.segment.bytes: Not a number of type INT"},
    {without({"node.id"}), "node.id is missing"},
    {without({"process.roles"}), "process.roles is missing"},
    {without({"controller.listener.names"}), "controller.listener.names is missing"},
    {with({{"node.id", "-1"}}), "node.id=-1: "},
    {with({{"broker.id", "7"}}), "broker.id=7: must be the same as node.id"},
    {with({{"process.roles", "broker,voter"}}), "process.roles=broker,voter: "},
    {without({"controller.quorum.bootstrap.servers"}), "controller.quorum.bootstrap.servers is missing"},
    {with({{"controller.quorum.voters", "2@h:1"}}), "controller.quorum.voters=2@h:1: must include node 1"},
    {with({{"process.roles", "broker"}}), "controller.listener.names=CONTROLLER: a node that is only a broker"},
    {with({{"process.roles", "controller"}}),
     "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093: must name"},
    {with({{"controller.listener.names", "OTHER"}}), "listeners="},
    {with({{"listeners", "PLAINTEXT://:9092,PLAINTEXT://:9093"}}),
     "listeners=PLAINTEXT://:9092,PLAINTEXT://:9093: each listener needs a name"},
    {with({{"listeners", "PLAINTEXT://:9092,CONTROLLER://:9092"}}),
     "listeners=PLAINTEXT://:9092,CONTROLLER://:9092: each listener needs a port"},
    {with({{"listeners", "PLAINTEXT://:x,CONTROLLER://:1"}}),
     "listeners=PLAINTEXT://:x,CONTROLLER://:1: 'PLAINTEXT://:x' is not"},
    {with({{"listeners", "PLAINTEXT://:70000,CONTROLLER://:1"}}), "listeners="},
    {with({{"listeners", "plain:9092"}}), "listeners=plain:9092: 'plain:9092' is not NAME://host:port"},
    {with({{"listeners", ""}}), "listeners=: Configuration 'listeners' must not be empty"},
    {with({{"advertised.listeners", "PLAINTEXT://0.0.0.0:9092"}}),
     "advertised.listeners=PLAINTEXT://0.0.0.0:9092: nobody can connect"},
    {with({{"advertised.listeners", "CONTROLLER://h:9093"}}),
     "advertised.listeners=CONTROLLER://h:9093: a broker must advertise"},
    {with({{"advertised.listeners", "PLAINTEXT://h:1,EXTRA://h:2"},
           {"listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,EXTRA:PLAINTEXT,CONTROLLER:PLAINTEXT"}}),
     "advertised.listeners=PLAINTEXT://h:1,EXTRA://h:2: EXTRA is none of listeners"},
    {with({{"inter.broker.listener.name", "NOPE"}}), "inter.broker.listener.name=NOPE: no such listener"},
    {with({{"security.inter.broker.protocol", "PLAINTEXT"}}), "inter.broker.listener.name=PLAINTEXT: only one of it"},
    {with({{"listener.security.protocol.map", "PLAINTEXT:PLAIN"}}),
     "listener.security.protocol.map=PLAINTEXT:PLAIN: 'PLAINTEXT:PLAIN' is not"},
    {with({{"listener.security.protocol.map", "PLAINTEXT:SSL,CONTROLLER:PLAINTEXT"}}),
     "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093: PLAINTEXT is mapped to SSL"},
    {with({{"odradek.metrics.listener", "9404"}}), "odradek.metrics.listener=9404: must be host:port, such as"},
    {with({{"odradek.metrics.listener", ":9404"}}), "odradek.metrics.listener=:9404: must be host:port"},
    {with({{"odradek.metrics.listener", "localhost:94040"}}), "odradek.metrics.listener=localhost:94040: must be"},
    {with({{"odradek.metrics.listener", "http://localhost:9404"}}),
     "odradek.metrics.listener=http://localhost:9404: must be host:port"},
    {with({{"log.dirs", ""}}), "log.dirs=: Configuration 'log.dirs' must not be empty"},
    {with({{"log.retention.ms", "0"}}), "log.retention.ms=0: must be -1"},
    {with({{"log.roll.ms", "0"}}), "log.roll.ms=0: must be at least 1"},
    {with({{"log.cleaner.min.compaction.lag.ms", "10"}, {"log.cleaner.max.compaction.lag.ms", "5"}}),
     "log.cleaner.min.compaction.lag.ms=10: "},
    {with({{"log.cleaner.threads", "0"}}), "log.cleaner.threads=0: must be at least 1"},
    {with({{"group.consumer.session.timeout.ms", "100"}}),
     "group.consumer.session.timeout.ms=100: must be at least group.consumer.min.session.timeout.ms (45000)"},
    {with({{"group.consumer.min.session.timeout.ms", "70000"}}),
     "group.consumer.max.session.timeout.ms=60000: must be at least"},
    {with({{"group.streams.num.standby.replicas", "5"}}), "group.streams.num.standby.replicas=5: must be at most"},
    {with({{"group.coordinator.rebalance.protocols", "consumer"}}),
     "group.coordinator.rebalance.protocols=consumer: must include classic"},
    {with({{"group.consumer.assignors", "foo"}}), "group.consumer.assignors=foo: foo is neither"},
    {with({{"offsets.topic.compression.codec", "9"}}), "offsets.topic.compression.codec=9: "},
    {with({{"early.start.listeners", "NOPE"}}), "early.start.listeners=NOPE: NOPE is none"},
    {with({{"replica.fetch.wait.max.ms", "40000"}}), "replica.fetch.wait.max.ms=40000: "},
    {with({{"queued.max.request.bytes", "5"}}), "queued.max.request.bytes=5: "},
    {with({{"max.connections.per.ip", "0"}}), "max.connections.per.ip=0: "},
    {with({{"max.connections.per.ip.overrides", "host"}}), "max.connections.per.ip.overrides=host: 'host' is not"},
    {with({{"max.connections.per.ip.overrides", "a b:3"}}),
     "max.connections.per.ip.overrides=a b:3: 'a b' is no address"},
    {with({{"connections.max.idle.ms", "50"}}), "connection.failed.authentication.delay.ms=100: "},
    {with({{"listener.name.plaintext.max.connections", "x"}}), "listener.name.plaintext.max.connections=x: "},
};

TEST(BrokerConfig, AWrongConfigurationStopsTheStartWithOneLine) {
    for (const Refusal& c : kRefused) {
        const std::string error = error_of(c.properties);
        EXPECT_TRUE(error.starts_with(c.begins)) << error << "\nwanted: " << c.begins;
        EXPECT_EQ(error.find('\n'), std::string::npos);
    }
}

TEST(BrokerConfig, TheFinerUnitAndTheNewerNameWin) {
    const BrokerConfig hours = BrokerConfig::load(with({{"log.retention.hours", "2"}}));
    EXPECT_EQ(hours.log_retention_ms(), 7'200'000);
    const BrokerConfig minutes =
        BrokerConfig::load(with({{"log.retention.minutes", "3"}, {"log.retention.hours", "2"}}));
    EXPECT_EQ(minutes.log_retention_ms(), 180'000);
    const BrokerConfig forever = BrokerConfig::load(with({{"log.retention.ms", "-1"}, {"log.retention.minutes", "3"}}));
    EXPECT_EQ(forever.log_retention_ms(), -1);
    const BrokerConfig roll = BrokerConfig::load(with({{"log.roll.ms", "5"}, {"log.roll.hours", "9"}}));
    EXPECT_EQ(roll.log_roll_ms(), 5);
    const BrokerConfig dir = BrokerConfig::load(without({"log.dirs"}, {{"log.dir", "/one"}}));
    EXPECT_EQ(dir.log_dirs(), std::vector<std::string>{"/one"});
    const BrokerConfig old_name = BrokerConfig::load(without({"node.id"}, {{"broker.id", "9"}}));
    EXPECT_EQ(old_name.node_id(), BrokerId{9});
}

TEST(BrokerConfig, ListenersMayBeIpv6AndShareAPortWithIpv4) {
    const BrokerConfig config = BrokerConfig::load(
        with({{"listeners", "PLAINTEXT://127.0.0.1:9092,V6://[::1]:9092,CONTROLLER://:0"},
              {"advertised.listeners", "PLAINTEXT://h:9092,V6://[2001:db8::1]:9092"},
              {"listener.security.protocol.map", "plaintext:plaintext,V6:PLAINTEXT,CONTROLLER:PLAINTEXT"}}));
    EXPECT_EQ(config.listeners()[1].host, "::1");
    EXPECT_EQ(config.listeners()[2].port, 0);
    EXPECT_EQ(to_string(config.advertised_broker_listeners()[1]), "V6://[2001:db8::1]:9092");
}

TEST(BrokerConfig, AControllerOnAllInterfacesIsReachedAsTheVotersNameIt) {
    const ConfigMap open =
        without({"advertised.listeners"}, {{"listeners", "PLAINTEXT://h:9092,CONTROLLER://0.0.0.0:9093"}});
    EXPECT_EQ(BrokerConfig::load(open).advertised_controller_listeners()[0].host, "");
    ConfigMap named = open;
    named["controller.quorum.voters"] = "1@me:9093";
    EXPECT_EQ(BrokerConfig::load(named).advertised_controller_listeners()[0].host, "me");
}

TEST(BrokerConfig, AListenersOwnValueWinsOverThePlainKey) {
    const BrokerConfig config = BrokerConfig::load(with({{"listener.name.plaintext.max.connections", "7"}}));
    EXPECT_EQ(to_text(config.listener_value("PLAINTEXT", "max.connections")), "7");
    EXPECT_EQ(to_text(config.listener_value("CONTROLLER", "max.connections")), "2147483647");
}

TEST(BrokerConfig, LimitsHoldTheOverridesForAddresses) {
    const BrokerConfig config = BrokerConfig::load(with({{"max.connections.per.ip.overrides", "10.0.0.1:5,::1:6"}}));
    const BrokerLimits limits = config.limits();
    EXPECT_EQ(limits.max_connections_per_ip_overrides.at("10.0.0.1"), 5);
    EXPECT_EQ(limits.max_connections_per_ip_overrides.at("::1"), 6);
    EXPECT_EQ(limits.socket_request_max_bytes, 104'857'600);
}

TEST(BrokerConfig, WarnsOfKeysThatAreUnknownOrNotServedYet) {
    const BrokerConfig config = BrokerConfig::load(
        with({{"num.partition", "3"}, {"authorizer.class.name", "x.Y"}, {"zzz", "1"}, {"rsm.config.x", "1"}}));
    EXPECT_EQ(config.warnings(),
              (std::vector<std::string>{"authorizer.class.name is set but not served yet: it has no effect",
                                        "num.partition is no known key; did you mean num.partitions?",
                                        "zzz is no known key"}));
}

TEST(Providers, ReplaceReferencesToFilesDirectoriesAndTheEnvironment) {
    const ProviderSources sources{.read_file = [](const std::string& path) -> std::optional<std::string> {
                                      if (path == "/secrets/a.properties") return "threads=9\n";
                                      if (path == "/secrets/dir/parts") return "4";
                                      return std::nullopt;
                                  },
                                  .environment = [](const std::string& name) -> std::optional<std::string> {
                                      if (name == "NODE") return "42";
                                      return std::nullopt;
                                  }};
    ConfigMap properties =
        with({{"config.providers", "file,dir,env"},
              {"config.providers.file.class", "org.apache.kafka.common.config.provider.FileConfigProvider"},
              {"config.providers.dir.class", "org.apache.kafka.common.config.provider.DirectoryConfigProvider"},
              {"config.providers.env.class", "org.apache.kafka.common.config.provider.EnvVarConfigProvider"},
              {"node.id", "${env:NODE}"},
              {"num.io.threads", "${file:/secrets/a.properties:threads}"},
              {"num.partitions", "${dir:/secrets/dir:parts}"},
              {"broker.rack", "${env:NONE}-${other:x}"}});
    const BrokerConfig config = BrokerConfig::load(properties, sources);
    EXPECT_EQ(config.node_id(), BrokerId{42});
    EXPECT_EQ(config.get_int("num.io.threads"), 9);
    EXPECT_EQ(config.get_int("num.partitions"), 4);
    EXPECT_EQ(config.get_string("broker.rack"), "${env:NONE}-${other:x}");
    properties["num.io.threads"] = "${file:/gone:threads}";
    EXPECT_EQ(BrokerConfig::make(properties, sources).error(),
              "num.io.threads=${file:/gone:threads}: cannot read /gone");
}

TEST(LogConfig, IsTheTopicsOwnOverTheBrokersOverKafkasDefaults) {
    const BrokerConfig broker = BrokerConfig::load(
        with({{"log.retention.minutes", "1"}, {"log.cleanup.policy", "compact"}, {"message.max.bytes", "1000"}}));
    const LogConfig plain = make_log_config(broker, {});
    EXPECT_EQ(plain.retention_ms, 60'000);
    EXPECT_TRUE(plain.cleanup_compact && !plain.cleanup_delete);
    EXPECT_EQ(plain.max_message_bytes, 1000);
    const LogConfig own = make_log_config(broker, {{"retention.ms", "5"},
                                                   {"cleanup.policy", "compact,delete"},
                                                   {"compression.type", "zstd"},
                                                   {"message.timestamp.type", "LogAppendTime"},
                                                   {"internal.segment.bytes", "100"},
                                                   {"segment.bytes", "1"},
                                                   {"leader.replication.throttled.replicas", "0:1,2:3"}});
    EXPECT_EQ(own.retention_ms, 5);
    EXPECT_TRUE(own.cleanup_compact && own.cleanup_delete);
    EXPECT_EQ(own.compression_type, CompressionType::zstd);
    EXPECT_EQ(own.message_timestamp_type, TimestampType::log_append_time);
    EXPECT_EQ(own.segment_bytes, 100);
    EXPECT_TRUE(own.leader_replication_throttled_replicas.contains(2, 3));
    EXPECT_FALSE(own.leader_replication_throttled_replicas.contains(2, 1));
}

TEST(LogConfig, WithoutABrokerIsKafkasDefaults) { EXPECT_EQ(make_log_config(ConfigMap{}), LogConfig{}); }

}  // namespace
}  // namespace odr::config
