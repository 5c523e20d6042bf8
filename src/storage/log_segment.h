#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "base/types.h"
#include "io/file_system.h"
#include "storage/index_file.h"
#include "storage/open_files.h"

namespace odr::storage {

inline constexpr const char* kLogSuffix = ".log";
inline constexpr const char* kOffsetIndexSuffix = ".index";
inline constexpr const char* kTimeIndexSuffix = ".timeindex";
inline constexpr const char* kTxnIndexSuffix = ".txnindex";
inline constexpr const char* kSnapshotSuffix = ".snapshot";
inline constexpr const char* kDeletedSuffix = ".deleted";
inline constexpr const char* kDamagedSuffix = ".damaged";  // ours: what recovery took away though it was durable once
inline constexpr const char* kCleanedSuffix = ".cleaned";
inline constexpr const char* kSwapSuffix = ".swap";

// Gives: "00000000000000000042.log".
std::string segment_file_name(Offset base_offset, std::string_view suffix);
// Gives: the offset a file's name starts with; nullopt when it does not start with 20 digits and a dot.
std::optional<Offset> offset_of_file_name(std::string_view name);
std::string_view suffix_of(SegmentFileKind kind);

// Below this a segment is read from its start as quickly as through its indexes.
inline constexpr std::uint64_t kSmallSegmentBytes = std::uint64_t{64} << 10;

// One segment of a log: `<base offset>.log` and the index files beside it.
//
// Owner:   Log; readers hold it too, so deletion never pulls it from under them.
// Threads: `size` is read by anyone; everything else under the log's state lock.
// Units:   positions and sizes are bytes of the .log file.
// Kafka:   LogSegment.
struct LogSegment {
    LogSegment(Offset base, std::uint64_t bytes) : base_offset{base}, size{bytes} {}

    const Offset base_offset;
    // A cleaned segment has taken its place, maybe under its name: who reads it still goes on with these files.
    bool is_superseded = false;
    std::array<std::shared_ptr<io::File>, 4> kept_open;  // by SegmentFileKind; null where there is none
    const std::uint64_t id = OpenFiles::next_segment_id();
    std::atomic<std::uint64_t> size;  // grows after the bytes are written

    // The folder that it went to when its log moved to another directory; null while it is in the log's own.
    std::shared_ptr<const std::string> left_in;
    std::shared_ptr<io::File> file;  // the active segment's, while in use; null otherwise
    IndexFile<OffsetIndexEntry> offset_index;
    IndexFile<TimeIndexEntry> time_index;
    IndexFile<TxnIndexEntry> txn_index;

    // The files of offset and time index may say anything: since a crash nobody has looked. Only small segments, which
    // are read from their start meanwhile.
    bool indexes_doubtful = false;
    bool indexes_are_wrong = false;  // a look-up found out; read from the start until they are made anew. State lock.
    bool indexes_unsynced = false;   // index blocks were written and may not be durable

    std::uint64_t write_back_from = 0;  // append lock: write-back of what is below was asked for
    std::uint64_t bytes_since_index_entry = 0;
    TimestampMs max_timestamp = kNoTimestamp;
    Offset offset_of_max_timestamp = kNoOffset;  // last offset of the batch that has it
    bool max_timestamp_known = false;
    TimestampMs first_timestamp = kNoTimestamp;  // of the first append; what segment.ms counts from
    bool first_timestamp_known = false;          // of a sealed segment, once it was asked for
    TimestampMs created{0};
    std::int64_t roll_jitter_ms = 0;

    std::int32_t relative(Offset offset) const { return static_cast<std::int32_t>(offset - base_offset); }
    void note_timestamp(TimestampMs timestamp, Offset last_offset) {
        if (timestamp <= max_timestamp) return;
        max_timestamp = timestamp;
        offset_of_max_timestamp = last_offset;
    }
    // One batch was appended at `position`: index entries where they are due.
    void index_batch(Offset last_offset, TimestampMs timestamp, std::uint64_t position, std::uint64_t bytes,
                     std::int32_t index_interval_bytes);
    // An entry for the largest timestamp, unless the last one says so.
    void index_max_timestamp();
};

}  // namespace odr::storage
