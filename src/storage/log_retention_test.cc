#include <algorithm>
#include <set>

#include "storage/log_manager.h"
#include "storage/log_test_support.h"

namespace odr::storage::test {
namespace {

constexpr std::int64_t kNow = 1'000'000;

struct Segment {
    std::int64_t age_ms;  // of its newest record
    std::size_t value_bytes = 20;
};

// A log with one batch in each segment, the last one active.
void fill(LogFixture& fixture, const std::vector<Segment>& segments) {
    fixture.now = TimestampMs{kNow};
    for (const Segment& segment : segments) {
        ASSERT_TRUE(fixture.log->roll(kMayBlock, fixture.now));
        ASSERT_TRUE(fixture.append(BatchSpec{.timestamp = kNow - segment.age_ms, .value_bytes = segment.value_bytes}));
    }
    fixture.log->set_high_watermark(fixture.log->log_end_offset());
}

config::LogConfig with_segment_ms(std::int64_t ms) {
    config::LogConfig settings;
    settings.segment_ms = ms;
    return settings;
}

std::uint64_t one_size() { return make_batch().size(); }

TEST(LogRetentionTest, TheFrontOfTheLogGoesAsKafkaDecides) {
    const auto size = static_cast<std::int64_t>(one_size());
    const std::vector<Segment> ages{{500}, {400}, {300}, {200}};
    const struct {
        const char* name;
        std::int64_t retention_ms, retention_bytes;
        bool deletes;
        std::int64_t high_watermark, log_start;
        std::size_t deleted;
        std::int64_t log_start_after;
        std::size_t segments_after;
    } cases[] = {
        // ms, bytes, delete, hw, start -> deleted, start, segments
        {"no limit keeps all", -1, -1, true, 4, 0, 0, 0, 4},
        {"older than retention.ms", 350, -1, true, 4, 0, 2, 2, 2},
        {"as old as retention.ms stays", 400, -1, true, 4, 0, 1, 1, 3},
        {"an active segment past retention.ms is rolled and deleted", 100, -1, true, 4, 0, 4, 4, 1},
        {"retention.ms 0 takes whatever is not of this millisecond", 0, -1, true, 4, 0, 4, 4, 1},
        {"nothing at or above the high watermark", 100, -1, true, 3, 0, 3, 3, 1},
        {"a high watermark within a segment keeps it", 100, -1, true, 0, 0, 0, 0, 4},
        {"size, as many as keep retention.bytes", -1, 2 * size, true, 4, 0, 2, 2, 2},
        {"size, a segment that is needed to keep it stays", -1, 2 * size + 1, true, 4, 0, 1, 1, 3},
        {"retention.bytes 0 takes the active one too", -1, 0, true, 4, 0, 4, 4, 1},
        {"below the log start", -1, -1, true, 4, 2, 2, 2, 2},
        {"a log start within the active segment keeps it", -1, -1, true, 4, 3, 3, 3, 1},
        {"size and then time", 350, 3 * size, true, 4, 0, 2, 2, 2},
        {"compact alone: by log start only", 100, 0, false, 4, 1, 1, 1, 3},
    };
    for (const auto& item : cases) {
        config::LogConfig settings;
        settings.retention_ms = item.retention_ms;
        settings.retention_bytes = item.retention_bytes;
        settings.cleanup_delete = item.deletes;
        settings.cleanup_compact = !item.deletes;
        LogFixture fixture{settings};
        fill(fixture, ages);
        ASSERT_TRUE(fixture.log->advance_log_start_offset(Offset{item.log_start})) << item.name;
        fixture.log->set_high_watermark(Offset{item.high_watermark});
        EXPECT_EQ(fixture.log->delete_old_segments(kMayBlock, fixture.now).value(), item.deleted) << item.name;
        EXPECT_EQ(fixture.log->log_start_offset(), Offset{item.log_start_after}) << item.name;
        EXPECT_EQ(fixture.log->segment_count(), item.segments_after) << item.name;
        EXPECT_EQ(fixture.append(BatchSpec{})->base_offset, Offset{4}) << item.name;
        // And the next start sees the same.
        fixture.restart_cleanly();
        EXPECT_EQ(fixture.log->log_start_offset(), Offset{item.log_start_after}) << item.name;
    }
}

TEST(LogRetentionTest, ASegmentWithoutTimesIsAsOldAsItsFile) {
    config::LogConfig settings;
    settings.retention_ms = 1'000;
    LogFixture fixture{settings};
    fixture.now = TimestampMs{kNow};
    ASSERT_TRUE(fixture.append(BatchSpec{.timestamp = -1}));
    fixture.log->set_high_watermark(Offset{1});
    fixture.files.set_modified([](const std::string&) { return kNow - 1'000; });
    EXPECT_EQ(fixture.log->delete_old_segments(kMayBlock, fixture.now).value(), 0U);
    fixture.files.set_modified([](const std::string&) { return kNow - 1'001; });
    EXPECT_EQ(fixture.log->delete_old_segments(kMayBlock, fixture.now).value(), 1U);
}

TEST(LogRetentionTest, WhatIsAppendedWhileRetentionDecidesIsNotDeleted) {
    config::LogConfig settings;
    settings.retention_ms = 1'000;
    LogFixture fixture{settings};
    fixture.now = TimestampMs{kNow};
    ASSERT_TRUE(fixture.append(BatchSpec{.timestamp = -1}));
    fixture.log->set_high_watermark(Offset{1});
    bool asked = false;
    fixture.files.set_modified([&](const std::string&) {
        if (!std::exchange(asked, true)) {
            EXPECT_TRUE(fixture.append(BatchSpec{.timestamp = kNow}).has_value());
            fixture.log->set_high_watermark(Offset{2});
        }
        return std::int64_t{0};
    });
    EXPECT_EQ(fixture.log->delete_old_segments(kMayBlock, fixture.now).value(), 0U);
    EXPECT_EQ(fixture.log->log_start_offset(), Offset{0});
    EXPECT_FALSE(fixture.read(Offset{1})->slice.length == 0);
}

TEST(LogRollTest, ASegmentEndsAsKafkaEndsIt) {
    const config::LogConfig base = with_segment_ms(1'000);
    const auto with = [&](auto change) {
        config::LogConfig settings = base;
        change(settings);
        return settings;
    };
    const auto size = static_cast<std::int32_t>(one_size());
    const struct {
        const char* name;
        config::LogConfig settings;
        std::vector<std::int64_t> timestamps;
        std::int64_t pause_ms;  // of the clock, between appends
        std::size_t segments;
    } cases[] = {
        {"segment.ms by the records' time", base, {5'000, 6'000, 6'001}, 0, 2},
        {"the clock has no say where records have times", base, {5'000, 5'001}, 10'000, 1},
        {"times that go back", base, {5'000, 1, 4'000}, 0, 1},
        {"without times the clock counts", base, {-1, -1}, 1'001, 2},
        {"a record without time among others rolls nothing", base, {5'000, -1}, 10'000, 1},
        {"LogAppendTime is the clock's",
         with([](auto& s) { s.message_timestamp_type = config::TimestampType::log_append_time; }),
         {5'000, 9'000, 20'000},
         400,
         1},
        {"LogAppendTime, later",
         with([](auto& s) { s.message_timestamp_type = config::TimestampType::log_append_time; }),
         {5'000, 5'000, 5'000},
         501,
         2},
        {"max.compaction.lag.ms of a compacted topic is sooner",
         with([](auto& s) {
             s.cleanup_compact = true;
             s.max_compaction_lag_ms = 10;
         }),
         {5'000, 5'010, 5'011},
         0,
         2},
        {"and nothing to a topic that is not compacted",
         with([](auto& s) { s.max_compaction_lag_ms = 10; }),
         {5'000, 5'500},
         0,
         1},
        {"segment.bytes, to the byte", with([&](auto& s) { s.segment_bytes = 2 * size; }), {1, 1, 1}, 0, 2},
        {"a full offset index",
         with([](auto& s) {
             s.segment_index_bytes = 48;  // six entries, of which the second batch makes the first
             s.index_interval_bytes = 0;
         }),
         {1, 1, 1, 1, 1, 1, 1, 1},
         0,
         2},
        {"a full time index",
         with([](auto& s) {
             s.segment_index_bytes = 36;  // three entries, the last one kept free
             s.index_interval_bytes = 0;
         }),
         {1, 2, 3, 4},
         0,
         2},
    };
    for (const auto& item : cases) {
        LogFixture fixture{item.settings};
        for (const std::int64_t timestamp : item.timestamps) {
            ASSERT_TRUE(fixture.append(BatchSpec{.timestamp = timestamp})) << item.name;
            fixture.now = TimestampMs{fixture.now.raw() + item.pause_ms};
        }
        EXPECT_EQ(fixture.log->segment_count(), item.segments) << item.name;
    }
}

TEST(LogRollTest, JitterEndsSegmentsOfManyPartitionsAtDifferentTimesAndNeverLate) {
    config::LogConfig settings;
    settings.segment_ms = 10'000;
    settings.segment_jitter_ms = 60'000;  // more than segment.ms: that is then the limit
    std::set<std::int64_t> spans;
    io::SimulatedFileSystem files;
    for (int partition = 0; partition < 20; ++partition) {
        const TopicPartition name{"orders", PartitionIndex{partition}};
        const LogEnvironment environment{.files = &files, .open_files = {}, .delete_later = {}, .on_disk_failure = {}};
        const auto log = *open_log(kMayBlock, environment,
                                   {.directory = "/logs/" + name.to_string(),
                                    .topic_partition = name,
                                    .config = std::make_shared<config::LogConfig>(settings)});
        const auto rolls_at = [&](std::int64_t timestamp) {
            auto bytes = make_batch({.timestamp = timestamp});
            AppendDemand demand;
            demand.add(*record::MutableRecordBatch::parse(bytes));
            const std::size_t before = log->segment_count();
            EXPECT_TRUE(log->prepare_append(kMayBlock, demand, TimestampMs{kNow}));
            if (log->segment_count() != before) return true;
            std::vector<PendingAppend> pending{{.batch = *record::MutableRecordBatch::parse(bytes)}};
            auto lock = log->lock_for_append();
            log->append(lock, pending, LeaderEpoch{0}, TimestampMs{kNow});
            return false;
        };
        std::int64_t span = 0;
        while (!rolls_at(100'000 + span)) span += 100;
        EXPECT_LE(span, settings.segment_ms + 100);
        spans.insert(span);
    }
    EXPECT_GT(spans.size(), 10U);
}

// --- through the manager: dynamic, delayed, paced

class RetentionInService : public testing::Test {
protected:
    void SetUp() override {
        LogManagerConfig options;
        options.log_dirs = {"/a"};
        options.node_id = BrokerId{1};
        options.cluster_id = "c";
        options.log_initial_task_delay_ms = 0;
        options.log_retention_check_interval_ms = 1'000;
        std::string reason;
        manager = *LogManager::open(kMayBlock, files, clock, random, options, reason);
        ASSERT_TRUE(manager->load_logs(kMayBlock, [&](const std::string&) { return settings; }, {}));
        log = *manager->get_or_create(kMayBlock, name, random.uuid(), settings);
        for (int i = 0; i < 3; ++i) {
            ASSERT_TRUE(log->roll(kMayBlock, clock.now()));
            auto bytes = make_batch({.timestamp = clock.now().raw()});
            std::vector<PendingAppend> pending{{.batch = *record::MutableRecordBatch::parse(bytes)}};
            AppendDemand demand;
            demand.add(pending.front().batch);
            ASSERT_TRUE(log->prepare_append(kMayBlock, demand, clock.now()));
            auto lock = log->lock_for_append();
            log->append(lock, pending, LeaderEpoch{0}, clock.now());
        }
        log->set_high_watermark(log->log_end_offset());
    }
    std::size_t files_ending(std::string_view ending) {
        const auto entries = files.list("/a/orders-0");
        return static_cast<std::size_t>(
            std::ranges::count_if(*entries, [&](const auto& entry) { return entry.name.ends_with(ending); }));
    }

    io::SimulatedFileSystem files;
    ManualClock clock;
    SeededRandom random{1};
    std::shared_ptr<config::LogConfig> settings = std::make_shared<config::LogConfig>();
    const TopicPartition name{"orders", PartitionIndex{0}};
    std::unique_ptr<LogManager> manager;
    std::shared_ptr<Log> log;
};

TEST_F(RetentionInService, AChangedSettingHoldsAtTheNextCheckAndFilesGoWhenTheirDelayIsOver) {
    clock.advance_ms(10'000);
    manager->run_once(kMayBlock, clock.now());
    EXPECT_EQ(log->segment_count(), 3U);
    auto changed = std::make_shared<config::LogConfig>(*settings);
    changed->retention_ms = 5'000;
    changed->file_delete_delay_ms = 20'000;
    manager->update_config("orders", changed);
    clock.advance_ms(1'000);
    manager->run_once(kMayBlock, clock.now());
    EXPECT_EQ(log->segment_count(), 1U);
    EXPECT_EQ(log->log_start_offset(), log->log_end_offset());
    EXPECT_EQ(files_ending(".log.deleted"), 3U);
    clock.advance_ms(19'999);
    manager->remove_deleted_files(kMayBlock, clock.now());
    EXPECT_EQ(files_ending(".log.deleted"), 3U);
    clock.advance_ms(1);
    manager->remove_deleted_files(kMayBlock, clock.now());
    EXPECT_EQ(files_ending(".deleted"), 0U);
}

}  // namespace
}  // namespace odr::storage::test
