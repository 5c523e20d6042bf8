#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "storage/log.h"

namespace odr::storage {

class CleanerCheckpoints;

// What LogManager takes from server.properties.
struct LogManagerConfig {
    std::vector<std::string> log_dirs;
    BrokerId node_id{0};
    std::string cluster_id;  // empty: take it from meta.properties
    std::int32_t num_recovery_threads_per_data_dir = 16;
    std::int64_t log_retention_check_interval_ms = 300'000;
    std::int64_t log_flush_scheduler_interval_ms = config::LogConfig::kUnlimited;
    std::int64_t log_flush_offset_checkpoint_interval_ms = 60'000;
    std::int64_t log_flush_start_offset_checkpoint_interval_ms = 60'000;
    std::int64_t high_watermark_checkpoint_interval_ms = 5'000;  // replica.high.watermark.checkpoint.interval.ms
    std::int64_t log_initial_task_delay_ms = 30'000;
    std::int64_t transaction_timeout_max_ms = 900'000;
    std::int64_t producer_id_expiration_ms = 86'400'000;
    std::int64_t idle_release_ms = 60'000;  // files of logs idle for longer are closed
    std::size_t open_files_max = 16'384;    // of the process: logs hold three quarters of them at most
    // At a stop so many unflushed logs of a directory make one sync of its whole volume cheaper than one for each.
    std::size_t volume_sync_from = 256;
};

struct LogDirInfo {
    std::string path;
    Uuid directory_id;
    bool offline = false;
    bool holds_back = false;  // its disk does not keep up: appends wait for it (storage/disk.h)
    std::uint64_t total_bytes = 0;
    std::uint64_t usable_bytes = 0;
};

// All logs of this broker but the metadata log's, and the files beside them: .lock, meta.properties, checkpoints,
// .kafka_cleanshutdown.
//
// Owner:   the server. Made before the reactors run, stopped after them.
// Threads: any, unless said otherwise; get() takes one short lock, so keep the pointer it gives.
// Errors:  a directory whose disk fails goes offline with its logs; the others live on.
// Kafka:   LogManager.
class LogManager {
public:
    // Locks the directories and reads or writes meta.properties.
    // Errors: kafka_storage_error (a directory is locked by another process, or is of another node or cluster);
    // `reason`
    //         then holds a line for the operator that names directory and cause. A directory that cannot be used at all
    //         is offline; only when all are is that an error.
    static Result<std::unique_ptr<LogManager>> open(io::MayBlock, io::FileSystem& files, const Clock& clock,
                                                    Random& random, LogManagerConfig config, std::string& reason);
    ~LogManager();
    LogManager(const LogManager&) = delete;
    LogManager& operator=(const LogManager&) = delete;

    // The config of a topic's logs; called for each folder found and each log made.
    using ConfigOf = std::function<std::shared_ptr<const config::LogConfig>(const std::string& topic)>;
    // Whether the cluster wants this log on this broker; a log it does not want is renamed to -stray and not loaded.
    using IsStray = std::function<bool(const TopicPartition&, const Uuid& topic_id)>;

    // In which directory the metadata have a log; asked where two directories hold one. nullopt: they do not say.
    using DirectoryOf = std::function<std::optional<Uuid>(const TopicPartition&)>;
    // Set before load_logs().
    void set_directory_of(DirectoryOf directory_of);

    // num.recovery.threads.per.data.dir. Threads: any; the next load or stop keeps to it.
    // Needs: at least 1.
    void set_recovery_threads(std::int32_t threads);

    // Loads every log, in parallel. Call once. is_stray may be empty: then nothing is.
    Result<void> load_logs(io::MayBlock, const ConfigOf& config_of, const IsStray& is_stray);

    // Gives: null when there is none.
    std::shared_ptr<Log> get(const TopicPartition& topic_partition) const;
    // A new log goes to `directory_id` when that is one of ours and online; else to the directory that
    // prefer_directory() named; else to the one with the fewest logs, future ones included, that is not cordoned.
    // Errors: inconsistent_topic_id; kafka_storage_error, also when `directory_id` may be that of a directory that is
    //         offline: the log's records would be in there.
    Result<std::shared_ptr<Log>> get_or_create(io::MayBlock, const TopicPartition& topic_partition,
                                               const Uuid& topic_id, std::shared_ptr<const config::LogConfig> config,
                                               std::optional<Uuid> directory_id = {});
    // Chooses now where get_or_create() will put a log. Gives: the disk that making it waits for. Does not wait.
    // Errors: kafka_storage_error, as get_or_create().
    Result<Disk*> place(const TopicPartition& topic_partition, std::optional<Uuid> directory_id = {});
    // The folder is renamed at once and removed in the background. No error when there is none.
    Result<void> delete_log(io::MayBlock, const TopicPartition& topic_partition);
    Result<void> mark_stray(io::MayBlock, const TopicPartition& topic_partition);
    void update_config(const std::string& topic, std::shared_ptr<const config::LogConfig> config);

