#include "storage/log_manager.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/log.h"
#include "storage/disk_failure.h"
#include "storage/log_directory.h"

namespace odr::storage {

LogManager::LogManager(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
LogManager::~LogManager() = default;

LogEnvironment LogManager::Impl::environment() {
    return {.files = &files,
            .open_files = open_files,
            .delete_later = [this](std::string path, TimestampMs when) { remover.add(std::move(path), when, false); },
            .on_disk_failure =
                [this](const std::string& path, const Error& why) {
                    for (const auto& directory : directories) {
                        if (directory->path != path || directory->offline.exchange(true)) continue;
                        cleaner_checkpoints.forget(path);
                        log::error("log directory {} is offline: {} ({})", path, why.what, std::strerror(why.os_errno));
                        std::function<void(const LogDirInfo&)> told;
                        {
                            std::lock_guard guard{mutex};
                            told = told_offline;
                        }
                        if (told) told({.path = path, .directory_id = directory->id, .offline = true});
                    }
                },
            .on_truncation = [this](io::MayBlock may_block, const std::string& path, const TopicPartition& name,
                                    Offset offset) { cleaner_checkpoints.truncate(may_block, path, name, offset); },
            .on_recovery_point_cut = [this](io::MayBlock may_block, const std::string& path) -> Result<void> {
                LogDirectory* const directory = directory_at(path);
                return directory == nullptr ? Result<void>{} : lower_recovery_points(may_block, *directory);
            }};
}

LogOpenOptions LogManager::Impl::open_options(const LogDirectory& directory, const std::string& folder,
                                              TopicPartition name,
                                              std::shared_ptr<const config::LogConfig> log_config) const {
    const auto offset_in = [&](const OffsetCheckpoint& checkpoint) {
        const auto found = checkpoint.find(name);
        return found == checkpoint.end() ? Offset{0} : found->second;
    };
    LogOpenOptions options{.directory = folder, .topic_partition = name, .config = std::move(log_config)};
    options.log_start_offset = offset_in(directory.log_start_offsets);
    options.recovery_point = offset_in(directory.recovery_points);
    options.clean_shutdown = directory.had_clean_shutdown;
    options.now = clock.now();
    options.disk = directory.disk.get();
    options.transaction_timeout_max_ms = config.transaction_timeout_max_ms;
    options.producer_id_expiration_ms = config.producer_id_expiration_ms;
    return options;
}

std::vector<LogManager::Impl::Entry> LogManager::Impl::entries_in(const LogDirectory& directory) const {
    std::lock_guard guard{mutex};
    std::vector<Entry> out;
    for (const auto* all : {&logs, &futures}) {
        for (const auto& [name, entry] : *all) {
            if (entry.directory == &directory) out.push_back(entry);
        }
    }
    return out;
}

LogDirInfo LogManager::Impl::info_of(const LogDirectory& directory) const {
    LogDirInfo info{.path = directory.path, .directory_id = directory.id, .offline = directory.offline};
    if (info.offline) return info;
    if (directory.disk != nullptr) info.holds_back = directory.disk->holds_back();
    if (const auto space = files.space(directory.path)) {
        info.total_bytes = space->total_bytes;
        info.usable_bytes = space->usable_bytes;
    }
    return info;
}

std::shared_ptr<Log> LogManager::get(const TopicPartition& topic_partition) const {
    std::lock_guard guard{impl_->mutex};
    const auto found = impl_->logs.find(topic_partition);
    return found == impl_->logs.end() ? nullptr : found->second.log;
}

Result<std::shared_ptr<Log>> LogManager::get_or_create(io::MayBlock may_block, const TopicPartition& topic_partition,
                                                       const Uuid& topic_id,
                                                       std::shared_ptr<const config::LogConfig> config,
                                                       std::optional<Uuid> directory_id) {
    Impl& manager = *impl_;
    const std::shared_lock creating{manager.creation_mutex};
    const std::lock_guard alone{manager.name_mutex_of(topic_partition)};
    if (auto existing = get(topic_partition)) {
        if (!topic_id.is_zero()) ODR_CHECK(existing->assign_topic_id(may_block, topic_id));
        return existing;
    }
    LogDirectory* chosen = nullptr;
    {
        std::lock_guard guard{manager.mutex};
        if (manager.refused.contains(topic_partition)) {
            return fail(ErrorCode::kafka_storage_error, "the folder of the log could not be loaded at start");
        }
        chosen = manager.take_place(topic_partition, directory_id);
        if (chosen != nullptr) ++chosen->log_count;
    }
    if (chosen == nullptr) return fail(ErrorCode::kafka_storage_error, "no log directory may take the log");
    const std::string folder = chosen->path_of(topic_partition.to_string());
    LogOpenOptions options = manager.open_options(*chosen, folder, topic_partition, std::move(config));
    // The checkpoints of the start speak of a log that was there then, not of this new one.
    if (!manager.files.exists(folder)) {
        options.log_start_offset = options.recovery_point = Offset{0};
        options.new_topic_id = topic_id;
        manager.forget_checkpoints(may_block, *chosen, topic_partition);
        manager.cleaner_checkpoints.remove(may_block, chosen->path, topic_partition);
    }
    auto made = open_log(may_block, manager.environment(), std::move(options));
    if (!made && !is_passing_failure(made.error())) {
        manager.environment().on_disk_failure(chosen->path, made.error());
    }
    if (made && !topic_id.is_zero()) {
        if (const auto kept = (*made)->assign_topic_id(may_block, topic_id); !kept) made = fail(kept.error());
    }
    std::lock_guard guard{manager.mutex};
    if (!made) {
        --chosen->log_count;
        return made;
    }
    chosen->note_all_stale();
    manager.preferred.erase(topic_partition);
    manager.logs[topic_partition] = {*made, chosen};
    return *made;
}

Result<void> LogManager::delete_log(io::MayBlock may_block, const TopicPartition& topic_partition) {
    Impl& manager = *impl_;
    if (future_of(topic_partition) != nullptr) (void)drop_future(may_block, topic_partition);
    const std::shared_lock creating{manager.creation_mutex};
    const std::lock_guard alone{manager.name_mutex_of(topic_partition)};
    Impl::Entry entry{};
    {
        std::lock_guard guard{manager.mutex};
        const auto found = manager.logs.find(topic_partition);
        if (found == manager.logs.end()) return {};
        entry = found->second;
        --entry.directory->log_count;
        entry.directory->stale_checkpoints.insert(topic_partition);
        manager.logs.erase(found);
        entry.directory->note_all_stale();
    }
    const auto draw = [&] {
        std::lock_guard guard{manager.random_mutex};
        return manager.random.uuid();
    };
    const std::string name = marked_folder_name(topic_partition, draw(), "-delete");
    const std::string path = entry.log->parent_directory() + "/" + name;  // it may have moved this very moment
    ODR_CHECK(entry.log->retire(may_block, path));
    manager.cleaner_checkpoints.remove(may_block, entry.directory->path, topic_partition);
    manager.remover.add_log(path, manager.clock.now());
    return {};
}

Result<void> LogManager::mark_stray(io::MayBlock may_block, const TopicPartition& topic_partition) {
    Impl& manager = *impl_;
    (void)drop_future(may_block, topic_partition);
    std::lock_guard creating{manager.creation_mutex};
    Impl::Entry entry{};
    {
        std::lock_guard guard{manager.mutex};
        const auto found = manager.logs.find(topic_partition);
        if (found == manager.logs.end()) return {};
        entry = found->second;
        --entry.directory->log_count;
        entry.directory->stale_checkpoints.insert(topic_partition);
        manager.logs.erase(found);
        entry.directory->note_all_stale();
    }
    const std::string name = marked_folder_name(topic_partition, manager.random.uuid(), "-stray");
    ODR_CHECK(entry.log->retire(may_block, entry.log->parent_directory() + "/" + name));
    manager.cleaner_checkpoints.remove(may_block, entry.directory->path, topic_partition);
    return {};
}

void LogManager::update_config(const std::string& topic, std::shared_ptr<const config::LogConfig> config) {
    for (const auto& directory : impl_->directories) {
        for (const Impl::Entry& entry : impl_->entries_in(*directory)) {
            if (entry.log->topic_partition().topic == topic) entry.log->update_config(config);
        }
    }
}

std::vector<std::shared_ptr<Log>> LogManager::all_logs() const {
    std::lock_guard guard{impl_->mutex};
    std::vector<std::shared_ptr<Log>> out;
    out.reserve(impl_->logs.size());
    for (const auto& [name, entry] : impl_->logs) out.push_back(entry.log);
    return out;
}

std::size_t LogManager::log_count() const {
    std::lock_guard guard{impl_->mutex};
    return impl_->logs.size();
}

std::vector<LogDirInfo> LogManager::log_dirs() const {
    std::vector<LogDirInfo> out;
    for (const auto& directory : impl_->directories) out.push_back(impl_->info_of(*directory));
    return out;
}

std::optional<Uuid> LogManager::directory_id_of(const TopicPartition& topic_partition) const {
    std::lock_guard guard{impl_->mutex};
    const auto found = impl_->logs.find(topic_partition);
    if (found == impl_->logs.end()) return std::nullopt;
    return found->second.directory->id;
}

std::vector<std::shared_ptr<Log>> LogManager::logs_in(const std::string& log_dir) const {
    const LogDirectory* const directory = impl_->directory_at(log_dir);
    std::lock_guard guard{impl_->mutex};
    std::vector<std::shared_ptr<Log>> out;
    for (const auto& [name, entry] : impl_->logs) {
        if (entry.directory == directory) out.push_back(entry.log);
    }
    return out;
}

const std::string& LogManager::cluster_id() const { return impl_->config.cluster_id; }

std::int64_t LogManager::previous_broker_epoch() const {
    std::int64_t epoch = -1;
    for (const auto& directory : impl_->directories) {
        if (directory->previous_broker_epoch < 0) return -1;
        epoch = std::max(epoch, directory->previous_broker_epoch);
    }
    return epoch;
}

void LogManager::on_offline(std::function<void(const LogDirInfo&)> told) {
    std::lock_guard guard{impl_->mutex};
    impl_->told_offline = std::move(told);
}

void LogManager::set_offline(const std::string& log_dir, const Error& why) {
    for (const auto& directory : impl_->directories) {
        if (directory->path != log_dir) continue;
        if (directory->loaded) {
            impl_->environment().on_disk_failure(log_dir, why);
        } else if (impl_->told_offline) {
            impl_->told_offline(impl_->info_of(*directory));
        }
    }
}

std::optional<Offset> LogManager::checkpointed_high_watermark(const TopicPartition& topic_partition) const {
    for (const auto& directory : impl_->directories) {
        const auto found = directory->high_watermarks.find(topic_partition);
        if (found != directory->high_watermarks.end()) return found->second;
    }
    return std::nullopt;
}

// --- periodic work
// -------------------------------------------------------------------------------------------------------

Result<void> LogManager::Impl::write_checkpoint(io::MayBlock may_block, LogDirectory& directory, Checkpoint which) {
    std::lock_guard guard{directory.checkpoint_mutex};
    OffsetCheckpoint offsets;
    const char* name = nullptr;
    for (const Entry& entry : entries_in(directory)) {
        const Log& log = *entry.log;
        switch (which) {
            case Checkpoint::recovery_points:
                name = kRecoveryPointCheckpoint;
                offsets[log.topic_partition()] = log.recovery_point();
                break;
            case Checkpoint::log_start_offsets:
                name = kLogStartOffsetCheckpoint;
                // As in Kafka: without an entry the log starts where its first segment does.
                if (log.log_start_offset() > log.first_segment_offset()) {
                    offsets[log.topic_partition()] = log.log_start_offset();
                }
                break;
            case Checkpoint::high_watermarks:
                name = kHighWatermarkCheckpoint;
                offsets[log.topic_partition()] = log.high_watermark();
                break;
        }
    }
    if (name == nullptr) {
        name = which == Checkpoint::recovery_points     ? kRecoveryPointCheckpoint
               : which == Checkpoint::log_start_offsets ? kLogStartOffsetCheckpoint
                                                        : kHighWatermarkCheckpoint;
    }
    const std::string text = encode_offset_checkpoint(offsets);
    const auto written = files.replace_file(may_block, directory.path_of(name), as_bytes(text));
    if (written) return {};
    if (is_passing_failure(written.error())) {
        directory.note_stale(static_cast<std::size_t>(which));
        log::warn("cannot write {}: {}; trying again later", directory.path_of(name),
                  std::strerror(written.error().os_errno));
    } else {
        environment().on_disk_failure(directory.path, written.error());
    }
    return written;
}

Result<void> LogManager::Impl::lower_recovery_points(io::MayBlock may_block, LogDirectory& directory) {
    const auto written = write_checkpoint(may_block, directory, Checkpoint::recovery_points);
    if (written || !is_passing_failure(written.error())) return written;
    // A full disk lets go of a file though it takes none. Without this one a start after a crash checks everything.
    const std::string path = directory.path_of(kRecoveryPointCheckpoint);
    if (files.exists(path)) ODR_CHECK(files.remove(path));
    return files.sync_directory(may_block, directory.path);
}

void LogManager::Impl::forget_checkpoints(io::MayBlock may_block, LogDirectory& directory, const TopicPartition& name) {
    std::set<TopicPartition> stale;
    {
        std::lock_guard guard{mutex};
        if (!directory.stale_checkpoints.contains(name)) return;
        stale = directory.stale_checkpoints;
    }
    (void)write_checkpoint(may_block, directory, Checkpoint::recovery_points);
    (void)write_checkpoint(may_block, directory, Checkpoint::log_start_offsets);
    std::lock_guard state{mutex};
    for (const TopicPartition& each : stale) directory.stale_checkpoints.erase(each);
}

void LogManager::Impl::write_checkpoints(io::MayBlock may_block, Checkpoint which) {
    for (const auto& directory : directories) {
        if (!directory->offline) (void)write_checkpoint(may_block, *directory, which);
    }
}

void LogManager::checkpoint_all(io::MayBlock may_block) {
    impl_->write_checkpoints(may_block, Impl::Checkpoint::recovery_points);
    impl_->write_checkpoints(may_block, Impl::Checkpoint::log_start_offsets);
    impl_->write_checkpoints(may_block, Impl::Checkpoint::high_watermarks);
}

void LogManager::checkpoint_log_start_offsets(io::MayBlock may_block, const Disk& disk) {
    for (const auto& directory : impl_->directories) {
        if (directory->disk.get() != &disk || directory->offline) continue;
        impl_->write_checkpoint(may_block, *directory, Impl::Checkpoint::log_start_offsets);
    }
}

void LogManager::checkpoint_recovery_points(io::MayBlock may_block, const std::string& log_dir) {
    for (const auto& directory : impl_->directories) {
        if (directory->path != log_dir || directory->offline) continue;
        (void)impl_->write_checkpoint(may_block, *directory, Impl::Checkpoint::recovery_points);
    }
}

CleanerCheckpoints& LogManager::cleaner_checkpoints() { return impl_->cleaner_checkpoints; }

void LogManager::set_recovery_threads(std::int32_t threads) {
    ODR_ASSERT(threads >= 1, "threads={}", threads);
    const std::int32_t before = impl_->recovery_threads.exchange(threads);
    if (before != threads) log::info("recovery threads of each log directory: {} now, {} before", threads, before);
}

void LogManager::set_delete_delay(std::int64_t ms) { impl_->remover.set_log_delay(ms); }

std::size_t LogManager::remove_deleted_files(io::MayBlock may_block, TimestampMs now) {
    return impl_->remover.run_once(may_block, now);
}

}  // namespace odr::storage
