#pragma once

#include <mutex>
#include <optional>
#include <span>

#include "base/result.h"
#include "base/types.h"
#include "record/record_batch.h"
#include "record/validation.h"

namespace odr::storage {

class Log;

// Proof that the caller holds the append lock of a log. Held over the assignment of offsets and the one write.
//
// Threads: one; never across a suspension point. Made by Log::lock_for_append().
class AppendLock {
public:
    AppendLock(AppendLock&&) = default;
    AppendLock& operator=(AppendLock&&) = default;

private:
    friend class Log;
    explicit AppendLock(std::unique_lock<std::mutex> held) : held_{std::move(held)} {}
    std::unique_lock<std::mutex> held_;
};

// Who appends. Kafka: AppendOrigin.
enum class AppendOrigin : std::uint8_t {
    client,       // sequences are checked, control batches refused
    coordinator,  // group and transaction coordinators; may append control batches
    raft_leader,  // the metadata log
};

// What an append answers for one batch. Kafka: LogAppendInfo.
struct AppendInfo {
    Offset base_offset = kNoOffset;
    Offset last_offset = kNoOffset;
    TimestampMs log_append_time = kNoTimestamp;  // kNoTimestamp unless message.timestamp.type=LogAppendTime
    Offset log_start_offset = kNoOffset;
    bool duplicate =
        false;  // the producer sent it before: the offsets are those of the first time, nothing was written
};

// One validated batch on its way into the log: in by `batch` and `origin`, out by `result`.
//
// Owner: the caller; the bytes live until append() returns, which writes offsets, epoch and append time into them.
struct PendingAppend {
    record::MutableRecordBatch batch;
    AppendOrigin origin = AppendOrigin::client;
    Result<AppendInfo> result = AppendInfo{};

    static PendingAppend of(record::ValidatedBatch& validated, AppendOrigin origin = AppendOrigin::client);
};

// What one call of append() did.
struct AppendSummary {
    Offset first_offset = kNoOffset;    // of the batches written; kNoOffset when none was
    Offset log_end_offset = kNoOffset;  // after
    std::size_t bytes = 0;              // written
    bool needs_flush = false;           // flush.messages or flush.ms is due: call Log::flush on the pool
};

// What an append asks of the active segment.
struct AppendDemand {
    std::size_t bytes = 0;
    std::int64_t records = 0;
    TimestampMs max_timestamp = kNoTimestamp;
    Offset first_offset = kNoOffset;  // of a follower's append, whose offsets are given; may lie behind the log end

    void add(const record::RecordBatchHeader& batch) {
        bytes += batch.size_in_bytes();
        records += std::int64_t{batch.last_offset_delta()} + 1;
        if (batch.max_timestamp() > max_timestamp) max_timestamp = batch.max_timestamp();
    }
};

}  // namespace odr::storage
