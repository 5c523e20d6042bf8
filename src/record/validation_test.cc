#include "record/validation.h"

#include <sstream>

#include "record/test_support.h"

namespace odr::record {
namespace {

using test::Bytes;
using test::kT0;
using test::sample_batch;

constexpr TimestampMs kNow{kT0 + 60'000};

// --- against the verdicts of Kafka ------------------------------------------------------------------------------

struct Case {
    std::string name;
    ValidationRules rules;
    TimestampMs now;
    std::string verdict;
    Bytes bytes;
};

Bytes from_hex(std::string_view hex) {
    Bytes bytes(hex.size() / 2);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<std::uint8_t>(std::stoi(std::string{hex.substr(2 * i, 2)}, nullptr, 16));
    }
    return bytes;
}

Case parse_case(const std::string& line) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; parts.size() < 4;) {
        const std::size_t end = line.find(" | ", at);
        parts.push_back(line.substr(at, end - at));
        at = end + 3;
    }
    Case c{.name = parts[0], .rules = {}, .now = {}, .verdict = parts[2], .bytes = from_hex(parts[3])};
    std::istringstream in{parts[1]};
    std::string codec;
    std::int64_t now = 0;
    bool is_log_append_time = false;
    in >> codec >> std::boolalpha >> c.rules.is_compacted >> is_log_append_time >> c.rules.timestamp_before_max_ms >>
        c.rules.timestamp_after_max_ms >> now >> c.rules.max_message_bytes;
    if (codec != "producer") c.rules.compression = Compression::of(compression_type_named(codec).value());
    if (is_log_append_time) c.rules.timestamp_type = TimestampType::log_append_time;
    c.now = TimestampMs{now};
    return c;
}

std::vector<Case> kafka_cases() {
    std::vector<Case> cases;
    const Bytes file = test::testdata("validation_cases.txt");
    std::istringstream in{std::string{as_text(file)}};
    for (std::string line; std::getline(in, line);) cases.push_back(parse_case(line));
    return cases;
}

std::string verdict(Case& c) {
    auto result = validate_produced(c.bytes, c.rules, c.now);
    if (!result) {
        std::string text{to_string(result.error().code)};
        if (!result.error().record_errors.empty()) text += " records=";
        for (const auto& error : result.error().record_errors) text += std::to_string(error.batch_index) + ",";
        return text;
    }
    result->assign(Offset{1000}, LeaderEpoch{7}, c.now);
    EXPECT_TRUE(result->batch().is_crc_valid()) << c.name;
    EXPECT_EQ(result->batch().partition_leader_epoch(), LeaderEpoch{7}) << c.name;
    return "NONE max=" + std::to_string(result->max_timestamp().raw()) +
           " last=" + std::to_string(result->batch().last_offset().raw()) +
           " codec=" + std::string{to_string(result->compression())} +
           " crc=" + (result->is_rebuilt() ? "-" : std::to_string(result->batch().crc()));
}

// Where we answer otherwise, and why; README.md says the same.
std::string our_verdict(const Case& c) {
    // Kafka fails with a bare exception, which the client reads as a broker that is broken.
    if (c.name.ends_with("payload that does not unpack")) return "INVALID_RECORD";
    if (c.name == "codec 5") return "UNSUPPORTED_COMPRESSION_TYPE";
    // Kafka lets these through, and readers trip over them.
    if (c.name == "offset delta 1 first") return "INVALID_RECORD records=0,";
    if (c.name == "transactional without producer id") return "INVALID_RECORD";
    return c.verdict;
}

TEST(ValidationTest, AnswersAsKafkaDoesCaseByCase) {
    auto cases = kafka_cases();
    ASSERT_GT(cases.size(), 199U);
    for (Case& c : cases) EXPECT_EQ(verdict(c), our_verdict(c)) << c.name;
}

// --- rules, one by one ------------------------------------------------------------------------------------------

