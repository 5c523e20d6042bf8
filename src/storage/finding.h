#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/types.h"
#include "io/file_system.h"

namespace odr::storage {

// What kind of thing is wrong; its name is what `--json` and scripts see.
enum class FindingKind : std::uint8_t {
    batch,              // bytes that are no sound batch
    records,            // a batch whose CRC is right and whose records are not
    tail,               // the end of the active segment is cut short
    offsets,            // a gap or an overlap
    leader_epoch,       // epochs of batches go back, or are not those of leader-epoch-checkpoint
    producer_sequence,  // a producer's sequence numbers do not follow each other
    offset_index,
    time_index,
    txn_index,
    producer_snapshot,
    checkpoint,  // one of the checkpoint files
    partition_metadata,
    meta_properties,
    metadata_snapshot,  // a .checkpoint of __cluster_metadata
    leftover,           // of an interrupted cleaning or deletion
    unknown_file,
    unreadable,
};
std::string_view to_string(FindingKind kind);

enum class Severity : std::uint8_t {
    note,     // worth knowing; nothing is wrong
    warning,  // a start mends it by itself, or it may have a harmless reason
    damage,
};
std::string_view to_string(Severity severity);

// What `log repair` can do about it.
enum class Remedy : std::uint8_t {
    none,
    rebuild_indexes,     // .index and .timeindex, from the segment
    rebuild_txn_index,   // from the markers in the log
    rebuild_snapshot,    // a producer snapshot, from the log
    rebuild_epochs,      // leader-epoch-checkpoint, from the batches
    cut_tail,            // of the active segment, behind the recovery point
    remove_file,         // a left-over
    rewrite_checkpoint,  // of a log directory, from the lines that can be believed
    rewrite_topic_id,    // partition.metadata, from the topic's other partitions
};

// One thing that is wrong with a file.
struct Finding {
    static constexpr io::FilePos kNowhere = UINT64_MAX;

    FindingKind kind = FindingKind::batch;
    Severity severity = Severity::damage;
    Remedy remedy = Remedy::none;
    std::string file;
    io::FilePos position = kNowhere;
    std::uint64_t length = 0;  // bytes; 0: not known
    Offset first_offset = kNoOffset;
    Offset last_offset = kNoOffset;
    std::string what;
    std::string advice;
};

// Called from several threads, one at a time.
using OnFinding = std::function<void(const Finding&)>;

}  // namespace odr::storage
