#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "load/client.h"
#include "record/record.h"

namespace odr::bench {

// What the topic-id versions of Kafka 4.1 and later clients send.
inline constexpr std::int16_t kProduceVersion = 13;
inline constexpr std::int16_t kFetchVersion = 17;

inline constexpr std::size_t kFrameHeadBytes = 12;  // size, API key, API version, correlation id

struct BatchSpec {
    std::size_t batch_bytes = 65536;  // of record values; at least one record
    std::size_t record_bytes = 1024;  // of one value
    record::Compression compression{};
    bool is_words = false;  // values of repeated words, which compress well, instead of letters that hardly do
};

struct PreparedBatch {
    std::vector<std::uint8_t> bytes;
    std::int32_t record_count = 0;
};

// A batch as a producer without idempotence sends it: text that compresses a little, keys null, timestamps of now.
Result<PreparedBatch> make_batch(const BatchSpec& spec);

// A Produce request with one batch for one partition, encoded once and sent many times: only the correlation id
// differs.
struct PreparedProduce {
    std::vector<std::uint8_t> frame;
    std::size_t batch_at = 0;
    std::size_t batch_bytes = 0;
    std::int32_t partition = 0;
    std::int32_t record_count = 0;

    MutableByteView batch() { return MutableByteView{frame}.subspan(batch_at, batch_bytes); }
};

PreparedProduce prepare_produce(const TopicTarget& topic, std::int32_t partition, std::int16_t acks,
                                const PreparedBatch& batch);

// The first bytes of a prepared frame, with another correlation id.
std::array<std::uint8_t, kFrameHeadBytes> frame_head(const std::vector<std::uint8_t>& frame,
                                                     std::int32_t correlation_id);

struct ProduceAnswer {
    std::int32_t correlation_id = 0;
    ErrorCode error = ErrorCode::none;
    std::int64_t base_offset = -1;
};

// Reads the answer to a prepared request (the frame without its size). Errors: invalid_request.
Result<ProduceAnswer> read_produce_answer(ByteView answer);

// A Fetch request outside of sessions for one partition.
struct FetchSpec {
    std::int32_t partition = 0;
    std::int64_t offset = 0;
    std::int32_t max_bytes = 4 << 20;
    std::int32_t max_wait_ms = 500;
    std::int32_t min_bytes = 1;
};
void encode_fetch(protocol::Buffer& out, const TopicTarget& topic, const FetchSpec& spec, std::int32_t correlation_id);

// The part of a Fetch answer with one partition that stands before its records.
struct FetchHead {
    std::int32_t correlation_id = 0;
    ErrorCode error = ErrorCode::none;  // of the request or of the partition
    std::int64_t high_watermark = -1;
    std::size_t records_at = 0;     // from the start of the answer behind its size
    std::size_t records_bytes = 0;  // 0 for null
};
// Needs: the first bytes of an answer, kFetchHeadBytesMax or all. Errors: invalid_request.
inline constexpr std::size_t kFetchHeadBytesMax = 256;
Result<FetchHead> read_fetch_head(ByteView answer);

}  // namespace odr::bench