class ProducedBatchTest : public ::testing::Test {
protected:
    // A batch of records with these offset deltas, whatever they are.
    static Bytes with_deltas(std::initializer_list<std::uint8_t> deltas) {
        Bytes bytes = sample_batch(static_cast<std::int32_t>(deltas.size()), 3);
        std::size_t at = kRecordBatchOverhead;
        for (const std::uint8_t delta : deltas) {
            bytes[at + 3] = static_cast<std::uint8_t>(delta << 1);  // after length, attributes, timestamp
            at += 1 + (bytes[at] >> 1);
        }
        return sealed(std::move(bytes));
    }
    static Bytes sealed(Bytes bytes) {
        const auto fields = fields_of(*RecordBatchHeader::parse(bytes));
        write_batch_header(bytes, fields);
        return bytes;
    }
    static Bytes with_fields(const RecordBatchFields& fields) {
        Bytes bytes = sample_batch(3, 3);
        write_batch_header(bytes, fields);
        return bytes;
    }
    static RecordBatchFields good_fields() { return fields_of(*RecordBatchHeader::parse(sample_batch(3, 3))); }
    static ErrorCode code_of(Bytes bytes, const ValidationRules& rules = {}) {
        const auto result = validate_produced(bytes, rules, kNow);
        return result ? ErrorCode::none : result.error().code;
    }
};

TEST_F(ProducedBatchTest, GoodBatchIsAppendedFromWhereItLies) {
    Bytes bytes = sample_batch(64, 1024);
    auto result = validate_produced(bytes, {}, kNow);
    ASSERT_TRUE(result);
    EXPECT_FALSE(result->is_rebuilt());
    EXPECT_EQ(result->bytes().data(), bytes.data());
    EXPECT_EQ(result->bytes().size(), bytes.size());
    EXPECT_EQ(result->record_count(), 64);
    EXPECT_EQ(result->last_offset_delta(), 63);
    EXPECT_EQ(result->max_timestamp(), TimestampMs{kT0 + 63});
    EXPECT_EQ(result->max_timestamp_offset_delta(), 63);
    EXPECT_EQ(result->producer_id(), kNoProducerId);
    EXPECT_EQ(result->base_sequence(), kNoSequence);
    EXPECT_EQ(result->last_sequence(), kNoSequence);
}

TEST_F(ProducedBatchTest, IdempotentAndTransactionalFieldsComeOut) {
    Bytes bytes = sample_batch(3, 3,
                               {.producer_id = ProducerId{9},
                                .producer_epoch = ProducerEpoch{2},
                                .base_sequence = 0x7ffffffe,
                                .is_transactional = true});
    const auto result = validate_produced(bytes, {}, kNow);
    ASSERT_TRUE(result);
    EXPECT_TRUE(result->is_transactional());
    EXPECT_EQ(result->producer_id(), ProducerId{9});
    EXPECT_EQ(result->producer_epoch(), ProducerEpoch{2});
    EXPECT_EQ(result->base_sequence(), 0x7ffffffe);
    EXPECT_EQ(result->last_sequence(), 0);
}

TEST_F(ProducedBatchTest, OffsetsOutOfSequenceAreNamedRecordByRecord) {
    EXPECT_EQ(code_of(with_deltas({0, 1, 2})), ErrorCode::none);
    Bytes bytes = with_deltas({0, 2, 2, 1});
    const auto result = validate_produced(bytes, {}, kNow);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::invalid_record);
    ASSERT_EQ(result.error().record_errors.size(), 2U);
    EXPECT_EQ(result.error().record_errors[0].batch_index, 1);
    EXPECT_EQ(result.error().record_errors[0].message, "its offset delta is 2, not 1");
    EXPECT_EQ(result.error().record_errors[1].batch_index, 3);
    EXPECT_EQ(result.error().message, "2 record(s) of the batch were refused; record 1: its offset delta is 2, not 1");
}

