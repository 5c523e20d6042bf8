#include "storage/leader_epoch_cache.h"

#include <algorithm>

namespace odr::storage {

void LeaderEpochCache::load(const std::vector<EpochEntry>& entries) {
    entries_.clear();
    for (const EpochEntry& entry : entries) assign(entry.epoch, entry.start_offset);
    mark_clean();
    dirty_ = popped_ = entries_ != entries;
}

void LeaderEpochCache::assign(LeaderEpoch epoch, Offset start) {
    if (epoch.raw() < 0 || start.raw() < 0) return;
    if (epoch == latest() && start >= entries_.back().start_offset) return;
    while (!entries_.empty() && (entries_.back().epoch >= epoch || entries_.back().start_offset >= start)) {
        pop();
    }
    entries_.push_back({epoch, start});
    dirty_ = true;
}

void LeaderEpochCache::pop() {
    entries_.pop_back();
    dirty_ = true;
    if (clean_count_ <= entries_.size()) return;
    clean_count_ = entries_.size();
    popped_ = true;
}

void LeaderEpochCache::truncate_from_end(Offset end) {
    while (!entries_.empty() && entries_.back().start_offset >= end) pop();
}

void LeaderEpochCache::truncate_from_start(Offset start) {
    const auto first_after =
        std::ranges::find_if(entries_, [&](const auto& entry) { return entry.start_offset > start; });
    const auto covered = first_after - entries_.begin();
    if (covered == 0 || (covered == 1 && entries_.front().start_offset == start)) return;
    entries_.erase(entries_.begin(), entries_.begin() + (covered - 1));
    entries_.front().start_offset = start;
    dirty_ = popped_ = true;
    clean_count_ = std::min(clean_count_, entries_.size());
}

void LeaderEpochCache::clear() {
    popped_ = dirty_ = dirty_ || !entries_.empty();
    clean_count_ = 0;
    entries_.clear();
}

LeaderEpoch LeaderEpochCache::epoch_for(Offset offset) const {
    LeaderEpoch found = kNoLeaderEpoch;
    for (const EpochEntry& entry : entries_) {
        if (entry.start_offset > offset) break;
        found = entry.epoch;
    }
    return found;
}

EpochEndOffset LeaderEpochCache::end_offset_for(LeaderEpoch epoch, Offset log_end_offset) const {
    if (epoch == kNoLeaderEpoch || entries_.empty()) return {};
    if (epoch == latest()) return {epoch, log_end_offset};
    const auto higher = std::ranges::find_if(entries_, [&](const auto& entry) { return entry.epoch > epoch; });
    // A future epoch: the asker knows more than this log.
    if (higher == entries_.end()) return {};
    // Older than everything here: KIP-279 answers the asked epoch with where the first known one starts.
    if (higher == entries_.begin()) return {epoch, higher->start_offset};
    return {std::prev(higher)->epoch, higher->start_offset};
}

}  // namespace odr::storage
