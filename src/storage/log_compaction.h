#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/siphash.h"
#include "storage/batch_filter.h"
#include "storage/cleaning_scan.h"
#include "storage/log.h"

namespace odr::storage {

struct LogSegment;

// A compacted log and what of it may be cleaned. Kafka: LogToClean, LogCleanerManager.cleanableOffsets.
struct LogToClean {
    std::shared_ptr<Log> log;
    Offset first_dirty{0};        // below it the log is clean
    Offset first_uncleanable{0};  // the base offset of a segment, or of the active one
    // All below it must be durable before anything is cleaned: not only the records, also the markers that decided
    // about transactions among them. A power loss that took a marker would undo what made older records obsolete.
    Offset durable_to{0};
    bool resets_checkpoint = false;     // what the checkpoint said cannot be: first_dirty is to be written
    std::int64_t delay_ms = 0;          // for how long max.compaction.lag.ms has been exceeded
    std::uint64_t clean_bytes = 0;      // of segments that start below first_dirty
    std::uint64_t cleanable_bytes = 0;  // of those from there to first_uncleanable

    double dirty_ratio() const {
        const auto total = static_cast<double>(clean_bytes + cleanable_bytes);
        return total > 0 ? static_cast<double>(cleanable_bytes) / total : 0;
    }
    bool is_due(const config::LogConfig& config) const {
        if (cleanable_bytes == 0) return false;
        return delay_ms > 0 || dirty_ratio() > config.min_cleanable_dirty_ratio;
    }
};

// What one cleaning did. Kafka: CleanerStats.
struct CleaningFigures {
    std::uint64_t map_bytes_read = 0, map_records_read = 0, map_entries = 0;
    std::uint64_t bytes_read = 0, bytes_written = 0;
    std::uint64_t records_read = 0, records_kept = 0, records_without_key = 0;
    double map_utilization = 0;
    std::int64_t map_ms = 0, total_ms = 0;
};

// Cleans one log: learns the latest offset of each key of the dirty part, then writes the segments anew without what is
// obsolete, group by group, and exchanges each group for its cleaned segment when that is durable.
//
// Owner:   one thread of the cleaner, or a test. Threads: one.
// Locks:   none of the log's is held while it reads and writes.
// Kafka:   Cleaner.
class LogCompaction {
public:
    // What a cleaning may use.
    struct Means {
        io::FileSystem* files = nullptr;
        const Clock* clock = nullptr;
        Hash128 hash_key{};  // drawn anew for each cleaning
        std::size_t map_bytes_max = std::size_t{128} << 20;
        double map_load_factor = 0.9;
        std::size_t io_bytes = std::size_t{256} << 10;  // of one read or write
        // Asked before each read and write of so many bytes: waits as the throttle says, ends the cleaning with
        // kCleaningAborted. May be empty.
        std::function<Result<void>(std::size_t bytes)> pace;
    };

    // How much of a log can be cleaned. `last_clean`: as checkpointed. Errors: kafka_storage_error.
    static Result<LogToClean> assess(io::MayBlock, std::shared_ptr<Log> log, std::optional<Offset> last_clean,
                                     TimestampMs now);

    LogCompaction(io::MayBlock may_block, const LogToClean& target, const Means& means);
    ~LogCompaction();
    LogCompaction(const LogCompaction&) = delete;
    LogCompaction& operator=(const LogCompaction&) = delete;

    // Needs:  Log::flush() up to durable_to, or the cleaning is aborted.
    // Gives:  the offset below which the log is clean now.
    // Errors: kCleaningAborted when the log was truncated, closed or deleted meanwhile or `pace` said so;
    //         kafka_storage_error for the disk; anything else: the log has damage, see place_of_damage(). In each case
    //         every group is either as it was or wholly exchanged.
    Result<Offset> run();
    const CleaningFigures& figures() const { return figures_; }
    // Whether the log was neither truncated nor closed since run() began.
    bool is_unchanged() { return check().has_value(); }
    // The file and the offset where run() met what it could not read.
    const std::string& place_of_damage() const { return place_; }

private:
    using SegmentPtr = std::shared_ptr<LogSegment>;
    struct Output;

    Log::Impl& log() { return *target_.log->impl_; }
    Result<void> check();
    Result<void> pace(std::size_t bytes);
    Result<void> learn_latest();
    Result<bool> learn_segment(const SegmentPtr& segment, Offset next_start, CleanedTransactions& transactions);
    Result<bool> learn_batch(const record::RecordBatchView& batch, CleanedTransactions& transactions);
    Result<std::vector<std::vector<SegmentPtr>>> group();
    Result<std::uint64_t> index_bytes(const SegmentPtr& segment, int kind);
    Result<void> clean_group(const std::vector<SegmentPtr>& segments, CleanedTransactions& transactions);
    Result<void> write_group(const std::vector<SegmentPtr>& segments, CleanedTransactions& transactions, Output& out);
    Result<void> open(Output& out);
    Result<void> diverge(Output& out, const io::File& source, io::FilePos position);
    // `behind`: where the next segment starts.
    Result<void> clean_segment(const SegmentPtr& segment, Offset behind, BatchFilter& filter, Output& out);
    Result<void> finish(Output& out, const std::vector<SegmentPtr>& segments);
    std::unexpected<Error> damaged(const SegmentPtr& segment, const CleaningScan& scan, const Error& error);

    const io::MayBlock may_block_;
    const LogToClean target_;
    const Means& means_;
    const TimestampMs now_;
    std::uint64_t truncations_ = 0;
    std::size_t entries_max_ = 0;
    std::unique_ptr<OffsetMap> latest_;
    TimestampMs legacy_horizon_{0};
    CleaningFigures figures_;
    std::string place_;

    std::unordered_map<std::uint64_t, ColdBlocks> cold_;  // by segment id
    std::vector<std::uint8_t> read_buffer_;
    BatchRecords records_;
    std::vector<OffsetMap::Hash> hashes_;
};

// Ends a cleaning without saying that anything is wrong.
inline constexpr Error kCleaningAborted{
    .code = ErrorCode::none, .os_errno = 0, .what = "the log changed under the cleaner, or the cleaner stops"};
inline bool is_aborted(const Error& error) { return error.code == ErrorCode::none; }

}  // namespace odr::storage