TEST_F(ProducedBatchTest, ProducerFieldsThatContradictEachOtherAreInvalid) {
    const struct {
        const char* name;
        std::int64_t id;
        std::int16_t epoch;
        std::int32_t sequence;
        bool is_transactional;
        ErrorCode want;
    } cases[] = {
        {"none", -1, -1, -1, false, ErrorCode::none},
        {"idempotent", 1, 0, 0, false, ErrorCode::none},
        {"transactional", 1, 0, 0, true, ErrorCode::none},
        {"id without sequence", 1, 0, -1, false, ErrorCode::invalid_record},
        {"id without epoch", 1, -1, 0, false, ErrorCode::invalid_record},
        {"transactional without id", -1, -1, -1, true, ErrorCode::invalid_record},
    };
    for (const auto& c : cases) {
        RecordBatchFields fields = good_fields();
        fields.producer_id = ProducerId{c.id};
        fields.producer_epoch = ProducerEpoch{c.epoch};
        fields.base_sequence = c.sequence;
        fields.is_transactional = c.is_transactional;
        EXPECT_EQ(code_of(with_fields(fields)), c.want) << c.name;
    }
}

TEST_F(ProducedBatchTest, TimestampLimitsAreInclusive) {
    const struct {
        std::int64_t offset_from_now;
        ErrorCode want;
    } cases[] = {{-1000, ErrorCode::none},
                 {-1001, ErrorCode::invalid_timestamp},
                 {500, ErrorCode::none},
                 {501, ErrorCode::invalid_timestamp},
                 {INT64_MAX - kNow.raw(), ErrorCode::invalid_timestamp}};
    for (const auto& [offset, want] : cases) {
        RecordBatchBuilder builder;
        builder.append(TimestampMs{kNow.raw() + offset}, std::nullopt, std::nullopt);
        EXPECT_EQ(code_of(builder.build().value(), {.timestamp_before_max_ms = 1000, .timestamp_after_max_ms = 500}),
                  want)
            << offset;
    }
}

TEST_F(ProducedBatchTest, ZstdIsForLaterProduceVersionsOnly) {
    const Bytes zstd = sample_batch(3, 100, {.compression = Compression::of(CompressionType::zstd)});
    EXPECT_EQ(code_of(zstd), ErrorCode::none);
    EXPECT_EQ(code_of(zstd, {.is_zstd_allowed = false}), ErrorCode::unsupported_compression_type);
    const Bytes lz4 = sample_batch(3, 100, {.compression = Compression::of(CompressionType::lz4)});
    EXPECT_EQ(code_of(lz4, {.is_zstd_allowed = false}), ErrorCode::none);
}

TEST_F(ProducedBatchTest, NamedRecordErrorsAreBoundedButAllAreCounted) {
    RecordBatchBuilder builder;
    for (int i = 0; i < 5000; ++i) builder.append(TimestampMs{kT0}, std::nullopt, std::nullopt);
    Bytes bytes = builder.build().value();
    const auto result = validate_produced(bytes, {.is_compacted = true}, kNow);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().record_errors.size(), kRecordErrorsMax);
    EXPECT_TRUE(result.error().message.starts_with("5000 record(s)")) << result.error().message;
}

TEST_F(ProducedBatchTest, BombIsTooLargeWhetherItIsKeptOrUnpacked) {
    for (const CompressionType type : test::kAllTypes) {
        if (type == CompressionType::none) continue;
        RecordBatchBuilder builder{{.compression = Compression::of(type)}};
        builder.append(TimestampMs{kT0}, std::nullopt, Bytes(5'000'000));
        const Bytes bytes = builder.build().value();
        EXPECT_EQ(code_of(bytes), ErrorCode::none);
        EXPECT_EQ(code_of(bytes, {.decompressed_bytes_max = 4'000'000}), ErrorCode::message_too_large);
        EXPECT_EQ(code_of(bytes, {.compression = Compression{}, .decompressed_bytes_max = 4'000'000}),
                  ErrorCode::message_too_large);
        EXPECT_EQ(code_of(bytes, {.compression = Compression{}}), ErrorCode::message_too_large);  // max.message.bytes
    }
}

