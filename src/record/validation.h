#pragma once

#include <expected>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "record/compression.h"
#include "record/record_batch.h"

namespace odr::record {

// A bound where Kafka has none: what compressed records may unpack to before the batch is refused.
inline constexpr std::size_t kDecompressedBytesMax = std::size_t{256} << 20;
// How many record errors one answer names (KIP-467); the batch is refused as a whole anyway.
inline constexpr std::size_t kRecordErrorsMax = 1000;

// What topic and broker ask of a produced batch. Defaults are those of the configs.
struct ValidationRules {
    TimestampType timestamp_type = TimestampType::create_time;                        // message.timestamp.type
    std::int64_t timestamp_before_max_ms = std::numeric_limits<std::int64_t>::max();  // message.timestamp.before.max.ms
    std::int64_t timestamp_after_max_ms = 3'600'000;                                  // message.timestamp.after.max.ms
    std::size_t max_message_bytes = 1'048'588;                                        // max.message.bytes
    bool is_compacted = false;                 // cleanup.policy has compact: every record needs a key
    std::optional<Compression> compression{};  // compression.type; nullopt: as the producer sent it
    bool is_zstd_allowed = true;               // from Produce version 7 on (KIP-110)
    std::size_t decompressed_bytes_max = kDecompressedBytesMax;
};

// Why a batch is refused, as the Produce response wants it (KIP-467).
struct ValidationError {
    struct RecordError {
        std::int32_t batch_index = 0;  // of the record in its batch
        std::optional<std::string> message{};
    };
    ErrorCode code = ErrorCode::none;
    std::string message;
    std::vector<RecordError> record_errors;
};

// A batch that may be appended: everything that takes time is done, what is left are a few stores under the append
// lock.
//
// Owner:    the caller. bytes() are those that were validated, in place, or a rebuilt batch that this object owns: it
//           must outlive their use, and so must the request's bytes.
// Threads:  one at a time.
class ValidatedBatch {
public:
    ByteView bytes() const { return batch_.bytes(); }
    const RecordBatchView& batch() const { return batch_; }
    MutableRecordBatch& writable_batch() { return batch_; }  // for whoever assigns offsets
    bool is_rebuilt() const { return !rebuilt_.empty(); }

    std::int32_t record_count() const { return batch_.record_count(); }
    std::int32_t last_offset_delta() const { return batch_.last_offset_delta(); }
    TimestampMs max_timestamp() const { return batch_.max_timestamp(); }
    // Of the time index entry. Kafka enters the batch's last offset, not that of the record with the latest timestamp
    // (shallowOffsetOfMaxTimestamp).
    std::int32_t max_timestamp_offset_delta() const { return batch_.last_offset_delta(); }
    ProducerId producer_id() const { return batch_.producer_id(); }
    ProducerEpoch producer_epoch() const { return batch_.producer_epoch(); }
    std::int32_t base_sequence() const { return batch_.base_sequence(); }
    std::int32_t last_sequence() const { return batch_.last_sequence(); }
    bool is_transactional() const { return batch_.is_transactional(); }
    CompressionType compression() const { return batch_.compression(); }

    // Under the append lock: the batch takes its place in the log. With LogAppendTime it takes `append_time` too, and
    // the CRC is computed once more unless it has that time already (validation gave it `now`).
    void assign(Offset base_offset, LeaderEpoch leader_epoch, TimestampMs append_time);

private:
    friend class BatchValidator;
    explicit ValidatedBatch(MutableRecordBatch batch) : batch_{batch} {}
    ValidatedBatch(MutableRecordBatch batch, std::vector<std::uint8_t> rebuilt)
        : batch_{batch}, rebuilt_{std::move(rebuilt)} {}

    MutableRecordBatch batch_;
    std::vector<std::uint8_t> rebuilt_;  // its bytes do not move when the object does
};

using ValidationResult = std::expected<ValidatedBatch, ValidationError>;

// Checks the records field of one partition in a Produce request of version 3 or later, as Apache Kafka does for a
// client, and makes of it what the topic wants. Takes no lock, so do it before the append lock.
//
// Needs:  `records` writable: a max timestamp that is not the records' is put right in place. On an error they may be
//         left so.
// Gives:  without a codec to change: the same bytes, checked record by record (compressed ones while they are unpacked
//         chunk by chunk), no allocation where they are not compressed.
// Errors: in Kafka's order of checks
//         invalid_record: no batch, more than one, or one of magic 0 or 1; a base offset other than 0; counts, offsets
//           or producer fields that contradict each other; control batches; broken records; with record errors: a
//           missing key in a compacted topic, an offset out of sequence
//         corrupt_message: a length or magic that cannot be, a CRC that is not the batch's
//         unsupported_compression_type: zstd where it is not allowed, an unknown codec
//         message_too_large: more than max_message_bytes before or after recompression, or unpacked more than
//           decompressed_bytes_max
//         invalid_timestamp, with record errors: outside before/after; LogAppendTime set by the producer
// Kafka:  ProduceRequest.validateRecords, UnifiedLog.analyzeAndValidateRecords, LogValidator. Where we are stricter:
//         src/record/README.md.
ValidationResult validate_produced(MutableByteView records, const ValidationRules& rules, TimestampMs now);

}  // namespace odr::record
