#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "storage/checkpoint_file.h"
#include "storage/disk_failure.h"
#include "storage/log_impl.h"
#include "storage/producer_replay.h"

namespace odr::storage {
namespace {

constexpr std::size_t kIndexBlockBytes = std::size_t{64} << 10;  // more in memory than this is written without a reason

// Between nothing and segment.jitter.ms, the same at every start, and different from partition to partition.
std::int64_t roll_jitter(const TopicPartition& name, Offset base_offset, const config::LogConfig& settings) {
    const std::int64_t jitter_ms = std::min(settings.segment_jitter_ms, settings.segment_ms);
    if (jitter_ms <= 0) return 0;
    const std::size_t mixed =
        std::hash<TopicPartition>{}(name) * 0x9e3779b97f4a7c15ULL + std::hash<Offset>{}(base_offset);
    return static_cast<std::int64_t>(mixed % static_cast<std::size_t>(jitter_ms));
}

}  // namespace

void Log::Impl::freeze() {
    std::lock_guard append{append_mutex};
    frozen = true;
}
void Log::Impl::thaw() {
    std::lock_guard append{append_mutex};
    frozen = false;
}

// --- opening and rolling
// -------------------------------------------------------------------------------------------------

Result<void> Log::prepare_append(io::MayBlock may_block, const AppendDemand& demand, TimestampMs now) {
    Impl& log = *impl_;
    LiveLogs* const live_logs = log.live_logs();
    if (live_logs != nullptr && !log.membership.is_open) live_logs->make_room(may_block, now);
    auto prepared = log.prepare(may_block, demand, now);
    const bool no_descriptor =
        !prepared && (prepared.error().os_errno == EMFILE || prepared.error().os_errno == ENFILE);
    if (!no_descriptor || live_logs == nullptr) return prepared;
    live_logs->close_some(may_block, now);
    return log.prepare(may_block, demand, now);
}

Result<void> Log::Impl::prepare(io::MayBlock may_block, const AppendDemand& demand, TimestampMs now) {
    std::lock_guard maintenance{maintenance_mutex};
    if (offline || closed) return fail(ErrorCode::kafka_storage_error, "the log is offline");
    const Frozen no_append{*this};
    bool roll_is_due = false;
    bool is_open = false;
    {
        std::lock_guard state{state_mutex};
        is_open = active()->file != nullptr;
    }
    if (!is_open) {
        if (const auto opened = open_active(may_block, now); !opened) {
            if (!is_passing_failure(opened.error())) report_disk_failure(opened.error());
            return opened;
        }
        note_change();
        if (LiveLogs* const live = live_logs()) live->add_open(*log, membership, now);
    }
    {
        std::lock_guard state{state_mutex};
        roll_is_due = should_roll(demand, now);
    }
    last_used_ms.store(now.raw(), std::memory_order_relaxed);
    if (!roll_is_due) return {};
    const Offset base = demand.first_offset > end() ? demand.first_offset : end();
    const auto rolled = roll_to_new_segment(may_block, base, now);
    if (!rolled && !is_passing_failure(rolled.error())) report_disk_failure(rolled.error());
    return rolled;
}

Result<void> Log::roll(io::MayBlock may_block, TimestampMs now) {
    Impl& log = *impl_;
    std::lock_guard maintenance{log.maintenance_mutex};
    if (log.offline || log.closed) return fail(ErrorCode::kafka_storage_error, "the log is offline");
    Frozen frozen{log};
    {
        std::lock_guard state{log.state_mutex};
        if (log.active()->size.load() == 0) return {};
    }
    return log.roll_to_new_segment(may_block, log.end(), now);
}

Result<std::shared_ptr<io::File>> Log::Impl::create_files(const LogSegment& segment) {
    ODR_TRY(log_file, environment.files->open(path_of(segment, kLogSuffix), io::OpenMode::create));
    // Kafka takes a segment without an offset index for damaged.
    ODR_CHECK(environment.files->open(path_of(segment, kOffsetIndexSuffix), io::OpenMode::create));
    ODR_CHECK(environment.files->open(path_of(segment, kTimeIndexSuffix), io::OpenMode::create));
    return std::shared_ptr<io::File>{std::move(log_file)};
}

Result<void> Log::Impl::open_active(io::MayBlock may_block, TimestampMs now) {
    const SegmentPtr segment = active();
    ODR_TRY(file, create_files(*segment));
    ODR_CHECK(learn_indexes(may_block, segment));
    const std::uint64_t size = segment->size.load();
    ODR_TRY(walked, walk_tail(segment, *file));
    if (walked.position != size || walked.end > end()) {
        ODR_CHECK(leave_damaged(may_block, segment, walked, now));
        return active()->file != nullptr ? Result<void>{} : open_active(may_block, now);
    }
    HeaderWalker first{*file, 0, size, Access::may_wait};
    const auto first_header = first.next();
    const bool has_first = first_header && *first_header;
    std::lock_guard state{state_mutex};
    tail = std::move(walked.batches);
    segment->note_timestamp(walked.newest.timestamp, walked.newest.offset);
    segment->bytes_since_index_entry = size - walked.indexed;
    segment->first_timestamp = has_first ? (*first_header)->max_timestamp() : kNoTimestamp;
    if (segment->created == TimestampMs{0}) segment->created = now;
    segment->roll_jitter_ms = roll_jitter(options.topic_partition, segment->base_offset, *config.load());
    segment->write_back_from = size;
    segment->file = file;
    folder_is_dirty = folder_is_dirty || size == 0;
    return {};
}

// The active segment does not end where it should, though a clean stop left it so. What is appended behind a broken
// batch would never be found, so the log goes on in a segment of its own and what is there stays as it is.
Result<void> Log::Impl::leave_damaged(io::MayBlock may_block, const SegmentPtr& segment, const TailWalk& walked,
                                      TimestampMs now) {
    const std::string path = path_of(*segment, kLogSuffix);
    const Offset next = std::max(walked.end, end());
    log_end_offset.store(next.raw(), std::memory_order_release);
    if (next > segment->base_offset) {
        log::error("{}: damaged at position {} of {}; leaving it as it is and going on at offset {} in a new segment",
                   path, walked.position, segment->size.load(), next);
        return roll_to_new_segment(may_block, next, now);
    }
    log::error("{}: {} bytes that are no batch, in a segment that should be empty; removing them", path,
               segment->size.load());
    ODR_TRY(file, environment.files->open(path, io::OpenMode::read_write));
    ODR_CHECK(file->truncate(0));
    segment->size = 0;
    segment->indexes_doubtful = true;
    return {};
}

Result<void> Log::Impl::roll_to_new_segment(io::MayBlock may_block, Offset base_offset, TimestampMs now) {
    const SegmentPtr old = active();
    const bool old_is_empty = old->size.load() == 0;
    if (old_is_empty && old->base_offset == base_offset) return {};
    {
        std::lock_guard state{state_mutex};
        old->index_max_timestamp();
    }
    // A start after a crash trusts the indexes of segments that end at or below the recovery point.
    const bool is_durable = recovery_point.load() >= base_offset.raw();
    // What a crash left of them was not looked into before, and no later start would either.
    if (old->indexes_doubtful) ODR_CHECK(rebuild_indexes(may_block, old, is_durable));
    ODR_CHECK(write_index_blocks(old, is_durable, may_block));
    auto segment = std::make_shared<LogSegment>(base_offset, 0);
    auto file = create_files(*segment);
    if (file && base_offset == end()) {
        if (const auto written = write_snapshot(base_offset); !written) file = fail(written.error());
    }
    if (!file) {
        // An empty segment left here would hide from the next start what the old one goes on to take.
        remove_files(*segment);
        // Nor may a power loss bring it back once more has been appended to the old one.
        const auto synced = environment.files->sync_directory(may_block, options.directory);
        return synced ? fail(file.error()) : go_offline(synced.error());
    }
    segment->offset_index.reset(0, {});
    segment->time_index.reset(0, {});
    segment->txn_index.reset(0, {});
    segment->max_timestamp_known = true;
    segment->created = now;
    segment->roll_jitter_ms = roll_jitter(options.topic_partition, base_offset, *config.load());
    segment->file = std::move(*file);
    std::shared_ptr<io::File> sealed;
    {
        std::lock_guard state{state_mutex};
        sealed = std::move(old->file);
        old->file = nullptr;
        if (sealed) old->max_timestamp_known = true;  // or nobody has looked
        old->offset_index.shrink();
        old->time_index.shrink();
        if (old_is_empty) segments.pop_back();
        segments.push_back(std::move(segment));
        tail.clear();
        folder_is_dirty = true;
    }
    note_change();
    if (old_is_empty) {
        remove_files(*old);
    } else if (sealed) {
        environment.open_files->put({old->id, SegmentFileKind::log}, std::move(sealed));
    }
    return {};
}

// --- what is written beside the log
// --------------------------------------------------------------------------------------

namespace {

// Appends what is pending to its file. Gives: whether something was.
template <class Entry>
Result<bool> write_pending(Log::Impl& log, const std::string& path, IndexFile<Entry>& index, bool sync, bool unsynced,
                           io::MayBlock may_block) {
    std::vector<std::uint8_t> bytes;
    std::size_t count = 0;
    std::uint64_t position = 0;
    {
        std::lock_guard state{log.state_mutex};
        count = index.pending().size();
        position = std::uint64_t{index.written()} * Entry::kBytes;
        bytes = encode_entries(index.pending());
    }
    // An index that was emptied must not come back after a power loss, but a .txnindex is not made for nothing.
    const bool emptied = position == 0 && std::is_same_v<Entry, TxnIndexEntry>;
    if (count == 0 && (!sync || !unsynced || emptied)) return false;
    ODR_TRY(file, log.environment.files->open(path, io::OpenMode::create));
    if (count != 0) ODR_CHECK(file->write_at(bytes, position));
    if (sync) ODR_CHECK(file->sync(may_block));
    std::lock_guard state{log.state_mutex};
    index.mark_written(count);
    // A .txnindex is made when its first entry is written.
    if (count != 0 && position == 0) log.folder_is_dirty = true;
    return count != 0;
}

}  // namespace

Result<void> Log::Impl::write_index_blocks(const SegmentPtr& segment, bool sync, io::MayBlock may_block) {
    const bool unsynced = segment->indexes_unsynced;
    const auto write = [&](auto& index, SegmentFileKind kind) {
        return write_pending(*this, path_of(*segment, suffix_of(kind)), index, sync, unsynced, may_block);
    };
    ODR_TRY(offsets, write(segment->offset_index, SegmentFileKind::offset_index));
    ODR_TRY(times, write(segment->time_index, SegmentFileKind::time_index));
    ODR_TRY(transactions, write(segment->txn_index, SegmentFileKind::txn_index));
    std::lock_guard state{state_mutex};
    segment->indexes_unsynced = !sync && (unsynced || offsets || times || transactions);
    return {};
}

Result<void> Log::Impl::write_epochs(io::MayBlock may_block) {
    std::string text;
    {
        std::lock_guard state{state_mutex};
        if (!epochs.dirty()) return {};
        text = encode_epoch_checkpoint(epochs.entries());
        epochs.mark_clean();
    }
    return environment.files->replace_file(may_block, path_of(kLeaderEpochCheckpoint), as_bytes(text));
}

Result<void> Log::Impl::write_snapshot(Offset offset) {
    std::string bytes;
    {
        std::lock_guard append{append_mutex};
        bytes = producers.encode_snapshot();
    }
    return write_snapshot_file(offset, bytes);
}

Result<void> Log::Impl::write_snapshot_file(Offset offset, std::string_view bytes) {
    // Not synced: its CRC tells a torn one, and the batches behind an older one tell the same story.
    // Never in place: a power loss could bring back what an earlier one of that name said of other batches.
    const std::string path = path_of(segment_file_name(offset, kSnapshotSuffix));
    ODR_CHECK(environment.files->remove(path));
    {
        std::lock_guard state{state_mutex};
        snapshots.erase(offset);
    }
    ODR_TRY(file, environment.files->open(path, io::OpenMode::truncate));
    if (const auto written = file->write_at(as_bytes(bytes), 0); !written) {
        (void)environment.files->remove(path);
        return written;
    }
    std::lock_guard state{state_mutex};
    snapshots.insert(offset);
    folder_is_dirty = true;
    return {};
}

Result<void> Log::Impl::sync_snapshot(io::MayBlock may_block, Offset offset) {
    ODR_TRY(file,
            environment.files->open(path_of(segment_file_name(offset, kSnapshotSuffix)), io::OpenMode::read_write));
    ODR_CHECK(file->sync(may_block));
    return environment.files->sync_directory(may_block, options.directory);
}

Result<void> Log::Impl::sync_first_snapshot(io::MayBlock may_block) {
    const Offset first = segments.front()->base_offset;
    if (const auto made = mend_snapshot(first); !made) {
        // Deleting may be what makes room again.
        log::warn("{}: cannot make {} anew ({})", options.directory, segment_file_name(first, kSnapshotSuffix),
                  made.error().what);
    }
    return snapshots.contains(first) ? sync_snapshot(may_block, first) : Result<void>{};
}

// Needs: the files of the segments below `offset`, sealed.
Result<void> Log::Impl::mend_snapshot(Offset offset) {
    {
        std::lock_guard append{append_mutex};
        if (producers.size() == 0) return {};
    }
    const std::string path = path_of(segment_file_name(offset, kSnapshotSuffix));
    if (snapshots.contains(offset)) {
        const auto bytes = environment.files->read_file(path);
        if (bytes && decode_producer_snapshot(as_bytes(*bytes))) return {};
    }
    ProducerReplay replay{*environment.files, options.directory};
    ODR_CHECK(replay.start_at_or_below(offset));
    ODR_CHECK(replay.advance_to(offset));
    return write_snapshot_file(offset, replay.encode_snapshot());
}

void Log::Impl::remove_snapshots_above(Offset offset) {
    std::vector<Offset> gone;
    {
        std::lock_guard state{state_mutex};
        gone.assign(snapshots.upper_bound(offset), snapshots.end());
        snapshots.erase(snapshots.upper_bound(offset), snapshots.end());
        folder_is_dirty = folder_is_dirty || !gone.empty();
    }
    for (const Offset snapshot : gone) {
        (void)environment.files->remove(path_of(segment_file_name(snapshot, kSnapshotSuffix)));
    }
}

// --- durability
// ----------------------------------------------------------------------------------------------------------

Result<void> Log::Impl::sync_segment(io::MayBlock may_block, const SegmentPtr& segment, bool sealed) {
    ODR_TRY(file, file_of(segment, SegmentFileKind::log, Access::may_wait));
    ODR_CHECK(file->sync(may_block));
    // Recovery makes the indexes of the segment at the recovery point anew, but trusts those of the ones before. It
    // looks for aborted transactions only from the recovery point on.
    if (!sealed) {
        const std::string path = path_of(*segment, kTxnIndexSuffix);
        ODR_CHECK(write_pending(*this, path, segment->txn_index, true, segment->indexes_unsynced, may_block));
        return {};
    }
    if (segment->indexes_doubtful) return rebuild_indexes(may_block, segment, true);
    return write_index_blocks(segment, true, may_block);
}

Result<void> Log::Impl::sync_topic_id(io::MayBlock may_block) {
    ODR_TRY(file, environment.files->open(path_of(kPartitionMetadata), io::OpenMode::read_write));
    ODR_CHECK(file->sync(may_block));
    topic_id_is_unsynced = false;
    return {};
}

Result<void> Log::flush(io::MayBlock may_block, Offset up_to) {
    Impl& log = *impl_;
    std::lock_guard flushing{log.flush_mutex};
    if (log.offline) return fail(ErrorCode::kafka_storage_error, "the log is offline");
    if (log.closed || up_to <= recovery_point()) return {};
    std::vector<std::shared_ptr<LogSegment>> segments;
    std::shared_ptr<LogSegment> active;
    std::uint64_t truncations = 0;
    bool folder_is_dirty = false;
    {
        std::lock_guard state{log.state_mutex};
        up_to = std::min(up_to, log.end());
        for (std::size_t i = log.segment_index_for(recovery_point()); i < log.segments.size(); ++i) {
            if (log.segments[i]->base_offset < up_to) segments.push_back(log.segments[i]);
        }
        active = log.active();
        truncations = log.truncations;
        folder_is_dirty = std::exchange(log.folder_is_dirty, false);
    }
    const auto sync_all = [&]() -> Result<void> {
        for (const auto& segment : segments) ODR_CHECK(log.sync_segment(may_block, segment, segment != active));
        ODR_CHECK(log.write_epochs(may_block));
        if (log.topic_id_is_unsynced) ODR_CHECK(log.sync_topic_id(may_block));
        {
            std::lock_guard state{log.state_mutex};
            folder_is_dirty = std::exchange(log.folder_is_dirty, false) || folder_is_dirty;
        }
        if (folder_is_dirty) ODR_CHECK(log.environment.files->sync_directory(may_block, directory()));
        return {};
    };
    const auto synced = sync_all();
    // After a failed fsync the kernel has dropped the pages' dirty state: what is on disk cannot be known any more.
    // A file that is gone was truncated away meanwhile.
    if (!synced && synced.error().os_errno != ENOENT) return log.go_offline(synced.error());
    std::lock_guard state{log.state_mutex};
    if (!synced || log.truncations != truncations) {
        log.folder_is_dirty = log.folder_is_dirty || folder_is_dirty;
        return {};  // what was synced may be gone; the next flush tells
    }
    // Was the active segment sealed meanwhile, then its indexes are not durable; the next flush sees to them.
    if (active != log.active()) up_to = std::min(up_to, active->base_offset);
    log.recovery_point.store(std::max(up_to, recovery_point()).raw(), std::memory_order_release);
    log.note_change();
    return {};
}

bool Log::flush_is_due(TimestampMs now) const {
    if (log_end_offset() <= recovery_point()) return false;
    return now.raw() - impl_->unflushed_since_ms.load() >= config()->flush_ms;
}

Result<void> Log::release_idle(io::MayBlock may_block, TimestampMs now, std::int64_t idle_ms) {
    Impl& log = *impl_;
    if (log.offline || log.closed) return {};
    if (log.wrong_index_found.load(std::memory_order_acquire)) {
        std::lock_guard maintenance{log.maintenance_mutex};
        if (!log.closed) ODR_CHECK(log.mend_wrong_indexes(may_block));
    }
    const bool idle = now.raw() - log.last_used_ms.load(std::memory_order_relaxed) >= idle_ms;
    std::shared_ptr<LogSegment> active;
    {
        std::lock_guard state{log.state_mutex};
        active = log.active();
        if (!active->file) return {};
        if (!idle && active->offset_index.pending_bytes() < kIndexBlockBytes) return {};
    }
    std::lock_guard maintenance{log.maintenance_mutex};
    if (log.closed || active != log.active()) return {};
    return idle ? log.close_active(may_block, active) : log.write_index_blocks(active, false, may_block);
}

bool Log::holds_active_open() const {
    std::lock_guard state{impl_->state_mutex};
    return impl_->active()->file != nullptr;
}

bool Log::try_close_active(io::MayBlock may_block) {
    Impl& log = *impl_;
    // Maybe this very thread does.
    if (log.is_moving) return false;
    const std::unique_lock maintenance{log.maintenance_mutex, std::try_to_lock};
    if (!maintenance.owns_lock()) return false;
    if (log.closed || log.offline || !holds_active_open()) return true;
    return log.close_active(may_block, log.active()).has_value();
}

Result<void> Log::Impl::close_active(io::MayBlock may_block, const SegmentPtr& active_segment) {
    const Frozen no_append{*this};
    {
        std::lock_guard state{state_mutex};
        active_segment->index_max_timestamp();
    }
    ODR_CHECK(write_index_blocks(active_segment, false, may_block));
    std::shared_ptr<io::File> closing;
    std::lock_guard state{state_mutex};
    closing = std::move(active_segment->file);
    active_segment->file = nullptr;
    active_segment->offset_index.shrink();
    active_segment->time_index.shrink();
    active_segment->txn_index.shrink();
    tail.clear();
    environment.open_files->drop_segment(active_segment->id);
    return {};
}

}  // namespace odr::storage
