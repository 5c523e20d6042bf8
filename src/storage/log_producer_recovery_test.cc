#include <gtest/gtest.h>

#include <cerrno>

#include "storage/log_test_support.h"

// What a start knows of producers, transactions and offsets after stops, truncations and power losses.
namespace odr::storage::test {
namespace {

const ProducerId kProducer{8};
const BatchSpec kOpenTransaction{
    .producer = kProducer, .epoch = ProducerEpoch{0}, .sequence = 0, .transactional = true};

void delete_below(LogFixture& fixture, Offset start) {
    fixture.log->set_high_watermark(fixture.log->log_end_offset());
    ASSERT_TRUE(fixture.log->advance_log_start_offset(start));
}

TEST(LogProducerRecoveryTest, LastStableOffsetIsNotBelowTheLogStartWhereATransactionBeganInDeletedRecords) {
    LogFixture fixture;
    ASSERT_TRUE(fixture.append(kOpenTransaction));
    ASSERT_TRUE(fixture.append(BatchSpec{}));
    ASSERT_TRUE(fixture.append(BatchSpec{}));
    delete_below(fixture, Offset{2});
    EXPECT_EQ(fixture.log->last_stable_offset(), Offset{2});
}

TEST(LogProducerRecoveryTest, ACleanStopRemembersAnOpenTransactionWhereNoRecordIsLeft) {
    LogFixture fixture;
    ASSERT_TRUE(fixture.append(kOpenTransaction));
    delete_below(fixture, Offset{1});
    fixture.restart_cleanly();
    ASSERT_TRUE(fixture.append(BatchSpec{}));
    fixture.log->set_high_watermark(Offset{2});
    EXPECT_EQ(fixture.log->last_stable_offset(), Offset{1});
}

TEST(LogProducerRecoveryTest, APowerLossRightAfterACleanStopForgetsNoProducer) {
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        LogFixture fixture;
        const auto batch = make_batch({.producer = kProducer, .epoch = ProducerEpoch{0}, .sequence = 0});
        ASSERT_TRUE(fixture.append(batch));
        ASSERT_TRUE(fixture.log->close(kMayBlock));
        fixture.checkpoint();
        fixture.files.crash(seed);
        fixture.open(true);
        const auto again = fixture.append(batch);
        ASSERT_TRUE(again.has_value()) << again.error().what;
        ASSERT_TRUE(again->duplicate);
    }
}

TEST(LogProducerRecoveryTest, ASnapshotFromBehindTheEndDoesNotPushOutTheOneAtTheEnd) {
    LogFixture fixture;
    ASSERT_TRUE(fixture.append(kOpenTransaction));
    fixture.files.set_contents(fixture.path("00000000000000000018.snapshot"), "");
    fixture.restart_cleanly();
    fixture.log->set_high_watermark(Offset{1});
    EXPECT_EQ(fixture.log->last_stable_offset(), Offset{0});
    EXPECT_FALSE(fixture.files.exists(fixture.path("00000000000000000018.snapshot")));
}

TEST(LogProducerRecoveryTest, ASnapshotThatCannotBeWrittenLeavesNothingBehindAndIsWrittenByTheStop) {
    LogFixture fixture;
    ASSERT_TRUE(fixture.append(kOpenTransaction));
    fixture.restart_cleanly();
    ASSERT_TRUE(fixture.files.exists(fixture.path("00000000000000000001.snapshot")));
    fixture.files.fail_writes(1, ENOSPC);
    ASSERT_FALSE(fixture.log->roll(kMayBlock, fixture.now));
    EXPECT_FALSE(fixture.files.exists(fixture.path("00000000000000000001.snapshot")));
    fixture.restart_cleanly();
    fixture.log->set_high_watermark(Offset{1});
    EXPECT_EQ(fixture.log->last_stable_offset(), Offset{0});
}

TEST(LogProducerRecoveryTest, ALogTruncatedBelowItsFirstSegmentKeepsItsEndOverAPowerLoss) {
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        LogFixture fixture;
        for (int n = 0; n < 4; ++n) ASSERT_TRUE(fixture.append(BatchSpec{}));
        ASSERT_TRUE(fixture.log->roll(kMayBlock, fixture.now));
        ASSERT_TRUE(fixture.append(BatchSpec{}));
        delete_below(fixture, Offset{4});
        ASSERT_TRUE(fixture.log->delete_old_segments(kMayBlock, fixture.now));
        ASSERT_EQ(fixture.log->first_segment_offset(), Offset{4});
        ASSERT_TRUE(fixture.log->truncate_to(kMayBlock, Offset{2}));
        fixture.files.crash(seed);
        fixture.open();
        ASSERT_EQ(fixture.log->log_end_offset(), Offset{2});
        ASSERT_EQ(fixture.log->log_start_offset(), Offset{2});
    }
}

