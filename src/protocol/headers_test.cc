#include "protocol/headers.h"

#include <gtest/gtest.h>

#include <vector>

#include "protocol/coordinator_records.h"
#include "protocol/generated/offset_commit_key.h"
#include "protocol/generated/offset_commit_value.h"
#include "protocol/generated/topic_record.h"
#include "protocol/metadata_records.h"

namespace odr::protocol {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes bytes_of(const Buffer& buffer) { return {buffer.data(), buffer.data() + buffer.size()}; }

TEST(Headers, RequestHeaderOfAFlexibleVersionHasTaggedFieldsAndAnOldClientId) {
    const Bytes bytes{0, 1, 0, 12, 0, 0, 0, 7, 0, 2, 'm', 'e', 1, 9, 2, 5, 5, 42};
    Reader in{bytes};
    const auto header = decode_request_header(in);
    ASSERT_TRUE(header);
    EXPECT_EQ(header->api, &api_info(ApiKey::fetch));
    EXPECT_EQ(header->api_version, 12);
    EXPECT_EQ(header->correlation_id, 7);
    EXPECT_EQ(header->client_id, "me");
    EXPECT_TRUE(header->version_supported);
    EXPECT_EQ(in.remaining(), 1u) << "the body";
}

TEST(Headers, RequestHeaderOfAnOldVersionEndsWithTheClientId) {
    const Bytes bytes{0, 1, 0, 11, 0, 0, 0, 7, 0xff, 0xff, 42};
    Reader in{bytes};
    const auto header = decode_request_header(in);
    ASSERT_TRUE(header);
    EXPECT_FALSE(header->client_id);
    EXPECT_EQ(in.remaining(), 1u);
}

TEST(Headers, UnknownApisAndVersionsAreToldAndNotRefused) {
    const struct {
        const char* name;
        std::int16_t key, version;
        bool known;
    } rows[] = {{"ApiVersions of the future", 18, 99, true},
                {"LeaderAndIsr, which is gone", 4, 0, false},
                {"Produce below what is served", 0, 2, true},
                {"a key that never was", 1000, 0, false},
                {"a negative key", -1, 0, false},
                {"a negative version", 3, -1, true}};
    for (const auto& row : rows) {
        Bytes bytes(10, 0);
        store_be(bytes.data(), row.key);
        store_be(bytes.data() + 2, row.version);
        Reader in{bytes};
        const auto header = decode_request_header(in);
        ASSERT_TRUE(header) << row.name;
        EXPECT_EQ(header->api != nullptr, row.known) << row.name;
        EXPECT_FALSE(header->version_supported) << row.name;
    }
}

TEST(Headers, HeaderCutAtAnyByteIsAnError) {
    const Bytes whole{0, 1, 0, 12, 0, 0, 0, 7, 0, 2, 'm', 'e', 1, 9, 2, 5, 5};
    for (std::size_t size = 0; size < whole.size(); ++size) {
        Reader in{ByteView{whole}.first(size)};
        EXPECT_FALSE(decode_request_header(in)) << size;
    }
}

TEST(Headers, ResponseHeaderOfApiVersionsStaysAtVersion0) {
    const auto header = [](ApiKey key, std::int16_t version) {
        Buffer out;
        Writer writer{out};
        encode_response_header(writer, api_info(key), version, 7);
        Reader in{out};
        EXPECT_EQ(decode_response_header(in, api_info(key), version), 7);
        return bytes_of(out);
    };
    EXPECT_EQ(header(ApiKey::api_versions, 4), (Bytes{0, 0, 0, 7}));
    EXPECT_EQ(header(ApiKey::fetch, 12), (Bytes{0, 0, 0, 7, 0}));
    EXPECT_EQ(header(ApiKey::fetch, 11), (Bytes{0, 0, 0, 7}));
    EXPECT_EQ(header(ApiKey::sasl_handshake, 1), (Bytes{0, 0, 0, 7}));
}

TEST(Headers, RequestHeaderReadsBackAsItWasWritten) {
    for (const ApiInfo& api : all_apis()) {
        for (std::int16_t version = api.min; version <= api.max; ++version) {
            Buffer out;
            Writer writer{out};
            encode_request_header(writer, api, version, -5, "client");
            Reader in{out};
            const auto header = decode_request_header(in);
            ASSERT_TRUE(header) << api.name;
            EXPECT_EQ(header->api, &api);
            EXPECT_EQ(header->client_id, "client");
            EXPECT_EQ(in.remaining(), 0u);
        }
    }
}

TEST(ApiKeys, TableIsThatOf430) {
    EXPECT_EQ(all_apis().size(), 89u);
    std::size_t broker = 0;
    std::size_t controller = 0;
    for (const ApiInfo& api : all_apis()) {
        broker += (api.listeners & kListenerBroker) != 0;
        controller += (api.listeners & kListenerController) != 0;
        EXPECT_EQ(api.latest_version_unstable, api.key == ApiKey::init_producer_id) << api.name;
    }
    EXPECT_EQ(broker, 77u);
    EXPECT_EQ(controller, 41u);
    EXPECT_EQ(api_info(ApiKey::init_producer_id).stable_max(), 5);
    EXPECT_EQ(api_info(ApiKey::produce).min, 3);
    EXPECT_EQ(api_info(ApiKey::produce).announced_min(), 0);
    EXPECT_EQ(api_info(ApiKey::fetch).announced_min(), 4);
    EXPECT_EQ(api_info(ApiKey::offset_for_leader_epoch).name, "OffsetForLeaderEpoch");
    EXPECT_EQ(find_api(93), nullptr);
}

TEST(MetadataRecords, FrameTellsTypeAndVersionInVarints) {
    TopicRecord record;
    record.name = "t";
    Buffer out;
    Writer writer{out};
    encode_metadata_record(writer, 0, record);
    Bytes want{1, 2, 0, 2, 't'};
    want.resize(want.size() + 17);
    EXPECT_EQ(bytes_of(out), want);

    const auto frame = decode_metadata_frame(out);
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->type, static_cast<std::int16_t>(MetadataRecordType::topic));
    const auto body = decode_metadata_body<TopicRecord>(*frame);
    ASSERT_TRUE(body);
    EXPECT_EQ(*body, record);
}

