#include "record/validation.h"

#include <fmt/format.h>

#include <algorithm>

#include "record/record_reader.h"

namespace odr::record {

namespace {

using RecordError = ValidationError::RecordError;

std::unexpected<ValidationError> refuse(ErrorCode code, std::string message) {
    return std::unexpected{ValidationError{.code = code, .message = std::move(message), .record_errors = {}}};
}
std::unexpected<ValidationError> refuse(const Error& error) { return refuse(error.code, std::string{error.what}); }

// Java's arithmetic: a lying timestamp wraps.
std::int64_t wrapping_add(std::int64_t a, std::int64_t b) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}
std::int64_t wrapping_subtract(std::int64_t a, std::int64_t b) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}

// What is wrong with single records. They are counted all, and the first kRecordErrorsMax named.
class RecordErrors {
public:
    template <class... Args>
    void add(ErrorCode code, std::int32_t index, fmt::format_string<Args...> format, Args&&... args) {
        ++count_;
        if (code == ErrorCode::invalid_timestamp) has_invalid_timestamp_ = true;
        if (list_.size() < kRecordErrorsMax) {
            list_.push_back({.batch_index = index, .message = fmt::format(format, std::forward<Args>(args)...)});
        }
    }
    bool is_empty() const { return count_ == 0; }
    // As in Kafka, one bad timestamp decides the code of the batch.
    ValidationError to_error() {
        const ErrorCode code = has_invalid_timestamp_ ? ErrorCode::invalid_timestamp : ErrorCode::invalid_record;
        std::string message = fmt::format("{} record(s) of the batch were refused", count_);
        if (has_invalid_timestamp_) message += ", at least one for its timestamp";
        message += fmt::format("; record {}: {}", list_.front().batch_index, *list_.front().message);
        return {.code = code, .message = std::move(message), .record_errors = std::move(list_)};
    }

private:
    std::vector<RecordError> list_;
    std::int64_t count_ = 0;
    bool has_invalid_timestamp_ = false;
};

// What is known of each record alone, and the latest timestamp of all of them.
class RecordCheck {
public:
    RecordCheck(const RecordBatchHeader& batch, const ValidationRules& rules, TimestampMs now)
        : rules_{rules},
          now_{now.raw()},
          base_timestamp_{batch.base_timestamp().raw()},
          max_timestamp_of_batch_{batch.max_timestamp().raw()},
          claims_log_append_time_{batch.timestamp_type() == TimestampType::log_append_time} {}

    void check(std::int32_t index, const Record& record) {
        const std::int64_t timestamp =
            claims_log_append_time_ ? max_timestamp_of_batch_ : wrapping_add(base_timestamp_, record.timestamp_delta);
        if (timestamp > max_timestamp_) max_timestamp_ = timestamp;
        if (rules_.is_compacted && !record.key) [[unlikely]] {
            errors_.add(ErrorCode::invalid_record, index, "it has no key, which a compacted topic asks for");
        } else if (record.offset_delta != index) [[unlikely]] {
            errors_.add(ErrorCode::invalid_record, index, "its offset delta is {}, not {}", record.offset_delta, index);
        } else {
            check_timestamp(index, timestamp);
        }
    }
    bool has_errors() const { return !errors_.is_empty(); }
    ValidationError to_error() { return errors_.to_error(); }
    TimestampMs max_timestamp() const { return TimestampMs{max_timestamp_}; }

private:
    void check_timestamp(std::int32_t index, std::int64_t timestamp) {
        if (rules_.timestamp_type == TimestampType::create_time && timestamp != kNoTimestamp.raw()) {
            const std::int64_t age = wrapping_subtract(now_, timestamp);
            if (age > rules_.timestamp_before_max_ms || wrapping_subtract(0, age) > rules_.timestamp_after_max_ms)
                [[unlikely]] {
                errors_.add(ErrorCode::invalid_timestamp, index, "its timestamp {} is not within [{}, {}]", timestamp,
                            wrapping_subtract(now_, rules_.timestamp_before_max_ms),
                            wrapping_add(now_, rules_.timestamp_after_max_ms));
            }
        } else if (claims_log_append_time_) [[unlikely]] {
            errors_.add(ErrorCode::invalid_timestamp, index, "only the broker may set LogAppendTime");
        }
    }

