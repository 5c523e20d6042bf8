#include "protocol/writer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocol/generated/consumer_group_heartbeat_response.h"
#include "protocol/generated/consumer_group_member_metadata_value.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"
#include "protocol/generated/metadata_request.h"
#include "protocol/generated/produce_request.h"
#include "protocol/generated/register_broker_record.h"
#include "protocol/reader.h"

namespace odr::protocol {
namespace {

std::string hex(ByteView bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    for (const std::uint8_t byte : bytes) {
        out += kDigits[byte >> 4];
        out += kDigits[byte & 15];
    }
    return out;
}
template <class Message>
std::string encoded(const Message& message, std::int16_t version) {
    Buffer out;
    encode_message(out, version, message);
    return hex(out);
}

ProduceRequest small_produce() {
    static constexpr std::uint8_t kBatch[] = {0xaa, 0xbb, 0xcc};
    ProduceRequest request;
    request.acks = -1;
    request.timeout_ms = 30'000;
    auto& topic = request.topic_data.emplace_back();
    topic.name = "t";
    topic.topic_id.bytes[0] = 0x10;
    auto& partition = topic.partition_data.emplace_back();
    partition.index = 2;
    partition.records = Records{kBatch};
    return request;
}

TEST(Writer, ProduceInEachFormOfItsFields) {
    const ProduceRequest request = small_produce();
    EXPECT_EQ(encoded(request, 3),
              "ffff"
              "ffff"
              "00007530"
              "00000001"
              "000174"
              "00000001"
              "00000002"
              "00000003aabbcc");
    EXPECT_EQ(encoded(request, 9),
              "00"
              "ffff"
              "00007530"
              "02"
              "0274"
              "02"
              "00000002"
              "04aabbcc"
              "00"
              "00"
              "00");
    EXPECT_EQ(encoded(request, 13),
              "00"
              "ffff"
              "00007530"
              "02"
              "10000000000000000000000000000000"
              "02"
              "00000002"
              "04aabbcc"
              "00"
              "00"
              "00");
}

TEST(Writer, FieldsThatTheVersionDoesNotHaveAreLeftOut) {
    FetchRequest request;
    request.rack_id = "r";
    request.session_id = 77;
    request.cluster_id = "c";
    request.replica_state.replica_id = 4;
    EXPECT_EQ(encoded(request, 4), encoded(FetchRequest{}, 4));
    EXPECT_NE(encoded(request, 7), encoded(FetchRequest{}, 7));
}

TEST(Writer, TaggedFieldsAtTheirDefaultAreNotToldAndOthersStandInOrder) {
    EXPECT_TRUE(encoded(FetchRequest{}, 17).ends_with("0100")) << "empty rack, no tagged field";
    FetchRequest request;
    request.replica_state = {.replica_id = 4, .replica_epoch = 9};
    request.cluster_id = "c";
    EXPECT_TRUE(encoded(request, 17)
                    .ends_with("01"
                               "02"
                               "0002"
                               "0263"
                               "010d"
                               "00000004"
                               "0000000000000009"
                               "00"))
        << encoded(request, 17);
}

TEST(Writer, TaggedFieldOf128BytesAndMoreTellsItsSizeInTwo) {
    RegisterBrokerRecord record;
    record.log_dirs.resize(8);
    const std::string text = encoded(record, 3);
    // Tag 0, 129 bytes: a count of 8 in one byte, 8 times 16 bytes.
    EXPECT_TRUE(
        text.ends_with("01"
                       "00"
                       "8101"
                       "09" +
                       std::string(256, '0')))
        << text;
    Buffer out;
    encode_message(out, 3, record);
    const auto decoded = decode_message<RegisterBrokerRecord>(out, 3);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(*decoded, record);
}

TEST(Writer, NullableStructsBeginWithASign) {
    ConsumerGroupHeartbeatResponse response;
    EXPECT_TRUE(encoded(response, 0)
                    .ends_with("ff"
                               "00"));
    response.assignment.emplace();
    EXPECT_TRUE(encoded(response, 0)
                    .ends_with("01"
                               "01"
                               "00"
                               "00"));
}

TEST(Writer, NullOfATaggedStructThatIsNotNullByDefaultIsTold) {
    ConsumerGroupMemberMetadataValue value;
    EXPECT_TRUE(encoded(value, 0).ends_with("00"));
    value.classic_member_metadata.reset();
    EXPECT_TRUE(
        encoded(value, 0).ends_with("01"
                                    "00"
                                    "01"
                                    "00"))
        << encoded(value, 0);
}

TEST(Writer, NullWhereTheVersionHasNoneIsWrittenAsEmpty) {
    MetadataRequest request;
    request.topics.reset();
    EXPECT_EQ(encoded(request, 0), "00000000");
    EXPECT_EQ(encoded(request, 1), "ffffffff");
}

TEST(Writer, StringTooLongForTheFormatIsCut) {
    const std::string name(40'000, 'n');
    Buffer out;
    Writer writer{out};
    writer.string(name, true);
    Reader in{out};
    EXPECT_EQ(in.string(true, "name"), std::string(0x7fff, 'n'));
    EXPECT_TRUE(in.result());
}

TEST(Writer, ExternalRecordsBecomeSplicesAndCountInTheFrame) {
    FetchResponse response;
    auto& topic = response.responses.emplace_back();
    for (int i = 0; i < 3; ++i) topic.partitions.emplace_back().partition_index = i;
    topic.partitions[0].records = Records::external(11, 100'000);
    topic.partitions[2].records = Records::external(12, 7);
    const std::vector<std::uint8_t> first_bytes(100'000, 1);
    const std::vector<std::uint8_t> second_bytes(7, 2);

    Buffer spliced;
    spliced.append(as_bytes("before"));
    Writer writer{spliced};
    writer.begin_frame();
    encode(writer, 17, response);
    writer.end_frame();
    ASSERT_EQ(writer.splices().size(), 2u);
    EXPECT_EQ(writer.splices()[0].external_id, 11u);
    EXPECT_EQ(writer.splices()[1].size, 7u);

    topic.partitions[0].records = Records{first_bytes};
    topic.partitions[2].records = Records{second_bytes};
    Buffer whole;
    Writer plain{whole};
    plain.begin_frame();
    encode(plain, 17, response);
    plain.end_frame();
    EXPECT_EQ(writer.total_size(), whole.size());

    std::string put_together;
    std::size_t at = 6;
    for (const Splice& splice : writer.splices()) {
        put_together += as_text(spliced.view().subspan(at, splice.position - at));
        put_together += as_text(splice.external_id == 11 ? ByteView{first_bytes} : ByteView{second_bytes});
        at = splice.position;
    }
    put_together += as_text(spliced.view().subspan(at));
    EXPECT_TRUE(put_together == as_text(whole.view()));
    EXPECT_EQ(load_be<std::uint32_t>(whole.data()), whole.size() - 4);
}

TEST(Buffer, KeepsItsBytesWhenItGrowsAndWhenItMoves) {
    Buffer buffer;
    for (int i = 0; i < 10'000; ++i) *buffer.extend(1) = static_cast<std::uint8_t>(i);
    Buffer moved{std::move(buffer)};
    EXPECT_TRUE(buffer.empty());  // NOLINT(bugprone-use-after-move): promised
    EXPECT_EQ(buffer.capacity(), 0u);
    ASSERT_EQ(moved.size(), 10'000u);
    for (std::size_t i = 0; i < moved.size(); ++i) ASSERT_EQ(moved.data()[i], static_cast<std::uint8_t>(i));
    moved.clear();
    EXPECT_TRUE(moved.view().empty());
    EXPECT_GE(moved.capacity(), 10'000u);
}

}  // namespace
}  // namespace odr::protocol
