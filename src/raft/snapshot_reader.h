#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/types.h"
#include "io/file_system.h"
#include "io/may_block.h"
#include "raft/voter_set.h"
#include "record/record_batch.h"

namespace odr::raft {

// Reads a snapshot, or a bootstrap.checkpoint, batch by batch.
//
// Owner:   whoever reads. Threads: one. At most one batch is in memory.
// Errors:  corrupt_message for what Kafka would not read: a wrong CRC, no header first, no footer last.
// Kafka:   RecordsSnapshotReader, BatchFileReader.
class SnapshotReader {
public:
    // `id` is what the file's name says; {0, 0} for a bootstrap.checkpoint.
    static Result<std::unique_ptr<SnapshotReader>> open(io::MayBlock, io::FileSystem& files, const std::string& path,
                                                        OffsetAndEpoch id);

    OffsetAndEpoch id() const { return id_; }
    // Known after the first next().
    TimestampMs last_contained_log_timestamp() const { return last_contained_log_timestamp_; }
    std::int16_t kraft_version() const { return kraft_version_; }
    const std::optional<VoterSet>& voters() const { return voters_; }

    // The values of the next batch that has records of a state machine; control batches are read on the way.
    // Gives:  empty at the end. The views live until the next call.
    Result<std::span<const ByteView>> next(io::MayBlock);

private:
    SnapshotReader() = default;
    Result<void> read_next_batch();
    Result<void> read_control(const record::RecordBatchView& batch);

    OffsetAndEpoch id_;
    std::unique_ptr<io::File> file_;
    std::uint64_t size_ = 0;
    std::uint64_t position_ = 0;
    std::vector<std::uint8_t> batch_;
    std::vector<std::uint8_t> plain_;
    std::vector<ByteView> records_;
    TimestampMs last_contained_log_timestamp_{-1};
    std::int16_t kraft_version_ = 0;
    std::optional<VoterSet> voters_;
    bool header_seen_ = false;
    bool footer_seen_ = false;
};

// "00000000000000000123-0000000004.checkpoint" <-> {123, 4}.
std::string snapshot_file_name(OffsetAndEpoch id);
std::optional<OffsetAndEpoch> parse_snapshot_file_name(std::string_view name);

}  // namespace odr::raft