// --- recompression ----------------------------------------------------------------------------------------------

std::string contents(const RecordBatchView& batch) {
    Bytes plain;
    EXPECT_TRUE(decompress(batch.compression(), batch.payload(), std::size_t{1} << 24, plain));
    RecordIterator records{plain, batch.record_count()};
    std::string all;
    for (;;) {
        const auto record = records.next();
        if (!record) return std::string{record.error().what};
        if (!*record) return all;
        all += std::to_string((*record)->offset_delta) + "@" + std::to_string((*record)->timestamp(batch).raw()) + " " +
               test::text((*record)->key) + "=" + test::text((*record)->value);
        for (const Header& header : (*record)->header_list()) {
            all += " " + std::string{as_text(header.key)} + ":" + test::text(header.value);
        }
        all += "\n";
    }
}

TEST(RecompressionTest, EveryPairOfCodecsKeepsRecordsHeadersTimesAndProducerFields) {
    for (const char* from : {"none", "gzip", "snappy", "lz4", "zstd"}) {
        for (const CompressionType to : test::kAllTypes) {
            Bytes bytes = test::testdata("batch_" + std::string{from} + ".bin");
            const Bytes original = bytes;
            const auto source = RecordBatchView::parse(original).value();
            const auto result = validate_produced(bytes, {.compression = Compression::of(to)}, kNow);
            ASSERT_TRUE(result) << from << " " << result.error().message;
            EXPECT_EQ(result->compression(), to);
            EXPECT_EQ(result->is_rebuilt(), to_string(to) != from);
            EXPECT_TRUE(result->batch().is_crc_valid());
            EXPECT_EQ(contents(result->batch()), contents(source));
            EXPECT_EQ(result->last_sequence(), 119);
            EXPECT_EQ(result->producer_id(), ProducerId{4711});
            EXPECT_TRUE(result->is_transactional());
            EXPECT_EQ(result->max_timestamp(), source.max_timestamp());
        }
    }
}

TEST(RecompressionTest, AFlippedBitIsRefusedBeforeTheBatchIsUnpackedAndNeverGetsANewCrc) {
    constexpr std::size_t kFirstCovered = 21, kAfterAttributes = 23;
    for (const char* from : {"none", "gzip", "snappy", "lz4", "zstd"}) {
        const Bytes sound = test::testdata("batch_" + std::string{from} + ".bin");
        for (const CompressionType to : test::kAllTypes) {
            for (std::size_t at = kFirstCovered; at < sound.size(); at += 1 + sound.size() / 200) {
                Bytes bytes = sound;
                bytes[at] ^= static_cast<std::uint8_t>(1U << (at % 8));
                const Bytes given = bytes;
                const auto result = validate_produced(bytes, {.compression = Compression::of(to)}, kNow);
                ASSERT_FALSE(result) << from << " at " << at;
                // A codec that does not exist is refused as such.
                if (at >= kAfterAttributes) {
                    EXPECT_EQ(result.error().code, ErrorCode::corrupt_message) << from << " at " << at;
                }
                EXPECT_EQ(bytes, given);
            }
        }
    }
}

TEST(RecompressionTest, UncompressedIsByteForByteWhatKafkaWroteUncompressed) {
    Bytes bytes = test::testdata("batch_zstd.bin");
    const auto result = validate_produced(bytes, {.compression = Compression{}}, kNow);
    ASSERT_TRUE(result);
    const ByteView ours = result->bytes();
    EXPECT_EQ((Bytes{ours.begin(), ours.end()}), test::testdata("batch_none.bin"));
}

