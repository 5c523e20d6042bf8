#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <set>
#include <shared_mutex>
#include <string>

#include "storage/checkpoint_file.h"
#include "storage/cleaner_checkpoints.h"
#include "storage/disk.h"
#include "storage/disk_failure.h"
#include "storage/file_remover.h"
#include "storage/log_manager.h"
#include "storage/open_files.h"

namespace odr::storage {

// One of log.dirs.
struct LogDirectory {
    std::string path;
    Uuid id{};
    std::unique_ptr<io::FileLock> lock;
    std::unique_ptr<io::Volume> volume;  // since before anything was written; null: its sync tells not enough
    std::unique_ptr<Disk> disk;
    std::atomic<bool> offline{false};
    std::size_t log_count = 0;  // under LogManager's mutex
    bool had_clean_shutdown = false;
    std::int64_t previous_broker_epoch = -1;
    bool loaded = false;                      // all its logs are
    std::atomic<bool> lost_confirmed{false};  // at load some log ended below its recovery point
    OffsetCheckpoint recovery_points, log_start_offsets, high_watermarks;  // as read at start
    // Names that the checkpoints on the disk may speak of though their log is gone. Under LogManager's mutex.
    std::set<TopicPartition> stale_checkpoints;

    std::mutex checkpoint_mutex;  // one writes the checkpoints at a time
    std::mutex periodic_mutex;    // held while the periodic work runs: what follows
    struct Schedule {
        TimestampMs flush{0}, retention{0}, high_watermarks{0}, recovery_points{0}, log_start_offsets{0}, release{0},
            expiry{0};
    } schedule;
    // By Checkpoint: what stands in the files is not what the logs say any more.
    std::array<std::atomic<bool>, 3> is_stale{true, true, true};
    bool has_ended = false;            // the manager stops: no periodic work any more
    std::atomic<bool> is_busy{false};  // the disk's threads have its periodic work

    void note_stale(std::size_t which) { is_stale[which] = true; }
    void note_all_stale() { is_stale[0] = is_stale[1] = is_stale[2] = true; }
    std::string path_of(std::string_view name) const { return path + "/" + std::string{name}; }
};

struct LogManager::Impl {
    struct Entry {
        std::shared_ptr<Log> log;
        LogDirectory* directory;
    };

    struct FoundFuture {
        LogDirectory* directory;
        std::string folder;
        TopicPartition topic_partition;
    };

    Impl(io::FileSystem& given_files, const Clock& given_clock, Random& given_random)
        : files{given_files}, clock{given_clock}, random{given_random}, remover{given_files, {}} {}

    io::FileSystem& files;
    const Clock& clock;
    Random& random;
    LogManagerConfig config;
    std::atomic<std::int32_t> recovery_threads{1};  // of each directory
    std::vector<std::unique_ptr<LogDirectory>> directories;
    std::shared_ptr<OpenFiles> open_files;
    CleanerCheckpoints cleaner_checkpoints{files, [this](const std::string& path, const Error& why) {
                                               if (!is_passing_failure(why)) environment().on_disk_failure(path, why);
                                           }};
    FileRemover remover;
    DirectoryOf directory_of;

    mutable std::mutex mutex;  // short: what follows
    std::unordered_map<TopicPartition, Entry> logs;
    std::unordered_map<TopicPartition, Entry> futures;
    std::unordered_map<TopicPartition, std::string> preferred;  // paths
    std::vector<std::string> cordoned;                          // paths, or "*"
    std::vector<FoundFuture> found_futures;                     // at start, until all logs are loaded
    std::function<void(const LogDirInfo&)> told_offline;
    std::unordered_map<TopicPartition, LogDirectory*> placed;  // by place(), until they are made
    std::set<TopicPartition> refused;  // their folders could not be loaded; nothing takes their place

    // Creations and deletions go side by side, so that none waits for another's disk, but of one name one at a time;
    // whatever else gives logs or folders a name is alone, and may ask for random numbers.
    std::shared_mutex creation_mutex;
    std::mutex random_mutex;                  // for those that are not alone; short
    std::array<std::mutex, 64> name_mutexes;  // after it
    std::mutex& name_mutex_of(const TopicPartition& name) {
        return name_mutexes[std::hash<TopicPartition>{}(name) % name_mutexes.size()];
    }
    bool stopped = false;

