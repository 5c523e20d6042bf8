#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "io/file_system.h"
#include "storage/index_file.h"
#include "storage/producer_state_manager.h"

namespace odr::storage {

// Gives: the base offsets of the segments in a folder, rising.
Result<std::vector<Offset>> list_segments(io::FileSystem& files, const std::string& folder);

// The producers of a log that is not open, made from its files: the newest readable snapshot, then batches.
//
// Threads: one.
// Errors:  kafka_storage_error: a file cannot be read, or a batch in the way is damaged.
class ProducerReplay {
public:
    ProducerReplay(io::FileSystem& files, std::string folder) : files_{files}, folder_{std::move(folder)} {}

    // Takes the newest snapshot at or below `offset`, or starts with nothing at the first segment.
    Result<void> start_at_or_below(Offset offset);
    // Whether nothing before the start is unknown: there was a snapshot, or the log begins at 0.
    bool knows_all() const { return knows_all_; }
    // Notes the batches below `offset`.
    Result<void> advance_to(Offset offset);
    // Notes what is left of the segment that starts at `base`.
    Result<void> finish_segment(Offset base);

    // Transactions aborted on the way, as they stand in a .txnindex.
    const std::vector<TxnIndexEntry>& aborted() const { return aborted_; }
    void clear_aborted() { aborted_.clear(); }
    std::string encode_snapshot() const { return producers_.encode_snapshot(); }

private:
    Result<void> read_segment(Offset base, Offset up_to);

    io::FileSystem& files_;
    const std::string folder_;
    ProducerStateManager producers_;
    std::vector<TxnIndexEntry> aborted_;
    Offset at_{0};
    bool knows_all_ = false;
};

}  // namespace odr::storage
