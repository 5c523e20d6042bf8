#include <algorithm>

#include "base/log.h"
#include "storage/disk_failure.h"
#include "storage/log_directory.h"

namespace odr::storage {
namespace {

constexpr std::int64_t kExpiryIntervalMs = 600'000;
constexpr std::int64_t kFlushCheckMs = 1'000;

bool due(TimestampMs now, TimestampMs& next, std::int64_t interval_ms) {
    if (now < next) return false;
    next = interval_ms > INT64_MAX - now.raw() ? TimestampMs{INT64_MAX} : TimestampMs{now.raw() + interval_ms};
    return true;
}

}  // namespace

bool LogManager::Impl::is_moving(const TopicPartition& name) const {
    std::lock_guard guard{mutex};
    return futures.contains(name);
}

void LogManager::Impl::run_retention(io::MayBlock may_block, LogDirectory& directory, TimestampMs now) {
    for (const Entry& entry : entries_in(directory)) {
        // The cleaner deletes in compacted logs, where it may be at work.
        if (entry.log->config()->cleanup_compact) continue;
        // As in Kafka neither of the two logs of a move: what one lacks the other would be copied in vain.
        if (is_moving(entry.log->topic_partition())) continue;
        const auto deleted = entry.log->delete_old_segments(may_block, now);
        if (deleted) continue;
        log::error("{}: retention failed: {}", entry.log->topic_partition().to_string(), deleted.error().what);
        if (!is_passing_failure(deleted.error())) environment().on_disk_failure(directory.path, deleted.error());
    }
}

namespace {

void flush_what_is_due(io::MayBlock may_block, Log& log, TimestampMs now) {
    if (log.is_offline()) return;
    const bool all_is_due = log.flush_is_due(now);
    // As in Kafka a sealed segment is made durable soon after the roll, so that recovery has one segment to read.
    const Offset due_until = all_is_due ? log.log_end_offset() : log.active_segment_offset();
    if (log.recovery_point() < due_until) (void)log.flush(may_block, due_until);  // a failure takes it offline
}

bool waits_for_flush(const Log& log) {
    if (log.is_offline()) return false;
    if (log.recovery_point() < log.active_segment_offset()) return true;
    return log.recovery_point() < log.log_end_offset() && log.config()->flush_ms != config::LogConfig::kUnlimited;
}

}  // namespace

void LogManager::Impl::add_unflushed() {
    std::lock_guard guard{mutex};
    for (const auto* all : {&logs, &futures}) {
        for (const auto& [name, entry] : *all) {
            Log& log = *entry.log;
            if (waits_for_flush(log)) entry.directory->disk->live_logs().add_changed(log, log.membership());
        }
    }
}

void LogManager::Impl::look_at_changed(io::MayBlock may_block, LogDirectory& directory, TimestampMs now,
                                       bool releases) {
    const auto note_stale = [&](Checkpoint which) { directory.note_stale(static_cast<std::size_t>(which)); };
    for (LiveLogs::Changed& each : directory.disk->live_logs().take_changed()) {
        Log& log = *each.log;
        if (log.disk() != directory.disk.get()) {  // it moved since
            log.disk()->live_logs().keep(each);
            continue;
        }
        flush_what_is_due(may_block, log, now);
        if (releases) (void)log.release_idle(may_block, now, config.idle_release_ms);
        const CheckpointedOffsets offsets = log.checkpointed_offsets();
        const bool is_quiet = offsets == each.seen && !log.holds_active_open() && !waits_for_flush(log);
        if (each.seen.recovery_point != offsets.recovery_point) note_stale(Checkpoint::recovery_points);
        if (each.seen.high_watermark != offsets.high_watermark) note_stale(Checkpoint::high_watermarks);
        if (each.seen.log_start != offsets.log_start || each.seen.first_segment != offsets.first_segment) {
            note_stale(Checkpoint::log_start_offsets);
        }
        each.seen = offsets;
        // One with an index to be made anew is seen to at the next release.
        if (is_quiet && releases) {
            directory.disk->live_logs().settle(each);
        } else {
            directory.disk->live_logs().keep(each);
        }
    }
}

// A file that would say the same again is not written.
void LogManager::Impl::write_stale_checkpoint(io::MayBlock may_block, LogDirectory& directory, Checkpoint which) {
    if (directory.is_stale[static_cast<std::size_t>(which)].exchange(false)) {
        (void)write_checkpoint(may_block, directory, which);
    }
}

void LogManager::Impl::run_directory(io::MayBlock may_block, LogDirectory& directory, TimestampMs now) {
    std::lock_guard guard{directory.periodic_mutex};
    if (directory.offline || directory.has_ended) return;
    LogDirectory::Schedule& next = directory.schedule;
    if (due(now, next.flush, std::min(config.log_flush_scheduler_interval_ms, kFlushCheckMs))) {
        const bool releases = due(now, next.release, std::max<std::int64_t>(1, config.idle_release_ms / 4));
        look_at_changed(may_block, directory, now, releases);
    }
    if (due(now, next.retention, config.log_retention_check_interval_ms)) run_retention(may_block, directory, now);
    if (due(now, next.high_watermarks, config.high_watermark_checkpoint_interval_ms)) {
        write_stale_checkpoint(may_block, directory, Checkpoint::high_watermarks);
    }
    if (due(now, next.recovery_points, config.log_flush_offset_checkpoint_interval_ms)) {
        write_stale_checkpoint(may_block, directory, Checkpoint::recovery_points);
    }
    if (due(now, next.log_start_offsets, config.log_flush_start_offset_checkpoint_interval_ms)) {
        write_stale_checkpoint(may_block, directory, Checkpoint::log_start_offsets);
    }
    if (due(now, next.expiry, kExpiryIntervalMs)) {
        for (const Entry& entry : entries_in(directory)) {
            entry.log->remove_expired_producers(may_block, now, config.producer_id_expiration_ms);
        }
    }
}

void LogManager::run_once(io::MayBlock may_block, TimestampMs now) {
    for (const auto& directory : impl_->directories) impl_->run_directory(may_block, *directory, now);
}

void LogManager::run_soon(TimestampMs now) {
    for (const auto& directory : impl_->directories) {
        if (directory->is_busy.exchange(true)) continue;
        directory->disk->waits().submit([manager = impl_.get(), at = directory.get(), now](io::MayBlock may_block) {
            manager->run_directory(may_block, *at, now);
            at->is_busy = false;
        });
    }
}

// What runs now ends first; what was asked for and has not begun does nothing.
void LogManager::Impl::end_periodic_work() {
    for (const auto& directory : directories) {
        std::lock_guard guard{directory->periodic_mutex};
        directory->has_ended = true;
    }
}

}  // namespace odr::storage
