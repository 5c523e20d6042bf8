#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "storage/disk_failure.h"
#include "storage/log_directory.h"

namespace odr::storage {

LogDirectory* LogManager::Impl::directory_at(const std::string& path) const {
    const auto found = std::ranges::find_if(directories, [&](const auto& each) { return each->path == path; });
    return found == directories.end() ? nullptr : found->get();
}

bool LogManager::Impl::is_cordoned(const std::string& path) const {
    return std::ranges::any_of(cordoned, [&](const std::string& entry) { return entry == "*" || entry == path; });
}

// --- where a new log goes

LogDirectory* LogManager::Impl::choose_directory(const TopicPartition& name,
                                                 const std::optional<Uuid>& directory_id) const {
    if (const auto asked = preferred.find(name); asked != preferred.end()) {
        LogDirectory* const directory = directory_at(asked->second);
        if (directory != nullptr && !directory->offline) return directory;
    }
    LogDirectory* chosen = nullptr;
    bool any_offline = false;
    for (const auto& directory : directories) {
        any_offline = any_offline || directory->offline;
        if (directory->offline) continue;
        if (directory_id && directory->id == *directory_id) return directory.get();
        if (is_cordoned(directory->path)) continue;
        if (chosen == nullptr || directory->log_count < chosen->log_count) chosen = directory.get();
    }
    // The metadata have it in a directory that is not here. An empty log instead would hide what it holds.
    if (directory_id && any_offline) return nullptr;
    return chosen;
}

// The log counts in the directory from here on, so that many that are placed before any is made spread.
Result<Disk*> LogManager::place(const TopicPartition& topic_partition, std::optional<Uuid> directory_id) {
    Impl& manager = *impl_;
    std::lock_guard guard{manager.mutex};
    if (const auto found = manager.logs.find(topic_partition); found != manager.logs.end()) {
        return found->second.directory->disk.get();
    }
    if (manager.refused.contains(topic_partition)) {
        return fail(ErrorCode::kafka_storage_error, "the folder of the log could not be loaded at start");
    }
    LogDirectory* const chosen = manager.take_place(topic_partition, directory_id);
    if (chosen == nullptr) return fail(ErrorCode::kafka_storage_error, "no log directory may take the log");
    manager.placed[topic_partition] = chosen;
    ++chosen->log_count;
    return chosen->disk.get();
}

// Where place() put the log, which does not count there any more; else where it would go now.
LogDirectory* LogManager::Impl::take_place(const TopicPartition& name, const std::optional<Uuid>& directory_id) {
    if (const auto found = placed.find(name); found != placed.end()) {
        LogDirectory* const directory = found->second;
        placed.erase(found);
        if (!directory->offline) {
            --directory->log_count;
            return directory;
        }
    }
    return choose_directory(name, directory_id);
}

void LogManager::set_cordoned(std::vector<std::string> log_dirs) {
    for (std::string& path : log_dirs) {
        if (path.size() > 1 && path.ends_with('/')) path.pop_back();  // as LogDirectory has it
    }
    std::lock_guard guard{impl_->mutex};
    impl_->cordoned = std::move(log_dirs);
}

bool LogManager::is_cordoned(const std::string& log_dir) const {
    std::lock_guard guard{impl_->mutex};
    return impl_->is_cordoned(log_dir);
}

void LogManager::prefer_directory(const TopicPartition& topic_partition, const std::string& log_dir) {
    std::lock_guard guard{impl_->mutex};
    impl_->preferred[topic_partition] = log_dir;
}

bool LogManager::has_offline_directory() const {
    return std::ranges::any_of(impl_->directories, [](const auto& each) { return each->offline.load(); });
}

// --- a directory that failed

std::vector<TopicPartition> LogManager::retire_offline_directory(const std::string& log_dir) {
    Impl& manager = *impl_;
    std::lock_guard creating{manager.creation_mutex};
    LogDirectory* const directory = manager.directory_at(log_dir);
    if (directory == nullptr || !directory->offline) return {};
    std::vector<TopicPartition> out;
    {
        std::lock_guard guard{manager.mutex};
        for (auto* all : {&manager.logs, &manager.futures}) {
            std::erase_if(*all, [&](const auto& item) {
                if (item.second.directory != directory) return false;
                item.second.log->set_offline();
                if (all == &manager.logs) out.push_back(item.first);
                return true;
            });
        }
        directory->log_count = 0;
        std::erase_if(manager.placed, [&](const auto& item) { return item.second == directory; });
    }
    directory->lock.reset();
    manager.cleaner_checkpoints.forget(log_dir);  // it calls back under its lock, so not under ours
    return out;
}

// --- future logs

void LogManager::set_directory_of(DirectoryOf directory_of) { impl_->directory_of = std::move(directory_of); }

std::shared_ptr<Log> LogManager::future_of(const TopicPartition& topic_partition) const {
    std::lock_guard guard{impl_->mutex};
    const auto found = impl_->futures.find(topic_partition);
    return found == impl_->futures.end() ? nullptr : found->second.log;
}

std::optional<Uuid> LogManager::future_directory_id_of(const TopicPartition& topic_partition) const {
    std::lock_guard guard{impl_->mutex};
    const auto found = impl_->futures.find(topic_partition);
    if (found == impl_->futures.end()) return std::nullopt;
    return found->second.directory->id;
}

std::vector<std::shared_ptr<Log>> LogManager::futures_in(const std::string& log_dir) const {
    const LogDirectory* const directory = impl_->directory_at(log_dir);
    std::lock_guard guard{impl_->mutex};
    std::vector<std::shared_ptr<Log>> out;
    for (const auto& [name, entry] : impl_->futures) {
        if (entry.directory == directory) out.push_back(entry.log);
    }
    return out;
}

std::vector<TopicPartition> LogManager::moving() const {
    std::lock_guard guard{impl_->mutex};
    std::vector<TopicPartition> out;
    for (const auto& [name, entry] : impl_->futures) out.push_back(name);
    return out;
}

Result<void> LogManager::create_future(io::MayBlock may_block, const TopicPartition& topic_partition,
                                       const std::string& log_dir) {
    Impl& manager = *impl_;
    std::lock_guard creating{manager.creation_mutex};
    const std::shared_ptr<Log> log = get(topic_partition);
    if (log == nullptr) return fail(ErrorCode::replica_not_available, "there is no such log");
    if (has_offline_directory()) return fail(ErrorCode::kafka_storage_error, "a log directory is offline");
    LogDirectory* const directory = manager.directory_at(log_dir);
    if (directory == nullptr) return fail(ErrorCode::log_dir_not_found, "it is none of log.dirs");
    const std::string folder =
        directory->path_of(marked_folder_name(topic_partition, manager.random.uuid(), "-future"));
    LogOpenOptions options = manager.open_options(*directory, folder, topic_partition,
                                                  std::make_shared<const config::LogConfig>(*log->config()));
    options.log_start_offset = options.recovery_point = Offset{0};
    options.new_topic_id = log->topic_id();
    auto made = open_log(may_block, manager.environment(), std::move(options));
    if (!made) {
        if (!is_passing_failure(made.error())) manager.environment().on_disk_failure(directory->path, made.error());
        return fail(made.error());
    }
    {
        std::lock_guard guard{manager.mutex};
        manager.futures[topic_partition] = {*made, directory};
        ++directory->log_count;
    }
    // The directory may have held this log before, and its checkpoint speak of that.
    manager.write_checkpoints(may_block, Impl::Checkpoint::recovery_points);
    return {};
}

Result<void> LogManager::drop_future(io::MayBlock may_block, const TopicPartition& topic_partition) {
    Impl& manager = *impl_;
    std::lock_guard creating{manager.creation_mutex};
    Impl::Entry entry{};
    {
        std::lock_guard guard{manager.mutex};
        const auto found = manager.futures.find(topic_partition);
        if (found == manager.futures.end()) return {};
        entry = found->second;
        manager.futures.erase(found);
        --entry.directory->log_count;
    }
    const std::string path =
        entry.directory->path_of(marked_folder_name(topic_partition, manager.random.uuid(), "-delete"));
    ODR_CHECK(entry.log->retire(may_block, path));
    manager.remover.add_log(path, manager.clock.now());
    return {};
}

Result<void> LogManager::replace_by_future(io::MayBlock may_block, const TopicPartition& topic_partition,
                                           const std::function<Result<void>()>& catch_up) {
    Impl& manager = *impl_;
    Impl::Entry current{}, future{};
    {
        std::lock_guard guard{manager.mutex};
        const auto log = manager.logs.find(topic_partition);
        const auto next = manager.futures.find(topic_partition);
        if (log == manager.logs.end() || next == manager.futures.end()) {
            return fail(ErrorCode::replica_not_available, "the log, or its future, is not here any more");
        }
        current = log->second;
        future = next->second;
    }
    const std::string retired =
        current.directory->path_of(marked_folder_name(topic_partition, manager.random.uuid(), "-delete"));
    ODR_CHECK(current.log->move_to(may_block, *future.log, retired, catch_up));
    // Before the cleaner may take the log again: at once then, with the right offset.
    manager.cleaner_checkpoints.move(may_block, current.directory->path, future.directory->path, topic_partition);
    {
        std::lock_guard guard{manager.mutex};
        manager.futures.erase(topic_partition);
        const auto log = manager.logs.find(topic_partition);
        // Deleted in this very moment: then the folder that deletion renamed was the new one.
        if (log != manager.logs.end()) log->second.directory = future.directory;
        if (log != manager.logs.end()) --current.directory->log_count;
    }
    manager.remover.add_log(retired, manager.clock.now());
    checkpoint_all(may_block);
    log::info("{}: moved from {} to {}", topic_partition.to_string(), current.directory->path, future.directory->path);
    return {};
}

// --- at start

void LogManager::Impl::load_futures(io::MayBlock may_block, const ConfigOf& config_of, const IsStray& is_stray) {
    for (const FoundFuture& found : std::exchange(found_futures, {})) {
        if (found.directory->offline) continue;
        if (const auto loaded = load_future(may_block, found, config_of, is_stray); !loaded) {
            log::error("cannot load {}/{}: {} ({})", found.directory->path, found.folder, loaded.error().what,
                       std::strerror(loaded.error().os_errno));
        }
    }
}

Result<void> LogManager::Impl::load_future(io::MayBlock may_block, const FoundFuture& found, const ConfigOf& config_of,
                                           const IsStray& is_stray) {
    LogDirectory& directory = *found.directory;
    const TopicPartition& name = found.topic_partition;
    const std::string path = directory.path_of(found.folder);
    const auto text = files.read_file(path + "/" + kPartitionMetadata);
    const Uuid id = text ? decode_partition_metadata(*text).value_or(kZeroUuid) : kZeroUuid;
    bool has_current = false, has_future = false;
    {
        std::lock_guard guard{mutex};
        has_current = logs.contains(name);
        has_future = futures.contains(name);
    }
    if (has_future || (is_stray && is_stray(name, id))) {
        log::warn("{} is not wanted; its folder is renamed to -stray", path);
        return files.rename(path, directory.path_of(marked_folder_name(name, random.uuid(), "-stray")));
    }
    if (!has_current && directory_of && directory_of(name) == directory.id) return promote(may_block, found, config_of);
    LogOpenOptions options = open_options(directory, path, name, config_of(name.topic));
    const Offset confirmed = options.recovery_point;
    ODR_TRY(log, open_log(may_block, environment(), std::move(options)));
    if (log->recovery_point() < confirmed) directory.lost_confirmed = true;
    if (const auto high = directory.high_watermarks.find(name); high != directory.high_watermarks.end()) {
        log->set_high_watermark(high->second);
    }
    log::info("{}: its move to {} goes on", name.to_string(), directory.path);
    std::lock_guard guard{mutex};
    futures[name] = {log, &directory};
    ++directory.log_count;
    return {};
}

Result<void> LogManager::Impl::promote(io::MayBlock may_block, const FoundFuture& found, const ConfigOf& config_of) {
    LogDirectory& directory = *found.directory;
    const TopicPartition& name = found.topic_partition;
    const std::string path = directory.path_of(name.to_string());
    ODR_CHECK(files.rename(directory.path_of(found.folder), path));
    ODR_CHECK(files.sync_directory(may_block, directory.path));
    log::warn("{}: its move to {} had ended but for the name", name.to_string(), directory.path);
    LogOpenOptions options = open_options(directory, path, name, config_of(name.topic));
    const Offset confirmed = options.recovery_point;
    ODR_TRY(log, open_log(may_block, environment(), std::move(options)));
    if (log->recovery_point() < confirmed) directory.lost_confirmed = true;
    if (const auto high = directory.high_watermarks.find(name); high != directory.high_watermarks.end()) {
        log->set_high_watermark(high->second);
    }
    std::lock_guard guard{mutex};
    logs[name] = {log, &directory};
    ++directory.log_count;
    return {};
}

Result<LogManager::Impl::Entry> LogManager::Impl::settle_twins(io::MayBlock may_block, const Entry& one,
                                                               const Entry& other) {
    const TopicPartition& name = one.log->topic_partition();
    const std::optional<Uuid> wanted = directory_of ? directory_of(name) : std::nullopt;
    const bool takes_other = wanted && other.directory->id == *wanted;
    const Entry& kept = takes_other ? other : one;
    const Entry& gone = takes_other ? one : other;
    std::lock_guard creating{creation_mutex};  // random numbers are for one thread at a time
    const std::string stray = gone.directory->path_of(marked_folder_name(name, random.uuid(), "-stray"));
    log::error("{} stands in both {} and {}; the one in {} counts, the other is renamed to {}", name.to_string(),
               one.directory->path, other.directory->path, kept.directory->path, stray);
    ODR_CHECK(gone.log->retire(may_block, stray));
    return kept;
}

}  // namespace odr::storage
