#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "storage/log_compaction.h"
#include "storage/log_manager.h"

namespace odr::storage {

// The settings log.cleaner.*; all but `enable` may change while it runs. Kafka: CleanerConfig.
struct LogCleanerConfig {
    bool enable = true;
    std::int32_t threads = 1;
    std::int64_t dedupe_buffer_size = 134'217'728;  // of all threads together
    double dedupe_buffer_load_factor = 0.9;
    std::int32_t io_buffer_size = 524'288;  // of all threads together
    double io_max_bytes_per_second = 1.7976931348623157e308;
    std::int64_t backoff_ms = 15'000;
    friend bool operator==(const LogCleanerConfig&, const LogCleanerConfig&) = default;
};

// What a JMX bean of Kafka's cleaner shows, and its log line. Kafka: LogCleaner.MetricNames, LogCleanerManager.
struct LogCleanerFigures {
    std::int32_t cleaner_recopy_percent = 0;          // of the last cleaning of each thread, written over read
    std::int32_t max_buffer_utilization_percent = 0;  // of the last cleaning of each thread, the largest
    std::int32_t max_clean_time_secs = 0;
    std::int32_t max_compaction_delay_secs = 0;
    std::int32_t max_dirty_percent = 0;
    std::int64_t time_since_last_run_ms = 0;
    std::int32_t dead_thread_count = 0;  // never another: what a thread meets ends one cleaning, not the thread
    std::uint64_t cleanings = 0;
    std::uint64_t bytes_read = 0, bytes_written = 0;
    struct Directory {
        std::int32_t uncleanable_partitions = 0;
        std::uint64_t uncleanable_bytes = 0;
    };
    std::map<std::string, Directory> directories;  // by path
};

// Cleans compacted logs, the dirtiest first, on threads of its own; and deletes from them what retention and
// DeleteRecords allow, so that the two never meet on one log. A log that moves to another directory is left alone until
// the move is over or given up: the copy would keep records whose tombstones the cleaner took meanwhile.
//
// Owner:   the server. Started after the logs are loaded, stopped before LogManager::stop().
// Threads: any. Without start() nothing runs, and a test drives it with clean_once().
// Errors:  a log that has damage is named in the log, once, with file and position, and left alone until the next
// start;
//          a disk that fails takes its directory offline; a full one ends the cleaning until the next turn.
// Memory:  that of the offset map and two buffers, while it cleans; nothing when it is idle.
// Kafka:   LogCleaner, LogCleanerManager.
class LogCleaner {
public:
    LogCleaner(LogManager& logs, io::FileSystem& files, const Clock& clock, Random& random, LogCleanerConfig config);
    ~LogCleaner();
    LogCleaner(const LogCleaner&) = delete;
    LogCleaner& operator=(const LogCleaner&) = delete;

    void start();
    // Ends what is under way; returns when the threads have.
    void stop();
    // Takes effect with the next cleaning, the throttle at once. Does not wait for a cleaning.
    void reconfigure(const LogCleanerConfig& config);

    // One turn of a thread: the dirtiest log that is due, then deletion in all compacted logs. Gives: whether a log was
    // cleaned.
    bool clean_once(io::MayBlock may_block) { return turn(may_block, false); }

    // No cleaning of this log from here to as many resume(): one under way is ended, and waited for. A move between
    // directories does so until its future log exists, from which on the cleaner keeps away by itself.
    void pause(const TopicPartition& log);
    void resume(const TopicPartition& log);

    LogCleanerFigures figures(io::MayBlock) const;
    bool is_uncleanable(const TopicPartition& log) const;

private:
    struct Busy {
        bool in_progress = false;
        int pauses = 0;
    };
    struct LastCleaning {
        CleaningFigures figures;
        std::int64_t delay_ms = 0;
    };
    using Lock = std::unique_lock<std::mutex>;

    void run_thread(std::int32_t index);
    void start_missing_threads();  // under threads_mutex_
    bool turn(io::MayBlock, bool waits);
    // Neither taken nor paused nor damaged nor moving.
    std::vector<std::shared_ptr<Log>> compacted_logs() const;
    std::optional<LogToClean> grab_dirtiest(io::MayBlock, std::int64_t& delay_max_ms);
    bool take(const Log& log);
    void let_go(const Log& log);
    void clean(io::MayBlock, const LogToClean& target, std::int64_t delay_max_ms, bool waits);
    void give_up(const std::shared_ptr<Log>& log, const Error& error, const std::string& place);
    void delete_old(io::MayBlock);
    Result<void> pace(const TopicPartition& log, std::size_t bytes, bool waits);
    void forget_deleted();

    LogManager& logs_;
    io::FileSystem& files_;
    const Clock& clock_;
    Random& random_;

    mutable std::mutex mutex_;  // short: what follows
    std::condition_variable changed_;
    LogCleanerConfig config_;
    bool is_stopping_ = false;
    std::unordered_map<TopicPartition, Busy> busy_;
    std::unordered_map<TopicPartition, std::weak_ptr<Log>> uncleanable_;
    std::map<std::thread::id, LastCleaning> last_;
    std::int64_t paced_until_ns_ = 0;  // when what was read and written so far is within the throttle
    double dirtiest_ratio_ = 0;
    TimestampMs last_run_;
    std::uint64_t cleanings_ = 0, bytes_read_ = 0, bytes_written_ = 0;

    std::mutex threads_mutex_;  // start, stop, reconfigure
    std::map<std::int32_t, std::thread> threads_;
    bool is_started_ = false;
};

}  // namespace odr::storage
