#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/config/log_config.h"
#include "base/random.h"
#include "base/uuid.h"
#include "storage/append_types.h"
#include "storage/live_logs.h"
#include "storage/read_types.h"
#include "storage/topic_partition.h"

namespace odr::storage {

class Disk;
class LogListener;
class OpenFiles;

// One partition's log on this broker: segments, indexes, producer state, leader epochs.
//
// Owner:   LogManager, and raft for __cluster_metadata-0; shared with partitions and readers.
// Threads: any. Three locks, taken in this order: maintenance (inside functions with MayBlock, for long), append (its
//          token proves it; held over one write), state (inside, never held over a system call). Readers take only the
//          last, so a write or an fsync never delays them.
// Units:   offsets count records, sizes bytes, times milliseconds.
// Errors:  kafka_storage_error for the disk. After one that could not be undone the log is offline: see is_offline().
// Kafka:   UnifiedLog, LocalLog.
class Log : public std::enable_shared_from_this<Log> {
public:
    ~Log();
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;

    // --- identity --------------------------------------------------------------------------------------------------
    const TopicPartition& topic_partition() const;
    Uuid topic_id() const;          // zero until known
    std::string directory() const;  // its folder, with the log directory before it
    std::string parent_directory() const;
    const config::LogConfig* config() const;  // never null; good as long as the log lives
    void update_config(std::shared_ptr<const config::LogConfig> config);
    // Writes partition.metadata when it is missing. Errors: inconsistent_topic_id when the log has another id.
    Result<void> assign_topic_id(io::MayBlock, const Uuid& topic_id);

    // --- offsets: atomic reads, any thread -------------------------------------------------------------------------
    Offset log_start_offset() const;
    Offset local_log_start_offset() const;  // base offset of the first segment, or the log start if that is higher
    Offset first_segment_offset() const;
    Offset active_segment_offset() const;  // base offset of the segment appended to
    Offset log_end_offset() const;
    Offset recovery_point() const;  // everything below is durable
    Offset high_watermark() const;
    // Below it every transaction has ended; never above the high watermark.
    Offset last_stable_offset() const;
    std::uint64_t size_in_bytes() const;
    std::size_t segment_count() const;
    bool is_offline() const;
    // Of the directory that it is in; another one after a move. Null for a log without a manager.
    Disk* disk() const;
    CheckpointedOffsets checkpointed_offsets() const;

    // Clamped to log_start_offset() and log_end_offset(). May go back, after truncation.
    void set_high_watermark(Offset offset);

    // --- append: the hot path --------------------------------------------------------------------------------------
    AppendLock lock_for_append();
    std::optional<AppendLock> try_lock_for_append();

    // Whether append() of this much would run without waiting for a disk: the active segment is open and not due to
    // roll. Otherwise prepare_append() with the same demand on the blocking pool, with the lock released, then ask
    // again.
    bool ready_to_append(const AppendLock&, const AppendDemand& demand, TimestampMs now) const;
    // Opens or rolls the active segment. While it works, ready_to_append() is false for everybody.
    Result<void> prepare_append(io::MayBlock, const AppendDemand& demand, TimestampMs now);

    // Appends as leader, all batches with one write. Each is checked against its producer's state, then given its
    // offset, leader epoch and, with LogAppendTime, its time.
    // Needs:  ready_to_append() under the same lock for the same batches; validated batches of magic 2.
    // Gives:  a result in each batch. Readers see what was written at once; durable only after flush().
    // Errors: per batch: out_of_order_sequence_number, invalid_producer_epoch, invalid_txn_state,
    //         transaction_coordinator_fenced, record_list_too_large (over segment.bytes), kafka_storage_error when the
    //         write failed: then nothing of this call is in the log.
    AppendSummary append(const AppendLock&, std::span<PendingAppend> batches, LeaderEpoch epoch, TimestampMs now);

    // Appends as follower or observer: offsets and epochs are the leader's, the bytes go in as they are.
    // Needs:  ready_to_append() as above; whole batches whose CRC was checked.
    // Errors: offset_out_of_range unless the first batch starts at or after the log end and each after the one before;
    //         corrupt_message; kafka_storage_error.
    Result<AppendSummary> append_as_follower(const AppendLock&, ByteView batches, TimestampMs now);

