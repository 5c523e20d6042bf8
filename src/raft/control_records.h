#pragma once

#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/types.h"
#include "raft/voter_set.h"
#include "record/record.h"

// Values of the control records that KRaft keeps in its log and snapshots.
namespace odr::raft {

// Adds KRaftVersion and, where there are voters, KRaftVoters to a control batch.
void append_voters(record::RecordBatchBuilder& batch, TimestampMs now, std::int16_t kraft_version,
                   const VoterSet& voters);
// Version 0 names voters by id alone, as Kafka 4.3 does at every kraft.version.
void append_leader_change(record::RecordBatchBuilder& batch, TimestampMs now, BrokerId leader, const VoterSet& voters);
void append_snapshot_header(record::RecordBatchBuilder& batch, TimestampMs now, TimestampMs last_contained);
void append_snapshot_footer(record::RecordBatchBuilder& batch, TimestampMs now);

// What the control records read so far say of the quorum.
struct QuorumRecords {
    std::int16_t kraft_version = 0;
    std::optional<VoterSet> voters;
    Offset voters_offset{-1};  // of the newest voters record in the log; -1: only in a snapshot, or nowhere
};
// Errors: corrupt_message for a value that cannot be read; unsupported_version for a kraft.version above 1.
Result<std::int16_t> parse_kraft_version(ByteView value);
Result<VoterSet> parse_voters(ByteView value);
Result<TimestampMs> parse_snapshot_header(ByteView value);

}  // namespace odr::raft
