#pragma once

#include <vector>

#include "base/types.h"
#include "storage/read_types.h"

namespace odr::storage {

struct EpochEntry {
    LeaderEpoch epoch;
    Offset start_offset;
    friend bool operator==(const EpochEntry&, const EpochEntry&) = default;
};

// Which leader epoch starts where. Both rise strictly from entry to entry.
//
// Owner:   Log, which also writes it to leader-epoch-checkpoint while dirty().
// Threads: as its owner's state lock says.
// Kafka:   LeaderEpochFileCache (KIP-101, KIP-279).
class LeaderEpochCache {
public:
    // Takes what a file held; entries that do not rise are dropped, as by assign().
    void load(const std::vector<EpochEntry>& entries);
    // An epoch starts at `start`. Entries that contradict it (a later epoch, or a start at or after it) go. No change
    // when this is the latest epoch and started before.
    void assign(LeaderEpoch epoch, Offset start);
    void truncate_from_end(Offset end);      // entries that start at or after `end` go
    void truncate_from_start(Offset start);  // the entry that covers `start` now starts there, those before go
    void clear();

    LeaderEpoch latest() const { return entries_.empty() ? kNoLeaderEpoch : entries_.back().epoch; }
    LeaderEpoch epoch_for(Offset offset) const;
    EpochEndOffset end_offset_for(LeaderEpoch epoch, Offset log_end_offset) const;
    const std::vector<EpochEntry>& entries() const { return entries_; }

    // Whether something changed since mark_clean().
    bool dirty() const { return dirty_; }
    void mark_clean() { dirty_ = false; }

private:
    std::vector<EpochEntry> entries_;
    bool dirty_ = false;
};

}  // namespace odr::storage
