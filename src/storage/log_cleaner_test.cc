#include <atomic>
#include <thread>

#include "storage/log_cleaner_test_support.h"

namespace odr::storage::test {
namespace {

class LogCleanerTest : public CleanerFixture {};

TEST_F(LogCleanerTest, TheDirtiestLogComesFirstAndItsCheckpointIsWritten) {
    const auto small = create("small");
    const auto large = create("large");
    const auto other = create("plain");
    fill(*small, 2);
    fill(*large, 2);
    fill(*other, 5);
    EXPECT_TRUE(cleaner->clean_once(kMayBlock));
    fill(*small, 2);  // half of it dirty, and the other log all of it
    EXPECT_TRUE(cleaner->clean_once(kMayBlock));
    const auto directory_of = [&](const auto& log) { return log->parent_directory(); };
    EXPECT_EQ(checkpoint(directory_of(small), "small").value_or(Offset{2}), Offset{2});
    EXPECT_EQ(checkpoint(directory_of(large), "large"), Offset{2});
    EXPECT_EQ(other->segment_count(), 2U);
    EXPECT_EQ(checkpoint(directory_of(other), "plain"), std::nullopt);
    while (cleaner->clean_once(kMayBlock)) {
    }
    EXPECT_EQ(checkpoint(directory_of(small), "small"), Offset{4});
    EXPECT_EQ(cleaner->figures(kMayBlock).cleanings, 3U);
    reopen();
    EXPECT_EQ(manager->cleaner_checkpoints().find(directory_of(large), {"large", PartitionIndex{0}}), Offset{2});
    EXPECT_FALSE(cleaner->clean_once(kMayBlock)) << "what was clean is clean after the start";
}

TEST_F(LogCleanerTest, ADamagedLogIsLeftAloneAndTheOthersAreCleaned) {
    const auto damaged = create("damaged");
    fill(*damaged, 4);
    damage(damaged->directory() + "/00000000000000000000.log");
    EXPECT_TRUE(cleaner->clean_once(kMayBlock));
    EXPECT_TRUE(cleaner->is_uncleanable({"damaged", PartitionIndex{0}}));
    EXPECT_FALSE(damaged->is_offline());
    const auto sound = create("sound");
    fill(*sound, 2);
    EXPECT_TRUE(cleaner->clean_once(kMayBlock));
    EXPECT_FALSE(cleaner->clean_once(kMayBlock));
    EXPECT_EQ(checkpoint(sound->parent_directory(), "sound"), Offset{2});
    const auto figures = cleaner->figures(kMayBlock);
    const auto& directory = figures.directories.at(damaged->parent_directory());
    EXPECT_EQ(directory.uncleanable_partitions, 1);
    EXPECT_EQ(directory.uncleanable_bytes, damaged->size_in_bytes());
    EXPECT_EQ(figures.dead_thread_count, 0);
    // A topic of that name made anew is another log.
    ASSERT_TRUE(manager->delete_log(kMayBlock, {"damaged", PartitionIndex{0}}));
    EXPECT_FALSE(cleaner->clean_once(kMayBlock));
    EXPECT_FALSE(cleaner->is_uncleanable({"damaged", PartitionIndex{0}}));
}

TEST_F(LogCleanerTest, CompactedLogsAreDeletedFromByTheCleanerAndOthersByRetention) {
    compacted->cleanup_delete = true;
    compacted->retention_ms = 1'000;
    plain->retention_ms = 1'000;
    const auto both = create("both");
    const auto other = create("plain");
    fill(*both, 2);
    fill(*other, 2);
    clock.advance_ms(10'000);
    manager->run_once(kMayBlock, clock.now());
    EXPECT_EQ(both->log_start_offset(), Offset{0});
    EXPECT_EQ(other->log_start_offset(), Offset{2});
    cleaner->clean_once(kMayBlock);
    EXPECT_EQ(both->log_start_offset(), Offset{2});
}

TEST_F(LogCleanerTest, OfALogThatIsOnlyCompactedWhatDeleteRecordsGaveUpIsDeleted) {
    compacted->retention_ms = 1'000;
    compacted->min_cleanable_dirty_ratio = 1;
    const auto log = create("only");
    fill(*log, 2);
    fill(*log, 2, "b");
    clock.advance_ms(10'000);
    cleaner->clean_once(kMayBlock);
    EXPECT_EQ(log->segment_count(), 3U);
    ASSERT_TRUE(log->advance_log_start_offset(Offset{3}));
    cleaner->clean_once(kMayBlock);
    EXPECT_EQ(log->segment_count(), 2U);
    EXPECT_EQ(log->log_start_offset(), Offset{3});
}

TEST_F(LogCleanerTest, TheCheckpointFollowsTruncationAndDeletion) {
    const auto log = create("orders");
    const std::string directory = log->parent_directory();
    fill(*log, 4);
    EXPECT_TRUE(cleaner->clean_once(kMayBlock));
    EXPECT_EQ(checkpoint(directory, "orders"), Offset{4});
    ASSERT_TRUE(log->truncate_to(kMayBlock, Offset{3}));
    EXPECT_EQ(checkpoint(directory, "orders"), Offset{3});
    ASSERT_TRUE(log->truncate_fully_and_start_at(kMayBlock, Offset{1}));
    EXPECT_EQ(checkpoint(directory, "orders"), Offset{1});
    manager->cleaner_checkpoints().move(kMayBlock, directory, directory == "/a" ? "/b" : "/a", log->topic_partition());
    EXPECT_EQ(checkpoint(directory, "orders"), std::nullopt);
    EXPECT_EQ(checkpoint(directory == "/a" ? "/b" : "/a", "orders"), Offset{1});
    manager->cleaner_checkpoints().update(kMayBlock, directory, log->topic_partition(), Offset{1});
    ASSERT_TRUE(manager->delete_log(kMayBlock, log->topic_partition()));
    EXPECT_EQ(checkpoint(directory, "orders"), std::nullopt);
}

TEST_F(LogCleanerTest, AnImpossibleCheckpointMakesTheLogDirtyFromItsStart) {
    const auto log = create("orders");
    fill(*log, 4);
    manager->cleaner_checkpoints().update(kMayBlock, log->parent_directory(), log->topic_partition(), Offset{100});
    EXPECT_TRUE(cleaner->clean_once(kMayBlock));
    EXPECT_EQ(checkpoint(log->parent_directory(), "orders"), Offset{4});
    EXPECT_LT(log->size_in_bytes(), 200U);
}

TEST_F(LogCleanerTest, ACheckpointThatCannotBeWrittenTakesItsDirectoryOffline) {
    const auto log = create("orders");
    files.fail_writes(1, EIO);
    manager->cleaner_checkpoints().update(kMayBlock, log->parent_directory(), log->topic_partition(), Offset{0});
    for (const LogDirInfo& directory : manager->log_dirs()) {
        EXPECT_EQ(directory.offline, directory.path == log->parent_directory());
    }
}

TEST_F(LogCleanerTest, APausedLogIsNotCleanedUntilAllWhoPausedItResume) {
    const auto log = create("orders");
    fill(*log, 4);
    const TopicPartition name = log->topic_partition();
    cleaner->pause(name);
    cleaner->pause(name);
    cleaner->resume(name);
    EXPECT_FALSE(cleaner->clean_once(kMayBlock));
    cleaner->resume(name);
    EXPECT_TRUE(cleaner->clean_once(kMayBlock));
}

TEST_F(LogCleanerTest, ADiskThatFailsTakesItsDirectoryOfflineAndTheCleanerGoesOn) {
    const auto log = create("orders");
    fill(*log, 4);
    ASSERT_TRUE(log->flush(kMayBlock));
    files.fail_writes(2, EIO);  // the checkpoint of recovery points, or the first write of a cleaned segment
    cleaner->clean_once(kMayBlock);
    files.fail_writes(0, 0);
    int offline = 0;
    for (const LogDirInfo& directory : manager->log_dirs()) offline += directory.offline ? 1 : 0;
    EXPECT_EQ(offline, 1);
    EXPECT_FALSE(cleaner->clean_once(kMayBlock));
}

// Meant for the thread sanitizer too.
TEST_F(LogCleanerTest, ReadersAndWritersGoOnWhileSegmentsAreExchangedUnderThem) {
    constexpr int kAppends = 1'500;
    compacted->segment_bytes = 3'000;
    compacted->file_delete_delay_ms = 0;
    compacted->min_cleanable_dirty_ratio = 0;
    const auto log = create("orders");
    std::atomic<bool> is_writing{true};
    std::thread writer{[&] {
        for (int i = 0; i < kAppends; ++i) {
            const std::vector<KeyedRecord> records{{std::to_string(i % 20), std::string(100, 'x')}};
            auto bytes = make_keyed_batch(records, {.timestamp = 1'000 + i});
            std::vector<PendingAppend> pending{{.batch = *record::MutableRecordBatch::parse(bytes)}};
            AppendDemand demand;
            demand.add(pending[0].batch);
            for (bool is_done = false; !is_done;) {
                {
                    const auto lock = log->lock_for_append();
                    is_done = log->ready_to_append(lock, demand, clock.now());
                    if (is_done) log->append(lock, pending, LeaderEpoch{0}, clock.now());
                }
                ASSERT_TRUE(is_done || log->prepare_append(kMayBlock, demand, clock.now()).has_value());
            }
            log->set_high_watermark(log->log_end_offset());
        }
        is_writing = false;
    }};
    std::thread reader{[&] {
        std::uint64_t turns = 0;
        while (is_writing || turns == 0) {
            for (Offset next{0}; next < log->high_watermark(); ++turns) {
                const auto plan = log->read(
                    kMayBlock,
                    {.from = next, .bytes_max = 700, .upper_bound = log->high_watermark(), .min_one_message = true});
                ASSERT_TRUE(plan.has_value()) << plan.error().what;
                const auto bytes = LogFixture::bytes_of(plan->slice);
                record::BatchIterator walk{bytes};
                const Offset before = next;
                for (;;) {
                    const auto batch = walk.next();
                    ASSERT_TRUE(batch.has_value()) << "at offset " << next.raw();
                    if (!*batch) break;
                    ASSERT_GE((*batch)->last_offset(), next);
                    ASSERT_TRUE((*batch)->is_crc_valid());
                    next = (*batch)->next_offset();
                }
                ASSERT_GT(next, before);
            }
            ASSERT_TRUE(log->offset_for_timestamp(kMayBlock, TimestampMs{1'200}).has_value());
        }
    }};
    while (is_writing) {
        cleaner->clean_once(kMayBlock);
        manager->run_once(kMayBlock, clock.now());
    }
    writer.join();
    reader.join();
    while (cleaner->clean_once(kMayBlock)) {
    }
    EXPECT_FALSE(cleaner->is_uncleanable(log->topic_partition()));
    EXPECT_FALSE(log->is_offline());
    EXPECT_LT(log->size_in_bytes(), 20'000U);
}

// With threads, on real time.
TEST_F(LogCleanerTest, ThreadsCleanByThemselvesAndStopWhileTheThrottleHoldsThem) {
    auto config = LogCleanerConfig{};
    config.threads = 2;
    config.backoff_ms = 1;
    cleaner = std::make_unique<LogCleaner>(*manager, files, system_clock(), random, config);
    const auto first = create("first");
    const auto second = create("second");
    fill(*first, 4);
    fill(*second, 4);
    cleaner->start();
    while (!checkpoint(first->parent_directory(), "first") || !checkpoint(second->parent_directory(), "second")) {
        std::this_thread::yield();
    }
    config.io_max_bytes_per_second = 1;  // one record in a minute
    config.threads = 1;
    cleaner->reconfigure(config);
    fill(*first, 40);
    cleaner->stop();
    EXPECT_GE(cleaner->figures(kMayBlock).cleanings, 2U);
}

}  // namespace
}  // namespace odr::storage::test
