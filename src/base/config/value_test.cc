#include "base/config/value.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace odr::config {
namespace {

std::string verdict(KeySet set, std::string_view name, std::string_view raw) {
    const auto value = check_value(*find_key(set, name), raw);
    return value ? "ok " + to_text(*value) : value.error();
}

struct Case {
    KeySet set;
    std::string_view name;
    std::string_view raw;
    std::string_view verdict;
};

// The verdicts are those of the ConfigDefs in the 4.3.0 jars.
const Case kCases[]{
    {KeySet::topic, "retention.ms", "x", "Invalid value x for configuration retention.ms: Not a number of type LONG"},
    {KeySet::topic, "retention.ms", "-5", "Invalid value -5 for configuration retention.ms: Value must be at least -1"},
    {KeySet::topic, "segment.ms", " +12 ", "ok 12"},
    {KeySet::topic, "segment.ms", "", "Invalid value  for configuration segment.ms: Not a number of type LONG"},
    {KeySet::topic, "segment.ms", "99999999999999999999",
     "Invalid value 99999999999999999999 for configuration segment.ms: Not a number of type LONG"},
    {KeySet::topic, "segment.bytes", "2147483648",
     "Invalid value 2147483648 for configuration segment.bytes: Not a number of type INT"},
    {KeySet::topic, "min.cleanable.dirty.ratio", "1.5",
     "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1"},
    {KeySet::topic, "min.cleanable.dirty.ratio", "0x1p-3", "ok 0.125"},
    {KeySet::topic, "min.cleanable.dirty.ratio", "0.5f", "ok 0.5"},
    {KeySet::topic, "min.cleanable.dirty.ratio", "NaN", "ok NaN"},
    {KeySet::topic, "compression.type", "x",
     "Invalid value x for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, "
     "gzip, "
     "producer"},
    {KeySet::topic, "compression.gzip.level", "0",
     "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1"},
    {KeySet::topic, "compression.gzip.level", "-1", "ok -1"},
    {KeySet::topic, "cleanup.policy", "x",
     "Invalid value x for configuration cleanup.policy: String must be one of: compact, delete"},
    {KeySet::topic, "cleanup.policy", " compact , delete ", "ok compact,delete"},
    {KeySet::topic, "cleanup.policy", "", "ok "},
    {KeySet::topic, "cleanup.policy", "compact,compact", "ok compact"},
    {KeySet::topic, "cleanup.policy", "compact,", "Configuration 'cleanup.policy' values must not be empty."},
    {KeySet::topic, "preallocate", " TRUE ", "ok true"},
    {KeySet::topic, "preallocate", "yes",
     "Invalid value yes for configuration preallocate: Expected value to be either true or false"},
    {KeySet::broker, "process.roles", "",
     "Configuration 'process.roles' must not be empty. Valid values include: [broker, controller]"},
    {KeySet::broker, "group.consumer.migration.policy", "bidirectional", "ok bidirectional"},
    {KeySet::broker, "remote.log.storage.manager.class.name", "",
     "Invalid value  for configuration remote.log.storage.manager.class.name: String must be non-empty"},
    {KeySet::topic, "leader.replication.throttled.replicas", "1:2 , 1:2", "ok 1:2,1:2"},
    {KeySet::topic, "leader.replication.throttled.replicas", "*", "ok *"},
    {KeySet::topic, "leader.replication.throttled.replicas", "1:2,*",
     "Invalid value [1:2, *] for configuration leader.replication.throttled.replicas: "
     "leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following format: "
     "[partitionId]:[brokerId],[partitionId]:[brokerId],..."},
    {KeySet::broker, "controller.quorum.voters", "1@[::1]:9,2@host:1", "ok 1@[::1]:9,2@host:1"},
    {KeySet::group, "share.auto.offset.reset", "by_duration:P1DT2H3.5S", "ok by_duration:P1DT2H3.5S"},
    {KeySet::group, "share.auto.offset.reset", "by_duration:-PT1H",
     "Invalid value by_duration:-PT1H for configuration share.auto.offset.reset: Invalid value `by_duration:-PT1H` "
     "for "
     "configuration share.auto.offset.reset. The value must be either 'earliest', 'latest' or of the format "
     "'by_duration:<PnDTnHnMn.nS>'."},
};

TEST(Value, IsJudgedInKafkasWords) {
    for (const Case& c : kCases) EXPECT_EQ(verdict(c.set, c.name, c.raw), c.verdict) << c.name << "=" << c.raw;
}

TEST(Value, APasswordIsNeverShown) {
    const KeyDef* key = find_key(KeySet::broker, "ssl.key.password");
    ASSERT_NE(key, nullptr);
    EXPECT_TRUE(key->sensitive());
    EXPECT_EQ(to_text(*check_value(*key, " secret ")), "secret");
}

TEST(Value, DoublesAreWrittenAsJavaWritesThem) {
    const std::pair<double, std::string_view> cases[]{{1.7976931348623157E308, "1.7976931348623157E308"},
                                                      {0.5, "0.5"},
                                                      {100, "100.0"},
                                                      {1e7, "1.0E7"},
                                                      {9999999, "9999999.0"},
                                                      {1e-3, "0.001"},
                                                      {1e-4, "1.0E-4"},
                                                      {12345678.9, "1.23456789E7"},
                                                      {2147483647, "2.147483647E9"},
                                                      {0.1 + 0.2, "0.30000000000000004"},
                                                      {-0.0, "-0.0"}};
    for (const auto& [number, text] : cases) EXPECT_EQ(java_double(number), text);
}

TEST(Keys, EveryDefaultObeysItsOwnRule) {
    for (const KeySet set : {KeySet::broker, KeySet::broker_quota, KeySet::topic, KeySet::group, KeySet::client_metrics,
                             KeySet::user_quota, KeySet::ip_quota}) {
        for (const KeyDef& key : keys(set)) {
            if (key.default_value) {
                EXPECT_TRUE(check_value(key, *key.default_value)) << key.name;
            }
            EXPECT_FALSE(key.documentation.empty()) << key.name;
            EXPECT_EQ(find_key(set, key.name), &key) << key.name;
        }
    }
}

TEST(Keys, AreAllThere) {
    const auto own =
        std::ranges::count_if(keys(KeySet::broker), [](const KeyDef& key) { return key.name.starts_with("odradek."); });
    EXPECT_EQ(std::ssize(keys(KeySet::broker)) - own, 360);
    EXPECT_EQ(std::ranges::count_if(keys(KeySet::broker), &KeyDef::internal) - own, 20);
    EXPECT_EQ(keys(KeySet::topic).size(), 34U);
    EXPECT_EQ(keys(KeySet::group).size(), 17U);
    EXPECT_EQ(keys(KeySet::client_metrics).size(), 3U);
}

TEST(Keys, AListenerPrefixLeadsToThePlainKey) {
    EXPECT_EQ(find_broker_key("listener.name.internal.max.connections")->name, "max.connections");
    EXPECT_EQ(find_broker_key("listener.name.x.scram-sha-256.sasl.jaas.config")->name, "sasl.jaas.config");
    EXPECT_EQ(find_broker_key("leader.replication.throttled.rate")->type, KeyType::int64);
    EXPECT_EQ(find_broker_key("listener.name.x.no.such.key"), nullptr);
}

}  // namespace
}  // namespace odr::config
