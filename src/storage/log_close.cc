#include <algorithm>

#include "storage/checkpoint_file.h"
#include "storage/log_impl.h"

// How a log ends: closed by itself, closed together with all logs of its volume, or renamed away.
namespace odr::storage {

// The next start has producers from snapshots alone when the stop was clean. Producers may be known though no record is
// left, where records were deleted or truncated.
Result<void> Log::Impl::leave_snapshot(io::MayBlock may_block, bool sync) {
    bool has_producers = false;
    {
        std::lock_guard append{append_mutex};
        has_producers = producers.size() != 0;
    }
    if (end() <= Offset{log_start_offset.load()} && !has_producers && snapshots.empty()) return {};
    if (!snapshots.contains(end())) ODR_CHECK(write_snapshot(end()));
    // A start after a power loss that finds none takes it that there are no producers.
    return has_producers && sync ? sync_snapshot(may_block, end()) : Result<void>{};
}

Result<void> Log::close(io::MayBlock may_block) {
    Impl& log = *impl_;
    if (log.closed) return {};
    if (log.offline) return fail(ErrorCode::kafka_storage_error, "the log is offline");
    {
        std::lock_guard maintenance{log.maintenance_mutex};
        log.freeze();
    }
    ODR_CHECK(flush(may_block));
    std::lock_guard maintenance{log.maintenance_mutex};
    if (log.closed.exchange(true)) return {};
    const std::shared_ptr<LogSegment> active = log.active();
    {
        std::lock_guard state{log.state_mutex};
        if (active->file) active->index_max_timestamp();
    }
    if (active->indexes_doubtful) ODR_CHECK(log.rebuild_indexes(may_block, active, false));
    ODR_CHECK(log.write_index_blocks(active, true, may_block));
    bool epochs_changed = false;
    {
        std::lock_guard state{log.state_mutex};
        epochs_changed = log.epochs.dirty_below(log.end());
    }
    if (epochs_changed) ODR_CHECK(log.write_epochs(may_block));
    ODR_CHECK(log.leave_snapshot(may_block, true));
    log.let_go_of_files();
    return {};
}

// --- all logs of a volume with one sync
// ---------------------------------------------------------------------------------

namespace {

constexpr std::string_view kBesideSuffix = ".tmp";  // as of FileSystem::replace_file()

}  // namespace

Result<void> Log::write_for_close(io::MayBlock may_block) {
    Impl& log = *impl_;
    std::lock_guard flushing{log.flush_mutex};
    std::lock_guard maintenance{log.maintenance_mutex};
    if (log.closed) return {};
    if (log.offline) return fail(ErrorCode::kafka_storage_error, "the log is offline");
    log.freeze();
    const std::shared_ptr<LogSegment> active = log.active();
    {
        std::lock_guard state{log.state_mutex};
        if (active->file) active->index_max_timestamp();
    }
    for (std::size_t i = log.segment_index_for(recovery_point()); i < log.segments.size(); ++i) {
        const std::shared_ptr<LogSegment> segment = log.segments[i];
        if (segment->indexes_doubtful) ODR_CHECK(log.rebuild_indexes(may_block, segment, false));
        ODR_CHECK(log.write_index_blocks(segment, false, may_block));
    }
    ODR_CHECK(log.write_epochs_beside());
    return log.leave_snapshot(may_block, false);
}

Result<void> Log::Impl::write_epochs_beside() {
    std::string text;
    {
        std::lock_guard state{state_mutex};
        const bool flushed = recovery_point.load() >= log_end_offset.load();
        if (flushed ? !epochs.dirty_below(end()) : !epochs.dirty()) return {};
        text = encode_epoch_checkpoint(epochs.entries());
    }
    ODR_TRY(file, environment.files->open(path_of(kLeaderEpochCheckpoint) + std::string{kBesideSuffix},
                                          io::OpenMode::truncate));
    ODR_CHECK(file->write_at(as_bytes(text), 0));
    epochs_are_beside = true;
    return {};
}

Result<bool> Log::name_for_close(io::MayBlock) {
    Impl& log = *impl_;
    std::lock_guard flushing{log.flush_mutex};
    if (!log.epochs_are_beside) return false;
    const std::string path = log.path_of(kLeaderEpochCheckpoint);
    ODR_CHECK(log.environment.files->rename(path + std::string{kBesideSuffix}, path));
    log.epochs_are_beside = false;
    return true;
}

void Log::end_close() {
    Impl& log = *impl_;
    std::lock_guard flushing{log.flush_mutex};
    std::lock_guard maintenance{log.maintenance_mutex};
    if (log.closed.exchange(true)) return;
    log.recovery_point.store(std::max(log.end(), recovery_point()).raw(), std::memory_order_release);
    log.let_go_of_files();
}

void Log::Impl::let_go_of_files() {
    std::lock_guard state{state_mutex};
    active()->file = nullptr;
    tail.clear();
    for (const auto& segment : segments) environment.open_files->drop_segment(segment->id);
}

Result<void> Log::retire(io::MayBlock, const std::string& new_directory) {
    Impl& log = *impl_;
    std::lock_guard maintenance{log.maintenance_mutex};
    log.freeze();
    log.closed = true;
    ODR_CHECK(log.environment.files->rename(directory(), new_directory));
    {
        std::lock_guard state{log.state_mutex};
        log.options.directory = new_directory;
    }
    log.let_go_of_files();
    return {};
}

}  // namespace odr::storage