    // --- read ------------------------------------------------------------------------------------------------------
    // Without waiting for a disk. At the end of the log, where most reads are, without any system call.
    // Gives:  nullopt when the plan needs a disk, or when the slice is not in the page cache: read() on the pool then.
    // Errors: offset_out_of_range below the log start or above the log end.
    Result<std::optional<ReadPlan>> plan_read(const ReadRequest& request) const;
    // The same with waiting; the slice is in the page cache afterwards, up to `read_ahead_bytes_max` of it.
    Result<ReadPlan> read(io::MayBlock, const ReadRequest& request,
                          std::size_t read_ahead_bytes_max = std::size_t{1} << 20) const;

    // Aborted transactions that overlap [from, upper_bound), for read_committed. Without waiting when the log knows
    // that there are none, which is nearly always: nullopt means aborted_transactions() on the pool.
    std::optional<std::vector<AbortedTransaction>> plan_aborted_transactions(Offset from, Offset upper_bound) const;
    Result<std::vector<AbortedTransaction>> aborted_transactions(io::MayBlock, Offset from, Offset upper_bound) const;

    // The first record at or after `timestamp`: its offset and time. nullopt: none.
    Result<std::optional<TimestampOffset>> offset_for_timestamp(io::MayBlock, TimestampMs timestamp) const;
    // The record with the largest timestamp (ListOffsets -3, KIP-734). nullopt: the log is empty.
    Result<std::optional<TimestampOffset>> offset_of_max_timestamp(io::MayBlock) const;
    // Earliest and latest are log_start_offset() and the caller's upper bound; their epoch:
    LeaderEpoch epoch_for_offset(Offset offset) const;

    // --- leader epochs ---------------------------------------------------------------------------------------------
    LeaderEpoch latest_epoch() const;  // kNoLeaderEpoch: none
    // The largest epoch at or below `epoch` and where it ends. Kafka: LeaderEpochFileCache.endOffsetFor.
    EpochEndOffset end_offset_for(LeaderEpoch epoch) const;
    // As a new leader: the epoch starts at the log end. Durable with the next flush or roll.
    void assign_epoch_start_offset(const AppendLock&, LeaderEpoch epoch, Offset start);

    // --- producers -------------------------------------------------------------------------------------------------
    // These take the append lock, under which a write may wait for the disk.
    std::vector<ActiveProducer> active_producers(io::MayBlock) const;
    bool has_late_transaction(io::MayBlock, TimestampMs now, std::int64_t transaction_timeout_max_ms) const;
    // Forgets producers idle for longer (producer.id.expiration.ms), but none with an open transaction.
    void remove_expired_producers(io::MayBlock, TimestampMs now, std::int64_t expiration_ms);

    // --- durability ------------------------------------------------------------------------------------------------
    // fdatasync of everything below `up_to` and not yet durable, with indexes and epochs; moves the recovery point.
    Result<void> flush(io::MayBlock, Offset up_to);
    Result<void> flush(io::MayBlock may_block) { return flush(may_block, log_end_offset()); }
    // Whether flush.ms has passed since the last flush with something to flush.
    bool flush_is_due(TimestampMs now) const;

    // --- truncation, deletion --------------------------------------------------------------------------------------
    // Takes back everything at and above `offset`. Gives: whether anything was taken.
    Result<bool> truncate_to(io::MayBlock, Offset offset);
    // Empties the log; the next offset is `offset`.
    Result<void> truncate_fully_and_start_at(io::MayBlock, Offset offset, std::optional<Offset> log_start_offset = {});
    // DeleteRecords, and followers of it. Errors: offset_out_of_range above the high watermark.
    Result<void> advance_log_start_offset(Offset offset);
    // Segments that retention by time, size and log start offset allows to delete are taken out of the log and renamed
    // to .deleted; their names are given to the deleter set by the manager. Gives: how many.
    Result<std::size_t> delete_old_segments(io::MayBlock, TimestampMs now);
    // A new, empty active segment at the log end, unless the active one is empty.
    Result<void> roll(io::MayBlock, TimestampMs now);

