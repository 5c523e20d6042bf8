#pragma once

#include <array>
#include <set>

#include "storage/batch_walker.h"
#include "storage/config_cell.h"
#include "storage/disk.h"
#include "storage/leader_epoch_cache.h"
#include "storage/log.h"
#include "storage/log_listener.h"
#include "storage/log_segment.h"
#include "storage/open_files.h"
#include "storage/producer_state_manager.h"

namespace odr::storage {

// Where the latest batches of the active segment start, so that reads at the end of the log ask no disk.
// Threads: under the log's state lock.
class BatchTail {
public:
    static constexpr std::size_t kCapacity = 64;
    struct Batch {
        Offset base_offset;
        std::uint32_t position;
        std::uint32_t size;
    };

    void clear() { batches_.reset(), count_ = 0; }
    void push(const Batch& batch);
    bool covers(Offset offset) const { return count_ != 0 && offset >= oldest(0).base_offset; }
    // The last batch whose base offset is at or below `offset`. Needs: covers(offset).
    const Batch& batch_at(Offset offset) const;

private:
    const Batch& oldest(std::size_t n) const { return (*batches_)[(next_ + kCapacity - count_ + n) % kCapacity]; }
    std::unique_ptr<std::array<Batch, kCapacity>> batches_;  // none while the log is idle
    std::size_t next_ = 0;
    std::size_t count_ = 0;
};

// The inside of a log, seen by the files log*.cc only.
struct Log::Impl {
    using SegmentPtr = std::shared_ptr<LogSegment>;

    Log* log = nullptr;  // that this is the inside of
    LogEnvironment environment;
    LogOpenOptions options;  // directory is under the state lock: deletion renames it
    ConfigCell config;

    // Locks, in the order in which they may be taken.
    std::mutex flush_mutex;        // one flush at a time
    std::mutex maintenance_mutex;  // whoever changes files or the list of segments, and may wait for the disk
    std::mutex append_mutex;
    mutable std::mutex state_mutex;

    // Under the append lock.
    bool frozen = false;             // maintenance is at work on the active segment: no append
    ProducerStateManager producers;  // its transactions: under the state lock

    // Under the state lock.
    std::vector<SegmentPtr> segments;  // by base offset, never empty; the last one is active
    BatchTail tail;
    LeaderEpochCache epochs;
    Uuid topic_id{};
    std::set<Offset> snapshots;  // producer snapshots on disk
    std::uint64_t truncations = 0;
    bool folder_is_dirty = false;  // names were made that are not durable yet
    LogListener* listener = nullptr;

    std::atomic<std::int64_t> log_start_offset{0};
    std::atomic<std::int64_t> log_end_offset{0};
    std::atomic<std::int64_t> recovery_point{0};
    std::atomic<std::int64_t> high_watermark{0};
    std::atomic<std::int64_t> first_unstable_offset{-1};  // -1: none
    std::atomic<std::int64_t> unflushed_since_ms{0};
    std::atomic<std::int64_t> last_used_ms{0};
    std::atomic<Disk*> disk{nullptr};
    mutable LiveLogs::Membership membership;
    std::atomic<bool> may_have_aborted{false};
    mutable std::atomic<bool> wrong_index_found{false};  // some segment's indexes_are_wrong
    bool topic_id_is_unsynced = false;                   // under the flush lock: partition.metadata is new
    bool epochs_are_beside = false;                      // under the flush lock: in a file that waits for its name
    std::atomic<bool> offline{false};
    bool writes_fail = false;  // under the append lock: the last write failed and was taken back
    std::atomic<bool> closed{false};
    std::atomic<bool> is_moving{false};  // move_to() holds the maintenance lock, and appends to another log under it

    std::string path_of(std::string_view file_name) const;  // state lock, or before the log is shared
    std::string path_of(const LogSegment& segment, std::string_view suffix) const {
        const std::string name = segment_file_name(segment.base_offset, suffix);
        return segment.left_in ? *segment.left_in + "/" + name : path_of(name);
    }
    const SegmentPtr& active() const { return segments.back(); }
    Offset end() const { return Offset{log_end_offset.load(std::memory_order_acquire)}; }
    // Index of the segment that holds `offset`. Needs: the state lock.
    std::size_t segment_index_for(Offset offset) const;

    // The first failure that could not be undone: no append, no flush any more.
    std::unexpected<Error> go_offline(const Error& error);
    void report_disk_failure(const Error& error);
    // Of the directory that the log is in; null without a manager.
    LiveLogs* live_logs() const {
        Disk* const at = disk.load(std::memory_order_acquire);
        return at == nullptr ? nullptr : &at->live_logs();
    }
    // Something changed that periodic work looks after. Cheap when it was said before.
    void note_change() const {
        if (membership.is_changed.load(std::memory_order_relaxed) || log == nullptr) return;
        if (LiveLogs* const live = live_logs()) live->add_changed(*log, membership);
    }
    Result<void> sync_topic_id(io::MayBlock);  // under the flush lock