    std::vector<std::shared_ptr<Log>> all_logs() const;
    std::size_t log_count() const;
    std::vector<LogDirInfo> log_dirs() const;
    // Which directory holds the log. nullopt: no such log.
    std::optional<Uuid> directory_id_of(const TopicPartition& topic_partition) const;
    std::vector<std::shared_ptr<Log>> logs_in(const std::string& log_dir) const;
    const std::string& cluster_id() const;

    // cordoned.log.dirs (KIP-1066): paths that get no new log. "*" is all of them. Threads: any.
    void set_cordoned(std::vector<std::string> log_dirs);
    bool is_cordoned(const std::string& log_dir) const;

    // --- logs on their way to another directory (KIP-113); LogMover copies them
    // What stands in `<topic>-<n>.<id>-future` of another directory until it is caught up. Null: nothing is moving.
    std::shared_ptr<Log> future_of(const TopicPartition& topic_partition) const;
    std::optional<Uuid> future_directory_id_of(const TopicPartition& topic_partition) const;
    std::vector<std::shared_ptr<Log>> futures_in(const std::string& log_dir) const;
    std::vector<TopicPartition> moving() const;
    // A new, empty one. Errors: replica_not_available without the log; kafka_storage_error, also while any directory is
    // offline: there may be one of the same log in it.
    Result<void> create_future(io::MayBlock, const TopicPartition& topic_partition, const std::string& log_dir);
    Result<void> drop_future(io::MayBlock, const TopicPartition& topic_partition);
    // As Log::move_to(); the old folder is removed in the background, and both directories' checkpoints are written.
    Result<void> replace_by_future(io::MayBlock, const TopicPartition& topic_partition,
                                   const std::function<Result<void>()>& catch_up);
    // A log that comes into being later goes there.
    void prefer_directory(const TopicPartition& topic_partition, const std::string& log_dir);

    // Called once for each directory that goes offline, under locks of logs: pass it on. Set before load_logs().
    void on_offline(std::function<void(const LogDirInfo&)> told);
    // Takes the logs of an offline directory out of service and gives its lock back. Gives: what was in it.
    std::vector<TopicPartition> retire_offline_directory(const std::string& log_dir);
    void set_offline(const std::string& log_dir, const Error& why);
    bool has_offline_directory() const;

    // The broker epoch stood in the clean shutdown file of every directory at start, or -1 (KIP-966).
    std::int64_t previous_broker_epoch() const;

    // Everything periodic whose time has come: retention, flush.ms, checkpoints, closing idle files, expiry of
    // producers. Call it every second or so.
    void run_once(io::MayBlock, TimestampMs now);
    // The same, each directory on its own disk's threads: a slow disk holds up the work of no other. A directory that
    // is still at it is left out.
    void run_soon(TimestampMs now);
    // log.segment.delete.delay.ms: as in Kafka a deleted log waits so long, whatever its topic's file.delete.delay.ms,
    // which is that of single segments. Holds for those that wait already. Threads: any.
    void set_delete_delay(std::int64_t ms);
    // A bounded part of the files whose file.delete.delay.ms is over. Twice a second, from a thread of its own, so that
    // freeing a large file holds up nothing else. Gives: how many are gone.
    std::size_t remove_deleted_files(io::MayBlock, TimestampMs now);
    // High watermarks are given to partitions before they exist again: as checkpointed at load.
    std::optional<Offset> checkpointed_high_watermark(const TopicPartition& topic_partition) const;
    void checkpoint_all(io::MayBlock);
    // Of one directory. After DeleteRecords, so that a crash does not bring back what was deleted. (Kafka leaves that
    // to the next period.)
    void checkpoint_log_start_offsets(io::MayBlock, const Disk& disk);
    void checkpoint_recovery_points(io::MayBlock, const std::string& log_dir);
    // Below which offset compacted logs are clean; kept right when logs are deleted or truncated.
    CleanerCheckpoints& cleaner_checkpoints();

    // Flushes and closes all logs, writes checkpoints and, where nothing failed, .kafka_cleanshutdown; unlocks.
    void stop(io::MayBlock, std::int64_t broker_epoch);

private:
    struct Impl;
    explicit LogManager(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace odr::storage
