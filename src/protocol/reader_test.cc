#include "protocol/reader.h"

#include <gtest/gtest.h>

#include <vector>

#include "protocol/generated/fetch_request.h"
#include "protocol/generated/produce_request.h"
#include "protocol/writer.h"

namespace odr::protocol {
namespace {

TEST(Reader, ProduceRequestReadsBackAsItWasWritten) {
    const std::uint8_t batch[] = {1, 2, 3, 4};
    ProduceRequest request;
    request.acks = -1;
    request.timeout_ms = 1500;
    auto& topic = request.topic_data.emplace_back();
    topic.topic_id.bytes[15] = 7;
    auto& partition = topic.partition_data.emplace_back();
    partition.index = 3;
    partition.records = Records{batch};

    Buffer buffer;
    encode_message(buffer, 13, request);
    const auto decoded = decode_message<ProduceRequest>(buffer, 13);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(*decoded, request);
}

TEST(Reader, CountOfElementsThatCannotFitTheFrameIsRefused) {
    FetchRequest request;
    Buffer buffer;
    encode_message(buffer, 4, request);
    std::vector<std::uint8_t> bytes(buffer.data(), buffer.data() + buffer.size());
    store_be<std::int32_t>(bytes.data() + bytes.size() - 4, 1'000'000'000);
    const auto decoded = decode_message<FetchRequest>(bytes, 4);
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error().code, ErrorCode::invalid_request);
    EXPECT_EQ(decoded.error().what, "FetchRequest.Topics: invalid array");
}

}  // namespace
}  // namespace odr::protocol
