#include "protocol/reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"
#include "protocol/generated/metadata_request.h"
#include "protocol/generated/partition_change_record.h"
#include "protocol/writer.h"

namespace odr::protocol {
namespace {

using Bytes = std::vector<std::uint8_t>;

// What a reader makes of a few bytes: the value as text, "null", or "error".
template <class Read>
std::string outcome(const Bytes& bytes, Read read) {
    Reader in{bytes};
    std::string text = read(in);
    if (in.failed()) return "error";
    return text + (in.remaining() == 0 ? "" : " +" + std::to_string(in.remaining()));
}
std::string shown(std::optional<std::string_view> text) { return text ? "'" + std::string{*text} + "'" : "null"; }

constexpr bool kFlexible = true;
constexpr bool kNullable = true;

struct Row {
    const char* name;
    Bytes bytes;
    std::string want;
};

TEST(Reader, StringsOfBothForms) {
    const Row classic[] = {
        {"two letters", {0, 2, 'a', 'b'}, "'ab'"},
        {"empty", {0, 0}, "''"},
        {"what follows is left alone", {0, 1, 'a', 9}, "'a' +1"},
        {"null", {0xff, 0xff}, "null"},
        {"any negative length is null, as in Kafka", {0x80, 0}, "null"},
        {"one byte too few", {0, 3, 'a', 'b'}, "error"},
        {"no length", {0}, "error"},
    };
    for (const Row& row : classic) {
        EXPECT_EQ(outcome(row.bytes, [](Reader& in) { return shown(in.nullable_string(false, kNullable, "s")); }),
                  row.want)
            << row.name;
    }
    Bytes longest{0x80, 0x80, 2};
    longest.resize(3 + 0x7fff, 'x');
    Bytes too_long{0x81, 0x80, 2};
    too_long.resize(3 + 0x8000, 'x');
    const Row compact[] = {
        {"two letters", {3, 'a', 'b'}, "'ab'"},
        {"empty", {1}, "''"},
        {"null", {0}, "null"},
        {"32767 letters", longest, "'" + std::string(0x7fff, 'x') + "'"},
        {"32768 letters are too many", too_long, "error"},
        {"longer than the frame", {4, 'a', 'b'}, "error"},
        {"length of 2^32-1", {0xff, 0xff, 0xff, 0xff, 0x0f}, "error"},
        {"length of six bytes", {0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, "error"},
        {"length that does not end", {0x80}, "error"},
        {"nothing", {}, "error"},
    };
    for (const Row& row : compact) {
        EXPECT_EQ(outcome(row.bytes, [](Reader& in) { return shown(in.nullable_string(kFlexible, kNullable, "s")); }),
                  row.want)
            << row.name;
    }
}

TEST(Reader, NullWhereNoneIsAllowedIsAnErrorThatNamesTheField) {
    const Bytes null_compact{0};
    const Bytes null_short{0xff, 0xff};
    const Bytes null_int{0xff, 0xff, 0xff, 0xff};
    const auto fails = [](const Bytes& bytes, auto read) {
        Reader in{bytes};
        read(in);
        const auto result = in.result();
        return !result && result.error().code == ErrorCode::invalid_request && result.error().what == "the field";
    };
    EXPECT_TRUE(fails(null_compact, [](Reader& in) { in.string(true, "the field"); }));
    EXPECT_TRUE(fails(null_short, [](Reader& in) { in.string(false, "the field"); }));
    EXPECT_TRUE(fails(null_short, [](Reader& in) { in.nullable_string(false, false, "the field"); }));
    EXPECT_TRUE(fails(null_compact, [](Reader& in) { in.bytes(true, "the field"); }));
    EXPECT_TRUE(fails(null_int, [](Reader& in) { in.bytes(false, "the field"); }));
    EXPECT_TRUE(fails(null_int, [](Reader& in) { in.nullable_bytes(false, false, "the field"); }));
    EXPECT_TRUE(fails(null_int, [](Reader& in) { in.records(false, false, "the field"); }));
    EXPECT_TRUE(fails(null_compact, [](Reader& in) { in.array(true, false, 1, 1, "the field"); }));
    EXPECT_TRUE(fails(null_int, [](Reader& in) { in.array(false, false, 1, 1, "the field"); }));
}

TEST(Reader, FirstErrorSticksAndEverythingAfterReadsAsNothing) {
    const Bytes bytes{0, 6, 'a', 0, 0, 0, 1};
    Reader in{bytes};
    EXPECT_EQ(in.string(false, "first"), "");
    EXPECT_EQ(in.fixed<std::int32_t>("second"), 0);
    EXPECT_EQ(in.take(0, "third"), nullptr);
    EXPECT_FALSE(in.struct_present(true, "fourth"));
    EXPECT_EQ(in.array(true, true, 1, 1, "fifth"), 0);
    EXPECT_EQ(in.remaining(), 0u);
    EXPECT_EQ(in.result().error().what, "first");
}

TEST(Reader, CountOfElementsIsHeldAgainstTheRestOfTheFrame) {
    const Bytes four_ints{5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4};
    const auto count = [](Bytes bytes, std::size_t min_size, std::size_t element_size) {
        Reader in{bytes};
        const std::int64_t n = in.array(true, true, min_size, element_size, "elements");
        return in.failed() ? -2 : n;
    };
    EXPECT_EQ(count(four_ints, 4, 4), 4);
    EXPECT_EQ(count(four_ints, 5, 4), -2) << "16 bytes hold three elements of five bytes";
    EXPECT_EQ(count({0}, 4, 4), -1);
    EXPECT_EQ(count({1}, 4, 4), 0);
    EXPECT_EQ(count({0xff, 0xff, 0xff, 0xff, 0x0f}, 1, 1), -2);
}

TEST(Reader, ElementsOfAWholeMessageStayInProportionToItsFrame) {
    // 4 MB of empty elements, each of which would take 100 bytes in memory: 400 MB.
    Bytes bytes(4'000'004, 0);
    store_be<std::int32_t>(bytes.data(), 4'000'000);
    Reader in{bytes};
    EXPECT_EQ(in.array(false, false, 1, 100, "elements"), 0);
    EXPECT_EQ(in.result().error().what, "the decoded message would be out of proportion");

    // Several arrays share one allowance.
    Reader shared{bytes};
    EXPECT_EQ(shared.array(false, false, 1, 16, "elements"), 4'000'000);
    shared.fail("stop");
    Bytes twice(bytes);
    store_be<std::int32_t>(twice.data() + 4, 3'900'000);
    Reader second{twice};
    EXPECT_EQ(second.array(false, false, 1, 16, "elements"), 4'000'000);
    EXPECT_EQ(second.array(false, false, 1, 16, "elements"), 0);
    EXPECT_TRUE(second.failed());
}

TEST(Reader, FixedTypesAreBigEndian) {
    const Bytes bytes{0x01, 0xff, 0xfe, 0x12, 0x34, 0x80, 0, 0, 1, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0};
    Reader in{bytes};
    EXPECT_TRUE(in.fixed<bool>("bool"));
    EXPECT_EQ(in.fixed<std::int16_t>("int16"), -2);
    EXPECT_EQ(in.fixed<std::uint16_t>("uint16"), 0x1234);
    EXPECT_EQ(in.fixed<std::int32_t>("int32"), INT32_MIN + 1);
    EXPECT_EQ(in.fixed<double>("float64"), 1.5);
    EXPECT_TRUE(in.result());
}

// PartitionChangeRecord v2: partition 5, topic id zero, then tagged fields.
Bytes partition_change(const Bytes& tagged) {
    Bytes bytes(20, 0);
    bytes[3] = 5;
    bytes.insert(bytes.end(), tagged.begin(), tagged.end());
    return bytes;
}

TEST(Reader, UnknownTaggedFieldsAreSkippedWhereverTheyStand) {
    const auto decoded =
        decode_message<PartitionChangeRecord>(partition_change({3, 40, 2, 7, 7, 1, 4, 0, 0, 0, 9, 41, 0}), 2);
    ASSERT_TRUE(decoded) << decoded.error().what;
    PartitionChangeRecord want;
    want.partition_id = 5;
    want.leader = 9;
    EXPECT_EQ(*decoded, want);
}

TEST(Reader, TaggedFieldsInAnyOrderAndTwiceAreTakenAsKafkaDoes) {
    const auto decoded = decode_message<PartitionChangeRecord>(
        partition_change({3, 1, 4, 0, 0, 0, 9, 0, 5, 2, 0, 0, 0, 1, 1, 4, 0, 0, 0, 8}), 2);
    ASSERT_TRUE(decoded) << decoded.error().what;
    EXPECT_EQ(decoded->leader, 8) << "the last one counts";
    EXPECT_EQ(decoded->isr, std::vector<std::int32_t>{1});
}

TEST(Reader, TaggedStructThatStandsTwiceKeepsNothingOfTheFirst) {
    FetchResponse response;
    auto& partition = response.responses.emplace_back().partitions.emplace_back();
    partition.snapshot_id = {.end_offset = 1, .epoch = 2};
    Buffer once;
    encode_message(once, 17, response);
    // ..., 1 tagged field, tag 2, 13 bytes, value, tagged fields of the topic and of the message.
    const Bytes bytes(once.data(), once.data() + once.size());
    const Bytes tagged(bytes.end() - 17, bytes.end() - 2);
    ASSERT_EQ((Bytes{tagged[0], tagged[1]}), (Bytes{2, 13}));
    Bytes twice(bytes.begin(), bytes.end() - 17);
    twice.back() = 2;
    twice.insert(twice.end(), tagged.begin(), tagged.end());
    twice.insert(twice.end(), tagged.begin(), tagged.end());
    twice.insert(twice.end(), {0, 0});
    const auto decoded = decode_message<FetchResponse>(twice, 17);
    ASSERT_TRUE(decoded) << decoded.error().what;
    EXPECT_EQ(*decoded, response);
}

TEST(Reader, BrokenTaggedFieldsAreRefused) {
    const Row rows[] = {
        {"more fields than bytes", {0xff, 0xff, 0xff, 0xff, 0x0f}, ""},
        {"unknown field longer than the frame", {1, 40, 9, 1}, ""},
        {"known field cut short", {1, 1, 4, 0, 0}, ""},
        {"no section at all", {}, ""},
    };
    for (const Row& row : rows) {
        EXPECT_FALSE(decode_message<PartitionChangeRecord>(partition_change(row.bytes), 2)) << row.name;
    }
    // Directories (tag 8) came with version 1.
    const Bytes directories{1, 8, 1, 1};
    EXPECT_TRUE(decode_message<PartitionChangeRecord>(partition_change(directories), 1));
    const auto early = decode_message<PartitionChangeRecord>(partition_change(directories), 0);
    ASSERT_FALSE(early);
    EXPECT_EQ(early.error().what, "PartitionChangeRecord.Directories: tag not of this version");
}

TEST(Reader, VersionOutsideTheMessagesOwnIsRefused) {
    const Bytes bytes(100, 0);
    for (const std::int16_t version : {INT16_MIN, -1, 3, 19, INT16_MAX}) {
        const auto decoded = decode_message<FetchRequest>(bytes, version);
        ASSERT_FALSE(decoded) << version;
        EXPECT_EQ(decoded.error().code, ErrorCode::unsupported_version);
    }
}

TEST(Reader, NullTopicsAreAllTopicsSinceMetadataVersion1) {
    const Bytes null_array{0xff, 0xff, 0xff, 0xff};
    EXPECT_FALSE(decode_message<MetadataRequest>(null_array, 0));
    const auto decoded = decode_message<MetadataRequest>(null_array, 1);
    ASSERT_TRUE(decoded);
    EXPECT_FALSE(decoded->topics);
}

}  // namespace
}  // namespace odr::protocol
