#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/types.h"
#include "record/record_batch.h"
#include "storage/append_types.h"
#include "storage/read_types.h"

namespace odr::storage {

// One batch of a producer, remembered to know it again. Kafka: BatchMetadata.
struct BatchMetadata {
    Offset last_offset = kNoOffset;
    TimestampMs timestamp = kNoTimestamp;
    std::int32_t last_sequence = record::kNoSequence;
    std::int32_t offset_delta = 0;

    std::int32_t first_sequence() const { return record::decrement_sequence(last_sequence, offset_delta); }
    Offset first_offset() const { return last_offset - offset_delta; }
    friend bool operator==(const BatchMetadata&, const BatchMetadata&) = default;
};

// What is known of one producer: its epoch, its last five batches, its open transaction. Kafka: ProducerStateEntry.
struct ProducerStateEntry {
    static constexpr std::size_t kBatchesRetained = 5;

    ProducerEpoch producer_epoch = kNoProducerEpoch;
    std::uint8_t batch_count = 0;
    std::int32_t coordinator_epoch = -1;
    TimestampMs last_timestamp = kNoTimestamp;
    Offset current_txn_first_offset = kNoOffset;
    std::array<BatchMetadata, kBatchesRetained> batches{};  // oldest first

    bool empty() const { return batch_count == 0; }
    const BatchMetadata& last() const { return batches[batch_count - 1U]; }
    std::int32_t last_sequence() const { return empty() ? record::kNoSequence : last().last_sequence; }
    // Gives: the batch this one repeats, or null.
    const BatchMetadata* find_duplicate(const record::RecordBatchHeader& batch) const;
    void add(ProducerEpoch epoch, const BatchMetadata& batch);
    void set_epoch(ProducerEpoch epoch);
    friend bool operator==(const ProducerStateEntry&, const ProducerStateEntry&) = default;
};

// The last thing an active producer left in the log. Kafka: LastRecord.
struct LastProducerRecord {
    Offset last_data_offset = kNoOffset;  // kNoOffset: nothing but markers
    ProducerEpoch producer_epoch = kNoProducerEpoch;
};

// A transaction that ended. Kafka: CompletedTxn.
struct CompletedTransaction {
    ProducerId producer_id;
    Offset first_offset;
    Offset last_offset;  // of the marker
    bool aborted;
};

// Entry of a .txnindex. Kafka: AbortedTxn.
struct AbortedTxn {
    ProducerId producer_id;
    Offset first_offset;
    Offset last_offset;
    Offset last_stable_offset;
    friend bool operator==(const AbortedTxn&, const AbortedTxn&) = default;
};

// The state of all idempotent and transactional producers of a log.
//
// Owner:   Log.
// Threads: producers under the append lock, transactions under the state lock; each function says which.
// Kafka:   ProducerStateManager, ProducerAppendInfo.
class ProducerStateManager {
public:
    enum class Origin : std::uint8_t { client, coordinator, raft_leader, replication };
    static Origin origin_of(AppendOrigin origin) { return static_cast<Origin>(origin); }

    // Lock: append. Null: the producer is not known.
    const ProducerStateEntry* find(ProducerId id) const;
    // Checks a batch whose offsets are assigned, and notes it. `ended` is set when it ends a transaction.
    // Lock:   append.
    // Errors: invalid_producer_epoch, out_of_order_sequence_number, transaction_coordinator_fenced, invalid_txn_state,
    //         corrupt_message; nothing is noted then. Replication is not checked, as the leader did.
    Result<void> append(const record::RecordBatchView& batch, Origin origin,
                        std::optional<CompletedTransaction>& ended);
    // Takes back an append that did not reach the disk: `before` is what find() gave. Lock: append.
    void restore(ProducerId id, const std::optional<ProducerStateEntry>& before);

    // Lock: state.
    void begin_transaction(ProducerId id, Offset first_offset);
    void complete_transaction(const CompletedTransaction& ended);
    // The first offset of another transaction still open, or the one behind the marker.
    Offset last_stable_offset_after(const CompletedTransaction& ended) const;
    void on_high_watermark(Offset high_watermark);
    // The lowest offset of a transaction that is open, or whose end is not below the high watermark.
    std::optional<Offset> first_unstable_offset() const;
    bool has_transactions() const { return !ongoing_.empty() || !unreplicated_.empty(); }
    std::optional<ProducerId> oldest_open_transaction() const;

    // Locks: both.
    void clear();
    void load(ProducerId id, const ProducerStateEntry& entry);

    // Lock: append.
    void remove_expired(TimestampMs now, std::int64_t expiration_ms);
    std::vector<ActiveProducer> active_producers() const;
    std::unordered_map<ProducerId, LastProducerRecord> last_records() const;
    std::size_t size() const { return producers_.size(); }
    std::string encode_snapshot() const;

private:
    struct Transaction {
        ProducerId producer_id;
        Offset last_offset;  // of its marker, kNoOffset while open
    };
    Result<void> append_marker(ProducerStateEntry& entry, const record::RecordBatchView& batch, Origin origin,
                               std::optional<CompletedTransaction>& ended);
    Result<void> append_data(ProducerStateEntry& entry, const record::RecordBatchHeader& batch, Origin origin);

    std::unordered_map<ProducerId, ProducerStateEntry> producers_;
    std::map<Offset, Transaction> ongoing_;       // by first offset
    std::map<Offset, Transaction> unreplicated_;  // ended, but the marker is not below the high watermark
};

// <offset>.snapshot, version 1 of Kafka's ProducerSnapshot schema.
struct ProducerSnapshotEntry {
    ProducerId producer_id;
    ProducerStateEntry state;  // with at most one batch
};
std::string encode_producer_snapshot(const std::vector<ProducerSnapshotEntry>& entries);
// Errors: kafka_storage_error for anything that cannot be one.
Result<std::vector<ProducerSnapshotEntry>> decode_producer_snapshot(ByteView bytes);

}  // namespace odr::storage
