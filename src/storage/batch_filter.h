#pragma once

#include <optional>
#include <unordered_map>
#include <vector>

#include "storage/batch_records.h"
#include "storage/cleaned_transactions.h"
#include "storage/offset_map.h"
#include "storage/producer_state_manager.h"

namespace odr::storage {

using LastProducerRecords = std::unordered_map<ProducerId, LastProducerRecord>;

// What a cleaning says of every record it meets.
struct RetentionRules {
    TimestampMs now{0};                    // when the cleaning began
    std::int64_t delete_retention_ms = 0;  // delete.retention.ms
    Offset upper_bound{0};                 // the first offset that this cleaning does not touch
    bool retain_legacy_tombstones = true;  // of magic 0 and 1, which have no delete horizon
    const OffsetMap* latest = nullptr;     // of keys
    const LastProducerRecords* producers = nullptr;
};

// Decides, batch by batch, what stays in a compacted log, and writes what is left of a batch.
//
// Owner:   one pass of a cleaning. Threads: one.
// Kafka:   Cleaner.cleanInto, MemoryRecords.filterTo; delete horizons: KIP-534.
class BatchFilter {
public:
    explicit BatchFilter(CleanedTransactions& transactions) : transactions_{transactions} {}
    void set_rules(const RetentionRules& rules) { rules_ = rules; }

    struct Kept {
        ByteView bytes;  // of the batch given where nothing changed; else the filter's, until the next call
        std::int32_t records = 0;
    };
    // Gives:  what stays of the batch, with its offsets; nullopt: nothing does.
    // Errors: corrupt_message, invalid_record: what is in the batch cannot be told, so nothing of the log may be
    //         cleaned.
    Result<std::optional<Kept>> filter(const record::RecordBatchView& batch);

    struct Counts {
        std::uint64_t records_read = 0, records_kept = 0;
        std::uint64_t records_without_key = 0;  // dropped: they have no place in a compacted log
    };
    const Counts& counts() const { return counts_; }

private:
    enum class Retention : std::uint8_t { drop, drop_when_empty, keep_even_empty };

    bool is_last_of_producer(const record::RecordBatchHeader& batch) const;
    Retention retention_of(const record::RecordBatchHeader& batch, bool drops_records) const;
    bool keeps(const record::RecordBatchHeader& batch, const record::Record& record, const OffsetMap::Hash& hash);
    Result<Kept> rebuild(const record::RecordBatchView& batch, std::optional<TimestampMs> delete_horizon);
    Kept empty(const record::RecordBatchView& batch);

    CleanedTransactions& transactions_;
    RetentionRules rules_;
    Counts counts_;
    BatchRecords records_;
    std::vector<OffsetMap::Hash> hashes_;
    std::vector<const record::Record*> kept_;
    std::vector<std::uint8_t> rebuilt_;
};

}  // namespace odr::storage
