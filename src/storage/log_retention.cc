#include <algorithm>

#include "base/log.h"
#include "storage/log_impl.h"

namespace odr::storage {

Result<void> Log::advance_log_start_offset(Offset offset) {
    Impl& log = *impl_;
    std::lock_guard state{log.state_mutex};
    if (offset > high_watermark())
        return fail(ErrorCode::offset_out_of_range, "the offset is above the high watermark");
    if (offset <= log_start_offset()) return {};
    log.log_start_offset.store(offset.raw(), std::memory_order_release);
    log.note_change();
    log.epochs.truncate_from_start(offset);
    log.tell_listener();
    return {};
}

// Whether the newest record of the segment is older than retention.ms. Without a time in any record, the file's counts.
bool Log::Impl::is_breached(const SegmentPtr& segment, TimestampMs now, const config::LogConfig& settings) {
    if (!learn_max_timestamp(segment)) return false;
    std::int64_t newest = segment->max_timestamp.raw();
    if (newest < 0) newest = environment.files->modified_ms(path_of(*segment, kLogSuffix)).value_or(now.raw());
    return now.raw() - newest > settings.retention_ms;
}

// Kafka asks in three passes, by log start offset, by size, by time, and each takes what it finds at the front. One
// pass over all three takes the same: what a later pass could not reach, an earlier one had left.
std::size_t Log::Impl::deletable_segments(TimestampMs now) {
    const auto settings = config.load();
    const Offset start{log_start_offset.load()};
    const Offset high{high_watermark.load()};
    std::vector<SegmentPtr> all;
    Offset log_end{0};
    {
        std::lock_guard state{state_mutex};
        all = segments;
        log_end = end();
    }
    std::int64_t excess = -settings->retention_bytes;
    for (const auto& segment : all) excess += static_cast<std::int64_t>(segment->size.load());
    const bool by_size = settings->cleanup_delete && settings->retention_bytes >= 0;
    const bool by_time = settings->cleanup_delete && settings->retention_ms >= 0;
    std::size_t count = 0;
    for (; count < all.size(); ++count) {
        const SegmentPtr& segment = all[count];
        const bool last = count + 1 == all.size();
        const auto size = static_cast<std::int64_t>(segment->size.load());
        const Offset upper = last ? log_end : all[count + 1]->base_offset;
        if (high < upper || (last && size == 0)) break;
        const bool deletable = (!last && upper <= start) || (by_size && excess - size >= 0) ||
                               (by_time && is_breached(segment, now, *settings));
        if (!deletable) break;
        excess -= size;
    }
    return count;
}

void Log::Impl::remove_files(const LogSegment& segment) {
    for (const char* suffix : {kLogSuffix, kOffsetIndexSuffix, kTimeIndexSuffix, kTxnIndexSuffix}) {
        (void)environment.files->remove(path_of(segment, suffix));
    }
    environment.open_files->drop_segment(segment.id);
}

void Log::Impl::delete_files_later(const SegmentPtr& segment, TimestampMs now) {
    const TimestampMs when{now.raw() + config.load()->file_delete_delay_ms};
    std::vector<std::string> paths;
    for (const char* suffix : {kLogSuffix, kOffsetIndexSuffix, kTimeIndexSuffix, kTxnIndexSuffix, kSnapshotSuffix}) {
        const bool snapshot = std::string_view{suffix} == kSnapshotSuffix;
        if (snapshot && snapshots.erase(segment->base_offset) == 0) continue;
        const std::string path = path_of(*segment, suffix);
        if (environment.files->rename(path, path + kDeletedSuffix)) paths.push_back(path + kDeletedSuffix);
    }
    environment.open_files->drop_segment(segment->id);
    for (std::string& path : paths) {
        if (environment.delete_later) {
            environment.delete_later(std::move(path), when);
        } else {
            (void)environment.files->remove(path);
        }
    }
}

Result<std::size_t> Log::delete_old_segments(io::MayBlock may_block, TimestampMs now) {
    Impl& log = *impl_;
    std::lock_guard maintenance{log.maintenance_mutex};
    if (log.offline || log.closed) return std::size_t{0};
    std::size_t count = log.deletable_segments(now);
    if (count == 0) return std::size_t{0};
    if (count == log.segments.size()) {
        // All of it is too old, but a log always has an active segment. What was appended since the question above may
        // be young, so it is asked again where nobody appends.
        Frozen frozen{log};
        count = log.deletable_segments(now);
        if (count == log.segments.size()) ODR_CHECK(log.roll_to_new_segment(may_block, log.end(), now));
    }
    if (count == 0) return std::size_t{0};
    std::vector<std::shared_ptr<LogSegment>> gone;
    Offset start{0};
    {
        std::lock_guard state{log.state_mutex};
        const auto middle = log.segments.begin() + static_cast<std::ptrdiff_t>(count);
        gone.assign(log.segments.begin(), middle);
        log.segments.erase(log.segments.begin(), middle);
        start = std::max(log_start_offset(), log.segments.front()->base_offset);
        log.log_start_offset.store(start.raw(), std::memory_order_release);
        log.note_change();
        log.epochs.truncate_from_start(start);
        log.tell_listener();
    }
    ODR_CHECK(log.write_epochs(may_block));
    ODR_CHECK(log.sync_first_snapshot(may_block));
    for (const auto& segment : gone) log.delete_files_later(segment, now);
    log::info("{}: deleted {} segments, the log starts at {} now", topic_partition().to_string(), count, start);
    return count;
}

}  // namespace odr::storage
