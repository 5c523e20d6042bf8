// Foreign bytes as a produced batch. The first three bytes choose the rules; the CRC is put right, or nothing would get
// past it. What is accepted must be a batch that a reader can read to its end, with the offsets it was given, and must
// be accepted again as it is.
#include <vector>

#include "base/assert.h"
#include "record/record.h"
#include "record/validation.h"

namespace odr::record {
namespace {

constexpr TimestampMs kNow{1'700'000'000'000};
constexpr std::size_t kLimit = std::size_t{4} << 20;

ValidationRules rules_from(const std::uint8_t* choice) {
    ValidationRules rules;
    if ((choice[0] & 1) != 0) rules.timestamp_type = TimestampType::log_append_time;
    if ((choice[0] & 2) != 0) rules.is_compacted = true;
    if ((choice[0] & 4) != 0) rules.timestamp_before_max_ms = 1000;
    if ((choice[0] & 8) != 0) rules.is_zstd_allowed = false;
    if ((choice[0] & 16) != 0) rules.max_message_bytes = 300;
    if (choice[1] % 6 != 5) rules.compression = Compression::of(static_cast<CompressionType>(choice[1] % 6));
    rules.decompressed_bytes_max = kLimit;
    return rules;
}

void check_accepted(ValidatedBatch& valid, const ValidationRules& rules) {
    valid.assign(Offset{1000}, LeaderEpoch{3}, kNow);
    const RecordBatchView batch = RecordBatchView::parse(valid.bytes()).value();
    ODR_ASSERT(batch.is_crc_valid());
    ODR_ASSERT(batch.base_offset() == Offset{1000});
    ODR_ASSERT(batch.timestamp_type() == rules.timestamp_type);
    ODR_ASSERT(batch.size_in_bytes() <= rules.max_message_bytes);
    ODR_ASSERT(!rules.compression || batch.compression() == rules.compression->type);
    std::vector<std::uint8_t> plain;
    ODR_ASSERT(decompress(batch.compression(), batch.payload(), kLimit, plain).has_value());
    RecordIterator records{plain, batch.record_count()};
    for (std::int32_t i = 0; i < batch.record_count(); ++i) {
        const auto record = records.next();
        ODR_ASSERT(record && *record);
        ODR_ASSERT((*record)->offset(batch) == Offset{1000 + i});
        ODR_ASSERT((*record)->key || !rules.is_compacted);
    }
    const auto end = records.next();
    ODR_ASSERT(end && !*end);

    if (rules.timestamp_type == TimestampType::log_append_time) return;  // a client may not send that bit
    std::vector<std::uint8_t> copy{valid.bytes().begin(), valid.bytes().end()};
    store_be<std::int64_t>(copy.data(), 0);
    // Clearing a producer's LogAppendTime bit brings other timestamps to light, so only the limits may refuse it now.
    const auto again = validate_produced(copy, rules, kNow);
    ODR_ASSERT(again || again.error().code == ErrorCode::invalid_timestamp);
    ODR_ASSERT(!again || !again->is_rebuilt());
}

}  // namespace
}  // namespace odr::record

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace odr;
    using namespace odr::record;
    if (size < 3) return 0;
    const ValidationRules rules = rules_from(data);
    std::vector<std::uint8_t> bytes{data + 3, data + size};
    if ((data[2] & 1) != 0 && bytes.size() >= kRecordBatchOverhead && bytes.size() < 0x7fffffff) {
        store_be(bytes.data() + 8, static_cast<std::int32_t>(bytes.size() - kLogOverhead));
        store_be<std::int64_t>(bytes.data(), 0);
        bytes[16] = 2;
    }
    if (const auto batch = RecordBatchView::parse(bytes); batch && !batch->is_legacy()) {
        store_be(bytes.data() + 17, batch->computed_crc());
    }
    auto valid = validate_produced(bytes, rules, kNow);
    if (valid) {
        check_accepted(*valid, rules);
    } else {
        ODR_ASSERT(valid.error().code != ErrorCode::none && !valid.error().message.empty());
    }
    return 0;
}
