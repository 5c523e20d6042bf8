#include <fmt/format.h>
#include <fmt/ranges.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "base/log.h"
#include "storage/log_directory.h"
#include "storage/parallel_for.h"

namespace odr::storage {
namespace {

constexpr std::size_t kOpenForReadingMax = 4096;
constexpr std::string_view kMetadataTopic = "__cluster_metadata";
constexpr std::string_view kRemoteIndexFolder = "remote-log-index-cache";
constexpr std::int64_t kProgressEveryMs = 5'000;

// The file of a folder that cannot be read, as "/name"; empty when all can.
std::string unreadable_in(io::FileSystem& files, const std::string& folder) {
    const auto entries = files.list(folder);
    if (!entries) return {};
    for (const io::DirectoryEntry& entry : *entries) {
        if (entry.is_directory) continue;
        std::uint8_t byte[1];
        const auto file = files.open(folder + "/" + entry.name, io::OpenMode::read);
        if (!file || !(*file)->read_at(byte, 0)) return "/" + entry.name;
    }
    return {};
}

// What says that the disk cannot be trusted any more, and not that one file is not what it should be.
bool is_failing_disk(const Error& error) {
    switch (error.os_errno) {
        case EIO:
        case EROFS:
        case ENXIO:
        case ENODEV:
        case EUCLEAN:
        case ESTALE:
        case ENOMEM:
        case EMFILE:
        case ENFILE:
            return true;
        default:
            return false;
    }
}

// The logs of a topic share its config.
LogManager::ConfigOf remembering(const LogManager::ConfigOf& config_of) {
    struct Known {
        std::mutex mutex;
        std::unordered_map<std::string, std::shared_ptr<const config::LogConfig>> configs;
    };
    return [known = std::make_shared<Known>(), &config_of](const std::string& topic) {
        std::lock_guard guard{known->mutex};
        auto& config = known->configs[topic];
        if (!config) config = config_of(topic);
        return config;
    };
}

}  // namespace

Result<MetaProperties> LogManager::Impl::check_meta_properties(const LogDirectory& directory, std::string& reason) {
    const std::string path = directory.path_of(kMetaProperties);
    if (!files.exists(path)) return MetaProperties{};
    ODR_TRY(text, files.read_file(path));
    auto properties = decode_meta_properties(text);
    if (!properties) {
        reason = fmt::format("{}: {}", path, properties.error().what);
        return fail(properties.error());
    }
    if (properties->node_id && *properties->node_id != config.node_id) {
        reason = fmt::format("{} says node.id {}, but node.id is configured as {}", path, *properties->node_id,
                             config.node_id);
        return fail(ErrorCode::kafka_storage_error, "the log directory is of another node");
    }
    if (config.cluster_id.empty()) config.cluster_id = properties->cluster_id;
    if (!properties->cluster_id.empty() && properties->cluster_id != config.cluster_id) {
        reason = fmt::format("{} says cluster.id {}, but this node is of cluster {}", path, properties->cluster_id,
                             config.cluster_id);
        return fail(ErrorCode::inconsistent_cluster_id, "the log directory is of another cluster");
    }
    return properties;
}

Result<void> LogManager::Impl::open_directory(io::MayBlock may_block, LogDirectory& directory, std::string& reason) {
    ODR_CHECK(files.create_directories(directory.path));
    ODR_CHECK(files.list(directory.path));
    auto lock = files.lock(directory.path_of(".lock"));
    if (!lock) {
        if (lock.error().os_errno == EAGAIN) {
            reason = fmt::format("Failed to acquire lock on file .lock in {}. Another broker is using this directory.",
                                 directory.path);
        }
        return fail(lock.error());
    }
    directory.lock = std::move(*lock);
    if (auto volume = files.open_volume(directory.path)) directory.volume = std::move(*volume);
    ODR_TRY(found, check_meta_properties(directory, reason));
    MetaProperties wanted = found;
    wanted.version = 1;
    wanted.node_id = config.node_id;
    if (wanted.cluster_id.empty()) wanted.cluster_id = config.cluster_id;
    if (!wanted.directory_id) wanted.directory_id = random.uuid();
    directory.id = *wanted.directory_id;
    if (wanted != found) {
        const std::string text = encode_meta_properties(wanted);
        ODR_CHECK(files.replace_file(may_block, directory.path_of(kMetaProperties), as_bytes(text)));
    }
    read_checkpoints(directory);
    return {};
}

void LogManager::Impl::read_checkpoints(LogDirectory& directory) {
    const auto read = [&](const char* name) {
        const std::string path = directory.path_of(name);
        if (!files.exists(path)) return OffsetCheckpoint{};
        const auto text = files.read_file(path);
        auto offsets = text ? decode_offset_checkpoint(*text) : fail(text.error());
        if (offsets) return std::move(*offsets);
        log::warn("{} is of no use ({}); starting without it", path, offsets.error().what);
        return OffsetCheckpoint{};
    };
    directory.recovery_points = read(kRecoveryPointCheckpoint);
    directory.log_start_offsets = read(kLogStartOffsetCheckpoint);
    directory.high_watermarks = read(kHighWatermarkCheckpoint);
}

Result<std::unique_ptr<LogManager>> LogManager::open(io::MayBlock may_block, io::FileSystem& files, const Clock& clock,
                                                     Random& random, LogManagerConfig config, std::string& reason) {
    auto impl = std::make_unique<Impl>(files, clock, random);
    impl->config = std::move(config);
    impl->recovery_threads = std::max(1, impl->config.num_recovery_threads_per_data_dir);
    const std::size_t open_max = impl->config.open_files_max;
    impl->open_files = std::make_shared<OpenFiles>(std::clamp<std::size_t>(open_max / 4, 1, kOpenForReadingMax));
    const std::size_t open_for_appends_max = open_max / 2 / std::max<std::size_t>(impl->config.log_dirs.size(), 1);
    std::vector<std::string> unusable;  // a line each
    Error last{ErrorCode::kafka_storage_error, 0, "log.dirs is empty"};
    for (const std::string& path : impl->config.log_dirs) {
        auto directory = std::make_unique<LogDirectory>();
        directory->path = path.size() > 1 && path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
        directory->disk = std::make_unique<Disk>(directory->path, clock, open_for_appends_max);
        for (const auto& other : impl->directories) {
            if (other->path != directory->path) continue;
            reason = fmt::format("{} stands twice in log.dirs", path);
            return fail(ErrorCode::kafka_storage_error, "a log directory is named twice");
        }
        const auto opened = impl->open_directory(may_block, *directory, reason);
        if (!opened && !reason.empty()) return fail(opened.error());
        if (!opened) {
            last = opened.error();
            directory->offline = true;
            unusable.push_back(fmt::format("log directory {} cannot be used: {} ({})", directory->path, last.what,
                                           std::strerror(last.os_errno)));
        }
        for (const auto& other : impl->directories) {
            if (!opened || other->offline || other->id != directory->id) continue;
            reason = fmt::format(
                "{} and {} have the same directory.id {} in meta.properties: one is a copy of the other; "
                "take it out of log.dirs",
                other->path, directory->path, directory->id.to_string());
            return fail(ErrorCode::kafka_storage_error, "two log directories have one id");
        }
        impl->directories.push_back(std::move(directory));
    }
    if (unusable.size() == impl->directories.size()) {
        reason = fmt::format("log.dirs: {}; name folders that this user may write", fmt::join(unusable, "; "));
        return fail(last);
    }
    for (const std::string& line : unusable) log::error("{}: it is offline", line);
    return std::unique_ptr<LogManager>{new LogManager{std::move(impl)}};
}

Result<void> LogManager::Impl::load_one(io::MayBlock may_block, LogDirectory& directory, const std::string& folder,
                                        const TopicPartition& name, const ConfigOf& config_of,
                                        const IsStray& is_stray) {
    const std::string path = directory.path_of(folder);
    LogOpenOptions options = open_options(directory, path, name, config_of(name.topic));
    if (is_stray) {
        const auto text = files.read_file(path + "/" + kPartitionMetadata);
        options.known_topic_id = text ? decode_partition_metadata(*text).value_or(kZeroUuid) : kZeroUuid;
        if (is_stray(name, options.known_topic_id)) {
            std::lock_guard creating{creation_mutex};  // random numbers are for one thread at a time
            const std::string marked = directory.path_of(marked_folder_name(name, random.uuid(), "-stray"));
            log::warn("{} is not wanted on this broker; renamed to {}", path, marked);
            return files.rename(path, marked);
        }
    }
    const Offset confirmed = options.recovery_point;
    ODR_TRY(log, open_log(may_block, environment(), std::move(options)));
    if (log->recovery_point() < confirmed) directory.lost_confirmed = true;
    if (const auto found = directory.high_watermarks.find(name); found != directory.high_watermarks.end()) {
        log->set_high_watermark(found->second);
    }
    Entry entry{log, &directory};
    std::unique_lock guard{mutex};
    const auto [existing, is_new] = logs.emplace(name, entry);
    if (is_new) {
        ++directory.log_count;
        return {};
    }
    const Entry other = existing->second;
    guard.unlock();
    ODR_TRY(kept, settle_twins(may_block, other, entry));
    guard.lock();
    logs[name] = kept;
    --other.directory->log_count;
    ++kept.directory->log_count;
    return {};
}

// Whether the clean shutdown file was there; it is not any more, for whoever stops while loading did not stop cleanly:
// KAFKA-10471.
void LogManager::Impl::take_clean_shutdown(io::MayBlock may_block, LogDirectory& directory) {
    const std::string marker = directory.path_of(kCleanShutdown);
    if (!files.exists(marker)) return;
    directory.had_clean_shutdown = true;
    const auto text = files.read_file(marker);
    directory.previous_broker_epoch = text ? decode_clean_shutdown(*text) : -1;
    if (const auto removed = files.remove(marker); !removed) directory.had_clean_shutdown = false;
    (void)files.sync_directory(may_block, directory.path);
}

void LogManager::Impl::load_directory(io::MayBlock may_block, LogDirectory& directory, const ConfigOf& config_of,
                                      const IsStray& is_stray) {
    const std::int64_t started = clock.monotonic_ms();
    take_clean_shutdown(may_block, directory);
    const auto entries = files.list(directory.path);
    if (!entries) return (void)(directory.offline = true);
    std::vector<std::pair<std::string, TopicPartition>> wanted;
    for (const io::DirectoryEntry& entry : *entries) {
        if (!entry.is_directory || entry.name == kRemoteIndexFolder) continue;
        LogFolderName parsed = parse_log_folder_name(entry.name);
        if (parsed.topic_partition.topic == kMetadataTopic) continue;
        switch (parsed.kind) {
            case LogFolderKind::log:
                wanted.emplace_back(entry.name, std::move(parsed.topic_partition));
                break;
            case LogFolderKind::deleted:
                remover.add(directory.path_of(entry.name), TimestampMs{0}, true);
                break;
            case LogFolderKind::future: {
                std::lock_guard guard{mutex};
                found_futures.push_back({&directory, entry.name, std::move(parsed.topic_partition)});
                break;
            }
            case LogFolderKind::stray:
                log::warn("leaving {}/{} alone", directory.path, entry.name);
                break;
            case LogFolderKind::foreign:
                log::warn("{}/{} is not the folder of a partition; leaving it alone", directory.path, entry.name);
                break;
        }
    }
    {
        std::lock_guard guard{mutex};
        logs.reserve(logs.size() + wanted.size());
    }
    load_all(may_block, directory, wanted, config_of, is_stray);
    directory.loaded = !directory.offline;
    log::info("{}: loaded {} logs in {} ms, {} at a time{}", directory.path, wanted.size(),
              clock.monotonic_ms() - started, recovery_threads.load(),
              directory.had_clean_shutdown ? "" : ", after a stop that was not clean");
}

void LogManager::Impl::load_all(io::MayBlock may_block, LogDirectory& directory,
                                const std::vector<std::pair<std::string, TopicPartition>>& wanted,
                                const ConfigOf& config_of, const IsStray& is_stray) {
    std::atomic<std::size_t> done{0};
    std::atomic<std::int64_t> next_progress{clock.monotonic_ms() + kProgressEveryMs};
    const auto threads = static_cast<std::size_t>(recovery_threads);
    parallel_for(wanted.size(), threads, [&](std::size_t i) {
        const auto& [folder, name] = wanted[i];
        if (directory.offline) return;
        if (const auto loaded = load_one(may_block, directory, folder, name, config_of, is_stray); !loaded) {
            const bool disk_fails = is_failing_disk(loaded.error());
            log::error("cannot load {}{}: {} ({}); {}", directory.path_of(folder),
                       unreadable_in(files, directory.path_of(folder)), loaded.error().what,
                       std::strerror(loaded.error().os_errno),
                       disk_fails ? "the directory is offline" : "this partition is refused, the others live on");
            if (disk_fails) directory.offline = true;
            std::lock_guard guard{mutex};
            refused.insert(name);
        }
        const std::size_t finished = ++done;
        std::int64_t due = next_progress.load();
        const std::int64_t now = clock.monotonic_ms();
        if (now >= due && next_progress.compare_exchange_strong(due, now + kProgressEveryMs)) {
            log::info("{}: {} of {} logs loaded, {} remaining", directory.path, finished, wanted.size(),
                      wanted.size() - finished);
        }
    });
}

// Entries of checkpoints without a log would be taken for those of a new log of the name.
void LogManager::Impl::note_stale_checkpoints() {
    std::lock_guard guard{mutex};
    for (const auto& directory : directories) {
        for (const OffsetCheckpoint* offsets : {&directory->recovery_points, &directory->log_start_offsets}) {
            for (const auto& [name, offset] : *offsets) {
                if (!logs.contains(name)) directory->stale_checkpoints.insert(name);
            }
        }
        if (directory->offline) continue;
        // What they said is in the logs now.
        directory->recovery_points.clear();
        directory->log_start_offsets.clear();
    }
}

Result<void> LogManager::load_logs(io::MayBlock may_block, const ConfigOf& config_of, const IsStray& is_stray) {
    const ConfigOf shared_config_of = remembering(config_of);
    {
        std::vector<std::jthread> loading;
        for (const auto& directory : impl_->directories) {
            if (directory->offline) continue;
            loading.emplace_back([&, each = directory.get()] {
                impl_->load_directory(io::MayBlock::on_own_thread(), *each, shared_config_of, is_stray);
            });
        }
    }
    impl_->note_stale_checkpoints();
    for (const auto& directory : impl_->directories) {
        if (directory->offline) continue;
        impl_->cleaner_checkpoints.load(may_block, directory->path, [&](const TopicPartition& name) {
            const auto id = directory_id_of(name);
            return id && *id != directory->id;
        });
        if (directory->offline) set_offline(directory->path, {ErrorCode::kafka_storage_error, 0, "loading failed"});
    }
    impl_->load_futures(may_block, config_of, is_stray);
    impl_->add_unflushed();
    // What is appended where something was lost must not pass for confirmed after another crash.
    for (const auto& directory : impl_->directories) {
        if (directory->offline || !directory->lost_confirmed) continue;
        if (const auto lowered = impl_->lower_recovery_points(may_block, *directory); !lowered)
            impl_->environment().on_disk_failure(directory->path, lowered.error());
    }
    const TimestampMs first{impl_->clock.now().raw() + impl_->config.log_initial_task_delay_ms};
    for (const auto& directory : impl_->directories) {
        LogDirectory::Schedule& next = directory->schedule;
        next.retention = next.recovery_points = next.log_start_offsets = first;
        next.flush = next.release = next.expiry = first;
    }
    for (const auto& directory : impl_->directories) {
        if (!directory->offline) return {};
    }
    return fail(ErrorCode::kafka_storage_error, "no log directory is online");
}

}  // namespace odr::storage
