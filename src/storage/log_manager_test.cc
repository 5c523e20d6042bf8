#include "storage/log_manager.h"

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <thread>

#include "storage/checkpoint_file.h"
#include "storage/log_test_support.h"

namespace odr::storage::test {
namespace {

class LogManagerTest : public testing::Test {
protected:
    std::unique_ptr<LogManager> open(std::vector<std::string> dirs, std::string cluster = "cluster-a", int node = 1) {
        reason.clear();
        LogManagerConfig config;
        config.log_dirs = std::move(dirs);
        config.node_id = BrokerId{node};
        config.cluster_id = std::move(cluster);
        config.log_initial_task_delay_ms = 0;
        config.open_files_max = open_files_max;
        auto manager = LogManager::open(kMayBlock, files, clock, random, config, reason);
        return manager ? std::move(*manager) : nullptr;
    }
    void load(LogManager& manager, const LogManager::IsStray& is_stray = {}) {
        ASSERT_TRUE(manager.load_logs(kMayBlock, [&](const std::string&) { return settings; }, is_stray));
    }
    std::shared_ptr<Log> create(LogManager& manager, const std::string& topic, int partition = 0) {
        return *manager.get_or_create(kMayBlock, {topic, PartitionIndex{partition}}, id, settings);
    }

    void append_to(Log& log, const BatchSpec& spec = {}) {
        std::vector<std::uint8_t> bytes = make_batch(spec);
        std::vector<PendingAppend> batches{{.batch = *record::MutableRecordBatch::parse(bytes),
                                            .origin = AppendOrigin::client,
                                            .result = AppendInfo{}}};
        AppendDemand demand;
        demand.add(batches.front().batch);
        ASSERT_TRUE(log.prepare_append(kMayBlock, demand, clock.now()));
        const AppendLock lock = log.lock_for_append();
        log.append(lock, batches, LeaderEpoch{0}, clock.now());
        ASSERT_TRUE(batches.front().result);
    }
    void pass_seconds(LogManager& manager, int seconds) {
        for (int i = 0; i < seconds; ++i) {
            clock.advance_ms(1000);
            manager.run_once(kMayBlock, clock.now());
        }
    }

    Offset recovery_point_on_disk(const std::string& topic) const {
        const auto offsets = decode_offset_checkpoint(files.contents("/logs/recovery-point-offset-checkpoint"));
        const auto found = offsets->find({topic, PartitionIndex{0}});
        return found == offsets->end() ? kNoOffset : found->second;
    }
    // What a log has, batch by batch: its first byte of value, or "?" where the CRC is wrong.
    static std::string read_all(const Log& log) {
        std::string out;
        for (Offset from = log.log_start_offset(); from < log.log_end_offset();) {
            const auto plan =
                log.read(kMayBlock,
                         {.from = from, .bytes_max = 1, .upper_bound = log.log_end_offset(), .min_one_message = true});
            if (!plan) return out + "!";
            const auto bytes = LogFixture::bytes_of(plan->slice);
            const auto batch = record::RecordBatchView::parse(bytes);
            if (!batch) return out + "!";
            out += batch->is_crc_valid() ? static_cast<char>(bytes.back() == 0 ? bytes[bytes.size() - 2] : bytes.back())
                                         : '?';
            from = batch->next_offset();
        }
        return out;
    }

