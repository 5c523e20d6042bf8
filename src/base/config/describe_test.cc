#include "base/config/describe.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/config/alter.h"

namespace odr::config {
namespace {

ConfigMap with(ConfigMap extra) {
    ConfigMap out = dev_defaults("/data");
    for (auto& [key, value] : extra) out.insert_or_assign(key, value);
    return out;
}

const ConfigEntry& find(const std::vector<ConfigEntry>& entries, std::string_view name) {
    const auto found = std::ranges::find(entries, name, &ConfigEntry::name);
    EXPECT_NE(found, entries.end()) << name;
    return *found;
}

// A node with a file, a cluster default and settings of its own.
struct Node {
    explicit Node(ConfigMap file = {}, ConfigMap defaults = {}, ConfigMap own = {})
        : started{BrokerConfig::load(with(std::move(file)))},
          cluster_default{std::move(defaults)},
          broker{std::move(own)},
          current{*started.with_dynamic(cluster_default, broker)} {}
    BrokerSettings settings() const { return {started, current, cluster_default, broker}; }
    std::optional<Refusal> refusal(bool per_broker) const {
        return check_broker_settings(started, started, cluster_default, broker, per_broker);
    }
    BrokerConfig started;
    ConfigMap cluster_default;
    ConfigMap broker;
    BrokerConfig current;
};

using Synonyms = std::vector<ConfigSynonym>;

TEST(Describe, ATopicEntryListsWhereItsValueCouldComeFrom) {
    const Node node{{{"log.retention.ms", "9"}}, {{"log.retention.ms", "8"}}, {{"log.retention.ms", "7"}}};
    const auto entries = describe_topic(node.settings(), {{"retention.ms", "6"}});
    const ConfigEntry& entry = find(entries, "retention.ms");
    EXPECT_EQ(entry.value, "6");
    EXPECT_EQ(entry.source, ConfigSource::topic_config);
    EXPECT_EQ(entry.synonyms, (Synonyms{{"retention.ms", "6", ConfigSource::topic_config},
                                        {"log.retention.ms", "7", ConfigSource::dynamic_broker_config},
                                        {"log.retention.ms", "8", ConfigSource::dynamic_default_broker_config},
                                        {"log.retention.ms", "9", ConfigSource::static_broker_config},
                                        {"log.retention.hours", "168", ConfigSource::static_broker_config},
                                        {"log.retention.hours", "168", ConfigSource::default_config}}));
    EXPECT_EQ(entries.size(), 33U);
}

TEST(Describe, AValueInHoursCountsAsTheDefaultOfTheKeyInMilliseconds) {
    const Node node{{{"log.retention.hours", "1"}}};
    const auto entries = describe_topic(node.settings(), {});
    EXPECT_EQ(find(entries, "retention.ms").value, "3600000");
    EXPECT_EQ(find(entries, "retention.ms").source, ConfigSource::default_config);
    EXPECT_TRUE(find(entries, "retention.ms").synonyms.empty());
}

TEST(Describe, ABrokerShowsDynamicStaticAndDefaultValuesAndHidesPasswords) {
    const Node node{{{"ssl.key.password", "secret"}, {"num.io.threads", "9"}, {"made.up", "x"}},
                    {{"log.cleaner.threads", "2"}},
                    {{"num.io.threads", "10"}, {"leader.replication.throttled.rate", "5"}}};
    const auto entries = describe_broker(node.settings());
    EXPECT_EQ(find(entries, "num.io.threads").value, "10");
    EXPECT_EQ(find(entries, "num.io.threads").source, ConfigSource::dynamic_broker_config);
    EXPECT_EQ(find(entries, "num.io.threads").synonyms.size(), 3U);
    EXPECT_FALSE(find(entries, "num.io.threads").read_only);
    EXPECT_EQ(find(entries, "log.cleaner.threads").source, ConfigSource::dynamic_default_broker_config);
    EXPECT_EQ(find(entries, "node.id").source, ConfigSource::static_broker_config);
    EXPECT_TRUE(find(entries, "node.id").read_only);
    EXPECT_EQ(find(entries, "log.cleaner.io.max.bytes.per.second").value, "1.7976931348623157E308");
    EXPECT_TRUE(find(entries, "ssl.key.password").sensitive);
    EXPECT_EQ(find(entries, "ssl.key.password").value, std::nullopt);
    EXPECT_EQ(find(entries, "ssl.key.password").synonyms.front().value, std::nullopt);
    EXPECT_TRUE(find(entries, "made.up").sensitive);
    EXPECT_EQ(find(entries, "made.up").type, KeyType::unknown);
    EXPECT_EQ(find(entries, "leader.replication.throttled.rate").type, KeyType::int64);
    EXPECT_FALSE(find(entries, "leader.replication.throttled.rate").read_only);
    EXPECT_EQ(entries.size(), 340U + 2U);
}

TEST(Describe, TheClusterDefaultShowsOnlyWhatIsSetThere) {
    const Node node{{}, {{"log.cleaner.threads", "2"}}, {{"log.cleaner.threads", "1"}}};
    const auto entries = describe_cluster_default(node.settings());
    ASSERT_EQ(entries.size(), 1U);
    EXPECT_EQ(entries[0].value, "2");
    EXPECT_EQ(entries[0].synonyms,
              (Synonyms{{"log.cleaner.threads", "2", ConfigSource::dynamic_default_broker_config}}));
}

TEST(Describe, AGroupFallsBackToTheBroker) {
    const Node node{{{"group.consumer.session.timeout.ms", "50000"}}};
    const auto entries = describe_group(node.settings(), {{"consumer.heartbeat.interval.ms", "6000"}});
    EXPECT_EQ(find(entries, "consumer.session.timeout.ms").value, "50000");
    EXPECT_EQ(find(entries, "consumer.session.timeout.ms").source, ConfigSource::static_broker_config);
    EXPECT_EQ(find(entries, "consumer.heartbeat.interval.ms").source, ConfigSource::group_config);
    EXPECT_EQ(find(entries, "share.isolation.level").synonyms,
              (Synonyms{{"share.isolation.level", "read_uncommitted", ConfigSource::default_config}}));
}

TEST(Describe, AClientMetricsSubscriptionShowsAllThreeKeys) {
    const auto entries = describe_client_metrics({{"interval.ms", "1000"}});
    ASSERT_EQ(entries.size(), 3U);
    EXPECT_EQ(find(entries, "interval.ms").source, ConfigSource::client_metrics_config);
    EXPECT_EQ(find(entries, "match").source, ConfigSource::default_config);
}

TEST(Alter, SetsRemovesAppendsAndSubtracts) {
    const ConfigMap current{{"retention.ms", "1"}, {"segment.ms", "2"}};
    const auto after = apply_alterations(KeySet::topic, current,
                                         {{"retention.ms", AlterOp::remove, {}},
                                          {"segment.ms", AlterOp::set, "3"},
                                          {"cleanup.policy", AlterOp::append, "compact,delete"}});
    ASSERT_TRUE(after);
    EXPECT_EQ(*after, (ConfigMap{{"segment.ms", "3"}, {"cleanup.policy", "delete,compact"}}));
    const auto fewer = apply_alterations(KeySet::topic, *after, {{"cleanup.policy", AlterOp::subtract, "delete"}});
    EXPECT_EQ(fewer->at("cleanup.policy"), "compact");
}

TEST(Alter, RefusesWhatKafkaRefuses) {
    const auto refusal = [](std::vector<Alteration> alterations) {
        return apply_alterations(KeySet::topic, {}, alterations).error();
    };
    EXPECT_EQ(refusal({{"retention.ms", AlterOp::append, "1"}}).message,
              "Can't APPEND to key retention.ms because its type is not LIST.");
    EXPECT_EQ(refusal({{"a", AlterOp::set, "1"}, {"a", AlterOp::remove, {}}}).message,
              "Error due to duplicate config keys");
    EXPECT_TRUE(refusal({{"a", AlterOp::set, {}}}).invalid_request);
}

TEST(Alter, ABrokerTakesOnlyWhatMayChangeAtRuntime) {
    const Node node;
    const auto message = [&](ConfigMap defaults, ConfigMap own, bool per_broker) {
        const auto refused = check_broker_settings(node.started, node.started, defaults, own, per_broker);
        return refused ? refused->message : std::string{};
    };
    EXPECT_EQ(message({}, {{"num.io.threads", "16"}}, true), "");
    EXPECT_EQ(message({{"message.max.bytes", "5"}}, {}, false), "");
    EXPECT_EQ(message({}, {{"node.id", "4"}}, true), "Cannot update these configs dynamically: [node.id]");
    EXPECT_EQ(message({}, {{"ssl.keystore.type", "PEM"}}, true),
              "These security configs can be dynamically updated only per-listener using the listener prefix: "
              "[ssl.keystore.type]");
    EXPECT_EQ(message({{"ssl.client.auth", "none"}}, {}, false),
              "Cannot update these configs at default cluster level, broker id must be specified: [ssl.client.auth]");
    EXPECT_EQ(message({{"num.io.threads", "x"}}, {}, false),
              "Invalid value x for configuration num.io.threads: Not a number of type INT");
    EXPECT_EQ(
        message({}, {{"num.io.threads", "17"}}, true),
        "Dynamic thread count update validation failed for num.io.threads=17, value should not be greater than double "
        "the current value 8");
    EXPECT_EQ(message({{"num.recovery.threads.per.data.dir", "4"}}, {}, false), "");
    EXPECT_EQ(message({{"num.recovery.threads.per.data.dir", "1"}}, {}, false), "");
    EXPECT_EQ(message({{"num.recovery.threads.per.data.dir", "0"}}, {}, false),
              "Invalid value 0 for configuration num.recovery.threads.per.data.dir: Value must be at least 1");
    EXPECT_EQ(message({{"num.recovery.threads.per.data.dir", "5"}}, {}, false),
              "Dynamic thread count update validation failed for num.recovery.threads.per.data.dir=5, value should not "
              "be greater than double the current value 2");
    const Node eight{{{"num.recovery.threads.per.data.dir", "8"}}};
    EXPECT_EQ(
        check_broker_settings(eight.started, eight.started, {{"num.recovery.threads.per.data.dir", "3"}}, {}, false)
            ->message,
        "Dynamic thread count update validation failed for num.recovery.threads.per.data.dir=3, value should be at "
        "least half the current value 8");
    EXPECT_EQ(message({{"log.cleaner.threads", "2"}}, {}, false), "");
    EXPECT_EQ(message({{"log.cleaner.threads", "3"}}, {}, false),
              "Log cleaner threads cannot be increased to more than double the current value 1");
    EXPECT_EQ(message({{"leader.replication.throttled.rate", "1000"}}, {}, false), "");
}

TEST(TopicConfig, IsCheckedKeyByKeyAndAsAWhole) {
    const BrokerConfig broker = BrokerConfig::load(dev_defaults("/data"));
    const auto message = [&](ConfigMap settings) {
        const auto refused = check_topic_config(broker, {}, settings);
        return refused ? refused->message : std::string{};
    };
    EXPECT_EQ(message({{"retention.ms", "5"}, {"cleanup.policy", "compact"}}), "");
    EXPECT_EQ(message({{"nope", "5"}}), "Unknown topic config name: nope");
    EXPECT_EQ(message({{"retention.ms", "-2"}}),
              "Invalid value -2 for configuration retention.ms: Value must be at least -1");
    EXPECT_EQ(message({{"min.compaction.lag.ms", "5"}, {"max.compaction.lag.ms", "4"}}),
              "conflict topic config setting min.compaction.lag.ms (5) > max.compaction.lag.ms (4)");
    EXPECT_EQ(
        message({{"remote.storage.enable", "true"}}),
        "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.");
    EXPECT_TRUE(check_topic_config(broker, {{"remote.storage.enable", "true"}}, {})
                    ->message.starts_with("It is invalid to disable"));
}

TEST(GroupConfig, StaysWithinTheBrokersBounds) {
    const BrokerConfig broker = BrokerConfig::load(dev_defaults("/data"));
    const auto message = [&](ConfigMap settings) {
        const auto refused = check_group_config(broker, settings);
        return refused ? refused->message : std::string{};
    };
    EXPECT_EQ(message({{"consumer.session.timeout.ms", "50000"}}), "");
    EXPECT_EQ(message({{"consumer.session.timeout.ms", "1000"}}),
              "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms");
    EXPECT_EQ(message({{"streams.num.standby.replicas", "3"}}),
              "streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas");
}

TEST(ClientMetricsConfig, WantsASaneIntervalAndPatterns) {
    EXPECT_FALSE(
        check_client_metrics_config({{"interval.ms", "100"}, {"match", "client_id=a.*,client_software_name = x"}}));
    EXPECT_TRUE(check_client_metrics_config({{"interval.ms", "99"}})->invalid_request);
    EXPECT_EQ(check_client_metrics_config({{"match", "who=x"}})->message, "Illegal client matching pattern: who=x");
    EXPECT_EQ(check_client_metrics_config({{"match", "client_id=("}})->message,
              "Illegal client matching pattern: client_id=(");
}

}  // namespace
}  // namespace odr::config
