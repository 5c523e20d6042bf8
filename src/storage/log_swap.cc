#include <algorithm>

#include "base/log.h"
#include "storage/checkpoint_file.h"
#include "storage/log_impl.h"

namespace odr::storage {

Result<void> Log::Impl::settle_files(io::MayBlock may_block, Log& future) {
    std::string text;
    {
        std::lock_guard state{state_mutex};
        // An epoch in which nothing was appended is in no batch that was copied.
        text = encode_epoch_checkpoint(epochs.entries());
    }
    const std::string folder = future.directory();
    ODR_CHECK(environment.files->replace_file(may_block, folder + "/" + kLeaderEpochCheckpoint, as_bytes(text)));
    ODR_CHECK(future.flush(may_block));
    Impl& other = *future.impl_;
    std::lock_guard maintenance{other.maintenance_mutex};
    const SegmentPtr active = other.active();
    return other.write_index_blocks(active, true, may_block);
}

Result<void> Log::move_to(io::MayBlock may_block, Log& future, const std::string& retired_directory,
                          const std::function<Result<void>()>& catch_up) {
    Impl& log = *impl_;
    Impl& other = *future.impl_;
    io::FileSystem& files = *log.environment.files;
    // Most of what is to be synced is, before anybody has to wait for it.
    ODR_CHECK(future.flush(may_block));
    std::lock_guard flushing{log.flush_mutex};
    std::lock_guard maintenance{log.maintenance_mutex};
    if (log.offline || log.closed || other.offline || other.closed) {
        return fail(ErrorCode::kafka_storage_error, "the log is offline");
    }
    Frozen frozen{log};
    log.is_moving = true;
    const auto caught_up = catch_up();
    log.is_moving = false;
    ODR_CHECK(caught_up);
    if (future.log_end_offset() != log_end_offset()) {
        return fail(ErrorCode::offset_out_of_range, "the future log is not caught up");
    }
    ODR_CHECK(log.settle_files(may_block, future));

    std::lock_guard other_flushing{other.flush_mutex};
    std::lock_guard other_maintenance{other.maintenance_mutex};
    other.freeze();
    const std::string old_directory = directory();
    const std::string future_directory = future.directory();
    const std::string name = old_directory.substr(old_directory.rfind('/'));
    const std::string new_directory = future_directory.substr(0, future_directory.rfind('/')) + name;
    const auto arrive = [&]() -> Result<void> {
        ODR_CHECK(files.rename(future_directory, new_directory));
        return files.sync_directory(may_block, new_directory.substr(0, new_directory.rfind('/')));
    };
    if (const auto arrived = arrive(); !arrived) {
        if (files.exists(new_directory)) (void)files.rename(new_directory, future_directory);
        other.thaw();
        return arrived;
    }
    // From here on the new one counts: a start that finds both is told by the metadata which.
    const auto left = files.rename(old_directory, retired_directory);
    if (!left) log::error("{}: cannot rename {}", topic_partition().to_string(), old_directory);
    {
        std::lock_guard append{log.append_mutex};
        std::scoped_lock state{log.state_mutex, other.state_mutex};
        const auto gone = std::make_shared<const std::string>(left ? retired_directory : old_directory);
        for (const auto& segment : log.segments) {
            segment->file = nullptr;
            segment->left_in = gone;
        }
        std::swap(log.segments, other.segments);
        std::swap(log.snapshots, other.snapshots);
        std::swap(log.tail, other.tail);
        log.options.directory = new_directory;
        other.options.directory = *gone;
        other.closed = true;
        log.may_have_aborted = log.may_have_aborted || other.may_have_aborted;
        log.log_start_offset = std::max(log.log_start_offset.load(), log.segments.front()->base_offset.raw());
        log.recovery_point.store(other.recovery_point.load());
        log.disk.store(other.disk.load(), std::memory_order_release);
        log.folder_is_dirty = true;
        log.tell_listener();
        ++log.truncations;  // positions that somebody noted are those of the old files
    }
    if (LiveLogs* const live = log.live_logs()) live->add_moved(*this, log.membership);
    return log.write_snapshot(log.end());
}

void Log::set_offline() { impl_->offline.store(true, std::memory_order_release); }

}  // namespace odr::storage
