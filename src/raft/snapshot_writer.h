#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/types.h"
#include "io/file_system.h"
#include "io/may_block.h"
#include "raft/voter_set.h"
#include "record/record.h"

namespace odr::raft {

// Writes a snapshot `<offset, 20 digits>-<epoch, 10 digits>.checkpoint` or a bootstrap.checkpoint: header, voters
// (kraft.version 1), record batches, footer.
// Until freeze() it is a `.part` file, which a start removes.
//
// Owner:   whoever makes the snapshot. Destroyed without freeze(): the part is removed.
// Threads: one.
// Kafka:   RecordsSnapshotWriter, FileRawSnapshotWriter.
class SnapshotWriter {
public:
    struct Options {
        std::string path;  // of the final file; its folder must exist
        OffsetAndEpoch id;
        TimestampMs last_contained_log_timestamp{0};
        std::int16_t kraft_version = 0;
        VoterSet voters;  // written when kraft_version >= 1
        TimestampMs now{0};
        std::size_t batch_bytes_max = std::size_t{8} << 20;
        std::function<void(OffsetAndEpoch)> on_frozen;  // called by freeze() at its end
    };
    static Result<std::unique_ptr<SnapshotWriter>> create(io::MayBlock, io::FileSystem& files, Options options);
    ~SnapshotWriter();
    SnapshotWriter(const SnapshotWriter&) = delete;
    SnapshotWriter& operator=(const SnapshotWriter&) = delete;

    // Adds records to the batch at hand, which is written when it is full. A record over batch_bytes_max gets its own.
    Result<void> append(std::span<const ByteView> records);
    // Writes the footer, syncs, renames to the final name, syncs the folder.
    Result<void> freeze(io::MayBlock);
    OffsetAndEpoch id() const { return options_.id; }
    std::size_t size_in_bytes() const { return position_; }

private:
    SnapshotWriter(io::FileSystem& files, Options options) : files_{files}, options_{std::move(options)} {}
    Result<void> write_header();
    Result<void> write_footer();
    Result<void> flush_records();
    Result<void> write(record::RecordBatchBuilder& batch);
    record::RecordBatchBuilder new_batch(bool is_control) const;

    io::FileSystem& files_;
    Options options_;
    std::unique_ptr<io::File> file_;
    std::string part_path_;
    std::size_t position_ = 0;
    std::int64_t next_offset_ = 0;
    record::RecordBatchBuilder pending_;
    bool frozen_ = false;
};

}  // namespace odr::raft