    LogEnvironment environment();
    LogOpenOptions open_options(const LogDirectory& directory, const std::string& folder, TopicPartition name,
                                std::shared_ptr<const config::LogConfig> log_config) const;
    // The logs of a directory, the future ones too.
    std::vector<Entry> entries_in(const LogDirectory& directory) const;
    LogDirectory* directory_at(const std::string& path) const;
    LogDirInfo info_of(const LogDirectory& directory) const;

    // --- log_manager_start.cc
    Result<void> open_directory(io::MayBlock, LogDirectory& directory, std::string& reason);
    Result<MetaProperties> check_meta_properties(const LogDirectory& directory, std::string& reason);
    void read_checkpoints(LogDirectory& directory);
    void load_directory(io::MayBlock, LogDirectory& directory, const ConfigOf& config_of, const IsStray& is_stray);
    void load_all(io::MayBlock, LogDirectory& directory,
                  const std::vector<std::pair<std::string, TopicPartition>>& wanted, const ConfigOf& config_of,
                  const IsStray& is_stray);
    void take_clean_shutdown(io::MayBlock, LogDirectory& directory);
    void note_stale_checkpoints();
    Result<void> load_one(io::MayBlock, LogDirectory& directory, const std::string& folder, const TopicPartition& name,
                          const ConfigOf& config_of, const IsStray& is_stray);

    // --- log_moves.cc
    LogDirectory* choose_directory(const TopicPartition& name, const std::optional<Uuid>& directory_id) const;  // mutex
    LogDirectory* take_place(const TopicPartition& name, const std::optional<Uuid>& directory_id);              // mutex
    bool is_cordoned(const std::string& path) const;                                                            // mutex
    void load_futures(io::MayBlock, const ConfigOf& config_of, const IsStray& is_stray);
    Result<void> load_future(io::MayBlock, const FoundFuture& found, const ConfigOf& config_of,
                             const IsStray& is_stray);
    // The folder of a future log whose move is over but for the name, as the metadata say, gets the log's name.
    Result<void> promote(io::MayBlock, const FoundFuture& found, const ConfigOf& config_of);
    // Two directories hold one log, as a crash amid a move leaves it. Gives: the entry that counts; the other's folder
    // is marked stray.
    Result<Entry> settle_twins(io::MayBlock, const Entry& one, const Entry& other);

    // --- log_manager.cc
    enum class Checkpoint { recovery_points, log_start_offsets, high_watermarks };
    // Errors: the disk's. One that may pass is only told of and tried again later; another takes the directory offline.
    Result<void> write_checkpoint(io::MayBlock, LogDirectory& directory, Checkpoint which);
    // Some log's recovery point fell. Afterwards the file does not say more than the logs do, if need be by being gone.
    Result<void> lower_recovery_points(io::MayBlock, LogDirectory& directory);
    void write_checkpoints(io::MayBlock, Checkpoint which);
    // Before a log is made anew under a name that the checkpoints know: they would speak of it after a crash.
    void forget_checkpoints(io::MayBlock, LogDirectory& directory, const TopicPartition& name);

    // --- log_manager_stop.cc
    std::size_t closing_threads() const;
    // They give whether every log is closed, and durable to its end.
    bool close_each(io::MayBlock, const std::vector<Entry>& entries);
    bool close_together(io::MayBlock, LogDirectory& directory, const std::vector<Entry>& entries);
    void close_directory(io::MayBlock, LogDirectory& directory, std::int64_t broker_epoch);

    // --- log_manager_periodic.cc
    void run_directory(io::MayBlock, LogDirectory& directory, TimestampMs now);
    void run_retention(io::MayBlock, LogDirectory& directory, TimestampMs now);
    void write_stale_checkpoint(io::MayBlock, LogDirectory& directory, Checkpoint which);
    // Logs of which something may be due though nothing changes them: after loading.
    void add_unflushed();
    void look_at_changed(io::MayBlock, LogDirectory& directory, TimestampMs now, bool releases);
    void end_periodic_work();
    bool is_moving(const TopicPartition& name) const;
};

}  // namespace odr::storage