TEST(MetadataRecords, BrokenFramesAreRefused) {
    const struct {
        const char* name;
        Bytes bytes;
    } rows[] = {{"nothing", {}},
                {"another frame version", {0, 2, 0}},
                {"cut after the type", {1, 2}},
                {"type out of range", {1, 0x80, 0x80, 4, 0}},
                {"version out of range", {1, 2, 0x80, 0x80, 4}}};
    for (const auto& row : rows) {
        const auto frame = decode_metadata_frame(row.bytes);
        ASSERT_FALSE(frame) << row.name;
        EXPECT_EQ(frame.error().code, ErrorCode::invalid_record) << row.name;
    }
    Bytes longer{1, 2, 0, 2, 't'};
    longer.resize(longer.size() + 18);
    EXPECT_FALSE(decode_metadata_body<TopicRecord>(*decode_metadata_frame(longer))) << "a byte behind the end";
}

TEST(CoordinatorRecords, KeysTellTheirTypeAndValuesTheirVersion) {
    OffsetCommitKey key;
    key.group = "g";
    key.topic = "t";
    key.partition = 3;
    Buffer out;
    Writer writer{out};
    encode_coordinator_key(writer, key);
    EXPECT_EQ(bytes_of(out), (Bytes{0, 1, 0, 1, 'g', 0, 1, 't', 0, 0, 0, 3}));
    const auto frame = decode_coordinator_frame(out);
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->number, static_cast<std::int16_t>(GroupRecordType::offset_commit));
    EXPECT_EQ(decode_message<OffsetCommitKey>(frame->body, 0), key);

    out.clear();
    OffsetCommitValue value;
    value.offset = 9;
    encode_coordinator_value(writer, 3, value);
    EXPECT_EQ(load_be<std::int16_t>(out.data()), 3);
    EXPECT_FALSE(decode_coordinator_frame(out.view().first(1)));
}

}  // namespace
}  // namespace odr::protocol
