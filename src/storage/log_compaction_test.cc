#include "storage/compaction_test_support.h"

namespace odr::storage::test {
namespace {

using record::ControlRecordType;

constexpr ProducerId kProducer{7};
constexpr ProducerEpoch kEpoch{0};
constexpr std::int64_t kDay = 86'400'000;

std::optional<std::string> none() { return std::nullopt; }

TEST(LogCompactionTest, OfEachKeyTheLatestRecordStaysAtItsOffset) {
    CompactionFixture log;
    log.put({{"a", "1"}, {"b", "1"}, {"c", "1"}});
    log.put({{"a", "2"}});
    log.put({{"b", "2"}, {"d", "1"}});
    log.roll();
    log.put({{"a", "3"}});  // in the active segment, which is not cleaned and does not count
    const auto cleaned = log.clean();
    ASSERT_TRUE(cleaned) << cleaned.error().what;
    EXPECT_EQ(*cleaned, Offset{6});
    EXPECT_EQ(log.records(), (Strings{"2:c=1", "3:a=2", "4:b=2", "5:d=1", "6:a=3"}));
    EXPECT_EQ(log.figures.records_read, 6U);
    EXPECT_EQ(log.figures.records_kept, 4U);
}

TEST(LogCompactionTest, WhatWasCleanedIsThereAfterAStopAndAfterACrash) {
    CompactionFixture log;
    log.put({{"a", "1"}, {"b", "1"}});
    log.put({{"a", "2"}});
    log.roll();
    ASSERT_TRUE(log.clean());
    const Strings left{"1:b=1", "2:a=2"};
    EXPECT_EQ(log.records(), left);
    log.restart_cleanly();
    EXPECT_EQ(log.records(), left);
    log.files.crash(1);
    log.open();
    EXPECT_EQ(log.records(), left);
    EXPECT_EQ(log.log->log_end_offset(), Offset{3});
}

TEST(LogCompactionTest, ABatchThatKeepsAllItsRecordsKeepsItsBytesAndOthersTheirCodecAndSequence) {
    for (const auto codec :
         {record::CompressionType::none, record::CompressionType::gzip, record::CompressionType::snappy,
          record::CompressionType::lz4, record::CompressionType::zstd}) {
        CompactionFixture log;
        log.put({{"a", "1"}, {"b", "1"}, {"c", "1"}},
                {.timestamp = 500, .producer = kProducer, .epoch = kEpoch, .sequence = 10, .codec = codec});
        log.put({{"a", "2"}, {"c", "2"}}, {.timestamp = 600, .codec = codec});
        log.roll();
        const auto before = log.batches();
        ASSERT_TRUE(log.clean());
        const auto after = log.batches();
        ASSERT_EQ(after.size(), 2U);
        EXPECT_EQ(after[1].bytes, before[1].bytes);
        const auto view = after[0].view();
        EXPECT_TRUE(view.is_crc_valid());
        EXPECT_EQ(view.compression(), codec);
        EXPECT_EQ(view.base_offset(), Offset{0});
        EXPECT_EQ(view.last_offset(), Offset{2}) << "the last sequence would be lost with it";
        EXPECT_EQ(view.base_sequence(), 10);
        EXPECT_EQ(view.record_count(), 1);
        EXPECT_EQ(view.base_timestamp(), TimestampMs{501});
        EXPECT_EQ(view.max_timestamp(), TimestampMs{501});
        EXPECT_FALSE(view.has_delete_horizon());
        EXPECT_EQ(after[0].timestamps, (std::vector<std::int64_t>{501}));
        EXPECT_EQ(after[0].records.front().first, Offset{1});
    }
}

TEST(LogCompactionTest, ATombstoneStaysForTheRetentionTimeFromTheFirstCleaningOn) {
    CompactionFixture log;
    log.put({{"a", "1"}, {"b", "1"}}, {.timestamp = 10});
    log.put({{"a", none()}, {"c", "1"}}, {.timestamp = 20});
    log.roll();
    ASSERT_TRUE(log.clean());
    EXPECT_EQ(log.records(), (Strings{"1:b=1", "2:a=(none)", "3:c=1"}));
    const auto batch = log.batches()[1];
    EXPECT_EQ(batch.view().delete_horizon(), log.later(kDay));
    EXPECT_EQ(batch.timestamps, (std::vector<std::int64_t>{20, 21})) << "records keep their times";
    EXPECT_EQ(batch.view().max_timestamp(), TimestampMs{21});

    // The horizon is not set anew, and the batch not written anew.
    log.now = log.later(kDay - 1);
    log.put({{"x", "1"}});
    log.roll();
    ASSERT_TRUE(log.clean());
    EXPECT_EQ(log.records(), (Strings{"1:b=1", "2:a=(none)", "3:c=1", "4:x=1"}));
    EXPECT_EQ(log.batches()[1].bytes, batch.bytes);

    log.now = log.later(1);
    log.put({{"x", "2"}});
    log.roll();
    ASSERT_TRUE(log.clean());
    EXPECT_EQ(log.records(), (Strings{"1:b=1", "3:c=1", "5:x=2"}));
    const auto last = log.batches()[1];
    EXPECT_EQ(last.view().delete_horizon(), batch.view().delete_horizon());
}

TEST(LogCompactionTest, TheLastBatchOfAnActiveProducerStaysEmptyAndGoesWhenItWroteAnother) {
    CompactionFixture log;
    log.put({{"a", "1"}}, {.producer = kProducer, .epoch = kEpoch, .sequence = 0});
    log.put({{"a", "2"}});
    log.roll();
    ASSERT_TRUE(log.clean());
    const auto batches = log.batches();
    ASSERT_EQ(batches.size(), 2U);
    const auto empty = batches[0].view();
    EXPECT_EQ(empty.record_count(), 0);
    EXPECT_EQ(empty.size_in_bytes(), record::kRecordBatchOverhead);
    EXPECT_EQ(empty.base_timestamp(), kNoTimestamp);
    EXPECT_EQ(empty.max_timestamp(), TimestampMs{1'000});
    EXPECT_EQ(empty.last_sequence(), 0);
    EXPECT_TRUE(empty.is_crc_valid());
    log.restart_cleanly();
    log.put({{"b", "1"}}, {.producer = kProducer, .epoch = kEpoch, .sequence = 1});
    log.roll();
    ASSERT_TRUE(log.clean());
    EXPECT_EQ(log.records(), (Strings{"1:a=2", "2:b=1"}));
    EXPECT_EQ(log.batches().size(), 2U);
}

TEST(LogCompactionTest, TheLastBatchOfTheRoundStaysEvenIfItIsEmpty) {
    CompactionFixture log;
    log.put({{"a", "1"}});
    log.put({{none(), "no key"}});
    log.roll();
    ASSERT_TRUE(log.clean());
    EXPECT_EQ(log.records(), (Strings{"0:a=1"}));
    ASSERT_EQ(log.batches().size(), 2U);
    const auto last = log.batches()[1];
    EXPECT_EQ(last.view().record_count(), 0);
    EXPECT_EQ(log.figures.records_without_key, 1U);
}

TEST(LogCompactionTest, RecordsOfAbortedTransactionsGoAtOnceAndTheirMarkerAfterItsTime) {
    CompactionFixture log;
    log.put({{"a", "1"}});
    log.put({{"a", "lost"}, {"b", "lost"}},
            {.producer = kProducer, .epoch = kEpoch, .sequence = 0, .transactional = true});
    log.end_transaction(kProducer, kEpoch, ControlRecordType::abort);
    log.put({{"c", "1"}}, {.producer = kProducer, .epoch = kEpoch, .sequence = 2, .transactional = true});
    log.end_transaction(kProducer, kEpoch, ControlRecordType::commit);
    log.roll();
    ASSERT_TRUE(log.clean());
    EXPECT_EQ(log.records(), (Strings{"0:a=1", "4:c=1"}));
    auto batches = log.batches();
    ASSERT_EQ(batches.size(), 4U) << "both markers stay";
    EXPECT_EQ(batches[1].base, Offset{3});
    EXPECT_FALSE(batches[1].view().has_delete_horizon()) << "its records were there when it was met";
    // Until the marker has gone, the index names the transaction.
    EXPECT_EQ(log.log->aborted_transactions(kMayBlock, Offset{0}, Offset{10})->size(), 1U);

    log.put({{"d", "1"}});
    log.roll();
    ASSERT_TRUE(log.clean());
    batches = log.batches();
    ASSERT_EQ(batches.size(), 5U);
    EXPECT_EQ(batches[1].view().delete_horizon(), log.later(kDay));
    EXPECT_EQ(log.log->aborted_transactions(kMayBlock, Offset{0}, Offset{10})->size(), 0U);

    log.now = log.later(kDay);
    log.put({{"d", "2"}});
    log.roll();
    ASSERT_TRUE(log.clean());
    EXPECT_EQ(log.records(), (Strings{"0:a=1", "4:c=1", "7:d=2"}));
    EXPECT_EQ(log.batches().size(), 4U) << "the abort marker is gone, the commit marker has records";
}

TEST(LogCompactionTest, NothingOfAnOpenTransactionOrAboveTheHighWatermarkIsCleaned) {
    CompactionFixture log;
    log.put({{"a", "1"}});
    log.put({{"a", "2"}});
    log.roll();
    log.put({{"a", "3"}}, {.producer = kProducer, .epoch = kEpoch, .sequence = 0, .transactional = true});
    log.roll();
    log.put({{"a", "4"}});
    log.roll();
    EXPECT_EQ(log.assess().first_uncleanable, Offset{2});
    log.end_transaction(kProducer, kEpoch, ControlRecordType::commit);
    EXPECT_EQ(log.assess().first_uncleanable, Offset{4});
    log.restart_cleanly();  // the high watermark begins at the log start
    EXPECT_EQ(log.assess().first_uncleanable, Offset{0});
    log.log->set_high_watermark(Offset{3});
    EXPECT_EQ(log.assess().first_uncleanable, Offset{3});
}

TEST(LogCompactionTest, SegmentsYoungerThanTheLagAreNotCleaned) {
    auto settings = CompactionFixture::compacted();
    settings.min_compaction_lag_ms = 1'000;
    CompactionFixture log{settings};
    log.put({{"a", "1"}}, {.timestamp = 5'000});
    log.roll();
    log.put({{"a", "2"}}, {.timestamp = 5'100});
    log.roll();
    log.now = TimestampMs{6'050};
    EXPECT_EQ(log.assess().first_uncleanable, Offset{1});
    log.now = TimestampMs{6'100};
    EXPECT_EQ(log.assess().first_uncleanable, Offset{2});
}

TEST(LogCompactionTest, ALogWaitsForItsDirtyRatioUnlessTheLongestLagIsOver) {
    auto settings = CompactionFixture::compacted();
    settings.max_compaction_lag_ms = 10'000;
    CompactionFixture log{settings};
    for (int i = 0; i < 4; ++i) log.put({{"key" + std::to_string(i), "1"}}, {.timestamp = 5'000});
    log.roll();
    log.now = TimestampMs{6'000};
    ASSERT_TRUE(log.clean());
    log.put({{"key1", "2"}}, {.timestamp = 6'000});
    log.roll();
    EXPECT_NEAR(log.assess().dirty_ratio(), 0.2, 0.01);
    EXPECT_FALSE(log.assess().is_due(settings));
    settings.min_cleanable_dirty_ratio = 0.1;
    EXPECT_TRUE(log.assess().is_due(settings));
    settings.min_cleanable_dirty_ratio = 0.5;
    log.now = TimestampMs{16'001};
    EXPECT_EQ(log.assess().delay_ms, 1);
    EXPECT_TRUE(log.assess().is_due(settings));
}

TEST(LogCompactionTest, SmallSegmentsBecomeOneUpToTheSegmentSize) {
    auto settings = CompactionFixture::compacted();
    CompactionFixture log{settings};
    for (int i = 0; i < 6; ++i) {
        log.put({{"key" + std::to_string(i), std::string(100, 'x')}});
        log.roll();
    }
    settings.segment_bytes = static_cast<std::int32_t>(log.log->size_in_bytes() / 2);
    log.log->update_config(std::make_shared<config::LogConfig>(settings));
    ASSERT_TRUE(log.clean());
    EXPECT_EQ(log.log->segment_count(), 3U) << "two groups of three, and the active segment";
    EXPECT_EQ(log.records().size(), 6U);
    EXPECT_EQ(log.names(),
              (Strings{"00000000000000000000.index", "00000000000000000000.log", "00000000000000000000.timeindex",
                       "00000000000000000003.index", "00000000000000000003.log", "00000000000000000003.snapshot",
                       "00000000000000000003.timeindex", "00000000000000000006.index", "00000000000000000006.log",
                       "00000000000000000006.snapshot", "00000000000000000006.timeindex", "leader-epoch-checkpoint"}));
}

TEST(LogCompactionTest, ASegmentOfWhichEverythingStaysIsNotWrittenAnew) {
    auto settings = CompactionFixture::compacted();
    settings.segment_bytes = 500;  // so that no two of them fit into one
    CompactionFixture log{settings};
    for (const std::string key : {"a", "b", "c"}) {
        log.put({{key + "1", std::string(200, 'x')}});
        log.put({{key + "2", std::string(200, 'x')}});
        log.roll();
    }
    log.put({{"b2", "new"}});
    log.roll();
    const std::string untouched = log.path("00000000000000000000.log");
    ASSERT_TRUE(log.files.set_modified_ms(untouched, 77));
    const auto writes = log.files.counts().writes;
    ASSERT_TRUE(log.clean());
    EXPECT_EQ(log.files.modified_ms(untouched).value(), 77);
    EXPECT_LT(log.files.counts().writes, writes + 8U) << "more than one segment was written";
    EXPECT_EQ(log.figures.records_kept, 6U);
    EXPECT_LT(log.figures.bytes_written, 400U);
    EXPECT_EQ(log.records().size(), 6U);
    log.files.crash(1);
    log.open();
    EXPECT_EQ(log.records().size(), 6U);
}

TEST(LogCompactionTest, AMapTooSmallForAllKeysCleansAsFarAsItReaches) {
    CompactionFixture log;
    log.map_bytes = 4 * OffsetMap::kBytesPerEntry;  // three keys at a load of 0.9
    for (int i = 0; i < 5; ++i) log.put({{"k" + std::to_string(i), "1"}, {"k" + std::to_string(i), "2"}});
    log.roll();
    EXPECT_EQ(log.clean().value(), Offset{5}) << "a full map takes no record, not even of a key it knows";
    EXPECT_EQ(log.records(), (Strings{"1:k0=2", "3:k1=2", "4:k2=1", "5:k2=2", "6:k3=1", "7:k3=2", "8:k4=1", "9:k4=2"}));
    EXPECT_EQ(log.clean().value(), Offset{9});
    EXPECT_EQ(log.clean().value(), Offset{10});
    EXPECT_EQ(log.records(), (Strings{"1:k0=2", "3:k1=2", "5:k2=2", "7:k3=2", "9:k4=2"}));
}

TEST(LogCompactionTest, ReadsSearchesAndPositionsWorkAcrossTheGaps) {
    CompactionFixture log;
    for (int i = 0; i < 50; ++i) log.put({{"k" + std::to_string(i % 7), std::to_string(i)}}, {.timestamp = 1'000 + i});
    log.roll();
    log.put({{"x", "1"}}, {.timestamp = 2'000});
    ASSERT_TRUE(log.clean());
    const auto left = log.batches();
    ASSERT_EQ(left.size(), 8U);
    for (Offset from{0}; from <= Offset{50}; from = from + 1) {
        const auto plan = log.read(from, 1);
        ASSERT_TRUE(plan);
        const auto bytes = LogFixture::bytes_of(plan->slice);
        const auto batch = record::RecordBatchView::parse(bytes);
        ASSERT_TRUE(batch) << from.raw();
        EXPECT_EQ(batch->base_offset(), std::max(from, Offset{43}));
    }
    EXPECT_EQ(log.log->offset_for_timestamp(kMayBlock, TimestampMs{1'010}).value()->offset, Offset{43});
    EXPECT_EQ(log.log->offset_for_timestamp(kMayBlock, TimestampMs{1'047}).value()->offset, Offset{47});
    ASSERT_TRUE(log.log->truncate_to(kMayBlock, Offset{46}));
    EXPECT_EQ(log.records().size(), 3U);
    EXPECT_EQ(log.log->log_end_offset(), Offset{46});
}

TEST(LogCompactionTest, WhoeverHoldsOldSegmentsReadsOn) {
    CompactionFixture log;
    log.put({{"a", "1"}});
    log.put({{"a", "2"}});
    log.roll();
    const auto plan = log.read(Offset{0});
    const auto before = LogFixture::bytes_of(plan->slice);
    ASSERT_TRUE(log.clean());
    EXPECT_EQ(LogFixture::bytes_of(plan->slice), before);
    EXPECT_EQ(log.records(), (Strings{"1:a=2"}));
}

TEST(LogCompactionTest, ADamagedBatchEndsTheCleaningAndNothingChanges) {
    CompactionFixture log;
    log.put({{"a", "1"}});
    const Offset second = log.put({{"a", "2"}});
    log.put({{"b", "2"}});
    log.roll();
    const std::string path = log.path("00000000000000000000.log");
    std::string bytes = log.files.contents(path);
    const std::size_t position = bytes.size() / 3 + 70;
    bytes[position] = static_cast<char>(bytes[position] ^ 1);
    log.files.set_contents(path, bytes);
    const auto cleaned = log.clean();
    ASSERT_FALSE(cleaned);
    EXPECT_EQ(cleaned.error().code, ErrorCode::corrupt_message);
    EXPECT_EQ(log.damage, path + " at position " + std::to_string(bytes.size() / 3)) << second.raw();
    EXPECT_EQ(log.files.contents(path), bytes);
    for (const std::string& name : log.names()) EXPECT_EQ(name.find(".cleaned"), std::string::npos) << name;
    EXPECT_FALSE(log.log->is_offline());
}

TEST(LogCompactionTest, ATruncationUnderTheCleanerEndsTheCleaning) {
    CompactionFixture log;
    log.put({{"a", "1"}});
    log.put({{"a", "2"}});
    log.roll();
    log.put({{"b", "1"}});
    int asked = 0;
    log.pace = [&](std::size_t) -> Result<void> {
        if (++asked == 2) ODR_CHECK(log.log->truncate_to(kMayBlock, Offset{1}));
        return {};
    };
    const auto cleaned = log.clean();
    ASSERT_FALSE(cleaned);
    EXPECT_TRUE(is_aborted(cleaned.error()));
    EXPECT_EQ(log.records(), (Strings{"0:a=1"}));
    for (const std::string& name : log.names()) EXPECT_EQ(name.find(".cleaned"), std::string::npos) << name;
}

TEST(LogCompactionTest, AFullDiskEndsTheCleaningAndLeavesTheLogAlone) {
    CompactionFixture log;
    log.put({{"a", std::string(5'000, 'x')}});
    log.put({{"b", std::string(5'000, 'x')}, {"b", "last"}});
    log.roll();
    log.files.set_capacity(12'000);
    const auto cleaned = log.clean();
    ASSERT_FALSE(cleaned);
    EXPECT_EQ(cleaned.error().os_errno, ENOSPC);
    EXPECT_FALSE(log.log->is_offline());
    EXPECT_EQ(log.records().size(), 3U);
    log.files.set_capacity(UINT64_MAX);
    EXPECT_TRUE(log.clean());
    EXPECT_EQ(log.records().size(), 2U);
}

}  // namespace
}  // namespace odr::storage::test
