#include "storage/checkpoint_file.h"

#include <gtest/gtest.h>

namespace odr::storage {
namespace {

TEST(CheckpointFileTest, OffsetCheckpointIsVersionCountAndALineForEachPartition) {
    const OffsetCheckpoint offsets{{{"orders", PartitionIndex{1}}, Offset{7}},
                                   {{"a-b", PartitionIndex{0}}, Offset{42}}};
    const std::string text = "0\n2\na-b 0 42\norders 1 7\n";
    EXPECT_EQ(encode_offset_checkpoint(offsets), text);
    EXPECT_EQ(decode_offset_checkpoint(text).value(), offsets);
    EXPECT_EQ(encode_offset_checkpoint({}), "0\n0\n");
}

TEST(CheckpointFileTest, OffsetCheckpointThatIsNoneIsRefused) {
    for (const char* text : {"", "1\n0\n", "0\n", "0\nx\n", "0\n2\na 0 1\n", "0\n1\na 0\n", "0\n1\na 0 1\nb 0 1\n",
                             "0\n1\n\n", "0\n-1\n", "0\n1\na b c\n"}) {
        EXPECT_FALSE(decode_offset_checkpoint(text).has_value()) << text;
    }
}

TEST(CheckpointFileTest, EpochCheckpointIsVersionCountAndALineForEachEpoch) {
    const std::vector<EpochEntry> entries{{LeaderEpoch{0}, Offset{0}}, {LeaderEpoch{3}, Offset{120}}};
    const std::string text = "0\n2\n0 0\n3 120\n";
    EXPECT_EQ(encode_epoch_checkpoint(entries), text);
    EXPECT_EQ(decode_epoch_checkpoint(text).value(), entries);
    EXPECT_FALSE(decode_epoch_checkpoint("0\n1\n3\n").has_value());
}

TEST(CheckpointFileTest, PartitionMetadataIsAsKafkaWritesIt) {
    const Uuid id = Uuid::parse("UJNNMwN4TqW2YAvEAqcFHw").value();
    EXPECT_EQ(encode_partition_metadata(id), "version: 0\ntopic_id: UJNNMwN4TqW2YAvEAqcFHw");
    EXPECT_EQ(decode_partition_metadata("version: 0\ntopic_id: UJNNMwN4TqW2YAvEAqcFHw").value(), id);
    EXPECT_FALSE(decode_partition_metadata("version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA").has_value());
    EXPECT_FALSE(decode_partition_metadata("version: 0\n").has_value());
}

TEST(CheckpointFileTest, CleanShutdownFileHoldsTheBrokerEpochAndAnEmptyOneHoldsNone) {
    EXPECT_EQ(encode_clean_shutdown(12), R"({"version":0,"brokerEpoch":12})");
    EXPECT_EQ(decode_clean_shutdown(R"({"version":0,"brokerEpoch":12})"), 12);
    EXPECT_EQ(decode_clean_shutdown(R"({ "version" : 0, "brokerEpoch" : -1 })"), -1);
    EXPECT_EQ(decode_clean_shutdown(""), -1);
}

TEST(CheckpointFileTest, MetaPropertiesAreReadFromKafkasAndFromOurs) {
    const auto read = decode_meta_properties(
        "#\n#Sat May 16 10:00:00 UTC 2026\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\ndirectory.id=UJNNMwN4TqW2YAvEAqcFHw\n"
        "node.id=1\nversion=1\n");
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(read->node_id, BrokerId{1});
    EXPECT_EQ(read->cluster_id, "MkU3OEVBNTcwNTJENDM2Qg");
    EXPECT_EQ(decode_meta_properties(encode_meta_properties(*read)).value(), *read);
    EXPECT_FALSE(decode_meta_properties("version=9\n").has_value());
    EXPECT_FALSE(decode_meta_properties("version=1\nnode.id=one\n").has_value());
}

TEST(LogFolderNameTest, FoldersAreToldByTheirNames) {
    constexpr struct {
        const char* name;
        LogFolderKind kind;
        const char* topic;
        int partition;
    } kCases[] = {
        {"orders-0", LogFolderKind::log, "orders", 0},
        {"a-b-c-12", LogFolderKind::log, "a-b-c", 12},
        {"orders-3.0123456789abcdef0123456789abcdef-delete", LogFolderKind::deleted, "orders", 3},
        {"orders-3.0123456789abcdef0123456789abcdef-future", LogFolderKind::future, "orders", 3},
        {"orders-3.0123456789abcdef0123456789abcdef-stray", LogFolderKind::stray, "orders", 3},
        {"orders", LogFolderKind::foreign, "", 0},
        {"-0", LogFolderKind::foreign, "", 0},
        {"orders-", LogFolderKind::foreign, "", 0},
        {"lost+found", LogFolderKind::foreign, "", 0},
        {"orders-3-delete", LogFolderKind::foreign, "", 0},
    };
    for (const auto& want : kCases) {
        const LogFolderName got = parse_log_folder_name(want.name);
        EXPECT_EQ(static_cast<int>(got.kind), static_cast<int>(want.kind)) << want.name;
        EXPECT_EQ(got.topic_partition.topic, want.topic) << want.name;
        EXPECT_EQ(got.topic_partition.partition.raw(), want.partition) << want.name;
    }
}

TEST(LogFolderNameTest, MarkedNamesOfTheLongestTopicsFitIntoAFileName) {
    const std::string name =
        marked_folder_name({std::string(249, 't'), PartitionIndex{10}}, kMetadataTopicId, "-delete");
    EXPECT_EQ(name.size(), 255U);
    EXPECT_EQ(static_cast<int>(parse_log_folder_name(name).kind), static_cast<int>(LogFolderKind::deleted));
}

TEST(LeaderEpochCacheTest, EndOffsetsAnswerAsKafkaDoes) {
    LeaderEpochCache cache;
    cache.assign(LeaderEpoch{2}, Offset{10});
    cache.assign(LeaderEpoch{4}, Offset{30});
    const Offset end{50};
    const auto answer = [&](int epoch) { return cache.end_offset_for(LeaderEpoch{epoch}, end); };
    EXPECT_EQ(answer(4), (EpochEndOffset{LeaderEpoch{4}, Offset{50}}));
    EXPECT_EQ(answer(3), (EpochEndOffset{LeaderEpoch{2}, Offset{30}}));
    EXPECT_EQ(answer(2), (EpochEndOffset{LeaderEpoch{2}, Offset{30}}));
    EXPECT_EQ(answer(1), (EpochEndOffset{LeaderEpoch{1}, Offset{10}}));
    EXPECT_EQ(answer(5), EpochEndOffset{});
    EXPECT_EQ(answer(-1), EpochEndOffset{});
}

TEST(LeaderEpochCacheTest, AnEpochThatStartsEarlierTakesTheLaterOnesAway) {
    LeaderEpochCache cache;
    cache.assign(LeaderEpoch{1}, Offset{10});
    cache.assign(LeaderEpoch{2}, Offset{20});
    cache.assign(LeaderEpoch{2}, Offset{25});
    EXPECT_EQ(cache.entries().back().start_offset, Offset{20});
    cache.assign(LeaderEpoch{3}, Offset{15});
    EXPECT_EQ(cache.entries(), (std::vector<EpochEntry>{{LeaderEpoch{1}, Offset{10}}, {LeaderEpoch{3}, Offset{15}}}));
}

TEST(LeaderEpochCacheTest, TruncationCutsAtBothEnds) {
    LeaderEpochCache cache;
    for (int epoch = 0; epoch < 5; ++epoch) cache.assign(LeaderEpoch{epoch}, Offset{epoch * 10});
    cache.truncate_from_end(Offset{30});
    EXPECT_EQ(cache.latest(), LeaderEpoch{2});
    cache.mark_clean();
    cache.truncate_from_start(Offset{15});
    EXPECT_TRUE(cache.dirty());
    EXPECT_EQ(cache.entries(), (std::vector<EpochEntry>{{LeaderEpoch{1}, Offset{15}}, {LeaderEpoch{2}, Offset{20}}}));
    EXPECT_EQ(cache.epoch_for(Offset{14}), kNoLeaderEpoch);
    EXPECT_EQ(cache.epoch_for(Offset{19}), LeaderEpoch{1});
}

}  // namespace
}  // namespace odr::storage
