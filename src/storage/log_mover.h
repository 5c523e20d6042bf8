#pragma once

#include <atomic>
#include <functional>
#include <limits>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "storage/log_manager.h"

namespace odr::storage {

class LogCleaner;

// Copies logs into their future logs and swaps those that are caught up (KIP-113, KIP-858). What moves is what
// LogManager::moving() names, so a move that a stop interrupted goes on after the next start.
//
// The end of a move: caught up -> the controller is asked to note the new directory -> when the metadata have it,
// appends wait for the last bytes, the folders change names, and readers go on with the new files.
//
// Owner:   the server. Threads: alter() and set_rate() from any; run_once() from one, which may wait for disks.
// Units:   bytes; milliseconds of the monotonic clock.
// Kafka:   ReplicaAlterLogDirsThread, ReplicaManager.alterReplicaLogDirs.
class LogMover {
public:
    static constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max();

    // Asks the controller to note that the log is, or soon will be, in this directory. Asked again until the metadata
    // say so.
    using Propose = std::function<void(const TopicPartition&, const Uuid& topic_id, const Uuid& directory_id)>;
    // Where the metadata have the log; nullopt: nowhere yet.
    using DirectoryOf = LogManager::DirectoryOf;

    // `cleaner`: is held off a log before its move begins. Null: nothing cleans.
    LogMover(LogManager& logs, const Clock& clock, DirectoryOf directory_of, Propose propose,
             LogCleaner* cleaner = nullptr)
        : logs_{logs},
          clock_{clock},
          directory_of_{std::move(directory_of)},
          propose_{std::move(propose)},
          cleaner_{cleaner} {}

    // A wish to have the log in `log_dir`, from AlterReplicaLogDirs. The directory it is in already ends a move.
    // Errors: invalid_topic_exception (its name leaves no room for -future), log_dir_not_found, kafka_storage_error,
    //         invalid_replica_assignment (cordoned), replica_not_available: there is no such log, but when it comes it
    //         will be in `log_dir`.
    Result<void> alter(io::MayBlock, const TopicPartition& topic_partition, const std::string& log_dir);
    // replica.alter.log.dirs.io.max.bytes.per.second, of all moves together.
    void set_rate(std::int64_t bytes_per_second) { bytes_per_second_ = bytes_per_second; }

    // Copies a bounded amount. Gives: milliseconds until there is something to do again; kNothingMs when nothing moves.
    std::int64_t run_once(io::MayBlock);
    static constexpr std::int64_t kNothingMs = 60'000;

private:
    static constexpr std::size_t kChunkBytes = std::size_t{1} << 20;
    static constexpr std::int64_t kChunkBytesMin = 16 << 10;
    static constexpr std::int64_t kIdleMs = 100;          // while a move waits for the controller or for its disk
    static constexpr std::int64_t kAskAgainMs = 1'000;    // a proposal that is not in the metadata
    static constexpr std::int64_t kAfterErrorMs = 5'000;  // a disk or a record that cannot be read

    struct Move {
        std::weak_ptr<const Log> future;  // of which the rest speaks
        std::int64_t next_ask_ms = 0;
        std::int64_t not_before_ms = 0;
    };
    enum class Step { copied, caught_up, waiting };

    void refill(std::int64_t now_ms);
    Result<Step> advance(io::MayBlock, const TopicPartition& name, Move& move, std::int64_t now_ms);
    Result<Step> finish(io::MayBlock, const TopicPartition& name, Log& source, Log& future);
    struct Copied {
        std::size_t bytes = 0;
        std::int64_t records = 0;
    };
    // Gives: nothing when the future log is caught up.
    Result<Copied> copy_some(io::MayBlock, Log& source, Log& future);
    Result<void> align(io::MayBlock, Log& source, Log& future) const;
    // Whole batches, their CRCs checked, from where the future log ends. Empty: nothing is missing.
    Result<ByteView> read_batches(io::MayBlock, Log& source, const Log& future, AppendDemand& demand);

    LogManager& logs_;
    const Clock& clock_;
    const DirectoryOf directory_of_;
    const Propose propose_;
    LogCleaner* const cleaner_;
    std::atomic<std::int64_t> bytes_per_second_{kUnlimited};

    // Of run_once().
    std::unordered_map<TopicPartition, Move> moves_;
    std::vector<std::uint8_t> buffer_;
    double tokens_ = 0;  // bytes that may be copied; below 0 after a chunk that was larger
    std::int64_t refilled_ms_ = 0;
};

}  // namespace odr::storage
