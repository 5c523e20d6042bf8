#pragma once

#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "base/types.h"

namespace odr::record {

// The codec of a batch, by its id in the attributes. Ids 5-7 mean nothing yet: see is_known().
enum class CompressionType : std::uint8_t { none = 0, gzip = 1, snappy = 2, lz4 = 3, zstd = 4 };
enum class TimestampType : std::uint8_t { create_time = 0, log_append_time = 1 };

constexpr bool is_known(CompressionType type) { return type <= CompressionType::zstd; }
// Gives: Kafka's name, as in compression.type: "none", "gzip", ...
std::string_view to_string(CompressionType type);
std::optional<CompressionType> compression_type_named(std::string_view name);

inline constexpr std::size_t kLogOverhead = 12;          // offset and length, which the length does not count
inline constexpr std::size_t kHeaderSizeUpToMagic = 17;  // enough bytes to see size and magic, in every magic
inline constexpr std::size_t kRecordBatchOverhead = 61;  // a magic 2 header: more than any other header takes
inline constexpr std::size_t kLegacyOverheadV0 = 26;     // an empty message of magic 0, with offset and length
inline constexpr std::size_t kLegacyOverheadV1 = 34;
inline constexpr std::int32_t kNoSequence = -1;
inline constexpr std::int32_t kUnknownRecordCount = -1;

// Sequences run from 0 to 2^31-1 and start over. Needs: 0 <= sequence, 0 <= step.
constexpr std::int32_t increment_sequence(std::int32_t sequence, std::int32_t step) {
    return static_cast<std::int32_t>((static_cast<std::int64_t>(sequence) + step) & 0x7fffffff);
}
constexpr std::int32_t decrement_sequence(std::int32_t sequence, std::int32_t step) {
    return static_cast<std::int32_t>((static_cast<std::int64_t>(sequence) - step) & 0x7fffffff);
}

// The header of one entry of a log: a batch of magic 2, or a message of magic 0 or 1 (alone, or the wrapper of a
// compressed set). It can stand on the first bytes alone, as read off a file.
//
// Owner:    nobody; the bytes must outlive the view.
// Threads:  as the bytes.
// Errors:   every field is as it stands in the bytes; only size and magic are known to make sense. See validation.h.
// Kafka:    DefaultRecordBatch (KIP-98), AbstractLegacyRecordBatch; FileLogInputStream.
class RecordBatchHeader {
public:
    // Needs:  the first bytes of an entry; kRecordBatchOverhead of them always do, the rest of the entry is welcome.
    // Errors: corrupt_message for a magic above 2, a length too small for its magic, or too few bytes for the header.
    static Result<RecordBatchHeader> parse(ByteView bytes);

    std::int8_t magic() const { return static_cast<std::int8_t>(at(16)); }
    bool is_legacy() const { return magic() < 2; }
    // Bytes the header of this magic takes (magic 0 and 1: up to the key).
    std::size_t header_size() const { return is_legacy() ? (magic() == 0 ? 18 : 26) : kRecordBatchOverhead; }

    // The offset as stored. In a compressed wrapper of magic 0 or 1 that is the last one; its first offset would need
    // decompression.
    Offset base_offset() const { return Offset{load<std::int64_t>(0)}; }
    Offset last_offset() const { return advance(last_offset_delta()); }
    Offset next_offset() const { return advance(std::int64_t{last_offset_delta()} + 1); }
    // The length field: bytes after itself.
    std::int32_t batch_length() const { return load<std::int32_t>(8); }
    // The whole entry, with offset and length.
    std::size_t size_in_bytes() const { return kLogOverhead + static_cast<std::size_t>(batch_length()); }
    LeaderEpoch partition_leader_epoch() const {
        return is_legacy() ? kNoLeaderEpoch : LeaderEpoch{load<std::int32_t>(12)};
    }
    // Magic 2: CRC-32C of everything from the attributes on. Magic 0 and 1: CRC-32 of everything from the magic on.
    std::uint32_t crc() const { return load<std::uint32_t>(is_legacy() ? 12 : 17); }

    std::uint16_t attributes() const { return is_legacy() ? at(17) : load<std::uint16_t>(21); }
    CompressionType compression() const { return static_cast<CompressionType>(attributes() & 0x07); }
    bool is_compressed() const { return compression() != CompressionType::none; }
    TimestampType timestamp_type() const {
        return magic() > 0 && (attributes() & 0x08) != 0 ? TimestampType::log_append_time : TimestampType::create_time;
    }
    bool is_transactional() const { return !is_legacy() && (attributes() & 0x10) != 0; }
    bool is_control() const { return !is_legacy() && (attributes() & 0x20) != 0; }
    bool has_delete_horizon() const { return !is_legacy() && (attributes() & 0x40) != 0; }
    // KIP-534: the time from which the cleaner may drop tombstones and markers of this batch.
    std::optional<TimestampMs> delete_horizon() const {
        return has_delete_horizon() ? std::optional{base_timestamp()} : std::nullopt;
    }