    // --- log_read.cc
    Result<ReadPlan> plan(const ReadRequest& request, Access access) const;
    // The file of a segment, opened when it must be. Errors: kNeedsDisk, kafka_storage_error.
    Result<std::shared_ptr<io::File>> file_of(const SegmentPtr& segment, SegmentFileKind kind, Access access) const;
    // Where to start walking to find `offset`.
    Result<io::FilePos> index_position(const SegmentPtr& segment, Offset offset, Access access) const;
    struct Found {
        io::FilePos position;
        std::uint64_t size;
        Offset base_offset;
    };
    struct PlanState {
        SegmentPtr segment;
        std::uint64_t end_position = 0;  // of the segment, as far as this read may go
        bool bounded = false;            // the upper bound lies within the segment and is not in end_position yet
        std::optional<Found> first;      // the batch to start with
        std::shared_ptr<io::File> file;  // known already at the end of the log
    };
    Result<bool> begin_plan(const ReadRequest& request, PlanState& at, ReadPlan& out) const;
    bool next_segment(const ReadRequest& request, PlanState& at, ReadPlan& out) const;
    // The first batch whose last offset is at or above `offset`. nullopt: none in the first `end` bytes.
    Result<std::optional<Found>> find_batch(const SegmentPtr& segment, Offset offset, io::FilePos end,
                                            Access access) const;
    void note_wrong_index(const SegmentPtr& segment) const;
    Result<TimestampOffset> newest_behind(const SegmentPtr& segment, const std::optional<TimeIndexEntry>& last) const;
    Result<bool> has_timestamp(const SegmentPtr& segment, const TimestampOffset& said) const;
    Result<std::uint32_t> index_count(const SegmentPtr& segment, SegmentFileKind kind, Access access) const;
    Result<std::vector<TxnIndexEntry>> aborted_of(const SegmentPtr& segment) const;
    Result<void> learn_max_timestamp(const SegmentPtr& segment) const;

    // --- log_append.cc
    void publish(const SegmentPtr& segment, std::span<const record::RecordBatchView> batches,
                 std::span<const CompletedTransaction> ended, std::span<const std::pair<ProducerId, Offset>> begun);
    Result<void> write_batches(const SegmentPtr& segment, std::span<const ByteView> pieces, std::size_t bytes);
    void write_back_new_pages(LogSegment& segment, std::uint64_t end);
    void refresh_first_unstable();  // state lock
    // Needs: the state lock, and the change made.
    void tell_listener() {
        if (listener != nullptr) listener->on_log_change();
    }
    bool flush_due_after_append(Offset end) const;
    void note_append(Offset start, TimestampMs now);

    // --- log_maintenance.cc; the maintenance lock is held by the caller
    void freeze();
    void thaw();
    struct TailWalk {
        io::FilePos indexed = 0;   // where the walk began
        io::FilePos position = 0;  // behind the last batch
        Offset end;
        TimestampOffset newest = {};
        BatchTail batches = {};
    };
    Result<void> prepare(io::MayBlock, const AppendDemand& demand, TimestampMs now);
    Result<void> open_active(io::MayBlock, TimestampMs now);
    Result<void> close_active(io::MayBlock, const SegmentPtr& active);
    Result<void> leave_damaged(io::MayBlock, const SegmentPtr& segment, const TailWalk& walked, TimestampMs now);
    Result<void> roll_to_new_segment(io::MayBlock, Offset base_offset, TimestampMs now);
    // Makes the empty files of a segment, and gives its .log.
    Result<std::shared_ptr<io::File>> create_files(const LogSegment& segment);
    Result<void> write_index_blocks(const SegmentPtr& segment, bool sync, io::MayBlock);
    Result<void> write_epochs(io::MayBlock);
    Result<void> write_snapshot(Offset offset);
    Result<void> sync_segment(io::MayBlock, const SegmentPtr& segment, bool sealed);
    void remove_files(const LogSegment& segment);
    void remove_snapshots_above(Offset offset);
    // Before older segments go: nothing but this snapshot will know what producers wrote there.
    Result<void> sync_first_snapshot(io::MayBlock);
    Result<void> mend_snapshot(Offset offset);
    Result<void> write_snapshot_file(Offset offset, std::string_view bytes);
    Result<void> sync_snapshot(io::MayBlock, Offset offset);

    // --- log_close.cc
    Result<void> leave_snapshot(io::MayBlock, bool sync);  // at a clean stop
    Result<void> write_epochs_beside();                    // under the flush lock
    void let_go_of_files();

    // --- log_retention.cc; the same
    // How many of the oldest segments retention takes now.
    std::size_t deletable_segments(TimestampMs now);
    bool is_breached(const SegmentPtr& segment, TimestampMs now, const config::LogConfig& settings);
    void delete_files_later(const SegmentPtr& segment, TimestampMs now);

    // --- log_swap.cc
    // Everything of `future` that its files need before they change their name. Needs: both logs at rest.
    Result<void> settle_files(io::MayBlock, Log& future);

