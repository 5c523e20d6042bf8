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
#include "base/uuid.h"
#include "io/file_system.h"
#include "io/may_block.h"
#include "raft/snapshot_reader.h"
#include "raft/snapshot_writer.h"
#include "raft/voter_set.h"

namespace odr::raft {

// A batch of the metadata log that no failure can take back any more.
//
// Owner: the log; the views live during the call that gives it.
struct CommittedBatch {
    Offset base_offset{0};
    Offset last_offset{0};
    LeaderEpoch epoch{0};
    TimestampMs append_timestamp{0};
    std::size_t size_in_bytes = 0;
    bool is_control = false;            // the log's own records: `records` is empty
    std::span<const ByteView> records;  // values, in offset order: framed metadata records
};

struct LeaderAndEpoch {
    std::optional<BrokerId> leader;
    LeaderEpoch epoch{0};
    friend bool operator==(const LeaderAndEpoch&, const LeaderAndEpoch&) = default;
};

// A state machine on the log. Kafka: RaftClient.Listener.
//
// Threads: one call at a time, in offset order, on whichever thread commits; nothing of the log's locks is held, so a
//          listener may append (but not wait for its commit).
// Errors:  a listener that cannot apply a committed record has lost its state: the log refuses everything after it.
class MetadataLogListener {
public:
    virtual ~MetadataLogListener() = default;
    // The state up to snapshot.id(), in place of everything before. Called at start where a snapshot is there.
    virtual Result<void> handle_load_snapshot(io::MayBlock, SnapshotReader& snapshot) = 0;
    virtual Result<void> handle_commit(io::MayBlock, const CommittedBatch& batch) = 0;
    // After everything before the epoch was given. kraft_version: as the control records up to here say.
    virtual void handle_leader_change(const LeaderAndEpoch& leader, std::int16_t kraft_version) = 0;
};

struct MetadataLogOptions {
    std::string directory;                       // metadata.log.dir; the log is in <directory>/__cluster_metadata-0
    ReplicaKey self;                             // node.id and directory.id of that directory
    VoterSet static_voters;                      // controller.quorum.voters; empty: the voters stand in the log
    std::vector<VoterEndpoint> local_endpoints;  // where other voters reach this node, for the voters record
    std::int32_t segment_bytes = 1 << 30;        // metadata.log.segment.bytes
    std::int64_t segment_ms = 604'800'000;       // metadata.log.segment.ms
    std::int64_t retention_bytes =
        104'857'600;                          // metadata.max.retention.bytes, log and snapshots together; -1: no limit
    std::int64_t retention_ms = 604'800'000;  // metadata.max.retention.ms; -1: no limit
};

// What DescribeQuorum and the metrics say of the quorum.
struct QuorumInfo {
    struct Replica {
        ReplicaKey key;
        Offset log_end_offset{0};
        TimestampMs last_fetch_timestamp{-1};
        TimestampMs last_caught_up_timestamp{-1};
    };
    BrokerId leader = kNoBroker;
    LeaderEpoch leader_epoch{0};
    Offset high_watermark{0};
    std::int16_t kraft_version = 0;
    VoterSet voters;
    std::vector<Replica> current_voters;
    std::vector<Replica> observers;
};

// The metadata log __cluster_metadata-0 as a voter keeps it. Here: a quorum of one, whose only voter is this node, so
// that what this disk has is committed. The names and the split between append and commit are those of the whole
// protocol, where commit also waits for the other voters.
//
// Owner:    the server; before the controller and the loader.
// Threads:  any. Appends are put in order by a lock that is held over one write to the page cache; concurrent commits
//           share one fdatasync.
// Errors:   kafka_storage_error is final: after a failed write or sync nothing is known of the tail, so everything
//           afterwards is refused and the process should stop.
// Not here: NoOpRecords. A leader with followers writes one every metadata.max.idle.interval.ms so that observers'
//           "last caught up" moves; a quorum of one has nobody to tell, and the log stays still while the cluster is.
// Kafka:    KafkaRaftClient, KafkaMetadataLog.
class MetadataLog {
public:
    // A batch is at most this, and so is a call of append(). Kafka: KafkaRaftClient.MAX_BATCH_SIZE_BYTES.
    static constexpr std::size_t kBatchBytesMax = std::size_t{8} << 20;

    // Opens or starts the log: reads the newest valid snapshot and the log behind it, cuts a torn tail.
    // Errors: invalid_config when this node is not the only voter (message in `what`, names in the log line);
    //         corrupt_message, kafka_storage_error.
    static Result<std::unique_ptr<MetadataLog>> open(io::MayBlock, io::FileSystem& files, const Clock& clock,
                                                     MetadataLogOptions options);
    ~MetadataLog();
    MetadataLog(const MetadataLog&) = delete;
    MetadataLog& operator=(const MetadataLog&) = delete;

    // Gives everything committed to `listener`, then keeps it told. Before become_leader(). `listener` outlives the
    // log.
    Result<void> register_listener(io::MayBlock, MetadataLogListener& listener);
    // Leads the next epoch: quorum-state and the LeaderChange batch are durable afterwards, listeners are told.
    Result<void> become_leader(io::MayBlock);

    // Appends one batch: all records or none. Not durable and not told to listeners before commit().
    // Needs:  1 .. 2^31-1 records, framed as protocol/metadata_records.h does.
    // Gives:  the last record's offset.
    // Errors: not_leader_or_follower unless `epoch` is the one led; record_list_too_large over kBatchBytesMax.
    Result<Offset> append_unflushed(io::MayBlock, LeaderEpoch epoch, std::span<const ByteView> records);
    // Returns when everything up to `offset` is durable and was told to all listeners. Calls that overlap share syncs.
    Result<void> commit(io::MayBlock, Offset offset);
    // Both. Gives: the last record's offset.
    Result<Offset> append(io::MayBlock, LeaderEpoch epoch, std::span<const ByteView> records);

    // --- snapshots
    // Starts `<offset>-<epoch>.checkpoint`; it counts once frozen. `id` must be committed, the contents the state
    // there. Gives: nullptr when that snapshot is there already.
    Result<std::unique_ptr<SnapshotWriter>> create_snapshot(io::MayBlock, OffsetAndEpoch id,
                                                            TimestampMs last_contained_log_timestamp);
    // Removes snapshots and segments that metadata.max.retention.* allows: never the newest snapshot, and of the log
    // only what a snapshot covers. Gives: files removed.
    Result<std::size_t> clean(io::MayBlock);
    std::optional<OffsetAndEpoch> latest_snapshot() const;

    // --- facts
    LeaderAndEpoch leader_and_epoch() const;
    Offset log_start_offset() const;
    Offset log_end_offset() const;
    Offset high_watermark() const;  // one past the last committed record
    std::int16_t kraft_version() const;
    VoterSet voters() const;
    QuorumInfo describe_quorum() const;
    std::string log_directory() const;  // .../__cluster_metadata-0

    // Flushes and closes. Everything afterwards fails.
    Result<void> close(io::MayBlock);

private:
    struct Impl;
    explicit MetadataLog(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace odr::raft
