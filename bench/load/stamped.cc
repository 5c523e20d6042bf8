#include "load/stamped.h"

#include <algorithm>

#include "base/clock.h"
#include "base/crc32c.h"

namespace odr::bench {
namespace {

constexpr std::size_t kStampBytes = 8;
constexpr std::size_t kCrcAt = 17;
constexpr std::size_t kCrcFrom = 21;
// The stamp is looked for, not computed.
constexpr std::string_view kStampMark = "\x01\x02\x03\x04\x05\x06\x07\x08";

}  // namespace

Result<StampedRequests> StampedRequests::make(const TopicTarget& topic, std::int32_t partition, std::int16_t acks,
                                              const BatchSpec& spec, std::size_t in_flight_max) {
    std::vector<std::uint8_t> value(std::max(spec.record_bytes, kStampBytes), 'x');
    record::RecordBatchBuilder builder;
    const std::size_t records = std::max<std::size_t>(1, spec.batch_bytes / value.size());
    for (std::size_t i = 0; i < records; ++i) {
        if (i == 0) std::ranges::copy(as_bytes(kStampMark), value.begin());
        builder.append(system_clock().now(), std::nullopt, ByteView{value});
        if (i == 0) std::fill_n(value.begin(), kStampBytes, 'x');
    }
    const std::int32_t record_count = builder.record_count();
    ODR_TRY(batch, builder.build());
    StampedRequests requests;
    requests.stamp_at_ =
        static_cast<std::size_t>(std::ranges::search(batch, as_bytes(kStampMark)).begin() - batch.begin());
    for (std::size_t i = 0; i < in_flight_max; ++i) {
        requests.ring_.push_back(
            prepare_produce(topic, partition, acks, {.bytes = batch, .record_count = record_count}));
    }
    return requests;
}

const PreparedProduce& StampedRequests::next(std::int64_t due_ns) {
    PreparedProduce& request = ring_[next_++ % ring_.size()];
    const MutableByteView batch = request.batch();
    store_be(batch.data() + stamp_at_, due_ns);
    store_be(batch.data() + kCrcAt, crc32c(ByteView{batch}.subspan(kCrcFrom)));
    return request;
}

Result<std::int64_t> StampedRequests::stamp_of(ByteView first_value) {
    if (first_value.size() < kStampBytes) return fail(ErrorCode::invalid_record, "not one of our records");
    return load_be<std::int64_t>(first_value.data());
}

}  // namespace odr::bench
