// Walks foreign bytes as batches and records; whatever a magic 2 batch says of itself must survive being written anew.
#include <vector>

#include "base/assert.h"
#include "record/record.h"

namespace odr::record {
namespace {

void check_records(const RecordBatchView& batch) {
    std::vector<Record> seen;
    RecordIterator records{batch};
    for (;;) {
        const auto record = records.next();
        if (!record) return;
        if (!*record) break;
        (void)(*record)->header_list();
        seen.push_back(**record);
    }
    // What was read completely can be built, and reads the same.
    RecordBatchBuilder builder;
    for (const Record& record : seen) {
        builder.append(record.timestamp(batch), record.key, record.value, record.header_list());
    }
    const auto bytes = builder.build();
    ODR_ASSERT(bytes.has_value());
    const auto copy = RecordBatchView::parse(*bytes);
    ODR_ASSERT(copy && copy->is_crc_valid());
    RecordIterator again{*copy};
    const bool is_log_append_time = batch.timestamp_type() == TimestampType::log_append_time;
    for (const Record& record : seen) {
        const auto other = again.next();
        ODR_ASSERT(other && *other);
        ODR_ASSERT((*other)->key.has_value() == record.key.has_value());
        ODR_ASSERT(!record.value || as_text(*record.value) == as_text(*(*other)->value));
        ODR_ASSERT((*other)->header_count == record.header_count);
        ODR_ASSERT(is_log_append_time || (*other)->timestamp(*copy) == record.timestamp(batch));
    }
}

void check_batch(const RecordBatchView& batch) {
    ODR_ASSERT(batch.bytes().size() == batch.size_in_bytes());
    (void)batch.is_crc_valid();
    (void)batch.last_sequence();
    (void)batch.next_offset();
    if (batch.is_legacy()) return;
    std::vector<std::uint8_t> copy{batch.bytes().begin(), batch.bytes().end()};
    write_batch_header(copy, fields_of(batch));
    const auto rewritten = RecordBatchView::parse(copy);
    ODR_ASSERT(rewritten && rewritten->is_crc_valid());
    ODR_ASSERT(rewritten->last_offset() == batch.last_offset());
    ODR_ASSERT(rewritten->record_count() == batch.record_count());
    if (!batch.is_compressed()) check_records(batch);
}

}  // namespace
}  // namespace odr::record

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    odr::record::BatchIterator batches{{data, size}};
    for (;;) {
        const std::size_t before = batches.position();
        const auto batch = batches.next();
        if (!batch || !*batch) break;
        ODR_ASSERT(batches.position() > before);
        odr::record::check_batch(**batch);
    }
    return 0;
}
