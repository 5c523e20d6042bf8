#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "storage/disk_failure.h"
#include "storage/log_impl.h"

namespace odr::storage {
namespace {

// Keeps the entries below `relative_offset`, in the file and in memory.
template <class Entry>
Result<void> cut_index(io::MayBlock may_block, Log::Impl& log, const std::string& path, IndexFile<Entry>& index,
                       std::int64_t limit, std::int64_t (*offset_of)(const Entry&)) {
    std::vector<Entry> entries;
    if (index.written() != 0) {
        ODR_TRY(file, log.environment.files->open(path, io::OpenMode::read_write));
        ODR_TRY(on_disk, read_entries<Entry>(*file, index.written()));
        entries = std::move(on_disk);
    }
    const auto written = static_cast<std::uint32_t>(entries.size());
    const std::size_t kept = static_cast<std::size_t>(
        std::ranges::count_if(entries, [&](const Entry& entry) { return offset_of(entry) < limit; }));
    if (kept < written) {
        ODR_TRY(file, log.environment.files->open(path, io::OpenMode::read_write));
        ODR_CHECK(file->truncate(kept * Entry::kBytes));
        // What a power loss would bring back here would speak of batches that are gone.
        ODR_CHECK(file->sync(may_block));
    }
    std::lock_guard state{log.state_mutex};
    const std::vector<Entry> pending = index.pending();
    index.reset(static_cast<std::uint32_t>(kept), kept == 0 ? std::nullopt : std::optional{entries[kept - 1]});
    for (const Entry& entry : pending) {
        if (offset_of(entry) < limit) index.append(entry);
    }
    return {};
}

}  // namespace

// Cuts the segment at the batch that holds `offset`, or at the first one behind it.
Result<void> Log::Impl::cut_segment(io::MayBlock may_block, const SegmentPtr& segment, Offset offset) {
    const std::uint64_t size = segment->size.load();
    ODR_CHECK(learn_indexes(may_block, segment));
    ODR_TRY(found, find_batch(segment, offset, size, Access::may_wait));
    const std::uint64_t kept = found ? found->position : size;
    {
        std::lock_guard state{state_mutex};
        segment->size.store(kept, std::memory_order_release);
    }
    environment.open_files->drop_segment(segment->id);
    ODR_TRY(opened, environment.files->open(path_of(*segment, kLogSuffix), io::OpenMode::create));
    std::shared_ptr<io::File> file{std::move(opened)};
    if (const auto cut = file->truncate(kept); !cut) return go_offline(cut.error());
    // Or a power loss could bring back what was taken away, under what was written since.
    ODR_CHECK(file->sync(may_block));
    const std::int64_t limit = std::min<std::int64_t>(offset - segment->base_offset, INT32_MAX);
    ODR_CHECK(cut_index<OffsetIndexEntry>(may_block, *this, path_of(*segment, kOffsetIndexSuffix),
                                          segment->offset_index, limit,
                                          [](const auto& entry) { return std::int64_t{entry.relative_offset}; }));
    ODR_CHECK(cut_index<TimeIndexEntry>(may_block, *this, path_of(*segment, kTimeIndexSuffix), segment->time_index,
                                        limit, [](const auto& entry) { return std::int64_t{entry.relative_offset}; }));
    ODR_CHECK(cut_index<TxnIndexEntry>(may_block, *this, path_of(*segment, kTxnIndexSuffix), segment->txn_index,
                                       offset.raw(), [](const auto& entry) { return entry.last_offset; }));
    {
        std::lock_guard state{state_mutex};
        segment->max_timestamp = kNoTimestamp;
        segment->offset_of_max_timestamp = kNoOffset;
        if (const auto last = segment->time_index.last()) {
            segment->note_timestamp(TimestampMs{last->timestamp}, segment->base_offset + last->relative_offset);
        }
        segment->max_timestamp_known = true;
    }
    // Behind the last entry there may be newer batches.
    ODR_TRY(walked, walk_tail(segment, *file));
    std::lock_guard state{state_mutex};
    segment->note_timestamp(walked.newest.timestamp, walked.newest.offset);
    segment->file = nullptr;  // open_active() looks at what is left
    return {};
}

Result<void> Log::Impl::start_empty_at(Offset offset, Offset log_start) {
    std::vector<SegmentPtr> gone;
    {
        std::lock_guard state{state_mutex};
        gone = std::exchange(segments, {});
        auto segment = std::make_shared<LogSegment>(offset, 0);
        segment->offset_index.reset(0, {});
        segment->time_index.reset(0, {});
        segment->txn_index.reset(0, {});
        segment->max_timestamp_known = true;
        segments.push_back(std::move(segment));
        tail.clear();
        epochs.clear();
        ++truncations;
        log_start_offset = log_start.raw();
        log_end_offset = offset.raw();
        high_watermark = offset.raw();
        recovery_point = std::min(recovery_point.load(), offset.raw());
        folder_is_dirty = true;
        note_change();
        tell_listener();
    }
    // The newest first, so that a crash in between leaves no hole.
    for (auto it = gone.rbegin(); it != gone.rend(); ++it) remove_files(**it);
    remove_snapshots_above(kNoOffset);
    // A log without a file would be taken to end where it was last said to start, and give offsets out again.
    const auto made = create_files(*active());
    if (!made && !is_passing_failure(made.error())) return fail(made.error());
    std::lock_guard append{append_mutex};
    std::lock_guard state{state_mutex};
    producers.clear();
    refresh_first_unstable();
    return {};
}

Result<bool> Log::truncate_to(io::MayBlock may_block, Offset offset) {
    Impl& log = *impl_;
    std::lock_guard maintenance{log.maintenance_mutex};
    if (log.offline || log.closed) return fail(ErrorCode::kafka_storage_error, "the log is offline");
    const Offset recovery_point_before = recovery_point();
    log.freeze();
    const auto work = [&]() -> Result<bool> {
        std::vector<std::shared_ptr<LogSegment>> gone;
        std::shared_ptr<LogSegment> kept;
        {
            std::lock_guard state{log.state_mutex};
            if (offset >= log.end()) {
                // An epoch that this replica began as a leader without appending may contradict the new leader's.
                log.epochs.truncate_from_end(log.end());
                log.tell_listener();
                return false;
            }
            if (offset >= log.segments.front()->base_offset) {
                const std::size_t index = log.segment_index_for(offset);
                gone.assign(log.segments.begin() + static_cast<std::ptrdiff_t>(index) + 1, log.segments.end());
                log.segments.resize(index + 1);
                kept = log.segments.back();
                log.tail.clear();
                ++log.truncations;
                log.log_end_offset = offset.raw();
                log.log_start_offset = std::min(log.log_start_offset.load(), offset.raw());
                log.high_watermark = std::min(log.high_watermark.load(), offset.raw());
                log.recovery_point = std::min(log.recovery_point.load(), offset.raw());
                log.note_change();
                log.epochs.truncate_from_end(offset);
                log.folder_is_dirty = true;
                log.tell_listener();
            }
        }
        log::info("{}: truncating to offset {}", topic_partition().to_string(), offset);
        if (!kept) {
            ODR_CHECK(log.start_empty_at(offset, offset));
            ODR_CHECK(log.environment.files->sync_directory(may_block, directory()));
            ODR_CHECK(log.write_epochs(may_block));
            return true;
        }
        for (auto it = gone.rbegin(); it != gone.rend(); ++it) log.remove_files(**it);
        if (!gone.empty()) ODR_CHECK(log.environment.files->sync_directory(may_block, directory()));
        ODR_CHECK(log.cut_segment(may_block, kept, offset));
        ODR_CHECK(log.write_epochs(may_block));
        ODR_CHECK(log.rebuild_producers(may_block, offset));
        return true;
    };
    auto result = work();
    if (result && *result) {
        if (const auto told = log.tell_of_truncation(may_block, offset, recovery_point_before); !told) {
            result = fail(told.error());
        }
    }
    log.thaw();
    if (!result) return log.go_offline(result.error());
    return result;
}

Result<void> Log::truncate_fully_and_start_at(io::MayBlock may_block, Offset offset,
                                              std::optional<Offset> log_start_offset) {
    Impl& log = *impl_;
    std::lock_guard maintenance{log.maintenance_mutex};
    if (log.offline || log.closed) return fail(ErrorCode::kafka_storage_error, "the log is offline");
    const Offset recovery_point_before = recovery_point();
    log.freeze();
    auto result = log.start_empty_at(offset, log_start_offset.value_or(offset));
    if (result) result = log.environment.files->sync_directory(may_block, directory());
    if (result) result = log.write_epochs(may_block);
    if (result) result = log.tell_of_truncation(may_block, offset, recovery_point_before);
    log.thaw();
    return result;
}

}  // namespace odr::storage