TEST(LogProducerRecoveryTest, ZerosInATransactionIndexAreNoAbortedTransaction) {
    LogFixture fixture;
    for (int n = 0; n < 3; ++n) ASSERT_TRUE(fixture.append(BatchSpec{}));
    ASSERT_TRUE(fixture.log->flush(kMayBlock));
    fixture.checkpoint();
    fixture.files.set_contents(fixture.path("00000000000000000000.txnindex"), std::string(34, '\0'));
    fixture.open();
    const auto aborted = fixture.log->aborted_transactions(kMayBlock, Offset{0}, Offset{3});
    ASSERT_TRUE(aborted.has_value()) << aborted.error().what;
    EXPECT_TRUE(aborted->empty());
}

TEST(LogProducerRecoveryTest, IndexesThatACrashLeftAreMadeAnewWhenTheirSegmentIsSealedUnread) {
    config::LogConfig settings;
    settings.index_interval_bytes = 1;
    const auto time_index_after_roll = [&](bool damaged) {
        LogFixture fixture{settings};
        for (int n = 0; n < 4; ++n) EXPECT_TRUE(fixture.append(BatchSpec{.timestamp = 1'000 + n * 100}));
        EXPECT_TRUE(fixture.log->flush(kMayBlock));
        fixture.checkpoint();
        EXPECT_TRUE(fixture.log->release_idle(kMayBlock, fixture.now, 0));
        const std::string path = fixture.path("00000000000000000000.timeindex");
        if (damaged) fixture.files.set_contents(path, std::string(17, '\1'));
        fixture.open();
        EXPECT_TRUE(fixture.log->roll(kMayBlock, fixture.now));
        return fixture.files.contents(path);
    };
    const std::string sound = time_index_after_roll(false);
    EXPECT_FALSE(sound.empty());
    EXPECT_EQ(time_index_after_roll(true), sound);
}

TEST(LogProducerRecoveryTest, AFullDiskWhileIndexesAreMadeAnewLeavesNothingOfTheOldOnes) {
    LogFixture fixture;
    ASSERT_TRUE(fixture.append(BatchSpec{}));
    ASSERT_TRUE(fixture.log->release_idle(kMayBlock, fixture.now, 0));
    const std::string path = fixture.path("00000000000000000000.timeindex");
    fixture.files.set_contents(path, std::string(60, '\1'));
    fixture.files.set_contents(fixture.path("00000000000000000000.index"), std::string(80, '\1'));
    fixture.open();
    fixture.files.fail_writes(1, ENOSPC);
    (void)fixture.append(BatchSpec{});
    fixture.files.fail_writes(0, 0);
    ASSERT_TRUE(fixture.append(BatchSpec{}));
    ASSERT_TRUE(fixture.log->roll(kMayBlock, fixture.now));
    ASSERT_TRUE(fixture.log->flush(kMayBlock));
    EXPECT_EQ(fixture.files.contents(path).size(), 12U) << "one entry, for the newest record";
}

TEST(LogProducerRecoveryTest, ASegmentIsNotDeletedBeforeASoundSnapshotSaysWhatItsProducersWrote) {
    LogFixture fixture;
    const auto batch = make_batch({.producer = kProducer, .epoch = ProducerEpoch{0}, .sequence = 0});
    ASSERT_TRUE(fixture.append(batch));
    ASSERT_TRUE(fixture.log->roll(kMayBlock, fixture.now));
    ASSERT_TRUE(fixture.append(BatchSpec{}));
    ASSERT_TRUE(fixture.log->flush(kMayBlock));
    fixture.checkpoint();
    fixture.files.set_contents(fixture.path("00000000000000000001.snapshot"), "torn");
    fixture.open();
    delete_below(fixture, Offset{1});
    ASSERT_TRUE(fixture.log->delete_old_segments(kMayBlock, fixture.now));
    ASSERT_EQ(fixture.log->first_segment_offset(), Offset{1});
    fixture.files.crash(1);
    fixture.open();
    const auto again = fixture.append(batch);
    ASSERT_TRUE(again.has_value()) << again.error().what;
    EXPECT_TRUE(again->duplicate);
}

}  // namespace
}  // namespace odr::storage::test
