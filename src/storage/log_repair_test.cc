#include "storage/log_repair.h"

#include <cerrno>
#include <map>
#include <random>

#include "storage/log_directory_test_support.h"
#include "storage/producer_state_manager.h"

namespace odr::storage::test {
namespace {

// Executes all steps. Gives: those that were refused.
std::vector<std::string> repair(DirectoryFixture& fixture) {
    LogRepair repair{fixture.files, {.directories = {"/logs"}}};
    const auto plan = repair.plan(kMayBlock);
    EXPECT_TRUE(plan.has_value());
    EXPECT_TRUE(repair.lock());
    std::vector<std::string> refused;
    for (const RepairStep& step : plan->steps) {
        const auto done = repair.execute(kMayBlock, step);
        if (!done) refused.push_back(step.file + ": " + std::string{done.error().what});
    }
    return refused;
}

TEST(LogRepairTest, PlanningChangesNothing) {
    DirectoryFixture fixture;
    fixture.flip(fixture.segment(1, kOffsetIndexSuffix), 7);
    const std::string before = fixture.get(fixture.segment(1, kOffsetIndexSuffix));
    LogRepair repair{fixture.files, {.directories = {"/logs"}}};
    const auto plan = repair.plan(kMayBlock);
    ASSERT_TRUE(plan.has_value());
    ASSERT_EQ(plan->steps.size(), 1U);
    EXPECT_EQ(plan->steps[0].remedy, Remedy::rebuild_indexes);
    EXPECT_EQ(fixture.get(fixture.segment(1, kOffsetIndexSuffix)), before);
}

TEST(LogRepairTest, BrokenIndexesAreMadeAnewAndTheOldOnesKeptAside) {
    DirectoryFixture fixture;
    fixture.flip(fixture.segment(1, kOffsetIndexSuffix), 7);
    fixture.flip(fixture.segment(2, kTimeIndexSuffix), 7);
    const std::string damaged = fixture.get(fixture.segment(1, kOffsetIndexSuffix));
    EXPECT_TRUE(repair(fixture).empty());
    EXPECT_EQ(text_of(fixture.verify()), "");
    EXPECT_EQ(fixture.get(fixture.segment(1, kOffsetIndexSuffix) + ".damaged"), damaged);
}

TEST(LogRepairTest, TransactionIndexesComeBackAsTheyWere) {
    DirectoryFixture fixture;
    std::map<std::string, std::string> before;
    for (std::size_t i = 0; i < fixture.segments.size(); ++i) {
        const std::string file = fixture.segment(i, kTxnIndexSuffix);
        if (!fixture.files.exists("/logs/" + file) || fixture.get(file).empty()) continue;
        before[file] = fixture.get(file);
        fixture.put(file, "");
    }
    ASSERT_GE(before.size(), 2U);
    EXPECT_TRUE(repair(fixture).empty());
    for (const auto& [file, bytes] : before) EXPECT_EQ(fixture.get(file), bytes) << file;
}

TEST(LogRepairTest, AProducerSnapshotComesBackWithTheSameProducers) {
    DirectoryFixture fixture;
    const std::string file = "orders-0/" + segment_file_name(fixture.end, kSnapshotSuffix);
    const auto before = decode_producer_snapshot(as_bytes(fixture.get(file)));
    ASSERT_TRUE(before.has_value());
    fixture.flip(file, 20);
    EXPECT_TRUE(repair(fixture).empty());
    const auto after = decode_producer_snapshot(as_bytes(fixture.get(file)));
    ASSERT_TRUE(after.has_value());
    ASSERT_EQ(after->size(), before->size());
    for (const ProducerSnapshotEntry& entry : *before) {
        const auto same = std::ranges::find(*after, entry.producer_id, &ProducerSnapshotEntry::producer_id);
        ASSERT_NE(same, after->end());
        EXPECT_EQ(same->state.last_sequence(), entry.state.last_sequence());
        EXPECT_EQ(same->state.current_txn_first_offset, entry.state.current_txn_first_offset);
    }
}

TEST(LogRepairTest, LeaderEpochsComeBackFromTheBatches) {
    DirectoryFixture fixture;
    const std::string before = fixture.get("orders-0/leader-epoch-checkpoint");
    fixture.put("orders-0/leader-epoch-checkpoint", "0\n9\n");
    EXPECT_TRUE(repair(fixture).empty());
    EXPECT_EQ(fixture.get("orders-0/leader-epoch-checkpoint"), before);
}

TEST(LogRepairTest, ATornTailIsCutAndKeptAside) {
    DirectoryFixture fixture;
    const std::string active = fixture.segment(fixture.segments.size() - 1);
    const auto last = fixture.batches(fixture.segments.size() - 1).back();
    const std::string whole = fixture.get(active);
    const std::string torn = whole.substr(0, last.position + last.size - 5);
    fixture.put(active, torn);
    (void)fixture.files.remove("/logs/.kafka_cleanshutdown");
    fixture.put(kRecoveryPointCheckpoint, encode_offset_checkpoint({{fixture.name, last.first}}));
    fixture.put(kHighWatermarkCheckpoint, encode_offset_checkpoint({{fixture.name, last.first}}));
    (void)repair(fixture);
    EXPECT_EQ(fixture.get(active), whole.substr(0, last.position));
    EXPECT_EQ(fixture.get(active + ".damaged"), torn.substr(last.position));
}

TEST(LogRepairTest, WhatWasFlushedIsNeverCut) {
    DirectoryFixture fixture;
    const std::string active = fixture.segment(fixture.segments.size() - 1);
    const std::string torn = fixture.get(active).substr(0, fixture.get(active).size() - 5);
    fixture.put(active, torn);
    fixture.flip(fixture.segment(1), 100);
    const std::string flipped = fixture.get(fixture.segment(1));
    LogRepair plan_only{fixture.files, {.directories = {"/logs"}}};
    const auto plan = plan_only.plan(kMayBlock);
    ASSERT_TRUE(plan.has_value());
    EXPECT_GE(plan->beyond_repair.size(), 2U);
    (void)repair(fixture);
    EXPECT_EQ(fixture.get(active), torn);
    EXPECT_EQ(fixture.get(fixture.segment(1)), flipped);
}

TEST(LogRepairTest, OfABrokenCheckpointTheLinesThatCanBeBelievedStay) {
    DirectoryFixture fixture;
    fixture.put(kLogStartOffsetCheckpoint, "0\n3\norders 0 5\norders 1 7\ngarbage\n");
    fixture.put(kRecoveryPointCheckpoint, "0\n1\norders 0 1x\n");
    EXPECT_TRUE(repair(fixture).empty());
    EXPECT_EQ(fixture.get(kLogStartOffsetCheckpoint), encode_offset_checkpoint({{fixture.name, Offset{5}}}));
    EXPECT_EQ(fixture.get(kRecoveryPointCheckpoint), encode_offset_checkpoint({}));
}

TEST(LogRepairTest, ALostTopicIdIsTakenFromAnotherPartitionOnly) {
    DirectoryFixture fixture;
    fixture.put("orders-0/partition.metadata", "?");
    EXPECT_EQ(repair(fixture).size(), 1U);
    (void)fixture.files.create_directories("/logs/orders-1");
    const std::string id = encode_partition_metadata(*Uuid::parse("BBBBBBBBBBBBBBBBBBBBBg"));
    fixture.put("orders-1/partition.metadata", id);
    EXPECT_TRUE(repair(fixture).empty());
    EXPECT_EQ(fixture.get("orders-0/partition.metadata"), id);
}

TEST(LogRepairTest, ADirectoryThatABrokerUsesIsRefused) {
    DirectoryFixture fixture;
    const auto held = fixture.files.lock("/logs/.lock");
    ASSERT_TRUE(held.has_value());
    LogRepair repair{fixture.files, {.directories = {"/logs"}}};
    ASSERT_TRUE(repair.plan(kMayBlock).has_value());
    EXPECT_EQ(repair.lock().error().os_errno, EAGAIN);
}

// Whatever is broken: verify, repair and a start end well, and no sound batch is lost to a repair.
TEST(LogRepairTest, RandomDamageNeverCrashesAndSoundBatchesStay) {
    for (std::uint32_t seed = 0; seed < 150; ++seed) {
        DirectoryFixture fixture;
        std::minstd_rand random{seed};
        if (seed % 2 == 0) (void)fixture.files.remove("/logs/.kafka_cleanshutdown");
        auto entries = fixture.files.list("/logs/orders-0");
        ASSERT_TRUE(entries.has_value());
        for (int i = 0; i < 3; ++i) {
            const std::string file = "orders-0/" + (*entries)[random() % entries->size()].name;
            std::string bytes = fixture.get(file);
            switch (random() % 4) {
                case 0:
                    bytes.resize(bytes.empty() ? 0 : random() % bytes.size());
                    break;
                case 1:
                    bytes.append(random() % 100, '\0');
                    break;
                default:
                    if (!bytes.empty()) bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
            }
            fixture.put(file, bytes);
        }
        (void)fixture.verify();
        std::map<std::string, std::string> logs;
        for (std::size_t i = 0; i < fixture.segments.size(); ++i)
            logs[fixture.segment(i)] = fixture.get(fixture.segment(i));
        (void)repair(fixture);
        for (const auto& [file, before] : logs) {
            const std::string after = fixture.get(file);
            EXPECT_EQ(before.substr(0, after.size()), after) << "seed " << seed << " " << file;
            if (after.size() < before.size()) {
                EXPECT_EQ(after + fixture.get(file + ".damaged"), before) << "seed " << seed;
            }
        }
        // A start takes the log or refuses it.
        fixture.log.log.reset();
        LogOpenOptions options{
            .directory = "/logs/orders-0", .topic_partition = fixture.name, .config = fixture.log.config};
        options.clean_shutdown = seed % 2 != 0;
        (void)open_log(kMayBlock, fixture.log.environment, options);
    }
}

}  // namespace
}  // namespace odr::storage::test