    // Closes what an idle log keeps open; it opens again when needed. Index entries go to their files.
    Result<void> release_idle(io::MayBlock, TimestampMs now, std::int64_t idle_ms);
    // The same at once, unless somebody is at work on the log's files. Gives: whether nothing is open any more.
    bool try_close_active(io::MayBlock);
    bool holds_active_open() const;
    TimestampMs last_used() const;  // by an append, or by opening
    LiveLogs::Membership& membership();
    // Flushes, writes the producer snapshot, closes. Appends fail afterwards.
    Result<void> close(io::MayBlock);
    // close() where the whole volume is made durable instead of file after file. Nothing may be appended after the
    // first step. Between the steps comes a sync of the volume, the second one only where a name changed:
    // name_for_close() gives whether it did. Only then is the log closed, and durable to its end; until then it is as
    // after a crash. Errors: kafka_storage_error: the log must not count as closed.
    Result<void> write_for_close(io::MayBlock);
    Result<bool> name_for_close(io::MayBlock);
    void end_close();
    // Gives the folder another name, as deletion does: no append, no flush any more; slices under way live on.
    Result<void> retire(io::MayBlock, const std::string& new_directory);

    // The files of `future`, which stands in another directory and holds the same records, become this log's, which
    // gives its own the name `retired_directory`; `future` is closed and has those. Readers see no difference. No
    // append is ready meanwhile. `catch_up` copies what `future` lacks, when nothing is appended any more. Errors:
    // offset_out_of_range when they differ after that; kafka_storage_error. The log is as it was then.
    Result<void> move_to(io::MayBlock, Log& future, const std::string& retired_directory,
                         const std::function<Result<void>()>& catch_up);
    // Whom to tell of what is not an append; one at a time, and null for nobody. Once remove_listener() has returned,
    // that listener is not called any more; it does nothing when another one took its place.
    void set_listener(LogListener* listener);
    void remove_listener(const LogListener& listener);
    // Takes the log out of service, as when its disk failed under another one: no append, no flush any more.
    void set_offline();

    struct Impl;

private:
    friend class LogLoader;
    friend class LogCompaction;
    explicit Log(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

// What a log needs of the world.
struct LogEnvironment {
    io::FileSystem* files = nullptr;
    std::shared_ptr<OpenFiles> open_files;  // for reading sealed segments; shared by all logs
    // Told of names that a deletion left: unlink `path` no sooner than `not_before`. Without one they are unlinked at
    // once.
    std::function<void(std::string path, TimestampMs not_before)> delete_later;
    // Told of a failure of the disk under `parent_directory`. Called under a log's locks: pass it on, do not call back.
    std::function<void(const std::string& parent_directory, const Error&)> on_disk_failure;
    // Told that a compacted log was cut at `offset`. Called under the log's maintenance lock: do not call back.
    std::function<void(io::MayBlock, const std::string& parent_directory, const TopicPartition&, Offset)>
        on_truncation = {};
    // The recovery point fell, and what is on the disk may still say the old one: a power loss would have unsynced
    // bytes believed. Nothing is appended before this returns. Called under the log's maintenance lock: do not call
    // back.
    std::function<Result<void>(io::MayBlock, const std::string& parent_directory)> on_recovery_point_cut = {};
};

struct LogOpenOptions {
    std::string directory;  // the log's own folder, <log dir>/<topic>-<n>; made when missing
    TopicPartition topic_partition;
    std::shared_ptr<const config::LogConfig> config;
    Offset log_start_offset{0};   // as checkpointed
    Offset recovery_point{0};     // as checkpointed
    bool clean_shutdown = false;  // .kafka_cleanshutdown was there: trust the files
    TimestampMs now{0};
    Uuid known_topic_id;   // what partition.metadata says, where it was read already
    Uuid new_topic_id;     // of a log whose folder is not there yet, where known; durable with the first flush
    Disk* disk = nullptr;  // outlives the log; null: nothing is known of the disk, so appends are never held back
    std::int64_t transaction_timeout_max_ms = 900'000;
    std::int64_t producer_id_expiration_ms = 86'400'000;
};

// Loads what is in the folder, or starts an empty log. Kafka: LogLoader.load.
Result<std::shared_ptr<Log>> open_log(io::MayBlock, const LogEnvironment& environment, LogOpenOptions options);

}  // namespace odr::storage