    // --- log_cleaning.cc
    // Segments that overlap [from, to). State lock. Kafka: LogSegments.values.
    std::vector<SegmentPtr> segments_between(Offset from, Offset to) const;
    // Aborted transactions that overlap [from, upper_bound), as their entries stand in the .txnindex files.
    Result<std::vector<TxnIndexEntry>> collect_aborted(Offset from, Offset upper_bound) const;
    // Puts `cleaned`, whose files are named *.cleaned and durable, in the place of `old`, in order. Takes the flush and
    // the maintenance lock itself; appends and readers wait for the exchange of the pointers alone.
    // Gives:  false when the log changed too much since: `old` is not in it any more, or it was truncated or closed.
    // Errors: kafka_storage_error: the log is offline then, and its next start finishes or undoes the exchange.
    Result<bool> replace_segments(io::MayBlock, const SegmentPtr& cleaned, const std::vector<SegmentPtr>& old,
                                  std::uint64_t truncations_seen, TimestampMs now);
    Result<void> supersede(const std::vector<SegmentPtr>& old);
    Result<std::vector<std::string>> rename_for_exchange(const LogSegment& cleaned, const std::vector<SegmentPtr>& old);
    bool has_in_a_row(const std::vector<SegmentPtr>& old) const;  // state lock
    // Needs: no append since. `recovery_point_before`: as it was before the truncation to `offset`.
    Result<void> tell_of_truncation(io::MayBlock, Offset offset, Offset recovery_point_before);

    // --- log_truncate.cc; the same
    Result<void> cut_segment(io::MayBlock, const SegmentPtr& segment, Offset offset);
    Result<void> start_empty_at(Offset offset, Offset log_start);

    // --- log_recovery.cc; the same, or before the log is shared
    // Brings producers to `up_to`: the latest snapshot at or below, then the batches behind it.
    Result<void> rebuild_producers(io::MayBlock, Offset up_to);
    // The latest sound snapshot at or below `limit`; later and damaged ones are removed. Gives: where replay goes on.
    Result<Offset> load_snapshot(Offset limit);
    Result<void> replay_producers(Offset from, Offset up_to);
    Result<void> replay_segment(const SegmentPtr& segment, Offset from, Offset up_to, const SegmentPtr& aborted = {});
    // A batch already in the log; `segment`, where given, learns of aborted transactions.
    Result<void> note_recovered(const SegmentPtr& segment, const record::RecordBatchView& batch);

    struct RecoverFrom {
        Offset trusted_below;      // the disk has confirmed what is below: every CRC is checked from here on
        Offset producers_from;     // what is below, the producers know of
        Offset transactions_from;  // what was aborted below is in the .txnindex
    };
    struct Recovered {
        io::FilePos position;  // behind the last sound batch
        Offset end;
        std::uint64_t bytes_cut = 0;
        std::string_view fault = {};
        std::optional<Offset> overflow = {};  // a batch too far from the segment's base
        bool is_damage = false;               // what was cut had been durable
    };
    // Cuts a segment at its first broken batch; producers and epochs learn what it holds. The indexes of a small one
    // are left doubtful, so that most logs start with one read; those of a large one are made right.
    Result<Recovered> recover_segment(io::MayBlock, const SegmentPtr& segment, const RecoverFrom& from);
    Result<void> cut_broken(io::MayBlock, const SegmentPtr& segment, Offset trusted_below, Recovered& walked);
    // The bytes of a file from `position` on, in a file of their own, synced.
    Result<void> copy_tail(io::MayBlock, const io::File& from, io::FilePos position, io::FilePos end,
                           const std::string& path);
    Result<Recovered> walk_segment(const SegmentPtr& segment, const io::File& file, io::FilePos at,
                                   const RecoverFrom& from);
    Result<io::FilePos> trusted_start(io::MayBlock, const SegmentPtr& segment, Offset trusted_below,
                                      const io::File& file);
    // Kafka: LogSegmentOverflowException and LogLoader.splitOverflowedSegment.
    Result<void> split_overflow(io::MayBlock, const SegmentPtr& segment, Offset base, io::FilePos position);
    Result<bool> keep_txn_index(io::MayBlock, const SegmentPtr& segment, Offset trusted_below);
    Result<void> rebuild_txn_index(const SegmentPtr& segment, Offset end);
    Result<void> write_recovered_indexes(const SegmentPtr& segment);
    // Offset and time index made anew from the batches.
    Result<void> rebuild_indexes(io::MayBlock, const SegmentPtr& segment, bool sync);
    Result<void> mend_wrong_indexes(io::MayBlock);
    Result<void> learn_indexes(io::MayBlock, const SegmentPtr& segment);
    Result<TailWalk> walk_tail(const SegmentPtr& segment, const io::File& file) const;
    Result<Offset> find_end_offset(io::MayBlock, const SegmentPtr& segment);

    bool should_roll(const AppendDemand& demand, TimestampMs now) const;  // state lock
};

// No append between here and the end of the scope.
class Frozen {
public:
    explicit Frozen(Log::Impl& log) : log_{log} { log_.freeze(); }
    ~Frozen() { log_.thaw(); }
    Frozen(const Frozen&) = delete;
    Frozen& operator=(const Frozen&) = delete;

private:
    Log::Impl& log_;
};

}  // namespace odr::storage