    const ValidationRules& rules_;
    std::int64_t now_;
    std::int64_t base_timestamp_;
    std::int64_t max_timestamp_of_batch_;
    bool claims_log_append_time_;
    std::int64_t max_timestamp_ = kNoTimestamp.raw();
    RecordErrors errors_;
};

// Gives: what is wrong with the records as a whole; nullopt where they are as many and as long as promised.
template <class Source>
std::optional<Error> walk(Source& in, std::int32_t record_count, RecordCheck& check) {
    Record record;
    for (std::int32_t index = 0; index < record_count; ++index) {
        if (const auto wrong = read_record(in, record); !wrong.empty()) return in.error(wrong);
        check.check(index, record);
    }
    if (!in.is_at_end()) return in.error("a batch goes on after its last record");
    return std::nullopt;
}

std::optional<ValidationError> refuse_records(const std::optional<Error>& wrong, RecordCheck& check) {
    if (wrong) {
        // A stream that does not unpack will not do so when sent again either, so not corrupt_message, which is
        // retried.
        const bool is_corrupt = wrong->code == ErrorCode::corrupt_message;
        return refuse(is_corrupt ? ErrorCode::invalid_record : wrong->code, std::string{wrong->what}).error();
    }
    if (check.has_errors()) return check.to_error();
    return std::nullopt;
}

// ProduceRequest.validateRecords: what can be said before looking at the batch itself.
std::expected<RecordBatchView, ValidationError> only_batch(ByteView records, const ValidationRules& rules) {
    BatchIterator batches{records};
    const auto first = batches.next();
    if (!first) return refuse(first.error());
    if (!*first) return refuse(ErrorCode::invalid_record, "no whole record batch was sent");
    const RecordBatchView batch = **first;
    if (batch.is_legacy()) {
        return refuse(ErrorCode::invalid_record, fmt::format("batches must have magic 2, not {}", batch.magic()));
    }
    if (!is_known(batch.compression())) {
        return refuse(ErrorCode::unsupported_compression_type,
                      fmt::format("codec {} is unknown", static_cast<int>(batch.compression())));
    }
    if (batch.compression() == CompressionType::zstd && !rules.is_zstd_allowed) {
        return refuse(ErrorCode::unsupported_compression_type, "zstd needs Produce version 7 or later");
    }
    // What follows and is cut short is dropped, as Kafka does.
    const auto second = batches.next();
    if (!second) return refuse(second.error());
    if (*second) return refuse(ErrorCode::invalid_record, "more than one record batch was sent");
    return batch;
}

// UnifiedLog.analyzeAndValidateRecords.
std::optional<ValidationError> refuse_for_log(const RecordBatchView& batch, const ValidationRules& rules) {
    if (batch.base_offset() != Offset{0}) {
        return refuse(ErrorCode::invalid_record,
                      fmt::format("the base offset of a produced batch must be 0, not {}", batch.base_offset()))
            .error();
    }
    if (batch.size_in_bytes() > rules.max_message_bytes) {
        return refuse(ErrorCode::message_too_large, fmt::format("the batch has {} bytes, max.message.bytes is {}",
                                                                batch.size_in_bytes(), rules.max_message_bytes))
            .error();
    }
    if (!batch.is_crc_valid()) {
        return refuse(ErrorCode::corrupt_message, fmt::format("the batch says its CRC is {:#010x}, but it is {:#010x}",
                                                              batch.crc(), batch.computed_crc()))
            .error();
    }
    return std::nullopt;
}

// LogValidator.validateBatch, for a client.
std::optional<ValidationError> refuse_for_header(const RecordBatchView& batch) {
    const auto invalid = [](std::string message) {
        return refuse(ErrorCode::invalid_record, std::move(message)).error();
    };
    const std::int64_t count = batch.record_count();
    const std::int64_t span = std::int64_t{batch.last_offset_delta()} + 1;
    if (span <= 0) return invalid(fmt::format("the last offset delta is {}", batch.last_offset_delta()));
    if (count <= 0) return invalid(fmt::format("the record count is {}", count));
    if (span != count) return invalid(fmt::format("{} offsets for {} records", span, count));
    if (batch.is_control()) return invalid("clients may not write control batches");
    if (batch.has_producer_id()) {
        if (batch.base_sequence() < 0) {
            return invalid(
                fmt::format("producer id {} with base sequence {}", batch.producer_id(), batch.base_sequence()));
        }
        if (batch.producer_epoch() < ProducerEpoch{0}) {
            return invalid(fmt::format("producer id {} with epoch {}", batch.producer_id(), batch.producer_epoch()));
        }
    } else if (batch.is_transactional()) {
        return invalid("a transactional batch without producer id");
    }
    return std::nullopt;
}

}  // namespace