TEST(RecompressionTest, LevelReachesTheCodec) {
    SeededRandom random{3};
    RecordBatchBuilder builder;
    builder.append(TimestampMs{kT0}, std::nullopt, test::random_bytes(random, 200'000));
    const Bytes plain = builder.build().value();
    for (const auto& [type, low, high] : {std::tuple{CompressionType::gzip, 1, 9}, {CompressionType::zstd, -50, 19}}) {
        Bytes a = plain;
        Bytes b = plain;
        const auto fast = validate_produced(a, {.compression = Compression{type, low}}, kNow);
        const auto small = validate_produced(b, {.compression = Compression{type, high}}, kNow);
        ASSERT_TRUE(fast && small);
        EXPECT_LT(small->bytes().size(), fast->bytes().size()) << to_string(type);
    }
}

TEST(RecompressionTest, RebuiltBatchSurvivesBeingMoved) {
    Bytes bytes = test::testdata("batch_lz4.bin");
    auto result = validate_produced(bytes, {.compression = Compression::of(CompressionType::gzip)}, kNow);
    ASSERT_TRUE(result);
    ValidatedBatch moved = std::move(*result);
    moved.assign(Offset{500}, LeaderEpoch{1}, kNow);
    EXPECT_EQ(RecordBatchView::parse(moved.bytes())->last_offset(), Offset{519});
    EXPECT_TRUE(RecordBatchView::parse(moved.bytes())->is_crc_valid());
}

TEST(AssignTest, LogAppendTimeIsTheTimeOfTheAppendNotOfTheValidation) {
    Bytes bytes = sample_batch(3, 3);
    auto result = validate_produced(bytes, {.timestamp_type = TimestampType::log_append_time}, kNow);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->max_timestamp(), kNow);
    result->assign(Offset{5}, LeaderEpoch{1}, TimestampMs{kNow.raw() + 17});
    EXPECT_EQ(result->max_timestamp(), TimestampMs{kNow.raw() + 17});
    EXPECT_TRUE(result->batch().is_crc_valid());
}

TEST(AssignTest, CreateTimeIgnoresTheTimeOfTheAppend) {
    Bytes bytes = sample_batch(3, 3);
    auto result = validate_produced(bytes, {}, kNow);
    result->assign(Offset{5}, LeaderEpoch{1}, kNow);
    EXPECT_EQ(result->max_timestamp(), TimestampMs{kT0 + 2});
}

// --- truncation and damage --------------------------------------------------------------------------------------

TEST(DamageTest, BatchCutAtAnyByteIsRefused) {
    for (const CompressionType type : test::kAllTypes) {
        const Bytes bytes = sample_batch(3, 50, {.compression = Compression::of(type)});
        for (std::size_t n = 0; n < bytes.size(); ++n) {
            Bytes cut{bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n)};
            EXPECT_EQ(validate_produced(cut, {}, kNow).error().code, ErrorCode::invalid_record) << n;
        }
    }
}

TEST(DamageTest, PayloadCutAtAnyByteUnderAnHonestHeaderIsRefused) {
    for (const CompressionType type : test::kAllTypes) {
        const Bytes bytes = sample_batch(3, 50, {.compression = Compression::of(type)});
        const auto fields = fields_of(*RecordBatchHeader::parse(bytes));
        for (std::size_t n = kRecordBatchOverhead; n < bytes.size(); ++n) {
            Bytes cut{bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n)};
            write_batch_header(cut, fields);
            for (const auto& target :
                 {std::optional<Compression>{}, std::optional{Compression::of(CompressionType::gzip)}}) {
                Bytes copy = cut;
                const auto result = validate_produced(copy, {.compression = target}, kNow);
                ASSERT_FALSE(result) << to_string(type) << " " << n;
                EXPECT_EQ(result.error().code, ErrorCode::invalid_record) << to_string(type) << " " << n;
            }
        }
    }
}

}  // namespace
}  // namespace odr::record
