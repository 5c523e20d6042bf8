#include "record/record_batch.h"

#include <zlib.h>

#include <array>

#include "base/assert.h"
#include "base/crc32c.h"

namespace odr::record {

namespace {

constexpr std::size_t kMagicPosition = 16;
constexpr std::size_t kAttributesPosition = 21;
constexpr std::array<std::string_view, 5> kCompressionNames = {"none", "gzip", "snappy", "lz4", "zstd"};

std::uint16_t attributes_of(const RecordBatchFields& fields) {
    unsigned bits = static_cast<unsigned>(fields.compression);
    if (fields.timestamp_type == TimestampType::log_append_time) bits |= 0x08;
    if (fields.is_transactional) bits |= 0x10;
    if (fields.is_control) bits |= 0x20;
    if (fields.has_delete_horizon) bits |= 0x40;
    return static_cast<std::uint16_t>(bits);
}

}  // namespace

std::string_view to_string(CompressionType type) {
    return is_known(type) ? kCompressionNames[static_cast<std::size_t>(type)] : std::string_view{"unknown"};
}

std::optional<CompressionType> compression_type_named(std::string_view name) {
    for (std::size_t i = 0; i < kCompressionNames.size(); ++i) {
        if (kCompressionNames[i] == name) return static_cast<CompressionType>(i);
    }
    return std::nullopt;
}

Result<RecordBatchHeader> RecordBatchHeader::parse(ByteView bytes) {
    if (bytes.size() < kHeaderSizeUpToMagic) return fail(ErrorCode::corrupt_message, "a batch ends inside its header");
    const RecordBatchHeader header{bytes};
    const std::int8_t magic = header.magic();
    if (magic < 0 || magic > 2) return fail(ErrorCode::corrupt_message, "a batch has an unknown magic");
    if (bytes.size() < header.header_size()) {
        return fail(ErrorCode::corrupt_message, "a batch ends inside its header");
    }
    const std::size_t least = magic == 2 ? kRecordBatchOverhead : magic == 1 ? kLegacyOverheadV1 : kLegacyOverheadV0;
    if (header.batch_length() < static_cast<std::int32_t>(least - kLogOverhead)) {
        return fail(ErrorCode::corrupt_message, "a batch has a length smaller than its own header");
    }
    return header;
}

Result<RecordBatchView> RecordBatchView::parse(ByteView bytes) {
    ODR_TRY(header, RecordBatchHeader::parse(bytes));
    if (bytes.size() < header.size_in_bytes()) return fail(ErrorCode::corrupt_message, "a batch is cut short");
    return RecordBatchView{bytes.first(header.size_in_bytes())};
}

std::uint32_t RecordBatchView::computed_crc() const {
    if (!is_legacy()) return crc32c(bytes_.subspan(kAttributesPosition));
    const ByteView covered = bytes_.subspan(kMagicPosition);
    return static_cast<std::uint32_t>(::crc32_z(0, covered.data(), covered.size()));
}

Result<MutableRecordBatch> MutableRecordBatch::parse(MutableByteView bytes) {
    ODR_TRY(view, RecordBatchView::parse(bytes));
    if (view.is_legacy()) {
        return fail(ErrorCode::unsupported_for_message_format, "messages of magic 0 and 1 are never written");
    }
    return MutableRecordBatch{bytes.first(view.size_in_bytes())};
}

void MutableRecordBatch::set_max_timestamp(TimestampType type, TimestampMs timestamp) {
    if (timestamp_type() == type && max_timestamp() == timestamp) return;
    const unsigned others = attributes() & 0x77U;  // bits that mean nothing are dropped, as Kafka does here
    const unsigned bit = type == TimestampType::log_append_time ? 0x08U : 0U;
    store(kAttributesPosition, static_cast<std::uint16_t>(others | bit));
    store(35, timestamp.raw());
    refresh_crc();
}

void MutableRecordBatch::set_producer_state(ProducerId id, ProducerEpoch epoch, std::int32_t base_sequence,
                                            bool is_transactional) {
    const unsigned others = attributes() & ~0x10U;
    store(kAttributesPosition, static_cast<std::uint16_t>(others | (is_transactional ? 0x10U : 0U)));
    store(43, id.raw());
    store(51, epoch.raw());
    store(53, base_sequence);
    refresh_crc();
}

void write_batch_header(MutableByteView batch, const RecordBatchFields& fields) {
    ODR_ASSERT(batch.size() >= kRecordBatchOverhead && batch.size() <= 0x7fffffff, "size={}", batch.size());
    std::uint8_t* const to = batch.data();
    store_be(to, fields.base_offset.raw());
    store_be(to + 8, static_cast<std::int32_t>(batch.size() - kLogOverhead));
    store_be(to + 12, fields.partition_leader_epoch.raw());
    to[kMagicPosition] = 2;
    store_be(to + 21, attributes_of(fields));
    store_be(to + 23, fields.last_offset_delta);
    store_be(to + 27, fields.base_timestamp.raw());
    store_be(to + 35, fields.max_timestamp.raw());
    store_be(to + 43, fields.producer_id.raw());
    store_be(to + 51, fields.producer_epoch.raw());
    store_be(to + 53, fields.base_sequence);
    store_be(to + 57, fields.record_count);
    store_be(to + 17, crc32c(batch.subspan(kAttributesPosition)));
}

RecordBatchFields fields_of(const RecordBatchHeader& header) {
    return {.base_offset = header.base_offset(),
            .partition_leader_epoch = header.partition_leader_epoch(),
            .compression = header.compression(),
            .timestamp_type = header.timestamp_type(),
            .is_transactional = header.is_transactional(),
            .is_control = header.is_control(),
            .has_delete_horizon = header.has_delete_horizon(),
            .last_offset_delta = header.last_offset_delta(),
            .base_timestamp = header.base_timestamp(),
            .max_timestamp = header.max_timestamp(),
            .producer_id = header.producer_id(),
            .producer_epoch = header.producer_epoch(),
            .base_sequence = header.base_sequence(),
            .record_count = header.record_count()};
}

Result<std::optional<RecordBatchView>> BatchIterator::next() {
    const ByteView rest = bytes_.subspan(position_);
    if (rest.size() < kLogOverhead) return std::nullopt;
    const std::int32_t length = load_be<std::int32_t>(rest.data() + 8);
    // A length that no entry can have is a lie, however few bytes follow; a longer one may just be cut.
    if (length < static_cast<std::int32_t>(kLegacyOverheadV0 - kLogOverhead)) {
        return fail(ErrorCode::corrupt_message, "a batch has a length smaller than its own header");
    }
    if (rest.size() < kHeaderSizeUpToMagic) return std::nullopt;
    if (rest[kMagicPosition] > 2) return fail(ErrorCode::corrupt_message, "a batch has an unknown magic");
    if (rest.size() < kLogOverhead + static_cast<std::size_t>(length)) return std::nullopt;
    ODR_TRY(batch, RecordBatchView::parse(rest));
    position_ += batch.size_in_bytes();
    return batch;
}

}  // namespace odr::record
