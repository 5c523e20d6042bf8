#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <vector>

#include "raft/control_records.h"
#include "raft/metadata_log.h"
#include "raft/quorum_state.h"
#include "storage/log.h"

namespace odr::raft {

// Locks, in this order: commit_mutex is held for moments only; append_mutex over one write; state_mutex inside both.
// Deliveries to listeners run with `committing` set and no lock held.
struct MetadataLog::Impl {
    struct Batch {
        Offset base_offset{0};
        Offset last_offset{0};
        std::vector<std::uint8_t> bytes;
    };

    Impl(io::FileSystem& file_system, const Clock& the_clock, MetadataLogOptions the_options)
        : files{file_system}, clock{the_clock}, options{std::move(the_options)} {
        log_directory = options.directory + "/__cluster_metadata-0";
    }

    io::FileSystem& files;
    const Clock& clock;
    const MetadataLogOptions options;
    std::string log_directory;
    std::shared_ptr<storage::Log> log;
    std::vector<MetadataLogListener*> listeners;

    mutable std::mutex state_mutex;
    QuorumRecords quorum;
    LeaderEpoch epoch{0};
    bool is_leader = false;
    TimestampMs became_leader_at{-1};
    std::map<OffsetAndEpoch, std::uint64_t> snapshots;  // frozen ones, with their sizes

    std::mutex append_mutex;
    std::deque<Batch> uncommitted;  // written, not yet told

    mutable std::mutex commit_mutex;
    std::condition_variable committed;
    bool committing = false;
    std::optional<Error> failure;  // of the disk or a listener: final
    std::atomic<std::int64_t> high_watermark{0};

    // --- at start (metadata_log_open.cc)
    Result<void> open(io::MayBlock);
    Result<void> find_snapshots(io::MayBlock);
    Result<void> drop_broken_snapshots(io::MayBlock);
    Result<void> check_nothing_confirmed_is_lost();
    Result<void> open_log(io::MayBlock);
    Result<void> read_quorum(io::MayBlock);
    Result<void> check_voters() const;

    // visit(RecordBatchView) -> Result<void>, for each batch of [from, end).
    template <class Visit>
    Result<void> for_each_batch(io::MayBlock, Offset from, Visit&& visit) const;
    std::string snapshot_path(OffsetAndEpoch id) const { return log_directory + "/" + snapshot_file_name(id); }
    std::optional<OffsetAndEpoch> newest_snapshot() const;

    // --- running
    Result<Offset> append_batch(io::MayBlock, std::vector<std::uint8_t> bytes);
    Result<void> flush_and_deliver(io::MayBlock);
    Result<void> deliver(io::MayBlock, ByteView batch, std::span<MetadataLogListener* const> to) const;
    std::vector<std::uint8_t> start_of_epoch_batch(TimestampMs now);
    Result<void> fail_for_good(const Error& error);
};

// What a control batch says of the quorum.
Result<void> read_quorum_records(const record::RecordBatchView& batch, QuorumRecords& into);

template <class Visit>
Result<void> MetadataLog::Impl::for_each_batch(io::MayBlock may_block, Offset from, Visit&& visit) const {
    constexpr std::size_t kReadBytes = std::size_t{1} << 20;
    std::vector<std::uint8_t> bytes;
    const Offset end = log->log_end_offset();
    while (from < end) {
        ODR_TRY(plan, log->read(may_block,
                                {.from = from, .bytes_max = kReadBytes, .upper_bound = end, .min_one_message = true}));
        bytes.resize(plan.slice.length);
        if (plan.slice.empty())
            return fail(ErrorCode::kafka_storage_error, "metadata log: nothing to read before its end");
        ODR_TRY(got, plan.slice.file->read_at(bytes, plan.slice.position));
        record::BatchIterator batches{ByteView{bytes}.first(got)};
        const Offset started_at = from;
        for (;;) {
            ODR_TRY(batch, batches.next());
            if (!batch) break;
            if (batch->next_offset() <= from) continue;  // a read may start with the batch before
            ODR_CHECK(visit(*batch));
            from = batch->next_offset();
        }
        if (from == started_at) return fail(ErrorCode::corrupt_message, "metadata log: a batch cannot be read whole");
    }
    return {};
}

}  // namespace odr::raft
