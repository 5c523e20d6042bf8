#pragma once

#include <algorithm>
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
    // The same for what a start keeps of a log that ends at `end`: an epoch without records is not worth a write.
    bool dirty_below(Offset end) const {
        return dirty_ && (popped_ || std::ranges::any_of(
                                         entries_.begin() + static_cast<std::ptrdiff_t>(clean_count_), entries_.end(),
                                         [&](const EpochEntry& entry) { return entry.start_offset < end; }));
    }
    void mark_clean() {
        dirty_ = popped_ = false;
        clean_count_ = entries_.size();
    }

private:
    void pop();

    std::vector<EpochEntry> entries_;
    bool dirty_ = false;
    bool popped_ = false;          // an entry of the file is gone
    std::size_t clean_count_ = 0;  // so many entries are in the file
};

}  // namespace odr::storage
