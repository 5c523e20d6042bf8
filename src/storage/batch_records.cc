#include "storage/batch_records.h"

#include "record/validation.h"

namespace odr::storage {
namespace {

// Key and value of a message of magic 0 or 1, each behind a length of four bytes, -1 for none.
Result<record::Record> parse_message(ByteView payload) {
    const auto field = [&](std::optional<ByteView>& out) {
        if (payload.size() < 4) return false;
        const auto length = load_be<std::int32_t>(payload.data());
        payload = payload.subspan(4);
        if (length < 0) return true;
        if (static_cast<std::size_t>(length) > payload.size()) return false;
        out = payload.first(static_cast<std::size_t>(length));
        payload = payload.subspan(static_cast<std::size_t>(length));
        return true;
    };
    record::Record record;
    if (!field(record.key) || !field(record.value) || !payload.empty()) {
        return fail(ErrorCode::invalid_record, "a message of an old format has broken fields");
    }
    return record;
}

}  // namespace

Result<void> BatchRecords::read(const record::RecordBatchView& batch) {
    records_.clear();
    if (!batch.is_crc_valid()) return fail(ErrorCode::corrupt_message, "wrong CRC");
    if (batch.is_legacy()) return read_legacy(batch);
    ByteView payload = batch.payload();
    if (batch.is_compressed() && batch.record_count() != 0) {
        unpacked_.clear();
        ODR_CHECK(record::decompress(batch.compression(), payload, record::kDecompressedBytesMax, unpacked_));
        payload = unpacked_;
    }
    record::RecordIterator walk{payload, batch.record_count()};
    std::int32_t last = -1;
    for (;;) {
        ODR_TRY(record, walk.next());
        if (!record) return {};
        if (record->offset_delta <= last || record->offset_delta > batch.last_offset_delta()) {
            return fail(ErrorCode::invalid_record,
                        "a record's offset is outside its batch, or not above the one before");
        }
        last = record->offset_delta;
        records_.push_back(*record);
    }
}

// Offset deltas are counted from the offset the entry stores, which in a compressed wrapper is its last.
Result<void> BatchRecords::read_legacy(const record::RecordBatchView& batch) {
    ODR_TRY(message, parse_message(batch.payload()));
    if (!batch.is_compressed()) {
        records_.push_back(message);
        return {};
    }
    unpacked_.clear();
    ODR_CHECK(record::decompress(batch.compression(), message.value.value_or(ByteView{}), record::kDecompressedBytesMax,
                                 unpacked_));
    record::BatchIterator inner{unpacked_};
    std::vector<Offset> offsets;
    for (;;) {
        ODR_TRY(entry, inner.next());
        if (!entry) break;
        if (entry->magic() != batch.magic() || entry->is_compressed()) {
            return fail(ErrorCode::invalid_record, "a compressed message holds what it cannot");
        }
        ODR_TRY(record, parse_message(entry->payload()));
        offsets.push_back(entry->base_offset());
        records_.push_back(record);
    }
    if (records_.empty() || inner.remaining() != 0) {
        return fail(ErrorCode::invalid_record, "a compressed message breaks off");
    }
    // Magic 1 counts from the first message, magic 0 has the offsets themselves.
    const Offset zero = batch.magic() == 0 ? batch.base_offset() : offsets.back();
    for (std::size_t i = 0; i < offsets.size(); ++i) {
        records_[i].offset_delta = static_cast<std::int32_t>(offsets[i] - zero);
    }
    return {};
}

}  // namespace odr::storage
