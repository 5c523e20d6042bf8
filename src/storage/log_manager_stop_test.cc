#include <algorithm>

#include "storage/checkpoint_file.h"
#include "storage/log_manager.h"
#include "storage/log_test_support.h"

// Stops of a directory whose logs are closed together, with one sync of the whole volume.
namespace odr::storage::test {
namespace {

constexpr int kLogs = 6;
constexpr const char* kCleanMark = "/a/.kafka_cleanshutdown";

class LogManagerStopTest : public testing::Test {
protected:
    void start() {
        manager.reset();
        std::string reason;
        LogManagerConfig config;
        config.log_dirs = {"/a"};
        config.node_id = BrokerId{1};
        config.cluster_id = "cluster-a";
        config.volume_sync_from = volume_sync_from;
        auto opened = LogManager::open(kMayBlock, *files, clock, random, config, reason);
        ASSERT_TRUE(opened.has_value()) << reason;
        manager = std::move(*opened);
        ASSERT_TRUE(manager->load_logs(kMayBlock, [&](const std::string&) { return settings; }, {}));
    }
    static TopicPartition name_of(int i) { return {"orders", PartitionIndex{i}}; }
    Log& log(int i) { return **manager->get_or_create(kMayBlock, name_of(i), id, settings); }

    void append_to(Log& to, std::int32_t sequence) {
        std::vector<std::uint8_t> bytes =
            make_batch({.records = 1, .producer = ProducerId{7}, .epoch = ProducerEpoch{0}, .sequence = sequence});
        std::vector<PendingAppend> batches{{.batch = *record::MutableRecordBatch::parse(bytes),
                                            .origin = AppendOrigin::client,
                                            .result = AppendInfo{}}};
        AppendDemand demand;
        demand.add(batches.front().batch);
        ASSERT_TRUE(to.prepare_append(kMayBlock, demand, clock.now()));
        const AppendLock lock = to.lock_for_append();
        to.append(lock, batches, LeaderEpoch{3}, clock.now());
        ASSERT_TRUE(batches.front().result);
    }
    // Log i holds i + 1 records, of which a flush saw all but the last of an odd one.
    void fill() {
        for (int i = 0; i < kLogs; ++i) {
            for (int n = 0; n <= i; ++n) {
                if (n == i && i % 2 == 1) {
                    ASSERT_TRUE(log(i).flush(kMayBlock));
                }
                append_to(log(i), n);
                if (n == 2) {
                    ASSERT_TRUE(log(i).roll(kMayBlock, clock.now()));
                }
            }
        }
        manager->checkpoint_all(kMayBlock);
    }
    static Offset flushed(int i) { return Offset{i % 2 == 1 ? i : 0}; }
    static Offset written(int i) { return Offset{i + 1}; }

    std::size_t volume_sync_from = 1;
    std::unique_ptr<io::SimulatedFileSystem> files = std::make_unique<io::SimulatedFileSystem>();
    ManualClock clock;
    SeededRandom random{1};
    std::shared_ptr<config::LogConfig> settings = std::make_shared<config::LogConfig>();
    Uuid id = Uuid::parse("UJNNMwN4TqW2YAvEAqcFHw").value();
    std::unique_ptr<LogManager> manager;
};

TEST_F(LogManagerStopTest, ManyUnflushedLogsAreMadeDurableWithTwoSyncsOfTheVolume) {
    start();
    fill();
    const auto before = files->counts();
    manager->stop(kMayBlock, 1);
    EXPECT_EQ(files->counts().volume_syncs - before.volume_syncs, 2U);
    EXPECT_EQ(files->counts().syncs - before.syncs, 4U) << "three checkpoints and the mark";
    manager.reset();
    files->crash(5);
    EXPECT_TRUE(files->exists(kCleanMark));
    start();
    for (int i = 0; i < kLogs; ++i) {
        EXPECT_EQ(log(i).log_end_offset(), written(i));
        EXPECT_EQ(log(i).recovery_point(), written(i));
        EXPECT_EQ(log(i).latest_epoch(), LeaderEpoch{3});
        append_to(log(i), i + 1);  // the producer is known
    }
}

TEST_F(LogManagerStopTest, FewUnflushedLogsAreSyncedByThemselves) {
    volume_sync_from = kLogs + 1;
    start();
    fill();
    const auto before = files->counts();
    manager->stop(kMayBlock, 1);
    EXPECT_EQ(files->counts().volume_syncs, before.volume_syncs);
    EXPECT_GT(files->counts().syncs - before.syncs, static_cast<std::uint64_t>(kLogs));
    EXPECT_TRUE(files->exists(kCleanMark));
}

TEST_F(LogManagerStopTest, NothingIsCleanWhereOneOfTheSyncsOfTheVolumeFails) {
    for (const int before : {0, 1}) {
        manager.reset();
        files = std::make_unique<io::SimulatedFileSystem>();
        start();
        fill();
        files->fail_volume_sync(before, EIO);
        manager->stop(kMayBlock, 1);
        EXPECT_FALSE(files->exists(kCleanMark));
        const auto points = decode_offset_checkpoint(files->contents("/a/recovery-point-offset-checkpoint"));
        ASSERT_TRUE(points.has_value());
        for (int i = 0; i < kLogs; ++i) EXPECT_EQ(points->at(name_of(i)), flushed(i));
        start();
        for (int i = 0; i < kLogs; ++i) EXPECT_EQ(log(i).log_end_offset(), written(i));
    }
}

// The power goes after each step of the stop in turn, and the disk keeps of what was not durable whatever it likes.
TEST_F(LogManagerStopTest, APowerLossAtAnyStepLosesNothingFlushedAndLeavesNoCleanMarkOverAnythingElse) {
    bool has_ended = false;
    std::uint64_t step = 0;
    for (; !has_ended; ++step) {
        has_ended = true;
        for (std::uint64_t seed = 0; seed < 8; ++seed) {
            SCOPED_TRACE(testing::Message() << "step " << step << ", seed " << seed);
            manager.reset();
            files = std::make_unique<io::SimulatedFileSystem>();
            start();
            fill();
            files->fail_after(step);
            manager->stop(kMayBlock, 1);
            manager.reset();
            files->crash(seed);
            const bool is_clean = files->exists(kCleanMark);
            has_ended = has_ended && is_clean;
            start();
            for (int i = 0; i < kLogs; ++i) {
                ASSERT_GE(log(i).log_end_offset(), is_clean ? written(i) : flushed(i));
                ASSERT_LE(log(i).log_end_offset(), written(i));
                const auto count = static_cast<std::int32_t>(log(i).log_end_offset().raw());
                append_to(log(i), count);
            }
        }
    }
    EXPECT_GT(step, 30U) << "each log takes several";
}

}  // namespace
}  // namespace odr::storage::test
