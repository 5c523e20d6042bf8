#include "record/record_batch.h"

#include "record/test_support.h"

namespace odr::record {
namespace {

using test::Bytes;
using test::kT0;
using test::sample_batch;
using test::testdata;

TEST(RecordBatchHeaderTest, ReadsEveryFieldThatKafkaWroteFromTheFirst61Bytes) {
    const Bytes bytes = testdata("batch_none.bin");
    const auto header = RecordBatchHeader::parse(ByteView{bytes}.first(kRecordBatchOverhead));
    ASSERT_TRUE(header);
    EXPECT_EQ(header->magic(), 2);
    EXPECT_EQ(header->base_offset(), Offset{0});
    EXPECT_EQ(header->last_offset(), Offset{19});
    EXPECT_EQ(header->next_offset(), Offset{20});
    EXPECT_EQ(header->size_in_bytes(), bytes.size());
    EXPECT_EQ(header->partition_leader_epoch(), LeaderEpoch{9});
    EXPECT_EQ(header->compression(), CompressionType::none);
    EXPECT_EQ(header->timestamp_type(), TimestampType::create_time);
    EXPECT_TRUE(header->is_transactional());
    EXPECT_FALSE(header->is_control());
    EXPECT_EQ(header->delete_horizon(), std::nullopt);
    EXPECT_EQ(header->base_timestamp(), TimestampMs{kT0});
    EXPECT_EQ(header->max_timestamp(), TimestampMs{kT0 + 19'000});
    EXPECT_EQ(header->producer_id(), ProducerId{4711});
    EXPECT_EQ(header->producer_epoch(), ProducerEpoch{3});
    EXPECT_EQ(header->base_sequence(), 100);
    EXPECT_EQ(header->last_sequence(), 119);
    EXPECT_EQ(header->record_count(), 20);
}

TEST(RecordBatchHeaderTest, IsRefusedWithFewerBytesThanTheHeaderHas) {
    const Bytes bytes = testdata("batch_none.bin");
    for (std::size_t n = 0; n < kRecordBatchOverhead; ++n) {
        EXPECT_FALSE(RecordBatchHeader::parse(ByteView{bytes}.first(n))) << n;
    }
}

TEST(RecordBatchHeaderTest, LengthSmallerThanTheHeaderIsCorruptInEveryMagic) {
    for (const auto& [magic, overhead] : {std::pair{0, 26}, {1, 34}, {2, 61}}) {
        Bytes bytes(64);
        bytes[16] = static_cast<std::uint8_t>(magic);
        store_be<std::int32_t>(bytes.data() + 8, overhead - 12);
        EXPECT_TRUE(RecordBatchHeader::parse(bytes)) << magic;
        store_be<std::int32_t>(bytes.data() + 8, overhead - 13);
        EXPECT_EQ(RecordBatchHeader::parse(bytes).error().code, ErrorCode::corrupt_message) << magic;
        store_be<std::int32_t>(bytes.data() + 8, -1);
        EXPECT_EQ(RecordBatchHeader::parse(bytes).error().code, ErrorCode::corrupt_message) << magic;
    }
}

TEST(RecordBatchHeaderTest, MagicAboveTwoOrNegativeIsCorrupt) {
    for (const std::uint8_t magic : {3, 127, 128, 255}) {
        Bytes bytes = testdata("batch_none.bin");
        bytes[16] = magic;
        EXPECT_EQ(RecordBatchHeader::parse(bytes).error().code, ErrorCode::corrupt_message);
    }
}

TEST(SequenceTest, StartsOverAfterTheLargestInt32InBothDirections) {
    EXPECT_EQ(increment_sequence(0x7fffffff, 1), 0);
    EXPECT_EQ(increment_sequence(0x7ffffffe, 5), 3);
    EXPECT_EQ(decrement_sequence(0, 1), 0x7fffffff);
    EXPECT_EQ(decrement_sequence(3, 5), 0x7ffffffe);
    EXPECT_EQ(decrement_sequence(5, 3), 2);
}

TEST(SequenceTest, LastSequenceOfABatchWraps) {
    const Bytes bytes = sample_batch(
        3, 1, {.producer_id = ProducerId{1}, .producer_epoch = ProducerEpoch{0}, .base_sequence = 0x7fffffff});
    EXPECT_EQ(RecordBatchHeader::parse(bytes)->last_sequence(), 1);
}

TEST(CompressionTypeTest, NamesGoBothWaysAndUnknownIdsStayUnknown) {
    for (const CompressionType type : test::kAllTypes) EXPECT_EQ(compression_type_named(to_string(type)), type);
    EXPECT_EQ(compression_type_named("lzo"), std::nullopt);
    EXPECT_EQ(to_string(static_cast<CompressionType>(5)), "unknown");
}

TEST(RecordBatchViewTest, CrcOfWhatKafkaWroteIsValidAndAnyFlippedBitOfTheCoveredBytesBreaksIt) {
    Bytes bytes = testdata("commit_marker.bin");
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const bool is_covered = i >= 17;  // the CRC itself, and all from the attributes on
        if (i >= 8 && i < 12) continue;   // the length decides what a batch is at all
        if (i == 16) continue;            // so does the magic
        bytes[i] ^= 0x10;
        EXPECT_EQ(RecordBatchView::parse(bytes)->is_crc_valid(), !is_covered) << i;
        bytes[i] ^= 0x10;
    }
    EXPECT_TRUE(RecordBatchView::parse(bytes)->is_crc_valid());
}

TEST(RecordBatchViewTest, DeleteHorizonIsTheBaseTimestamp) {
    const Bytes bytes = sample_batch(1, 1, {.delete_horizon = TimestampMs{99}});
    const auto batch = RecordBatchView::parse(bytes);
    EXPECT_TRUE(batch->has_delete_horizon());
    EXPECT_EQ(batch->delete_horizon(), TimestampMs{99});
    EXPECT_EQ(batch->max_timestamp(), TimestampMs{kT0});
}

TEST(MutableRecordBatchTest, OffsetsAndLeaderEpochChangeWithoutTouchingTheCrc) {
    Bytes bytes = testdata("batch_zstd.bin");
    auto batch = MutableRecordBatch::parse(bytes);
    ASSERT_TRUE(batch);
    const std::uint32_t crc = batch->crc();
    batch->set_last_offset(Offset{1019});
    batch->set_partition_leader_epoch(LeaderEpoch{12});
    EXPECT_EQ(batch->base_offset(), Offset{1000});
    EXPECT_EQ(batch->partition_leader_epoch(), LeaderEpoch{12});
    EXPECT_EQ(batch->crc(), crc);
    EXPECT_TRUE(batch->is_crc_valid());
}

TEST(MutableRecordBatchTest, TimestampsAndProducerStateTakeTheCrcWithThem) {
    Bytes bytes = testdata("batch_none.bin");
    auto batch = MutableRecordBatch::parse(bytes);
    batch->set_max_timestamp(TimestampType::log_append_time, TimestampMs{5});
    EXPECT_EQ(batch->timestamp_type(), TimestampType::log_append_time);
    EXPECT_EQ(batch->max_timestamp(), TimestampMs{5});
    EXPECT_TRUE(batch->is_transactional());
    EXPECT_TRUE(batch->is_crc_valid());
    batch->set_producer_state(ProducerId{8}, ProducerEpoch{1}, 7, false);
    EXPECT_FALSE(batch->is_transactional());
    EXPECT_EQ(batch->last_sequence(), 26);
    EXPECT_TRUE(batch->is_crc_valid());
}

TEST(MutableRecordBatchTest, LegacyMessagesAreNeverWritten) {
    Bytes bytes = testdata("legacy_v1.bin");
    EXPECT_EQ(MutableRecordBatch::parse(bytes).error().code, ErrorCode::unsupported_for_message_format);
}

TEST(RecordBatchFieldsTest, WritingTheFieldsOfABatchAnewGivesItsBytes) {
    for (const char* name : {"batch_none.bin", "batch_lz4.bin", "log_append_time.bin", "commit_marker.bin"}) {
        const Bytes bytes = testdata(name);
        Bytes copy = bytes;
        std::fill_n(copy.begin(), kRecordBatchOverhead, std::uint8_t{0xaa});
        write_batch_header(copy, fields_of(*RecordBatchHeader::parse(bytes)));
        EXPECT_EQ(copy, bytes) << name;
    }
}

std::string walk(ByteView bytes) {
    std::string seen;
    BatchIterator batches{bytes};
    for (;;) {
        const auto batch = batches.next();
        if (!batch) return seen + std::string{to_string(batch.error().code)};
        if (!*batch) return seen + "end, " + std::to_string(batches.remaining()) + " left";
        seen += "v" + std::to_string((*batch)->magic()) + "@" + std::to_string((*batch)->last_offset().raw());
        seen += (*batch)->is_crc_valid() ? " " : "! ";
    }
}

TEST(BatchIteratorTest, WalksOldMessagesAndWrappersThatKafkaWrote) {
    EXPECT_EQ(walk(testdata("legacy_v0.bin")), "v0@50 v0@51 v0@52 v0@53 end, 0 left");
    EXPECT_EQ(walk(testdata("legacy_v1.bin")), "v1@50 v1@51 v1@52 v1@53 end, 0 left");
    EXPECT_EQ(walk(testdata("legacy_v0_gzip.bin")), "v0@53 end, 0 left");
    EXPECT_EQ(walk(testdata("legacy_v1_snappy.bin")), "v1@53 end, 0 left");
}

TEST(BatchIteratorTest, LegacyEntriesTellTimestampCodecAndCount) {
    const Bytes plain = testdata("legacy_v1.bin");
    const auto message = RecordBatchView::parse(plain);
    EXPECT_EQ(message->max_timestamp(), TimestampMs{kT0});
    EXPECT_EQ(message->record_count(), 1);
    EXPECT_EQ(message->producer_id(), kNoProducerId);
    EXPECT_EQ(message->partition_leader_epoch(), kNoLeaderEpoch);
    const Bytes wrapped = testdata("legacy_v1_lz4.bin");
    const auto wrapper = RecordBatchView::parse(wrapped);
    EXPECT_EQ(wrapper->compression(), CompressionType::lz4);
    EXPECT_EQ(wrapper->max_timestamp(), TimestampMs{kT0 + 3000});
    EXPECT_EQ(wrapper->record_count(), kUnknownRecordCount);
    const Bytes old = testdata("legacy_v0.bin");
    EXPECT_EQ(RecordBatchView::parse(old)->max_timestamp(), kNoTimestamp);
}

TEST(BatchIteratorTest, RunCutAtAnyByteGivesTheWholeBatchesBeforeTheCutAndNoError) {
    Bytes run = testdata("commit_marker.bin");
    const std::size_t first = run.size();
    const Bytes second = testdata("leader_change.bin");
    run.insert(run.end(), second.begin(), second.end());
    for (std::size_t n = 0; n <= run.size(); ++n) {
        std::string expected = n >= first ? "v2@77 " : "";
        if (n == run.size()) expected += "v2@8 ";
        const std::size_t left = n - (n == run.size() ? n : n >= first ? first : 0);
        EXPECT_EQ(walk(ByteView{run}.first(n)), expected + "end, " + std::to_string(left) + " left") << n;
    }
}

TEST(BatchIteratorTest, LyingLengthIsCorruptAndTheIteratorStays) {
    Bytes run = testdata("commit_marker.bin");
    store_be<std::int32_t>(run.data() + 8, 13);
    BatchIterator batches{run};
    EXPECT_EQ(batches.next().error().code, ErrorCode::corrupt_message);
    EXPECT_EQ(batches.next().error().code, ErrorCode::corrupt_message);
    EXPECT_EQ(batches.position(), 0U);
    store_be<std::int32_t>(run.data() + 8, 0x7fffffff);
    EXPECT_EQ(walk(run), "end, 78 left");
}

}  // namespace
}  // namespace odr::record
