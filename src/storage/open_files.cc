#include "storage/open_files.h"

#include <atomic>

namespace odr::storage {

std::shared_ptr<io::File> OpenFiles::find(Key key) {
    std::lock_guard guard{mutex_};
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return nullptr;
    recent_.splice(recent_.begin(), recent_, found->second);
    return found->second->second;
}

void OpenFiles::put(Key key, std::shared_ptr<io::File> file) {
    std::list<Item> closing;  // outlives the lock, so that closing happens without it
    std::lock_guard guard{mutex_};
    if (const auto found = by_key_.find(key); found != by_key_.end()) {
        closing.splice(closing.begin(), recent_, found->second);
        by_key_.erase(found);
    }
    recent_.emplace_front(key, std::move(file));
    by_key_[key] = recent_.begin();
    while (recent_.size() > capacity_) {
        by_key_.erase(recent_.back().first);
        closing.splice(closing.begin(), recent_, std::prev(recent_.end()));
    }
}

void OpenFiles::drop_segment(std::uint64_t segment_id) {
    std::list<Item> closing;
    std::lock_guard guard{mutex_};
    for (const auto kind : {SegmentFileKind::log, SegmentFileKind::offset_index, SegmentFileKind::time_index,
                            SegmentFileKind::txn_index}) {
        const auto found = by_key_.find({segment_id, kind});
        if (found == by_key_.end()) continue;
        closing.splice(closing.begin(), recent_, found->second);
        by_key_.erase(found);
    }
}

std::size_t OpenFiles::size() const {
    std::lock_guard guard{mutex_};
    return recent_.size();
}

std::uint64_t OpenFiles::next_segment_id() {
    static std::atomic<std::uint64_t> next{1};
    return next.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace odr::storage
