#include <filesystem>
#include <fstream>

#include "storage/log_manager.h"
#include "storage/log_test_support.h"

// What recovery sets aside, splits and refuses.
namespace odr::storage::test {
namespace {

std::string text_of(const std::vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

// --- offsets too far from their segment's base, as old versions of Kafka left them in compacted topics

class OverflowTest : public testing::Test {
protected:
    static constexpr std::int64_t kFar = 3'000'000'000;

    OverflowTest() : log{compacted()} {
        log.log.reset();
        near = batch_at(0) + batch_at(1);
        far = batch_at(kFar) + batch_at(kFar + 1);
        log.files.set_contents(log.path("00000000000000000000.log"), near + far);
    }
    static config::LogConfig compacted() {
        config::LogConfig settings;
        settings.cleanup_compact = true;
        return settings;
    }
    static std::string batch_at(std::int64_t offset) { return text_of(make_batch({.base_offset = Offset{offset}})); }
    void expect_split() {
        EXPECT_EQ(log.log->segment_count(), 2U);
        EXPECT_EQ(log.log->log_end_offset(), Offset{kFar + 2});
        EXPECT_EQ(log.files.contents(log.path("00000000000000000000.log")), near);
        EXPECT_EQ(log.files.contents(log.path("00000000003000000000.log")), far);
        for (const std::int64_t offset : {std::int64_t{0}, std::int64_t{1}, kFar, kFar + 1}) {
            const auto plan = log.read(Offset{offset}, 1);
            ASSERT_TRUE(plan) << offset;
            EXPECT_EQ(text_of(LogFixture::bytes_of(plan->slice)), batch_at(offset)) << offset;
        }
    }

    LogFixture log;
    std::string near, far;
};

TEST_F(OverflowTest, TheyGetASegmentOfTheirOwn) {
    log.open();
    expect_split();
    ASSERT_TRUE(log.append(BatchSpec{}));
    EXPECT_EQ(log.log->log_end_offset(), Offset{kFar + 3});
}

TEST_F(OverflowTest, AKillAtAnyStepOfTheSplitLosesNothing) {
    int interrupted = 0;
    for (std::uint64_t steps = 0; steps < 40; ++steps) {
        LogFixture at{compacted()};
        at.log.reset();
        (void)at.files.remove_tree(kMayBlock, "/logs/orders-0");
        (void)at.files.create_directories("/logs/orders-0");
        at.files.set_contents(at.path("00000000000000000000.log"), near + far);
        ASSERT_TRUE(at.files.sync_directory(kMayBlock, "/logs/orders-0"));
        ASSERT_TRUE(at.files.sync_directory(kMayBlock, "/logs"));
        at.files.fail_after(steps);
        LogOpenOptions options{.directory = "/logs/orders-0",
                               .topic_partition = {"orders", PartitionIndex{0}},
                               .config = std::make_shared<config::LogConfig>(compacted())};
        if (!open_log(kMayBlock, at.environment, options)) ++interrupted;
        at.files.fail_after(UINT64_MAX);
        at.open();
        ASSERT_FALSE(HasFatalFailure()) << steps;
        EXPECT_EQ(at.log->log_end_offset(), Offset{kFar + 2}) << steps;
        std::string all;
        for (const std::int64_t offset : {std::int64_t{0}, std::int64_t{1}, kFar, kFar + 1}) {
            const auto plan = at.read(Offset{offset}, 1);
            ASSERT_TRUE(plan) << steps;
            all += text_of(LogFixture::bytes_of(plan->slice));
        }
        EXPECT_EQ(all, near + far) << steps;
    }
    EXPECT_GE(interrupted, 4) << "of the steps each was cut off once";
}

// --- what was confirmed and is lost

class DamagedCopiesTest : public testing::Test {
protected:
    // Twelve batches of one record, all confirmed, in segments of four; then the power goes.
    DamagedCopiesTest() : log{segments_of_four()} {
        for (int i = 0; i < 12; ++i) EXPECT_TRUE(log.append(BatchSpec{}));
        EXPECT_TRUE(log.log->flush(kMayBlock));
        log.checkpoint();
        log.log.reset();
        EXPECT_EQ(log.recovery_point, Offset{12});
    }
    static config::LogConfig segments_of_four() {
        config::LogConfig settings;
        settings.segment_bytes = static_cast<std::int32_t>(4 * make_batch().size());
        return settings;
    }
    // Makes the length of the batch at `offset` that of nothing.
    void damage(int offset) {
        const std::string path = log.path(kSegments[static_cast<std::size_t>(offset / 4)]);
        std::string bytes = log.files.contents(path);
        bytes[static_cast<std::size_t>(offset % 4) * make_batch().size() + 8] = '\x7f';
        log.files.set_contents(path, bytes);
    }
    std::vector<std::string> damaged_files() {
        std::vector<std::string> out;
        const auto entries = log.files.list("/logs/orders-0");
        for (const auto& entry : *entries) {
            if (entry.name.ends_with(".damaged")) out.push_back(entry.name);
        }
        return out;
    }
    const std::vector<std::string> kSegments{"00000000000000000000.log", "00000000000000000004.log",
                                             "00000000000000000008.log"};
    LogFixture log;
};

TEST_F(DamagedCopiesTest, TheEndOfTheSegmentIsKeptBesideItByItsPosition) {
    log.recovery_point = Offset{11};  // or the last segment would not be looked at
    damage(10);
    const std::size_t size = make_batch().size();
    const std::string before = log.files.contents(log.path(kSegments[2]));
    log.open();
    EXPECT_EQ(log.log->log_end_offset(), Offset{10});
    EXPECT_EQ(log.files.contents(log.path(kSegments[2])), before.substr(0, 2 * size));
    const std::string aside = kSegments[2] + "." + std::to_string(2 * size) + ".damaged";
    EXPECT_EQ(damaged_files(), std::vector{aside});
    EXPECT_EQ(log.files.contents(log.path(aside)), before.substr(2 * size));
    // It is nothing to the log from here on, and stays.
    ASSERT_TRUE(log.append(BatchSpec{}));
    log.restart_cleanly();
    EXPECT_EQ(log.log->log_end_offset(), Offset{11});
    EXPECT_EQ(damaged_files(), std::vector{aside});
}

TEST_F(DamagedCopiesTest, SegmentsBehindTheDamageAreKeptWhole) {
    log.recovery_point = Offset{6};
    damage(5);
    const std::string last = log.files.contents(log.path(kSegments[2]));
    log.open();
    EXPECT_EQ(log.log->log_end_offset(), Offset{5});
    const std::string cut = kSegments[1] + "." + std::to_string(make_batch().size()) + ".damaged";
    EXPECT_EQ(damaged_files(), (std::vector{cut, kSegments[2] + ".damaged"}));
    EXPECT_EQ(log.files.contents(log.path(kSegments[2] + ".damaged")), last);
    ASSERT_TRUE(log.append(BatchSpec{}));
    EXPECT_EQ(log.log->log_end_offset(), Offset{6});
}

TEST_F(DamagedCopiesTest, WhatWasNeverConfirmedLeavesNoCopy) {
    log.recovery_point = Offset{9};
    damage(9);
    log.open();
    EXPECT_EQ(log.log->log_end_offset(), Offset{9});
    EXPECT_EQ(damaged_files(), std::vector<std::string>{});
}

TEST_F(DamagedCopiesTest, ABitFlippedPastTheRecoveryPointIsNeverServed) {
    log.recovery_point = Offset{8};
    const std::string path = log.path(kSegments[2]);
    const std::string sound = log.files.contents(path);
    for (std::size_t at = 0; at < sound.size(); at += 7) {
        std::string bytes = sound;
        bytes[at] = static_cast<char>(bytes[at] ^ 1);
        log.log.reset();
        log.files.set_contents(path, bytes);
        log.open();
        ASSERT_FALSE(HasFatalFailure()) << at;
        const std::size_t batch = at / make_batch().size();
        const std::size_t within = at % make_batch().size();
        const auto end = static_cast<std::size_t>(log.log->log_end_offset().raw());
        // The leader epoch is not covered by the CRC.
        if (within < 12 || within >= 16) {
            EXPECT_EQ(end, 8 + batch) << at;
        }
        for (std::size_t i = 8; i < end; ++i) {
            const auto plan = log.read(Offset{static_cast<std::int64_t>(i)}, 1);
            ASSERT_TRUE(plan) << at;
            const auto read = LogFixture::bytes_of(plan->slice);
            EXPECT_TRUE(record::RecordBatchView::parse(read)->is_crc_valid()) << at;
        }
    }
}

// --- a folder that cannot be loaded

TEST(RefusedPartitionTest, ItIsRefusedAloneWithALineThatNamesTheFile) {
    namespace fs = std::filesystem;
    const fs::path directory = fs::temp_directory_path() / ("odradek-refused-" + std::to_string(::getpid()));
    fs::remove_all(directory);
    fs::create_directories(directory);
    ManualClock clock;
    SeededRandom random{1};
    const auto settings = std::make_shared<const config::LogConfig>();
    const Uuid id = *Uuid::parse("UJNNMwN4TqW2YAvEAqcFHw");
    const auto open = [&] {
        LogManagerConfig config;
        config.log_dirs = {directory.string()};
        config.node_id = BrokerId{1};
        config.cluster_id = "c";
        std::string reason;
        auto manager = LogManager::open(kMayBlock, io::real_file_system(), clock, random, config, reason);
        EXPECT_TRUE(manager) << reason;
        EXPECT_TRUE((*manager)->load_logs(kMayBlock, [&](const std::string&) { return settings; }, {}));
        return std::move(*manager);
    };
    const TopicPartition lost{"orders", PartitionIndex{0}}, kept{"orders", PartitionIndex{1}};
    {
        const auto manager = open();
        for (const TopicPartition& name : {lost, kept}) {
            const auto log = *manager->get_or_create(kMayBlock, name, id, settings);
            std::vector<std::uint8_t> bytes = make_batch();
            std::vector<PendingAppend> batches{{.batch = *record::MutableRecordBatch::parse(bytes)}};
            AppendDemand demand;
            demand.add(batches.front().batch);
            ASSERT_TRUE(log->prepare_append(kMayBlock, demand, clock.now()));
            const AppendLock lock = log->lock_for_append();
            log->append(lock, batches, LeaderEpoch{0}, clock.now());
        }
    }  // without a stop: the files are looked at
    const fs::path file = directory / "orders-0" / "00000000000000000000.log";
    fs::rename(file, file.string() + ".away");
    fs::create_symlink(file, file);
    testing::internal::CaptureStderr();
    auto manager = open();
    const std::string logged = testing::internal::GetCapturedStderr();
    EXPECT_NE(logged.find("cannot load " + directory.string() + "/orders-0/00000000000000000000.log: "),
              std::string::npos)
        << logged;
    EXPECT_EQ(manager->get(lost), nullptr);
    ASSERT_NE(manager->get(kept), nullptr);
    EXPECT_EQ(manager->get(kept)->log_end_offset(), Offset{1});
    EXPECT_EQ(manager->get_or_create(kMayBlock, lost, id, settings).error().code, ErrorCode::kafka_storage_error)
        << "no empty log takes its place";
    EXPECT_FALSE(manager->has_offline_directory());
    // With the file all is as it was.
    manager.reset();
    fs::remove(file);
    fs::rename(file.string() + ".away", file);
    manager = open();
    ASSERT_NE(manager->get(lost), nullptr);
    EXPECT_EQ(manager->get(lost)->log_end_offset(), Offset{1});
    manager.reset();
    fs::remove_all(directory);
}

}  // namespace
}  // namespace odr::storage::test
