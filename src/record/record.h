#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "record/compression.h"
#include "record/record_batch.h"

namespace odr::record {

// Views into whatever the record was read from. A missing value is not an empty one.
struct Header {
    ByteView key;
    std::optional<ByteView> value{};
};

// Walks the headers of a record that was read already, so nothing can fail any more.
class HeaderIterator {
public:
    HeaderIterator(ByteView bytes, std::int32_t count) : bytes_{bytes}, left_{count} {}
    std::optional<Header> next();

private:
    ByteView bytes_;
    std::int32_t left_;
};

// One record of a magic 2 batch (KIP-98). All views.
struct Record {
    std::uint8_t attributes = 0;  // no bit has a meaning yet
    std::int32_t offset_delta = 0;
    std::int64_t timestamp_delta = 0;
    std::optional<ByteView> key{};
    std::optional<ByteView> value{};
    std::int32_t header_count = 0;
    ByteView header_bytes{};

    HeaderIterator headers() const { return {header_bytes, header_count}; }
    std::vector<Header> header_list() const;  // allocates
    Offset offset(const RecordBatchHeader& batch) const { return batch.base_offset() + offset_delta; }
    // With LogAppendTime every record has the batch's time.
    TimestampMs timestamp(const RecordBatchHeader& batch) const;
};

// Walks the records of an uncompressed payload; decompress() makes one of a compressed batch.
//
//   RecordIterator records{batch};
//   for (;;) { ODR_TRY(record, records.next()); if (!record) break; ... }
//
// Errors: invalid_record where a length, a count or a varint does not fit, where the payload ends before the promised
//         count of records does, or goes on after it.
class RecordIterator {
public:
    // Needs: a batch of magic 2 that is not compressed.
    explicit RecordIterator(const RecordBatchView& batch);
    RecordIterator(ByteView payload, std::int32_t record_count) : rest_{payload}, left_{record_count} {}

    // Gives: the next record; nullopt after the last.
    Result<std::optional<Record>> next();

private:
    ByteView rest_;
    std::int32_t left_;
};

// The kinds of records in control batches: of transactions (KIP-98) and of KRaft (KIP-595, KIP-630, KIP-853).
enum class ControlRecordType : std::int16_t {
    abort = 0,
    commit = 1,
    leader_change = 2,
    snapshot_header = 3,
    snapshot_footer = 4,
    kraft_version = 5,
    kraft_voters = 6,
    unknown = -1,  // of a later Kafka: to be skipped
};

inline constexpr std::size_t kControlRecordKeyBytes = 4;  // int16 version, int16 type

// Errors: invalid_record for a key that is missing, too short, or of a negative version.
Result<ControlRecordType> parse_control_record_key(const std::optional<ByteView>& key);
std::array<std::uint8_t, kControlRecordKeyBytes> control_record_key(ControlRecordType type);

// The value of a commit or abort marker.
struct EndTxnMarker {
    std::int32_t coordinator_epoch = 0;

    // Errors: invalid_record for a value that is missing, too short, or of a negative version.
    static Result<EndTxnMarker> parse(const std::optional<ByteView>& value);
};

// Makes batches of magic 2, byte for byte as Kafka does (compressed payloads: as the library at hand does).
//
// Owner:    the caller; appended bytes are copied at once.
// Threads:  one.
class RecordBatchBuilder {
public:
    struct Options {
        Offset base_offset{0};
        LeaderEpoch partition_leader_epoch = kNoLeaderEpoch;
        Compression compression{};
        TimestampType timestamp_type = TimestampType::create_time;
        TimestampMs log_append_time = kNoTimestamp;  // the batch's time where timestamp_type is log_append_time
        ProducerId producer_id = kNoProducerId;
        ProducerEpoch producer_epoch = kNoProducerEpoch;
        std::int32_t base_sequence = kNoSequence;
        bool is_transactional = false;
        bool is_control = false;
        std::optional<TimestampMs> delete_horizon{};  // KIP-534; takes the place of the base timestamp
        std::optional<Offset> last_offset{};          // where the batch ends, if after its last record (compaction)
    };

    RecordBatchBuilder() : RecordBatchBuilder{Options{}} {}
    explicit RecordBatchBuilder(const Options& options);

    // At the next offset.
    void append(TimestampMs timestamp, std::optional<ByteView> key, std::optional<ByteView> value,
                std::span<const Header> headers = {});
    // Needs: an offset above the last one, at most 2^31-1 above the base.
    void append_at(Offset offset, TimestampMs timestamp, std::optional<ByteView> key, std::optional<ByteView> value,
                   std::span<const Header> headers = {});
    // A record of another batch, headers and all. Needs: as append_at().
    void append_copy(Offset offset, TimestampMs timestamp, const Record& record);
    // Needs: a control batch.
    void append_control(TimestampMs timestamp, ControlRecordType type, ByteView value);
    // Needs: a control batch that is transactional and has a producer id.
    void append_end_txn_marker(TimestampMs timestamp, ControlRecordType commit_or_abort, EndTxnMarker marker);

    bool is_empty() const { return record_count_ == 0; }
    std::int32_t record_count() const { return record_count_; }
    // The size of the batch if it were not compressed.
    std::size_t uncompressed_size() const { return bytes_.size(); }
    // What one more record could add at most.
    static std::size_t size_upper_bound(std::optional<ByteView> key, std::optional<ByteView> value,
                                        std::span<const Header> headers);

    // Gives:  the whole batch. The builder is then spent.
    // Errors: record_list_too_large beyond 2^31-1 bytes; compress()'s.
    Result<std::vector<std::uint8_t>> build();

private:
    Options options_;
    std::vector<std::uint8_t> bytes_;  // room for the header, then the records
    std::int32_t record_count_ = 0;
    Offset next_offset_{0};
    TimestampMs base_timestamp_ = kNoTimestamp;
    TimestampMs max_timestamp_ = kNoTimestamp;
};

}  // namespace odr::record
