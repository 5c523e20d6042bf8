#include "storage/log.h"

#include <cerrno>

#include "storage/log_segment.h"
#include "storage/log_test_support.h"
#include "storage/producer_state_manager.h"

namespace odr::storage::test {
namespace {

constexpr ProducerId kProducer{7};

BatchSpec idempotent(std::int32_t sequence, std::int16_t epoch = 0, int records = 1) {
    return {.records = records, .producer = kProducer, .epoch = ProducerEpoch{epoch}, .sequence = sequence};
}

config::LogConfig with_segment_bytes(std::int32_t bytes) {
    config::LogConfig settings;
    settings.segment_bytes = bytes;
    settings.index_interval_bytes = 200;
    return settings;
}

// --- append
// --------------------------------------------------------------------------------------------------------------

TEST(LogAppendTest, BatchesOfOneGroupAreWrittenWithOneWrite) {
    LogFixture fixture;
    ASSERT_TRUE(fixture.append(BatchSpec{}));
    std::vector<std::vector<std::uint8_t>> batches{make_batch({.records = 2}), make_batch(),
                                                   make_batch({.records = 3})};
    std::vector<Result<AppendInfo>> results;
    const auto before = fixture.files.counts();
    const AppendSummary summary = fixture.append_all(batches, &results);
    EXPECT_EQ(fixture.files.counts().writes, before.writes + 1);
    EXPECT_EQ(fixture.files.counts().reads, before.reads);
    EXPECT_EQ(summary.first_offset, Offset{1});
    EXPECT_EQ(summary.log_end_offset, Offset{7});
    EXPECT_EQ(results[1]->base_offset, Offset{3});
    EXPECT_EQ(results[2]->last_offset, Offset{6});
}

TEST(LogAppendTest, ARepeatedBatchIsAnsweredWithItsFirstOffsetsAndNotWritten) {
    LogFixture fixture;
    for (int i = 0; i < 7; ++i) ASSERT_TRUE(fixture.append(idempotent(i)));
    const auto again = fixture.append(idempotent(4));
    ASSERT_TRUE(again.has_value());
    EXPECT_TRUE(again->duplicate);
    EXPECT_EQ(again->base_offset, Offset{4});
    EXPECT_EQ(fixture.log->log_end_offset(), Offset{7});
    // Five batches are remembered: the first two are not known any more.
    EXPECT_EQ(fixture.append(idempotent(1)).error().code, ErrorCode::out_of_order_sequence_number);
}

TEST(LogAppendTest, SequencesAndEpochsAreCheckedAsKafkaDoes) {
    struct Step {
        std::int32_t sequence;
        std::int16_t epoch;
        ErrorCode want;
    };
    const struct {
        const char* name;
        std::vector<Step> steps;
    } cases[] = {
        {"an unknown producer may start anywhere", {{5, 0, ErrorCode::none}, {6, 0, ErrorCode::none}}},
        {"a gap", {{0, 0, ErrorCode::none}, {2, 0, ErrorCode::out_of_order_sequence_number}}},
        {"an older epoch", {{0, 3, ErrorCode::none}, {1, 2, ErrorCode::invalid_producer_epoch}}},
        {"a newer epoch starts at 0", {{0, 0, ErrorCode::none}, {0, 1, ErrorCode::none}, {1, 1, ErrorCode::none}}},
        {"a newer epoch not at 0", {{0, 0, ErrorCode::none}, {1, 1, ErrorCode::out_of_order_sequence_number}}},
        {"sequences start over after the largest", {{INT32_MAX, 0, ErrorCode::none}, {0, 0, ErrorCode::none}}},
    };
    for (const auto& item : cases) {
        LogFixture fixture;
        for (const Step& step : item.steps) {
            const auto got = fixture.append(idempotent(step.sequence, step.epoch));
            EXPECT_EQ(got ? ErrorCode::none : got.error().code, step.want) << item.name;
        }
    }
}

TEST(LogAppendTest, AFullDiskLosesNothingAndHeals) {
    LogFixture fixture;
    ASSERT_TRUE(fixture.append(idempotent(0)));
    const std::string before = fixture.files.contents(fixture.path("00000000000000000000.log"));
    fixture.files.fail_writes(1, ENOSPC, 30);
    const auto refused = fixture.append(idempotent(1));
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::kafka_storage_error);
    EXPECT_EQ(fixture.files.contents(fixture.path("00000000000000000000.log")), before);
    EXPECT_FALSE(fixture.log->is_offline());
    // The producer's state was taken back too: the retry is neither a duplicate nor out of order.
    const auto retried = fixture.append(idempotent(1));
    ASSERT_TRUE(retried.has_value());
    EXPECT_FALSE(retried->duplicate);
    EXPECT_EQ(retried->base_offset, Offset{1});
}

TEST(LogAppendTest, ATornTailThatCannotBeCutTakesTheLogOffline) {
    LogFixture fixture;
    ASSERT_TRUE(fixture.append(BatchSpec{}));
    fixture.files.fail_writes(1, EIO, 30);
    fixture.files.fail_truncates(1, EIO);
    EXPECT_FALSE(fixture.append(BatchSpec{}).has_value());
    EXPECT_TRUE(fixture.log->is_offline());
    EXPECT_EQ(fixture.append(BatchSpec{}).error().code, ErrorCode::kafka_storage_error);
}

TEST(LogAppendTest, ABatchLargerThanASegmentIsRefused) {
    LogFixture fixture{with_segment_bytes(500)};
    EXPECT_EQ(fixture.append(BatchSpec{.value_bytes = 600}).error().code, ErrorCode::record_list_too_large);
}

TEST(LogAppendTest, LogAppendTimeIsSetOnTheBatchAndAnswered) {
    config::LogConfig settings;
    settings.message_timestamp_type = config::TimestampType::log_append_time;
    LogFixture fixture{settings};
    EXPECT_EQ(fixture.append(BatchSpec{})->log_append_time, fixture.now);
    const auto bytes = LogFixture::bytes_of(fixture.read(Offset{0})->slice);
    const auto batch = record::RecordBatchView::parse(bytes);
    EXPECT_EQ(batch->max_timestamp(), fixture.now);
    EXPECT_TRUE(batch->is_crc_valid());
}

TEST(LogAppendTest, SegmentsRollByTimeBetweenFirstAndLatestRecord) {
    config::LogConfig settings;
    settings.segment_ms = 1'000;
    LogFixture fixture{settings};
    ASSERT_TRUE(fixture.append(BatchSpec{.timestamp = 5'000}));
    ASSERT_TRUE(fixture.append(BatchSpec{.timestamp = 6'000}));
    EXPECT_EQ(fixture.log->segment_count(), 1U);
    ASSERT_TRUE(fixture.append(BatchSpec{.timestamp = 6'001}));
    EXPECT_EQ(fixture.log->segment_count(), 2U);
}

TEST(LogAppendTest, FollowersTakeOffsetsAsGivenAndRefuseThoseThatGoBack) {
    LogFixture fixture;
    AppendDemand demand{.bytes = 100, .records = 1, .max_timestamp = TimestampMs{1}, .first_offset = Offset{5}};
    ASSERT_TRUE(fixture.log->prepare_append(kMayBlock, demand, fixture.now));
    auto lock = fixture.log->lock_for_append();
    const auto batch = make_batch({.records = 2, .base_offset = Offset{5}, .leader_epoch = LeaderEpoch{3}});
    const auto appended = fixture.log->append_as_follower(lock, batch, fixture.now);
    ASSERT_TRUE(appended.has_value());
    EXPECT_EQ(appended->log_end_offset, Offset{7});
    EXPECT_EQ(fixture.log->latest_epoch(), LeaderEpoch{3});
    EXPECT_EQ(fixture.log->append_as_follower(lock, batch, fixture.now).error().code, ErrorCode::offset_out_of_range);
}

// --- read
// ----------------------------------------------------------------------------------------------------------------

TEST(LogReadTest, AReadAtTheEndOfTheLogAsksTheKernelNothing) {
    LogFixture fixture;
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(fixture.append(BatchSpec{}));
    fixture.files.set_resident(false);
    const auto before = fixture.files.counts();
    const auto plan = fixture.log->plan_read(
        {.from = Offset{15}, .bytes_max = 1 << 20, .upper_bound = Offset{18}, .min_one_message = true});
    ASSERT_TRUE(plan.has_value() && plan->has_value());
    const auto after = fixture.files.counts();
    EXPECT_EQ(after.reads + after.opens + after.resident_questions,
              before.reads + before.opens + before.resident_questions);
    const std::size_t one = make_batch().size();
    EXPECT_EQ((*plan)->slice.position, 15 * one);
    EXPECT_EQ((*plan)->slice.length, 3 * one);
}

TEST(LogReadTest, APlanThatNeedsTheDiskSaysSoAndTheWaitingReadGivesIt) {
    LogFixture fixture{with_segment_bytes(400)};
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(fixture.append(BatchSpec{}));
    ASSERT_GT(fixture.log->segment_count(), 3U);
    fixture.files.set_resident(false);
    const ReadRequest request{.from = Offset{1}, .bytes_max = 100, .upper_bound = Offset{20}, .min_one_message = true};
    const auto plan = fixture.log->plan_read(request);
    ASSERT_TRUE(plan.has_value());
    EXPECT_FALSE(plan->has_value());
    const auto read = fixture.log->read(kMayBlock, request);
    ASSERT_TRUE(read.has_value());
    const auto bytes = LogFixture::bytes_of(read->slice);
    EXPECT_EQ(record::RecordBatchView::parse(bytes)->base_offset(), Offset{1});
}

TEST(LogReadTest, LimitsAreKeptAsInKafka) {
    LogFixture fixture;
    const std::size_t one = make_batch().size();
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(fixture.append(BatchSpec{}));
    EXPECT_EQ(fixture.read(Offset{1}, 10, true)->slice.length, one) << "the first batch comes whole";
    EXPECT_EQ(fixture.read(Offset{1}, 10, false)->slice.length, 10U);
    EXPECT_TRUE(fixture.read(Offset{1}, 10, false)->first_batch_incomplete);
    EXPECT_EQ(fixture.read(Offset{1}, one + 10)->slice.length, one + 10) << "a later batch is cut";
    EXPECT_TRUE(fixture.read(Offset{5})->slice.empty());
    EXPECT_EQ(fixture.read(Offset{6}).error().code, ErrorCode::offset_out_of_range);
    fixture.log->set_high_watermark(Offset{5});
    ASSERT_TRUE(fixture.log->advance_log_start_offset(Offset{2}));
    EXPECT_EQ(fixture.read(Offset{1}).error().code, ErrorCode::offset_out_of_range);
}

TEST(LogReadTest, ASliceOutlivesTheDeletionOfItsSegment) {
    LogFixture fixture{with_segment_bytes(300)};
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(fixture.append(BatchSpec{}));
    const auto plan = fixture.read(Offset{0});
    fixture.log->set_high_watermark(Offset{10});
    ASSERT_TRUE(fixture.log->advance_log_start_offset(Offset{9}));
    ASSERT_GT(fixture.log->delete_old_segments(kMayBlock, fixture.now).value(), 0U);
    EXPECT_FALSE(fixture.files.exists(fixture.path("00000000000000000000.log")));
    const auto bytes = LogFixture::bytes_of(plan->slice);
    EXPECT_TRUE(record::RecordBatchView::parse(bytes)->is_crc_valid());
}

TEST(LogReadTest, OffsetsAreFoundByTimestampInMemoryAndOnDisk) {
    LogFixture fixture{with_segment_bytes(1000)};
    for (int i = 0; i < 60; ++i) ASSERT_TRUE(fixture.append(BatchSpec{.records = 3, .timestamp = 10'000 + i * 100}));
    for (const bool restarted : {false, true}) {
        if (restarted) fixture.restart_cleanly();
        const auto at = [&](std::int64_t timestamp) {
            const auto found = fixture.log->offset_for_timestamp(kMayBlock, TimestampMs{timestamp});
            return found && *found ? (*found)->offset : kNoOffset;
        };
        EXPECT_EQ(at(0), Offset{0});
        EXPECT_EQ(at(10'001), Offset{1});
        EXPECT_EQ(at(10'003), Offset{3});
        EXPECT_EQ(at(13'000), Offset{90});
        EXPECT_EQ(at(15'902), Offset{179});
        EXPECT_EQ(at(15'903), kNoOffset);
        EXPECT_EQ((*fixture.log->offset_of_max_timestamp(kMayBlock))->offset, Offset{179});
    }
}

// --- transactions
// --------------------------------------------------------------------------------------------------------

TEST(LogTransactionTest, TheLastStableOffsetWaitsForMarkersAndAbortsAreIndexed) {
    LogFixture fixture;
    const auto in_transaction = [](ProducerId id, std::int32_t sequence) {
        return make_batch({.producer = id, .epoch = ProducerEpoch{0}, .sequence = sequence, .transactional = true});
    };
    const auto end = [&](ProducerId id, record::ControlRecordType type) {
        ASSERT_TRUE(fixture.append(make_marker(id, ProducerEpoch{0}, type), LeaderEpoch{0}, AppendOrigin::coordinator));
        fixture.log->set_high_watermark(fixture.log->log_end_offset());
    };
    ASSERT_TRUE(fixture.append(BatchSpec{}));
    ASSERT_TRUE(fixture.append(in_transaction(ProducerId{1}, 0)));
    ASSERT_TRUE(fixture.append(in_transaction(ProducerId{2}, 0)));
    fixture.log->set_high_watermark(Offset{3});
    EXPECT_EQ(fixture.log->last_stable_offset(), Offset{1});
    end(ProducerId{1}, record::ControlRecordType::abort);
    EXPECT_EQ(fixture.log->last_stable_offset(), Offset{2});
    for (const int restart : {0, 1, 2}) {
        if (restart == 1) fixture.restart_cleanly();
        if (restart == 2) fixture.open();  // not cleanly: read anew
        fixture.log->set_high_watermark(fixture.log->log_end_offset());
        EXPECT_EQ(fixture.log->last_stable_offset(), Offset{2}) << restart;
        const auto aborted = fixture.log->aborted_transactions(kMayBlock, Offset{0}, Offset{4});
        ASSERT_TRUE(aborted.has_value());
        EXPECT_EQ(*aborted, (std::vector<AbortedTransaction>{{ProducerId{1}, Offset{1}}})) << restart;
    }
    end(ProducerId{2}, record::ControlRecordType::commit);
    EXPECT_EQ(fixture.log->last_stable_offset(), Offset{5});
    EXPECT_TRUE(fixture.log->aborted_transactions(kMayBlock, Offset{4}, Offset{5})->empty());
}

TEST(LogTransactionTest, ALogWithoutAbortsSaysSoWithoutWaiting) {
    LogFixture fixture;
    ASSERT_TRUE(fixture.append(BatchSpec{}));
    const auto aborted = fixture.log->plan_aborted_transactions(Offset{0}, Offset{1});
    ASSERT_TRUE(aborted.has_value());
    EXPECT_TRUE(aborted->empty());
}

// --- recovery
// ------------------------------------------------------------------------------------------------------------

struct Leftover {
    const char* name;
    std::function<void(LogFixture&)> damage;
    std::int64_t want_end;
};

const std::string first = "00000000000000000000";
std::string log_path(LogFixture& fixture) { return fixture.path(first + ".log"); }

std::vector<Leftover> leftovers() {
    return {
        {"nothing", [](LogFixture&) {}, 10},
        {"a zero-filled tail",
         [](LogFixture& f) {
             f.files.set_contents(log_path(f), f.files.contents(log_path(f)) + std::string(5000, '\0'));
         },
         10},
        {"a torn batch",
         [](LogFixture& f) {
             const std::string bytes = f.files.contents(log_path(f));
             f.files.set_contents(log_path(f), bytes.substr(0, bytes.size() - 3));
         },
         9},
        {"a flipped bit in the fifth batch",
         [](LogFixture& f) {
             std::string bytes = f.files.contents(log_path(f));
             bytes[bytes.size() / 10 * 4 + 70] ^= 1;
             f.files.set_contents(log_path(f), bytes);
         },
         4},
        {"an empty file", [](LogFixture& f) { f.files.set_contents(log_path(f), ""); }, 0},
        {"no indexes",
         [](LogFixture& f) {
             (void)f.files.remove(f.path(first + ".index"));
             (void)f.files.remove(f.path(first + ".timeindex"));
         },
         10},
        {"indexes as Kafka preallocates them",
         [](LogFixture& f) {
             f.files.set_contents(f.path(first + ".index"), std::string(10 << 20, '\0'));
             f.files.set_contents(f.path(first + ".timeindex"), std::string(10485756, '\0'));
         },
         10},
        {"files waiting for deletion and half a cleaning",
         [](LogFixture& f) {
             f.files.set_contents(f.path("00000000000000000003.log.deleted"), "x");
             f.files.set_contents(f.path(first + ".log.cleaned"), "x");
         },
         10},
        {"a swap that was complete",
         [](LogFixture& f) {
             const std::string bytes = f.files.contents(log_path(f));
             f.files.set_contents(f.path(first + ".log.swap"), bytes.substr(0, bytes.size() / 2));
         },
         5},
        {"a swap that was not complete",
         [](LogFixture& f) {
             f.files.set_contents(f.path(first + ".log.swap"), "x");
             f.files.set_contents(f.path(first + ".log.cleaned"), "x");
         },
         10},
        {"an index without a segment",
         [](LogFixture& f) { f.files.set_contents(f.path("00000000000000000077.index"), std::string(8, 'x')); }, 10},
        {"epochs that nobody can read",
         [](LogFixture& f) { f.files.set_contents(f.path("leader-epoch-checkpoint"), "rubbish"); }, 10},
        {"epochs beyond the end",
         [](LogFixture& f) { f.files.set_contents(f.path("leader-epoch-checkpoint"), "0\n2\n0 0\n9 500\n"); }, 10},
        {"a broken producer snapshot",
         [](LogFixture& f) { f.files.set_contents(f.path(first + ".snapshot"), "rubbish"); }, 10},
        {"a log start beyond the end", [](LogFixture& f) { f.log_start = Offset{50}; }, 50},
    };
}

TEST(LogRecoveryTest, WhatACrashLeavesIsPutInOrder) {
    for (const Leftover& leftover : leftovers()) {
        LogFixture fixture{with_segment_bytes(1 << 20)};
        for (int i = 0; i < 10; ++i) ASSERT_TRUE(fixture.append(BatchSpec{}));
        ASSERT_TRUE(fixture.log->release_idle(kMayBlock, fixture.now, 0));
        fixture.log.reset();
        leftover.damage(fixture);
        fixture.open();
        if (::testing::Test::HasFatalFailure()) return;
        EXPECT_EQ(fixture.log->log_end_offset(), Offset{leftover.want_end}) << leftover.name;
        EXPECT_LE(fixture.log->latest_epoch(), LeaderEpoch{0}) << leftover.name;
        const auto entries = fixture.files.list("/logs/orders-0");
        for (const auto& entry : *entries) {
            EXPECT_FALSE(entry.name.ends_with(".deleted") || entry.name.ends_with(".cleaned") ||
                         entry.name.ends_with(".swap") || entry.name.starts_with("00000000000000000077"))
                << leftover.name << ": " << entry.name;
        }
        ASSERT_TRUE(fixture.append(BatchSpec{})) << leftover.name;
        EXPECT_EQ(fixture.read(Offset{leftover.want_end})->slice.length, make_batch().size()) << leftover.name;
        if (leftover.want_end == 10) {
            EXPECT_EQ(fixture.files.size_of(fixture.path(first + ".index")).value() % 8, 0U);
            EXPECT_EQ(fixture.files.size_of(fixture.path(first + ".timeindex")).value() % 12, 0U);
        }
    }
}

TEST(LogRecoveryTest, AfterACleanStopNoSegmentIsReadAndDuplicatesAreStillKnown) {
    LogFixture fixture{with_segment_bytes(500)};
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(fixture.append(idempotent(i)));
    ASSERT_TRUE(fixture.log->close(kMayBlock));
    fixture.checkpoint();
    const auto before = fixture.files.counts();
    fixture.open(true);
    EXPECT_LE(fixture.files.counts().opens - before.opens, 2U) << "epochs and a snapshot";
    EXPECT_EQ(fixture.log->log_end_offset(), Offset{20});
    EXPECT_EQ(fixture.files.open_file_count(), 0U);
    const auto again = fixture.append(idempotent(19));
    ASSERT_TRUE(again.has_value());
    EXPECT_TRUE(again->duplicate);
}

TEST(LogRecoveryTest, ProducersAreRebuiltFromTheLogAfterACrash) {
    LogFixture fixture{with_segment_bytes(500)};
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(fixture.append(idempotent(i)));
    fixture.open();
    EXPECT_EQ(fixture.append(idempotent(25)).error().code, ErrorCode::out_of_order_sequence_number);
    EXPECT_TRUE(fixture.append(idempotent(19))->duplicate);
    EXPECT_EQ(fixture.append(idempotent(20))->base_offset, Offset{20});
}

TEST(LogRecoveryTest, TruncationTakesProducersEpochsAndIndexesBack) {
    LogFixture fixture{with_segment_bytes(600)};
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(fixture.append(make_batch(idempotent(i)), LeaderEpoch{i / 10}));
    ASSERT_TRUE(fixture.log->truncate_to(kMayBlock, Offset{7}).value());
    EXPECT_EQ(fixture.log->log_end_offset(), Offset{7});
    EXPECT_EQ(fixture.log->latest_epoch(), LeaderEpoch{0});
    EXPECT_EQ(fixture.append(idempotent(7))->base_offset, Offset{7});
    EXPECT_FALSE(fixture.log->truncate_to(kMayBlock, Offset{8}).value());
    ASSERT_TRUE(fixture.log->truncate_fully_and_start_at(kMayBlock, Offset{100}));
    EXPECT_EQ(fixture.log->log_start_offset(), Offset{100});
    EXPECT_EQ(fixture.append(BatchSpec{})->base_offset, Offset{100});
}

// --- retention and durability
// --------------------------------------------------------------------------------------------

TEST(LogRetentionTest, SegmentsGoBySizeTimeAndStartButNeverAboveTheHighWatermark) {
    for (const char* reason : {"size", "time", "start"}) {
        config::LogConfig settings = with_segment_bytes(300);
        settings.retention_ms = -1;
        if (reason == std::string_view{"size"}) settings.retention_bytes = 400;
        if (reason == std::string_view{"time"}) settings.retention_ms = 1'000;
        LogFixture fixture{settings};
        for (int i = 0; i < 12; ++i) ASSERT_TRUE(fixture.append(BatchSpec{.timestamp = fixture.now.raw() - 5'000}));
        EXPECT_EQ(fixture.log->delete_old_segments(kMayBlock, fixture.now).value(), 0U) << "high watermark is 0";
        fixture.log->set_high_watermark(Offset{12});
        if (reason == std::string_view{"start"}) {
            ASSERT_TRUE(fixture.log->advance_log_start_offset(Offset{9}));
        }
        EXPECT_GT(fixture.log->delete_old_segments(kMayBlock, fixture.now).value(), 0U) << reason;
        EXPECT_GT(fixture.log->log_start_offset(), Offset{0}) << reason;
        EXPECT_EQ(fixture.append(BatchSpec{})->base_offset, Offset{12}) << reason;
    }
}

TEST(LogDurabilityTest, FlushMessagesIsReportedAndAFlushMovesTheRecoveryPoint) {
    config::LogConfig settings;
    settings.flush_messages = 2;
    LogFixture fixture{settings};
    std::vector<std::vector<std::uint8_t>> one{make_batch()};
    EXPECT_FALSE(fixture.append_all(one, nullptr).needs_flush);
    EXPECT_TRUE(fixture.append_all(one, nullptr).needs_flush);
    ASSERT_TRUE(fixture.log->flush(kMayBlock));
    EXPECT_EQ(fixture.log->recovery_point(), Offset{2});
    EXPECT_FALSE(fixture.append_all(one, nullptr).needs_flush);
}

TEST(LogDurabilityTest, AFailedSyncTakesTheLogOffline) {
    LogFixture fixture;
    ASSERT_TRUE(fixture.append(BatchSpec{}));
    fixture.files.fail_syncs(1, EIO);
    EXPECT_FALSE(fixture.log->flush(kMayBlock).has_value());
    EXPECT_TRUE(fixture.log->is_offline());
    EXPECT_EQ(fixture.log->recovery_point(), Offset{0});
}

TEST(LogDurabilityTest, AnIdleLogKeepsNoFileOpenAndGoesOn) {
    LogFixture fixture;
    ASSERT_TRUE(fixture.append(BatchSpec{}));
    ASSERT_TRUE(fixture.log->release_idle(kMayBlock, fixture.now, 0));
    EXPECT_EQ(fixture.files.open_file_count(), 0U);
    EXPECT_EQ(fixture.append(BatchSpec{})->base_offset, Offset{1});
}

TEST(ProducerSnapshotTest, ASnapshotComesBackAndABrokenOneIsRefused) {
    ProducerStateEntry state;
    state.add(ProducerEpoch{2},
              {.last_offset = Offset{9}, .timestamp = TimestampMs{77}, .last_sequence = 5, .offset_delta = 3});
    std::string bytes = encode_producer_snapshot({{kProducer, state}});
    const auto entries = decode_producer_snapshot(as_bytes(bytes));
    ASSERT_TRUE(entries.has_value());
    EXPECT_EQ(entries->front().state, state);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        std::string broken = bytes;
        broken[i] ^= 0x40;
        EXPECT_FALSE(decode_producer_snapshot(as_bytes(broken)).has_value()) << i;
    }
    EXPECT_FALSE(decode_producer_snapshot(as_bytes(std::string_view{bytes}.substr(0, 9))).has_value());
}

}  // namespace
}  // namespace odr::storage::test
