#pragma once

#include <atomic>
#include <string_view>

#include "coordinator/group_shard.h"
#include "io/may_block.h"
#include "storage/log.h"

namespace odr::coordinator {

// What came out of a log.
struct LoadedLog {
    Offset next_offset{0};      // where the log ended
    std::int64_t records = 0;   // replayed
    std::int64_t skipped = 0;   // named in the process's log
    bool is_cancelled = false;  // the state is then good for nothing
};

// Replays a partition of __consumer_offsets from start to end. A record that cannot be read, or that no part knows, is
// named with its place and left out: better a group without one offset than no group at all.
//
// Errors: kafka_storage_error, corrupt_message where the log itself cannot be read on.
Result<LoadedLog> load_log(io::MayBlock may_block, const storage::Log& log, GroupShard& shard,
                           const std::atomic<bool>& is_cancelled);

// Takes a record of the log apart. Errors: invalid_record.
Result<ReplayedRecord> parse_record(const std::optional<ByteView>& key, const std::optional<ByteView>& value);

}  // namespace odr::coordinator
