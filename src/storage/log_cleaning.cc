#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "storage/log_impl.h"

// What a log does for its cleaner.
namespace odr::storage {
namespace {

constexpr std::array kFileKinds{SegmentFileKind::log, SegmentFileKind::offset_index, SegmentFileKind::time_index,
                                SegmentFileKind::txn_index};

bool is_missing(const Error& error) { return error.os_errno == ENOENT; }

}  // namespace

std::vector<Log::Impl::SegmentPtr> Log::Impl::segments_between(Offset from, Offset to) const {
    std::vector<SegmentPtr> out;
    if (from >= to) return out;
    for (std::size_t i = segment_index_for(from); i < segments.size() && segments[i]->base_offset < to; ++i) {
        out.push_back(segments[i]);
    }
    return out;
}

Result<std::vector<TxnIndexEntry>> Log::Impl::collect_aborted(Offset from, Offset upper_bound) const {
    std::vector<TxnIndexEntry> out;
    if (!may_have_aborted.load(std::memory_order_acquire)) return out;
    std::vector<SegmentPtr> behind;
    {
        std::lock_guard state{state_mutex};
        behind.assign(segments.begin() + static_cast<std::ptrdiff_t>(segment_index_for(from)), segments.end());
    }
    for (const SegmentPtr& segment : behind) {
        ODR_TRY(entries, aborted_of(segment));
        for (const TxnIndexEntry& entry : entries) {
            if (entry.last_offset >= from.raw() && entry.first_offset < upper_bound.raw()) out.push_back(entry);
            if (entry.last_stable_offset >= upper_bound.raw()) return out;
        }
    }
    return out;
}

Result<void> Log::Impl::tell_of_truncation(io::MayBlock may_block, Offset offset, Offset recovery_point_before) {
    const std::string parent = options.directory.substr(0, options.directory.rfind('/'));
    if (environment.on_truncation && config.load()->cleanup_compact) {
        environment.on_truncation(may_block, parent, options.topic_partition, offset);
    }
    if (!environment.on_recovery_point_cut || recovery_point_before <= Offset{recovery_point.load()}) return {};
    return environment.on_recovery_point_cut(may_block, parent);
}

bool Log::Impl::has_in_a_row(const std::vector<SegmentPtr>& old) const {
    const auto first = std::ranges::find(segments, old.front());
    const auto room = static_cast<std::size_t>(segments.end() - first);
    // The active segment is never among them.
    return room > old.size() && std::equal(old.begin(), old.end(), first);
}

// Whoever is about to open a file of an old segment must not find another segment's under its name.
Result<void> Log::Impl::supersede(const std::vector<SegmentPtr>& old) {
    std::vector<std::array<std::shared_ptr<io::File>, kFileKinds.size()>> all(old.size());
    for (std::size_t i = 0; i < old.size(); ++i) {
        for (const SegmentFileKind kind : kFileKinds) {
            auto file = file_of(old[i], kind, Access::may_wait);
            if (!file && !is_missing(file.error())) return fail(file.error());
            if (file) all[i][static_cast<std::size_t>(kind)] = std::move(*file);
        }
    }
    std::lock_guard state{state_mutex};
    for (std::size_t i = 0; i < old.size(); ++i) {
        old[i]->kept_open = std::move(all[i]);
        old[i]->is_superseded = true;
    }
    return {};
}

// A crash between any two of these leaves names that the loader understands. Gives: what the old files are called now.
Result<std::vector<std::string>> Log::Impl::rename_for_exchange(const LogSegment& cleaned,
                                                                const std::vector<SegmentPtr>& old) {
    io::FileSystem& files = *environment.files;
    std::vector<SegmentFileKind> kinds{kFileKinds.begin(), kFileKinds.end()};
    if (cleaned.txn_index.size() == 0) kinds.pop_back();
    const auto name = [&](SegmentFileKind kind) { return path_of(cleaned, suffix_of(kind)); };
    for (const SegmentFileKind kind : kinds) {
        ODR_CHECK(files.rename(name(kind) + kCleanedSuffix, name(kind) + kSwapSuffix));
    }
    std::vector<std::string> deleted;
    const auto set_aside = [&](const std::string& path) -> Result<void> {
        const auto renamed = files.rename(path, path + kDeletedSuffix);
        if (!renamed && !is_missing(renamed.error())) return renamed;
        if (renamed) deleted.push_back(path + kDeletedSuffix);
        return {};
    };
    for (const SegmentPtr& segment : old) {
        for (const SegmentFileKind kind : kFileKinds) ODR_CHECK(set_aside(path_of(*segment, suffix_of(kind))));
        if (segment->base_offset == cleaned.base_offset) continue;
        bool has_snapshot = false;
        {
            std::lock_guard state{state_mutex};
            has_snapshot = snapshots.erase(segment->base_offset) != 0;
        }
        if (has_snapshot) ODR_CHECK(set_aside(path_of(*segment, kSnapshotSuffix)));
    }
    for (const SegmentFileKind kind : kinds) ODR_CHECK(files.rename(name(kind) + kSwapSuffix, name(kind)));
    return deleted;
}

Result<bool> Log::Impl::replace_segments(io::MayBlock may_block, const SegmentPtr& cleaned,
                                         const std::vector<SegmentPtr>& old, std::uint64_t truncations_seen,
                                         TimestampMs now) {
    std::vector<std::string> deleted;
    std::string folder;
    {
        std::lock_guard flushing{flush_mutex};  // a flush opens files by their names too
        std::lock_guard maintenance{maintenance_mutex};
        {
            std::lock_guard state{state_mutex};
            if (offline || closed || truncations != truncations_seen || !has_in_a_row(old)) return false;
            folder = options.directory;
        }
        ODR_CHECK(supersede(old));
        auto renamed = rename_for_exchange(*cleaned, old);
        if (!renamed) return go_offline(renamed.error());
        deleted = std::move(*renamed);
        std::lock_guard state{state_mutex};
        const auto first = std::ranges::find(segments, old.front());
        *first = cleaned;
        segments.erase(first + 1, first + static_cast<std::ptrdiff_t>(old.size()));
    }
    for (const SegmentPtr& segment : old) environment.open_files->drop_segment(segment->id);
    const auto synced = environment.files->sync_directory(may_block, folder);
    if (!synced && !closed) return go_offline(synced.error());
    const TimestampMs when{now.raw() + config.load()->file_delete_delay_ms};
    for (std::string& path : deleted) {
        if (environment.delete_later) {
            environment.delete_later(std::move(path), when);
        } else {
            (void)environment.files->remove(path);
        }
    }
    return true;
}

}  // namespace odr::storage
