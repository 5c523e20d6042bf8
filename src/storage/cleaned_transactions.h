#pragma once

#include <queue>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "record/record.h"
#include "storage/index_file.h"

namespace odr::storage {

// What the cleaner knows of transactions on its way through a log: which batches belong to aborted ones, which markers
// stand for nothing any more, and what the .txnindex of the cleaned segments keeps.
//
// Owner:   one pass of a cleaning, over all its segments in order. Threads: one.
// Kafka:   CleanedTransactionMetadata.
class CleanedTransactions {
public:
    // Aborted transactions that overlap what comes next; those known already may be among them.
    void add_aborted(const std::vector<TxnIndexEntry>& transactions);
    // Where the entries of markers go that are kept. Null: nowhere.
    void set_index(std::vector<TxnIndexEntry>* index) { index_ = index; }

    // A batch that is no control batch. Gives: whether it belongs to an aborted transaction.
    bool on_batch(const record::RecordBatchHeader& batch);
    // Needs:  the batch's first record; null when it has none.
    // Gives:  whether no record of the marker's transaction is left, or the batch has no marker, so that it may go.
    // Errors: invalid_record for a control record that is none.
    Result<bool> on_control_batch(const record::RecordBatchHeader& batch, const record::Record* marker);

private:
    struct Aborted {
        TxnIndexEntry transaction;
        bool has_batches = false;
    };
    struct ByFirstOffset {
        bool operator()(const TxnIndexEntry& a, const TxnIndexEntry& b) const {
            return a.first_offset > b.first_offset;
        }
    };
    void begin_aborted_up_to(Offset offset);

    std::unordered_set<ProducerId> committed_;  // open so far, and not aborted
    std::unordered_map<ProducerId, Aborted> aborted_;
    std::priority_queue<TxnIndexEntry, std::vector<TxnIndexEntry>, ByFirstOffset> ahead_;
    std::vector<TxnIndexEntry>* index_ = nullptr;
};

}  // namespace odr::storage