    std::size_t open_files_max = LogManagerConfig{}.open_files_max;
    io::SimulatedFileSystem files;
    ManualClock clock;
    SeededRandom random{1};
    std::shared_ptr<config::LogConfig> settings = std::make_shared<config::LogConfig>();
    Uuid id = Uuid::parse("UJNNMwN4TqW2YAvEAqcFHw").value();
    std::string reason;
};

TEST_F(LogManagerTest, ADirectoryIsLockedAndMarkedAsThisNodes) {
    const auto manager = open({"/a"});
    ASSERT_NE(manager, nullptr);
    const auto properties = decode_meta_properties(files.contents("/a/meta.properties"));
    EXPECT_EQ(properties->node_id, BrokerId{1});
    EXPECT_EQ(properties->cluster_id, "cluster-a");
    EXPECT_EQ(properties->directory_id, manager->log_dirs().front().directory_id);
    EXPECT_EQ(open({"/a"}), nullptr);
    EXPECT_NE(reason.find("/a"), std::string::npos) << reason;
}

TEST_F(LogManagerTest, ADirectoryOfAnotherNodeOrClusterIsRefusedWithAReason) {
    open({"/a"})->stop(kMayBlock, 1);
    EXPECT_EQ(open({"/a"}, "cluster-a", 2), nullptr);
    EXPECT_NE(reason.find("node.id"), std::string::npos) << reason;
    EXPECT_EQ(open({"/a"}, "cluster-b"), nullptr);
    EXPECT_NE(reason.find("cluster-b"), std::string::npos) << reason;
}

TEST_F(LogManagerTest, AsManyThreadsLoadADirectoryAsWereSetLast) {
    for (const std::int32_t threads : {3, 1}) {
        auto manager = open({"/logs"});
        for (int partition = 0; partition < 8; ++partition) create(*manager, "orders", partition);
        manager->stop(kMayBlock, 1);
        manager = open({"/logs"});
        manager->set_recovery_threads(threads);
        std::mutex mutex;
        std::condition_variable all_there;
        std::set<std::thread::id> loading;
        load(*manager, [&](const TopicPartition&, const Uuid&) {
            std::unique_lock lock{mutex};
            loading.insert(std::this_thread::get_id());
            all_there.notify_all();
            const auto expected = static_cast<std::size_t>(threads);
            EXPECT_TRUE(all_there.wait_for(lock, std::chrono::seconds{30}, [&] { return loading.size() >= expected; }));
            return false;
        });
        EXPECT_EQ(loading.size(), static_cast<std::size_t>(threads));
        EXPECT_EQ(manager->log_count(), 8U);
        manager->stop(kMayBlock, 1);
    }
}

TEST_F(LogManagerTest, NewLogsGoToTheDirectoryWithTheFewest) {
    const auto manager = open({"/a", "/b"});
    load(*manager);
    for (int i = 0; i < 4; ++i) create(*manager, "orders", i);
    EXPECT_EQ(manager->logs_in("/a").size(), 2U);
    EXPECT_EQ(manager->logs_in("/b").size(), 2U);
}

TEST_F(LogManagerTest, CreationsOfDifferentNamesGoSideBySideAndThoseOfOneNameMakeOneLog) {
    constexpr int kThreads = 4;
    constexpr int kNames = 100;
    const auto manager = open({"/a", "/b"});
    load(*manager);
    std::vector<std::vector<std::shared_ptr<Log>>> made(kThreads);
    {
        std::vector<std::jthread> threads;
        for (auto& mine : made) {
            threads.emplace_back([&] {
                for (int i = 0; i < kNames; ++i) mine.push_back(create(*manager, "orders", i));
            });
        }
    }
    for (const auto& mine : made) EXPECT_EQ(mine, made.front());
    EXPECT_EQ(manager->logs_in("/a").size(), std::size_t{kNames / 2});
    EXPECT_EQ(manager->logs_in("/b").size(), std::size_t{kNames / 2});
}

TEST_F(LogManagerTest, ACleanStopLeavesCheckpointsAndTheNextStartTrustsThem) {
    auto manager = open({"/a"});
    load(*manager);
    create(*manager, "orders")->set_high_watermark(Offset{0});
    manager->stop(kMayBlock, 42);
    EXPECT_EQ(files.contents("/a/.kafka_cleanshutdown"), R"({"version":0,"brokerEpoch":42})");
    EXPECT_EQ(files.contents("/a/recovery-point-offset-checkpoint"), "0\n1\norders 0 0\n");
    manager = open({"/a"});
    load(*manager);
    EXPECT_EQ(manager->previous_broker_epoch(), 42);
    EXPECT_FALSE(files.exists("/a/.kafka_cleanshutdown"));
    ASSERT_NE(manager->get({"orders", PartitionIndex{0}}), nullptr);
    EXPECT_EQ(manager->get({"orders", PartitionIndex{0}})->topic_id(), id);
}

TEST_F(LogManagerTest, AnUnwantedLogBecomesAStrayAndADeletedOneIsRemovedInTheBackground) {
    auto manager = open({"/a"});
    load(*manager);
    create(*manager, "stray");
    create(*manager, "gone");
    ASSERT_TRUE(manager->delete_log(kMayBlock, {"gone", PartitionIndex{0}}));
    EXPECT_EQ(manager->get({"gone", PartitionIndex{0}}), nullptr);
    const auto folders = [&](std::string_view ending) {
        std::size_t count = 0;
        const auto entries = files.list("/a");
        for (const auto& entry : *entries) count += entry.name.ends_with(ending) ? 1U : 0U;
        return count;
    };
    EXPECT_EQ(folders("-delete"), 1U);
    clock.advance_ms(60'000);
    manager->remove_deleted_files(kMayBlock, clock.now());
    EXPECT_EQ(folders("-delete"), 0U);
    manager->stop(kMayBlock, 1);
    manager = open({"/a"});
    load(*manager, [](const TopicPartition& name, const Uuid&) { return name.topic == "stray"; });
    EXPECT_EQ(manager->log_count(), 0U);
    EXPECT_EQ(folders("-stray"), 1U);
}

TEST_F(LogManagerTest, ADeletedLogWaitsForTheBrokersDelayAsItIsThenAndNotForItsTopics) {
    settings->file_delete_delay_ms = 5;
    auto manager = open({"/a"});
    load(*manager);
    manager->set_delete_delay(1'000);
    create(*manager, "gone");
    ASSERT_TRUE(manager->delete_log(kMayBlock, {"gone", PartitionIndex{0}}));
    clock.advance_ms(999);
    EXPECT_EQ(manager->remove_deleted_files(kMayBlock, clock.now()), 0U);
    manager->set_delete_delay(2'000);
    clock.advance_ms(1'000);
    EXPECT_EQ(manager->remove_deleted_files(kMayBlock, clock.now()), 0U);
    clock.advance_ms(1);
    EXPECT_GT(manager->remove_deleted_files(kMayBlock, clock.now()), 0U);
}

TEST_F(LogManagerTest, ALogMadeAnewUnderANameIsNotHeldToTheOldOnesCheckpoints) {
    auto manager = open({"/a"});
    load(*manager);
    const auto append = [&](int batches) {
        const auto log = create(*manager, "orders");
        for (int i = 0; i < batches; ++i) {
            auto bytes = make_batch({.records = 10});
            std::vector<PendingAppend> pending{{.batch = *record::MutableRecordBatch::parse(bytes),
                                                .origin = AppendOrigin::client,
                                                .result = AppendInfo{}}};
            AppendDemand demand;
            demand.add(pending[0].batch);
            ASSERT_TRUE(log->prepare_append(kMayBlock, demand, TimestampMs{1}));
            auto lock = log->lock_for_append();
            log->append(lock, pending, LeaderEpoch{0}, TimestampMs{1});
        }
        log->set_high_watermark(log->log_end_offset());
    };
    append(10);
    ASSERT_TRUE(manager->get({"orders", PartitionIndex{0}})->advance_log_start_offset(Offset{90}));
    ASSERT_TRUE(manager->get({"orders", PartitionIndex{0}})->flush(kMayBlock));
    manager->checkpoint_all(kMayBlock);
    ASSERT_TRUE(manager->delete_log(kMayBlock, {"orders", PartitionIndex{0}}));
    append(2);
    manager.reset();
    manager = open({"/a"});
    load(*manager);
    const auto log = manager->get({"orders", PartitionIndex{0}});
    EXPECT_EQ(log->log_start_offset(), Offset{0});
    EXPECT_EQ(log->log_end_offset(), Offset{20});
    EXPECT_EQ(log->recovery_point(), Offset{0});
}

TEST_F(LogManagerTest, ASealedSegmentIsDurableSoonAfterTheRoll) {
    const auto manager = open({"/a"});
    load(*manager);
    const auto log = create(*manager, "orders");
    const auto append = [&] {
        std::vector<std::uint8_t> bytes = make_batch({.records = 1});
        std::vector<PendingAppend> batches{{.batch = *record::MutableRecordBatch::parse(bytes),
                                            .origin = AppendOrigin::client,
                                            .result = AppendInfo{}}};
        AppendDemand demand;
        demand.add(batches.front().batch);
        ASSERT_TRUE(log->prepare_append(kMayBlock, demand, clock.now()));
        const AppendLock lock = log->lock_for_append();
        log->append(lock, batches, LeaderEpoch{0}, clock.now());
    };
    append();
    manager->run_once(kMayBlock, clock.now());
    EXPECT_EQ(log->recovery_point(), Offset{0}) << "nothing is sealed, and nobody asked for a flush";
    ASSERT_TRUE(log->roll(kMayBlock, clock.now()));
    append();
    clock.advance_ms(2000);
    manager->run_once(kMayBlock, clock.now());
    EXPECT_EQ(log->recovery_point(), Offset{1});
}

TEST_F(LogManagerTest, WhatFollowsATruncationIsCheckedAfterAPowerLossThoughItsOffsetsWereConfirmedBefore) {
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
        files.crash(seed);
        ASSERT_TRUE(files.remove_tree(kMayBlock, "/logs"));
        auto manager = open({"/logs"});
        load(*manager);
        auto log = create(*manager, "orders");
        for (int i = 0; i < 10; ++i) append_to(*log, {.value_bytes = 9'000, .fill = 'a'});
        ASSERT_TRUE(log->flush(kMayBlock));
        manager->checkpoint_all(kMayBlock);
        EXPECT_EQ(recovery_point_on_disk("orders"), Offset{10});
        if (seed % 2 == 0) {
            ASSERT_TRUE(log->truncate_to(kMayBlock, Offset{4}));
        } else {
            ASSERT_TRUE(log->truncate_fully_and_start_at(kMayBlock, Offset{4}));
        }
        EXPECT_EQ(recovery_point_on_disk("orders"), Offset{4});
        for (int i = 0; i < 8; ++i) append_to(*log, {.value_bytes = 9'000, .fill = 'b'});
        log.reset();
        files.crash(seed);
        manager.reset();
        manager = open({"/logs"});
        load(*manager);
        const std::string kept = read_all(*manager->get({"orders", PartitionIndex{0}}));
        const std::string whole = seed % 2 == 0 ? "aaaabbbbbbbb" : "bbbbbbbb";
        EXPECT_TRUE(whole.starts_with(kept)) << "seed " << seed << ": " << kept;
        EXPECT_GE(kept.size(), whole.size() - 8) << "seed " << seed;
        manager.reset();
    }
}

TEST_F(LogManagerTest, ATruncationThatConfirmedDataDoNotReachWritesNoCheckpoint) {
    auto manager = open({"/logs"});
    load(*manager);
    auto log = create(*manager, "orders");
    append_to(*log);
    ASSERT_TRUE(log->flush(kMayBlock));
    manager->checkpoint_all(kMayBlock);
    append_to(*log);
    append_to(*log);
    const std::string before = files.contents("/logs/recovery-point-offset-checkpoint");
    ASSERT_TRUE(log->truncate_to(kMayBlock, Offset{2}));
    EXPECT_EQ(files.contents("/logs/recovery-point-offset-checkpoint"), before);
}

TEST_F(LogManagerTest, OnAFullDiskATruncationRemovesACheckpointThatItCannotLower) {
    auto manager = open({"/logs"});
    load(*manager);
    auto log = create(*manager, "orders");
    for (int i = 0; i < 4; ++i) append_to(*log);
    ASSERT_TRUE(log->flush(kMayBlock));
    manager->checkpoint_all(kMayBlock);
    files.set_capacity(1);
    const auto cut = log->truncate_to(kMayBlock, Offset{1});
    files.set_capacity(UINT64_MAX);
    ASSERT_TRUE(cut) << cut.error().what;
    EXPECT_FALSE(files.exists("/logs/recovery-point-offset-checkpoint"));
    append_to(*log);
    pass_seconds(*manager, 61);
    EXPECT_EQ(recovery_point_on_disk("orders"), Offset{1}) << "it comes again by itself";
}

TEST_F(LogManagerTest, WhereConfirmedDataWereLostTheCheckpointSaysSoBeforeAnythingIsAppended) {
    auto manager = open({"/logs"});
    load(*manager);
    auto log = create(*manager, "orders");
    for (int i = 0; i < 4; ++i) append_to(*log);
    ASSERT_TRUE(log->flush(kMayBlock));
    manager->checkpoint_all(kMayBlock);
    log.reset();
    files.crash(1);
    manager.reset();
    const std::string path = "/logs/orders-0/00000000000000000000.log";
    std::string bytes = files.contents(path);
    files.set_contents(path, bytes.substr(0, bytes.size() / 2 + 10));
    manager = open({"/logs"});
    load(*manager);
    log = manager->get({"orders", PartitionIndex{0}});
    EXPECT_EQ(log->log_end_offset(), Offset{2});
    EXPECT_EQ(recovery_point_on_disk("orders"), Offset{2});
}

TEST_F(LogManagerTest, MoreLogsAreWrittenToThanMayBeOpen) {
    constexpr int kLogs = 40;
    open_files_max = 16;
    const auto manager = open({"/a"});
    load(*manager);
    std::vector<std::shared_ptr<Log>> logs;
    for (int i = 0; i < kLogs; ++i) logs.push_back(create(*manager, "orders", i));
    const std::size_t open_before = files.open_file_count();
    for (int round = 1; round <= 3; ++round) {
        for (const auto& log : logs) {
            clock.advance_ms(1);
            append_to(*log);
            EXPECT_LE(files.open_file_count(), open_before + open_files_max / 2);
        }
        for (const auto& log : logs) EXPECT_EQ(log->log_end_offset(), Offset{round});
    }
    EXPECT_TRUE(logs.back()->holds_active_open());
    EXPECT_FALSE(logs.front()->holds_active_open());
}

TEST_F(LogManagerTest, IdleLogsCostNoCheckpointAndNoOpenFile) {
    const auto manager = open({"/a"});
    load(*manager);
    const auto log = create(*manager, "orders");
    append_to(*log);
    log->set_high_watermark(Offset{1});
    pass_seconds(*manager, 10);
    EXPECT_EQ(files.contents("/a/replication-offset-checkpoint"), "0\n1\norders 0 1\n");
    pass_seconds(*manager, 300);
    EXPECT_FALSE(log->holds_active_open());
    const auto before = files.counts();
    pass_seconds(*manager, 300);
    EXPECT_EQ(files.counts().syncs, before.syncs);
    EXPECT_EQ(files.counts().writes, before.writes);
    append_to(*log);
    ASSERT_TRUE(log->flush(kMayBlock));
    log->set_high_watermark(Offset{2});
    pass_seconds(*manager, 61);
    EXPECT_EQ(files.contents("/a/replication-offset-checkpoint"), "0\n1\norders 0 2\n");
    EXPECT_EQ(files.contents("/a/recovery-point-offset-checkpoint"), "0\n1\norders 0 2\n");
}

TEST_F(LogManagerTest, AStartAfterACrashWritesAndSyncsNothing) {
    auto manager = open({"/a"});
    load(*manager);
    for (int i = 0; i < 3; ++i) append_to(*create(*manager, "orders", i));
    ASSERT_TRUE(manager->get({"orders", PartitionIndex{2}})->flush(kMayBlock));
    manager.reset();
    manager = open({"/a"});
    const auto before = files.counts();
    load(*manager);
    EXPECT_EQ(files.counts().writes, before.writes);
    EXPECT_EQ(files.counts().syncs, before.syncs);
    for (int i = 0; i < 3; ++i) {
        const auto log = manager->get({"orders", PartitionIndex{i}});
        EXPECT_EQ(log->log_end_offset(), Offset{1});
        EXPECT_EQ(log->latest_epoch(), LeaderEpoch{0});
    }
    EXPECT_FALSE(files.exists("/a/orders-0/leader-epoch-checkpoint"));
    ASSERT_TRUE(manager->get({"orders", PartitionIndex{0}})->flush(kMayBlock));
    EXPECT_EQ(files.contents("/a/orders-0/leader-epoch-checkpoint"), "0\n1\n0 0\n");
}

TEST_F(LogManagerTest, TheBrokerEpochOfBeforeIsKnownOnlyWhereEveryDirectoryStoppedCleanly) {
    auto manager = open({"/a", "/b"});
    load(*manager);
    manager->stop(kMayBlock, 42);
    manager = open({"/a", "/b"});
    load(*manager);
    EXPECT_EQ(manager->previous_broker_epoch(), 42);
    manager->stop(kMayBlock, 43);
    ASSERT_TRUE(files.remove("/a/.kafka_cleanshutdown"));
    manager = open({"/a", "/b"});
    load(*manager);
    EXPECT_EQ(manager->previous_broker_epoch(), -1);
}

TEST_F(LogManagerTest, AnotherTopicOfTheSameNameIsRefused) {
    const auto manager = open({"/a"});
    load(*manager);
    create(*manager, "orders");
    const auto other = manager->get_or_create(kMayBlock, {"orders", PartitionIndex{0}}, kMetadataTopicId, settings);
    EXPECT_EQ(other.error().code, ErrorCode::inconsistent_topic_id);
}

TEST(KafkaDirectoryTest, ADirectoryThatKafkaStoppedCleanlyOrNotIsServedWhole) {
    for (const bool clean : {true, false}) {
        SeededRandom random{2};
        io::SimulatedFileSystem files;
        (void)files.create_directories("/k/orders-0");
        const std::filesystem::path from = std::string{ODR_TESTDATA} + "/kafka-4.3.0";
        for (const auto& entry : std::filesystem::recursive_directory_iterator{from}) {
            if (!entry.is_regular_file()) continue;
            std::ifstream in{entry.path(), std::ios::binary};
            files.set_contents("/k/" + std::filesystem::relative(entry.path(), from).string(),
                               std::string{std::istreambuf_iterator<char>{in}, {}});
        }
        const std::string indexes[] = {files.contents("/k/orders-0/00000000000000000043.index"),
                                       files.contents("/k/orders-0/00000000000000000043.timeindex"),
                                       files.contents("/k/orders-0/00000000000000000043.txnindex")};
        if (!clean) {
            (void)files.remove("/k/.kafka_cleanshutdown");
            (void)files.remove("/k/recovery-point-offset-checkpoint");
        }
        ManualClock clock;
        LogManagerConfig config;
        config.log_dirs = {"/k"};
        config.node_id = BrokerId{1};
        std::string reason;
        auto manager = LogManager::open(kMayBlock, files, clock, random, config, reason);
        ASSERT_TRUE(manager.has_value()) << reason;
        auto settings = std::make_shared<config::LogConfig>();
        settings->index_interval_bytes = 400;
        ASSERT_TRUE((*manager)->load_logs(kMayBlock, [&](const std::string&) { return settings; }, {}));
        const auto log = (*manager)->get({"orders", PartitionIndex{0}});
        ASSERT_NE(log, nullptr);
        EXPECT_EQ(log->log_end_offset(), Offset{56});
        EXPECT_EQ(log->segment_count(), 3U);
        EXPECT_EQ(log->high_watermark(), Offset{56});
        EXPECT_EQ(log->last_stable_offset(), Offset{56});
        EXPECT_EQ(log->aborted_transactions(kMayBlock, Offset{0}, Offset{56})->size(), 2U);
        const auto found = log->offset_for_timestamp(kMayBlock, TimestampMs{1'000'030});
        ASSERT_TRUE(found && *found);
        EXPECT_EQ((*found)->offset, Offset{30});
        (*manager)->stop(kMayBlock, 1);
        EXPECT_EQ(files.contents("/k/orders-0/00000000000000000043.index"), indexes[0]);
        EXPECT_EQ(files.contents("/k/orders-0/00000000000000000043.timeindex"), indexes[1]);
        EXPECT_EQ(files.contents("/k/orders-0/00000000000000000043.txnindex"), indexes[2]);
    }
}

}  // namespace
}  // namespace odr::storage::test
