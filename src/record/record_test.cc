#include "record/record.h"

#include "record/record_reader.h"
#include "record/test_support.h"

namespace odr::record {
namespace {

using test::Bytes;
using test::kT0;
using test::testdata;
using test::text;

// What the program that made the test data put into record i.
void append_like_kafka(RecordBatchBuilder& builder, int i) {
    const std::string key = "key-" + std::to_string(i);
    std::string value;
    for (int n = 0; n < 40; ++n) value += "value-" + std::to_string(i);
    const std::uint8_t first[] = {static_cast<std::uint8_t>(i), 0};
    const Header headers[] = {{as_bytes("h0"), ByteView{first}}, {as_bytes("h1"), std::nullopt}};
    builder.append(TimestampMs{kT0 + i * 1000}, i % 5 == 4 ? std::nullopt : std::optional{as_bytes(key)},
                   i % 7 == 6 ? std::nullopt : std::optional{as_bytes(value)},
                   std::span{headers}.first(static_cast<std::size_t>(i % 3)));
}

constexpr auto kLikeKafka = [] {
    RecordBatchBuilder::Options options;
    options.partition_leader_epoch = LeaderEpoch{9};
    options.producer_id = ProducerId{4711};
    options.producer_epoch = ProducerEpoch{3};
    options.base_sequence = 100;
    options.is_transactional = true;
    return options;
};

TEST(RecordBatchBuilderTest, MakesTheBytesThatKafkaMakes) {
    RecordBatchBuilder builder{kLikeKafka()};
    for (int i = 0; i < 20; ++i) append_like_kafka(builder, i);
    EXPECT_EQ(builder.record_count(), 20);
    EXPECT_EQ(builder.uncompressed_size(), testdata("batch_none.bin").size());
    EXPECT_EQ(builder.build().value(), testdata("batch_none.bin"));
}

TEST(RecordBatchBuilderTest, LogAppendTimeBatchIsKafkas) {
    RecordBatchBuilder builder{{.base_offset = Offset{30},
                                .partition_leader_epoch = LeaderEpoch{2},
                                .timestamp_type = TimestampType::log_append_time,
                                .log_append_time = TimestampMs{kT0 + 123}}};
    append_like_kafka(builder, 0);
    append_like_kafka(builder, 1);
    EXPECT_EQ(builder.build().value(), testdata("log_append_time.bin"));
}

TEST(RecordBatchBuilderTest, CommitMarkerIsKafkas) {
    RecordBatchBuilder builder{{.base_offset = Offset{77},
                                .partition_leader_epoch = LeaderEpoch{5},
                                .producer_id = ProducerId{4711},
                                .producer_epoch = ProducerEpoch{3},
                                .is_transactional = true,
                                .is_control = true}};
    builder.append_end_txn_marker(TimestampMs{kT0}, ControlRecordType::commit, {.coordinator_epoch = 12});
    EXPECT_EQ(builder.build().value(), testdata("commit_marker.bin"));
}

TEST(RecordBatchBuilderTest, LeaderChangeIsKafkas) {
    const Bytes theirs = testdata("leader_change.bin");
    const auto batch = RecordBatchView::parse(theirs).value();
    const auto record = RecordIterator{batch}.next().value().value();
    EXPECT_TRUE(batch.is_control());
    EXPECT_EQ(parse_control_record_key(record.key).value(), ControlRecordType::leader_change);
    RecordBatchBuilder builder{
        {.base_offset = Offset{8}, .partition_leader_epoch = LeaderEpoch{4}, .is_control = true}};
    builder.append_control(TimestampMs{kT0}, ControlRecordType::leader_change, record.value.value());
    EXPECT_EQ(builder.build().value(), theirs);
}

TEST(RecordBatchBuilderTest, KeepsGapsAndAnOffsetBeyondTheLastRecordAsCompactionLeavesThem) {
    RecordBatchBuilder builder{{.base_offset = Offset{10}, .last_offset = Offset{20}}};
    builder.append_at(Offset{12}, TimestampMs{1}, std::nullopt, std::nullopt);
    builder.append_at(Offset{15}, TimestampMs{2}, std::nullopt, std::nullopt);
    const Bytes bytes = builder.build().value();
    const auto batch = RecordBatchView::parse(bytes).value();
    EXPECT_EQ(batch.base_offset(), Offset{10});
    EXPECT_EQ(batch.last_offset(), Offset{20});
    EXPECT_EQ(batch.record_count(), 2);
    RecordIterator records{batch};
    EXPECT_EQ(records.next()->value().offset(batch), Offset{12});
    EXPECT_EQ(records.next()->value().offset(batch), Offset{15});
    EXPECT_FALSE(records.next()->has_value());
}

TEST(RecordBatchBuilderTest, SizeUpperBoundIsNeverBelowTheRealSize) {
    for (const std::size_t size : {0U, 1U, 63U, 64U, 8191U, 8192U, 100'000U}) {
        const Bytes value(size, 1);
        const Header headers[] = {{as_bytes("h"), ByteView{value}}};
        RecordBatchBuilder builder;
        builder.append(TimestampMs{INT64_MAX}, ByteView{value}, ByteView{value}, headers);
        EXPECT_LE(builder.uncompressed_size() - kRecordBatchOverhead,
                  RecordBatchBuilder::size_upper_bound(ByteView{value}, ByteView{value}, headers));
    }
}

TEST(RecordIteratorTest, ReadsKeysValuesHeadersAndTimesThatKafkaWrote) {
    const Bytes bytes = testdata("batch_none.bin");
    const auto batch = RecordBatchView::parse(bytes).value();
    RecordIterator records{batch};
    for (int i = 0; i < 20; ++i) {
        const auto record = records.next();
        ASSERT_TRUE(record && *record) << i;
        EXPECT_EQ((*record)->offset(batch), Offset{i});
        EXPECT_EQ((*record)->timestamp(batch), TimestampMs{kT0 + i * 1000});
        EXPECT_EQ(text((*record)->key), i % 5 == 4 ? "null" : "key-" + std::to_string(i));
        EXPECT_EQ((*record)->value.has_value(), i % 7 != 6);
        const auto headers = (*record)->header_list();
        ASSERT_EQ(headers.size(), static_cast<std::size_t>(i % 3));
        if (i % 3 == 2) {
            EXPECT_EQ(as_text(headers[0].key), "h0");
            EXPECT_EQ(headers[0].value->size(), 2U);
            EXPECT_EQ(as_text(headers[1].key), "h1");
            EXPECT_FALSE(headers[1].value.has_value());
        }
    }
    EXPECT_FALSE(records.next()->has_value());
}

TEST(RecordIteratorTest, EveryRecordOfALogAppendTimeBatchHasItsTime) {
    const Bytes bytes = testdata("log_append_time.bin");
    const auto batch = RecordBatchView::parse(bytes).value();
    RecordIterator records{batch};
    EXPECT_EQ(records.next()->value().timestamp(batch), TimestampMs{kT0 + 123});
    EXPECT_EQ(records.next()->value().timestamp(batch), TimestampMs{kT0 + 123});
}

// Gives how far the walk came, and why it ended.
std::string walk(ByteView payload, std::int32_t count) {
    RecordIterator records{payload, count};
    for (int n = 0;; ++n) {
        const auto record = records.next();
        if (!record) return std::to_string(n) + " " + std::string{record.error().what};
        if (!*record) return std::to_string(n) + " end";
    }
}

TEST(RecordIteratorTest, PayloadCutAnywhereIsRefused) {
    const Bytes bytes = testdata("batch_none.bin");
    const ByteView payload = RecordBatchView::parse(bytes)->payload();
    EXPECT_EQ(walk(payload, 20), "20 end");
    for (std::size_t n = 0; n < payload.size(); ++n) {
        EXPECT_FALSE(walk(payload.first(n), 20).ends_with(" end")) << n;
    }
}

TEST(RecordIteratorTest, CountsAndLengthsThatLieAreRefused) {
    using namespace std::string_literals;
    const auto payload = [](std::initializer_list<int> bytes) { return Bytes(bytes.begin(), bytes.end()); };
    // length, attributes, timestamp, offset, key, value, headers; all small numbers are zigzag
    const Bytes good = payload({12, 0, 0, 0, 1, 1, 0});
    EXPECT_EQ(walk(good, 1), "1 end");
    EXPECT_EQ(walk(good, 0), "0 a batch goes on after its last record");
    EXPECT_EQ(walk(good, 2), "1 records end before their count");
    EXPECT_EQ(walk(good, -1), "0 a batch has a negative record count");
    const struct {
        const char* name;
        Bytes bytes;
        const char* want;
    } cases[] = {
        {"length beyond the payload", payload({14, 0, 0, 0, 1, 1, 0}),
         "a record is longer than what is left of its batch"},
        {"length negative", payload({1, 0, 0, 0, 1, 1, 0}), "a record is longer than what is left of its batch"},
        {"length too small", payload({10, 0, 0, 0, 1, 1, 0}), "a record has an impossible header count"},
        {"length too large", payload({14, 0, 0, 0, 1, 1, 0, 0}), "a record's fields do not fill its length"},
        {"key beyond the record", payload({12, 0, 0, 0, 8, 1, 0}), "a record has a broken key"},
        {"header count beyond the record", payload({12, 0, 0, 0, 1, 1, 2}), "a record has an impossible header count"},
        {"header count negative", payload({12, 0, 0, 0, 1, 1, 1}), "a record has an impossible header count"},
        {"header key missing", payload({16, 0, 0, 0, 1, 1, 2, 1, 1}), "a record has a header with a broken key"},
        {"varint without end", payload({0xff, 0xff, 0xff, 0xff, 0xff}), "records end before their count"},
    };
    for (const auto& [name, bytes, want] : cases) EXPECT_EQ(walk(bytes, 1), "0 "s + want) << name;
}

TEST(RecordIteratorTest, AnyNegativeLengthMeansMissingAsInKafka) {
    const Bytes bytes = {12, 0, 0, 0, 9, 7, 0};  // key length -5, value length -4
    const auto record = RecordIterator{bytes, 1}.next();
    ASSERT_TRUE(record && *record);
    EXPECT_FALSE((*record)->key.has_value());
    EXPECT_FALSE((*record)->value.has_value());
}

// A decompressor that hands out its bytes n at a time.
class Trickle final : public Decompressor {
public:
    Trickle(ByteView bytes, std::size_t step) : Decompressor{SIZE_MAX}, rest_{bytes}, step_{step} {}

private:
    Result<ByteView> produce() override {
        const ByteView chunk = rest_.first(std::min(step_, rest_.size()));
        rest_ = rest_.subspan(chunk.size());
        return chunk;
    }
    ByteView rest_;
    std::size_t step_;
};

TEST(StreamSourceTest, SeesTheSameRecordsAsMemoryWhateverTheChunksAre) {
    const Bytes bytes = testdata("batch_none.bin");
    const auto batch = RecordBatchView::parse(bytes).value();
    for (const std::size_t step : {1, 2, 3, 7, 64, 1000, 100'000}) {
        Trickle trickle{batch.payload(), step};
        StreamSource in{trickle};
        RecordIterator expected{batch};
        for (int i = 0; i < 20; ++i) {
            Record record;
            ASSERT_EQ(read_record(in, record), "") << step;
            const Record want = expected.next()->value();
            EXPECT_EQ(record.offset_delta, want.offset_delta);
            EXPECT_EQ(record.timestamp_delta, want.timestamp_delta);
            EXPECT_EQ(record.key.has_value(), want.key.has_value());
            EXPECT_EQ(record.value.has_value(), want.value.has_value());
            EXPECT_EQ(record.header_count, want.header_count);
        }
        EXPECT_TRUE(in.is_at_end());
    }
}

TEST(ControlRecordTest, KeysAreReadAndThoseOfALaterKafkaAreUnknown) {
    const auto parse = [](std::initializer_list<std::uint8_t> key) {
        return parse_control_record_key(ByteView{key.begin(), key.size()});
    };
    EXPECT_EQ(parse({0, 0, 0, 0}).value(), ControlRecordType::abort);
    EXPECT_EQ(parse({0, 9, 0, 6, 1}).value(), ControlRecordType::kraft_voters);
    EXPECT_EQ(parse({0, 0, 0, 7}).value(), ControlRecordType::unknown);
    EXPECT_EQ(parse({0, 0, 0}).error().code, ErrorCode::invalid_record);
    EXPECT_EQ(parse({0xff, 0, 0, 0}).error().code, ErrorCode::invalid_record);
    EXPECT_EQ(parse_control_record_key(std::nullopt).error().code, ErrorCode::invalid_record);
}

TEST(ControlRecordTest, MarkerTellsTheCoordinatorEpoch) {
    const Bytes bytes = testdata("commit_marker.bin");
    const auto batch = RecordBatchView::parse(bytes).value();
    const auto record = RecordIterator{batch}.next().value().value();
    EXPECT_EQ(parse_control_record_key(record.key).value(), ControlRecordType::commit);
    EXPECT_EQ(EndTxnMarker::parse(record.value)->coordinator_epoch, 12);
    EXPECT_FALSE(EndTxnMarker::parse(record.value->first(5)));
    EXPECT_FALSE(EndTxnMarker::parse(std::nullopt));
}

}  // namespace
}  // namespace odr::record
