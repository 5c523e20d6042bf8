#include "metadata/features.h"

#include <gtest/gtest.h>

namespace odr::metadata {

// As `MetadataVersion.values()` and `Feature.defaultLevel` of Apache Kafka 4.3.0 say.
TEST(FeaturesTest, VersionsHaveKafkasNamesAndLevels) {
    constexpr struct {
        std::int16_t level;
        const char* name;
        std::int16_t register_broker, partition;
        bool transactions, tokens, directories, elr;
    } kVersions[] = {
        {7, "3.3-IV3", 1, 0, false, false, false, false},  {8, "3.4-IV0", 2, 0, false, false, false, false},
        {12, "3.6-IV0", 2, 0, false, false, false, false}, {13, "3.6-IV1", 2, 0, true, false, false, false},
        {14, "3.6-IV2", 2, 0, true, true, false, false},   {16, "3.7-IV1", 2, 0, true, true, false, false},
        {17, "3.7-IV2", 3, 1, true, true, true, false},    {19, "3.7-IV4", 3, 1, true, true, true, false},
        {20, "3.8-IV0", 3, 1, true, true, true, false},    {21, "3.9-IV0", 3, 1, true, true, true, false},
        {22, "4.0-IV0", 3, 1, true, true, true, false},    {23, "4.0-IV1", 3, 2, true, true, true, true},
        {25, "4.0-IV3", 3, 2, true, true, true, true},     {27, "4.1-IV1", 3, 2, true, true, true, true},
        {29, "4.2-IV1", 3, 2, true, true, true, true},     {30, "4.3-IV0", 4, 2, true, true, true, true},
    };
    for (const auto& each : kVersions) {
        const MetadataVersion version{each.level};
        EXPECT_EQ(version.name(), each.name);
        EXPECT_EQ(MetadataVersion::parse(each.name), version);
        EXPECT_EQ(version.register_broker_record_version(), each.register_broker) << each.name;
        EXPECT_EQ(version.partition_record_version(), each.partition) << each.name;
        EXPECT_EQ(version.is_metadata_transaction_supported(), each.transactions) << each.name;
        EXPECT_EQ(version.is_delegation_token_supported(), each.tokens) << each.name;
        EXPECT_EQ(version.is_directory_assignment_supported(), each.directories) << each.name;
        EXPECT_EQ(version.is_elr_supported(), each.elr) << each.name;
    }
    EXPECT_FALSE(MetadataVersion{31}.is_known());
    EXPECT_FALSE(MetadataVersion{6}.is_known());
}

TEST(FeaturesTest, AReleaseMeansItsNewestVersion) {
    EXPECT_EQ(MetadataVersion::parse("3.7"), MetadataVersion{19});
    EXPECT_EQ(MetadataVersion::parse("4.3.0"), MetadataVersion{30});
    EXPECT_FALSE(MetadataVersion::parse("3.1"));
    EXPECT_FALSE(MetadataVersion::parse("4.3.x"));
    EXPECT_FALSE(MetadataVersion::parse(""));
}

TEST(FeaturesTest, DefaultsBeginWithTheReleaseThatBroughtThem) {
    constexpr struct {
        std::string_view feature;
        std::int16_t from, level;
    } kDefaults[] = {
        {"kraft.version", 21, 1}, {"transaction.version", 24, 2},
        {"group.version", 22, 1}, {"eligible.leader.replicas.version", 26, 1},
        {"share.version", 28, 1}, {"streams.version", 29, 1},
    };
    for (const auto& each : kDefaults) {
        EXPECT_EQ(default_feature_level(each.feature, MetadataVersion{each.from}), each.level) << each.feature;
        EXPECT_EQ(default_feature_level(each.feature, MetadataVersion{static_cast<std::int16_t>(each.from - 1)}), 0);
        EXPECT_EQ(find_supported_feature(each.feature)->max, each.level);
    }
    EXPECT_EQ(supported_features().size(), 7U);
}

}  // namespace odr::metadata