    std::int32_t last_offset_delta() const { return is_legacy() ? 0 : load<std::int32_t>(23); }
    // What record timestamps are relative to; the delete horizon where there is one. Magic 1: the message's.
    TimestampMs base_timestamp() const { return is_legacy() ? max_timestamp() : TimestampMs{load<std::int64_t>(27)}; }
    TimestampMs max_timestamp() const {
        if (!is_legacy()) return TimestampMs{load<std::int64_t>(35)};
        return magic() == 0 ? kNoTimestamp : TimestampMs{load<std::int64_t>(18)};
    }
    ProducerId producer_id() const { return is_legacy() ? kNoProducerId : ProducerId{load<std::int64_t>(43)}; }
    ProducerEpoch producer_epoch() const {
        return is_legacy() ? kNoProducerEpoch : ProducerEpoch{load<std::int16_t>(51)};
    }
    bool has_producer_id() const { return producer_id() > kNoProducerId; }
    std::int32_t base_sequence() const { return is_legacy() ? kNoSequence : load<std::int32_t>(53); }
    std::int32_t last_sequence() const {
        return base_sequence() < 0 ? kNoSequence : increment_sequence(base_sequence(), last_offset_delta());
    }
    // Magic 2: as the batch says. Magic 0 and 1: 1, or kUnknownRecordCount in a compressed wrapper.
    std::int32_t record_count() const {
        if (!is_legacy()) return load<std::int32_t>(57);
        return is_compressed() ? kUnknownRecordCount : 1;
    }

protected:
    explicit RecordBatchHeader(ByteView bytes) : bytes_{bytes} {}
    std::uint8_t at(std::size_t position) const { return bytes_[position]; }
    template <class T>
    T load(std::size_t position) const {
        return load_be<T>(bytes_.data() + position);
    }
    // Wraps where a stored offset lies, rather than overflow.
    Offset advance(std::int64_t records) const {
        return Offset{static_cast<std::int64_t>(load<std::uint64_t>(0) + static_cast<std::uint64_t>(records))};
    }

    ByteView bytes_;
};

// A whole entry: header and records.
class RecordBatchView : public RecordBatchHeader {
public:
    // Needs:  the bytes of an entry from its start; what follows the entry is left out of the view.
    // Errors: corrupt_message, as for the header, and where the bytes end before the entry does.
    static Result<RecordBatchView> parse(ByteView bytes);

    ByteView bytes() const { return bytes_; }
    // What follows the header: records, maybe compressed. Magic 0 and 1: key and value with their lengths.
    ByteView payload() const { return bytes_.subspan(header_size()); }
    bool is_crc_valid() const { return crc() == computed_crc(); }
    std::uint32_t computed_crc() const;

protected:
    using RecordBatchHeader::RecordBatchHeader;
};

// A batch of magic 2 in bytes that may be written. The setters that say so keep the CRC right.
//
// Threads: one at a time; whoever shares the bytes must not read them meanwhile.
class MutableRecordBatch : public RecordBatchView {
public:
    // Errors: as RecordBatchView; unsupported_for_message_format for magic 0 and 1, which are never written.
    static Result<MutableRecordBatch> parse(MutableByteView bytes);

    // Outside the CRC: two stores.
    void set_base_offset(Offset offset) { store(0, offset.raw()); }
    void set_last_offset(Offset offset) { set_base_offset(offset - last_offset_delta()); }
    void set_partition_leader_epoch(LeaderEpoch epoch) { store(12, epoch.raw()); }

    // Sets the type bit and the max timestamp, as at an append with LogAppendTime. The CRC follows, unless nothing
    // changed.
    void set_max_timestamp(TimestampType type, TimestampMs max_timestamp);
    // Sets producer fields (KIP-98). The CRC follows.
    void set_producer_state(ProducerId id, ProducerEpoch epoch, std::int32_t base_sequence, bool is_transactional);

private:
    explicit MutableRecordBatch(MutableByteView bytes) : RecordBatchView{bytes}, writable_{bytes.data()} {}
    template <class T>
    void store(std::size_t position, T value) {
        store_be(writable_ + position, value);
    }
    void refresh_crc() { store(17, computed_crc()); }

    std::uint8_t* writable_;
};

// Everything in a magic 2 header that its writer chooses.
struct RecordBatchFields {
    Offset base_offset{0};
    LeaderEpoch partition_leader_epoch = kNoLeaderEpoch;
    CompressionType compression = CompressionType::none;
    TimestampType timestamp_type = TimestampType::create_time;
    bool is_transactional = false;
    bool is_control = false;
    bool has_delete_horizon = false;
    std::int32_t last_offset_delta = 0;
    TimestampMs base_timestamp = kNoTimestamp;
    TimestampMs max_timestamp = kNoTimestamp;
    ProducerId producer_id = kNoProducerId;
    ProducerEpoch producer_epoch = kNoProducerEpoch;
    std::int32_t base_sequence = kNoSequence;
    std::int32_t record_count = 0;
};

// Needs: `batch` is the whole batch, payload in place after kRecordBatchOverhead bytes; at most 2^31-1 bytes.
// Gives: the header written before it, CRC included.
void write_batch_header(MutableByteView batch, const RecordBatchFields& fields);
// Gives: the fields of an existing batch, to write it anew.
RecordBatchFields fields_of(const RecordBatchHeader& header);

// Walks a run of entries, as in a produce request, a fetch response or a segment.
//
//   BatchIterator batches{bytes};
//   for (;;) { ODR_TRY(batch, batches.next()); if (!batch) break; ... }
//
// A tail that is shorter than its entry ends the walk without an error, since a fetch may cut one: see remaining().
class BatchIterator {
public:
    explicit BatchIterator(ByteView bytes) : bytes_{bytes} {}

    // Gives:  the next whole entry; nullopt at the end.
    // Errors: corrupt_message where the bytes cannot be an entry. The iterator then stays where it is.
    Result<std::optional<RecordBatchView>> next();
    // Where the next entry starts, counted from the start of the run.
    std::size_t position() const { return position_; }
    // Bytes not walked yet; after the end, the size of a cut tail.
    std::size_t remaining() const { return bytes_.size() - position_; }

private:
    ByteView bytes_;
    std::size_t position_ = 0;
};

}  // namespace odr::record
