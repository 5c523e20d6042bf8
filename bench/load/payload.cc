#include "load/payload.h"

#include <algorithm>

#include "base/assert.h"
#include "base/clock.h"
#include "base/random.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"

namespace odr::bench {
namespace {

using namespace protocol;

constexpr std::int32_t kProduceTimeoutMs = 30'000;
// Behind the records: the tags of the partition, of the topic and of the request, all empty.
constexpr std::size_t kProduceTrailingTagBytes = 3;

std::vector<std::uint8_t> text_of(std::size_t bytes, Random& random) {
    constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .";
    static_assert(kAlphabet.size() == 64);
    std::vector<std::uint8_t> text(bytes);
    for (auto& letter : text) letter = static_cast<std::uint8_t>(kAlphabet[random.next() % kAlphabet.size()]);
    return text;
}

// Words out of 512, drawn evenly: what logs and JSON look like to a codec.
std::vector<std::uint8_t> words_of(std::size_t bytes, Random& random) {
    constexpr std::size_t kWords = 512, kWordBytes = 8;
    SeededRandom dictionary{11};
    const auto words = text_of(kWords * kWordBytes, dictionary);
    std::vector<std::uint8_t> text;
    while (text.size() < bytes) {
        const auto word = words.begin() + static_cast<std::ptrdiff_t>(random.next() % kWords * kWordBytes);
        text.insert(text.end(), word, word + kWordBytes);
    }
    text.resize(bytes);
    return text;
}

void begin_request(Writer& writer, std::int16_t api_key, std::int16_t version, std::int32_t correlation_id) {
    writer.begin_frame();
    encode_request_header(writer, *find_api(api_key), version, correlation_id, kClientId);
}

}  // namespace

Result<PreparedBatch> make_batch(const BatchSpec& spec) {
    SeededRandom random{7};
    record::RecordBatchBuilder builder{{.compression = spec.compression}};
    const TimestampMs now = system_clock().now();
    const std::size_t records =
        std::max<std::size_t>(1, spec.batch_bytes / std::max<std::size_t>(1, spec.record_bytes));
    for (std::size_t i = 0; i < records; ++i) {
        const auto value = spec.is_words ? words_of(spec.record_bytes, random) : text_of(spec.record_bytes, random);
        builder.append(now, std::nullopt, ByteView{value});
    }
    PreparedBatch batch{.bytes = {}, .record_count = builder.record_count()};
    ODR_TRY(bytes, builder.build());
    batch.bytes = std::move(bytes);
    return batch;
}

PreparedProduce prepare_produce(const TopicTarget& topic, std::int32_t partition, std::int16_t acks,
                                const PreparedBatch& batch) {
    ProduceRequest request;
    request.acks = acks;
    request.timeout_ms = kProduceTimeoutMs;
    auto& data = request.topic_data.emplace_back();
    data.name = topic.name;
    data.topic_id = topic.id;
    data.partition_data.push_back({.index = partition, .records = Records{ByteView{batch.bytes}}});

    Buffer frame;
    Writer writer{frame};
    begin_request(writer, ProduceRequest::kApiKey, kProduceVersion, 0);
    encode(writer, kProduceVersion, request);
    writer.end_frame();

    PreparedProduce prepared;
    prepared.frame.assign(frame.data(), frame.data() + frame.size());
    prepared.batch_bytes = batch.bytes.size();
    prepared.batch_at = frame.size() - kProduceTrailingTagBytes - batch.bytes.size();
    prepared.partition = partition;
    prepared.record_count = batch.record_count;
    ODR_ASSERT(std::ranges::equal(prepared.batch(), batch.bytes), "the batch stands before the last tags");
    return prepared;
}

std::array<std::uint8_t, kFrameHeadBytes> frame_head(const std::vector<std::uint8_t>& frame,
                                                     std::int32_t correlation_id) {
    std::array<std::uint8_t, kFrameHeadBytes> head;
    std::copy_n(frame.begin(), kFrameHeadBytes, head.begin());
    store_be(head.data() + 8, correlation_id);
    return head;
}

Result<ProduceAnswer> read_produce_answer(ByteView answer) {
    // One topic, one partition, no tags: then everything stands at a known place, and nothing is allocated.
    constexpr std::size_t kTopicsAt = 5, kPartitionsAt = kTopicsAt + 1 + 16, kErrorAt = kPartitionsAt + 1 + 4;
    ProduceAnswer out;
    if (answer.size() > kErrorAt + 10 && answer[4] == 0 && answer[kTopicsAt] == 2 && answer[kPartitionsAt] == 2) {
        out.correlation_id = load_be<std::int32_t>(answer.data());
        out.error = static_cast<ErrorCode>(load_be<std::int16_t>(answer.data() + kErrorAt));
        out.base_offset = load_be<std::int64_t>(answer.data() + kErrorAt + 2);
        return out;
    }
    Reader reader{answer};
    ODR_TRY(correlation_id, decode_response_header(reader, *find_api(ProduceRequest::kApiKey), kProduceVersion));
    ProduceResponse response;
    ODR_CHECK(decode(reader, kProduceVersion, response));
    if (response.responses.size() != 1 || response.responses[0].partition_responses.size() != 1) {
        return fail(ErrorCode::invalid_request, "a Produce answer for other than one partition");
    }
    const auto& partition = response.responses[0].partition_responses[0];
    return ProduceAnswer{.correlation_id = correlation_id,
                         .error = static_cast<ErrorCode>(partition.error_code),
                         .base_offset = partition.base_offset};
}

void encode_fetch(Buffer& out, const TopicTarget& topic, const FetchSpec& spec, std::int32_t correlation_id) {
    FetchRequest request;
    request.max_wait_ms = spec.max_wait_ms;
    request.min_bytes = spec.min_bytes;
    request.max_bytes = spec.max_bytes;
    request.session_epoch = -1;
    auto& fetched = request.topics.emplace_back();
    fetched.topic = topic.name;
    fetched.topic_id = topic.id;
    auto& partition = fetched.partitions.emplace_back();
    partition.partition = spec.partition;
    partition.fetch_offset = spec.offset;
    partition.partition_max_bytes = spec.max_bytes;

    Writer writer{out};
    begin_request(writer, FetchRequest::kApiKey, kFetchVersion, correlation_id);
    encode(writer, kFetchVersion, request);
    writer.end_frame();
}

Result<FetchHead> read_fetch_head(ByteView answer) {
    Reader in{answer};
    FetchHead head;
    ODR_TRY(correlation_id, decode_response_header(in, *find_api(FetchRequest::kApiKey), kFetchVersion));
    head.correlation_id = correlation_id;
    in.fixed<std::int32_t>("throttle_time_ms");
    head.error = static_cast<ErrorCode>(in.fixed<std::int16_t>("error_code"));
    in.fixed<std::int32_t>("session_id");
    if (in.unsigned_varint("responses") != 2) {  // a count is written as one more
        if (head.error != ErrorCode::none) return head;
        return fail(ErrorCode::invalid_request, "a Fetch answer for other than one topic");
    }
    in.fixed<Uuid>("topic_id");
    if (in.unsigned_varint("partitions") != 2) {
        return fail(ErrorCode::invalid_request, "a Fetch answer for other than one partition");
    }
    in.fixed<std::int32_t>("partition_index");
    const auto error = static_cast<ErrorCode>(in.fixed<std::int16_t>("error_code"));
    if (error != ErrorCode::none) head.error = error;
    head.high_watermark = in.fixed<std::int64_t>("high_watermark");
    in.fixed<std::int64_t>("last_stable_offset");
    in.fixed<std::int64_t>("log_start_offset");
    const std::uint32_t aborted = in.unsigned_varint("aborted_transactions");
    if (aborted > 1) return fail(ErrorCode::invalid_request, "aborted transactions where nobody writes any");
    in.fixed<std::int32_t>("preferred_read_replica");
    const std::uint32_t records = in.unsigned_varint("records");
    ODR_CHECK(in.result());
    head.records_bytes = records == 0 ? 0 : records - 1;
    head.records_at = answer.size() - in.remaining();
    return head;
}

}  // namespace odr::bench