// One batch on its way from the request to the log.
class BatchValidator {
public:
    BatchValidator(MutableRecordBatch batch, const ValidationRules& rules, TimestampMs now)
        : batch_{batch}, rules_{rules}, now_{now}, check_{batch, rules, now} {}

    ValidationResult run() {
        const Compression target = rules_.compression.value_or(Compression{.type = batch_.compression()});
        if (target.type != batch_.compression()) return rebuild(target);
        if (auto wrong = batch_.is_compressed() ? check_compressed() : check_plain(batch_.payload())) {
            return std::unexpected{*std::move(wrong)};
        }
        batch_.set_max_timestamp(rules_.timestamp_type, final_max_timestamp());
        return ValidatedBatch{batch_};
    }

private:
    std::optional<ValidationError> check_plain(ByteView payload) {
        MemorySource in{payload};
        return refuse_records(walk(in, batch_.record_count(), check_), check_);
    }
    std::optional<ValidationError> check_compressed() {
        const auto unpacked = make_decompressor(batch_.compression(), batch_.payload(), rules_.decompressed_bytes_max);
        if (!unpacked) return refuse(unpacked.error()).error();
        StreamSource in{**unpacked};
        return refuse_records(walk(in, batch_.record_count(), check_), check_);
    }

    // Another codec, the same records: they are copied as they are, so keys, values, headers and deltas stay.
    ValidationResult rebuild(Compression target) {
        std::vector<std::uint8_t> plain;
        ByteView records = batch_.payload();
        if (batch_.is_compressed()) {
            const auto unpacked = decompress(batch_.compression(), records, rules_.decompressed_bytes_max, plain);
            if (!unpacked) return std::unexpected{*refuse_records(unpacked.error(), check_)};
            records = plain;
        }
        if (auto wrong = check_plain(records)) return std::unexpected{*std::move(wrong)};

        std::vector<std::uint8_t> bytes(kRecordBatchOverhead);
        if (const auto packed = compress(target, records, bytes); !packed) return refuse(packed.error());
        if (bytes.size() > rules_.max_message_bytes) {
            return refuse(ErrorCode::message_too_large,
                          fmt::format("the batch has {} bytes as {}, max.message.bytes is {}", bytes.size(),
                                      to_string(target.type), rules_.max_message_bytes));
        }
        RecordBatchFields fields = fields_of(batch_);
        fields.compression = target.type;
        fields.has_delete_horizon = false;  // the cleaner alone may set one
        fields.timestamp_type = rules_.timestamp_type;
        fields.max_timestamp = final_max_timestamp();
        write_batch_header(bytes, fields);
        const auto rebuilt = MutableRecordBatch::parse(bytes);
        if (!rebuilt) return refuse(rebuilt.error());
        return ValidatedBatch{*rebuilt, std::move(bytes)};
    }

    TimestampMs final_max_timestamp() const {
        return rules_.timestamp_type == TimestampType::log_append_time ? now_ : check_.max_timestamp();
    }

    MutableRecordBatch batch_;
    const ValidationRules& rules_;
    TimestampMs now_;
    RecordCheck check_;
};

void ValidatedBatch::assign(Offset base_offset, LeaderEpoch leader_epoch, TimestampMs append_time) {
    batch_.set_base_offset(base_offset);
    batch_.set_partition_leader_epoch(leader_epoch);
    if (batch_.timestamp_type() == TimestampType::log_append_time) {
        batch_.set_max_timestamp(TimestampType::log_append_time, append_time);
    }
}

ValidationResult validate_produced(MutableByteView records, const ValidationRules& rules, TimestampMs now) {
    const auto batch = only_batch(records, rules);
    if (!batch) return std::unexpected{batch.error()};
    if (auto wrong = refuse_for_log(*batch, rules)) return std::unexpected{*std::move(wrong)};
    if (auto wrong = refuse_for_header(*batch)) return std::unexpected{*std::move(wrong)};
    const auto writable = MutableRecordBatch::parse(records);
    if (!writable) return refuse(writable.error());
    return BatchValidator{*writable, rules, now}.run();
}

}  // namespace odr::record
