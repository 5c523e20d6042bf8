#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "metadata/delta.h"
#include "metadata/image_holder.h"
#include "raft/metadata_log.h"

namespace odr::metadata {

// Turns the committed metadata log into images. Until the log has caught up (its leader is known) nothing is published;
// then the whole state at once, and afterwards an image for each batch, or for each metadata transaction (KIP-868):
// what stands between BeginTransaction and EndTransaction shows together or, after AbortTransaction, never.
//
// Owner:   the server; registered with the log, which it must outlive.
// Threads: the log's, one call at a time. bytes_since_snapshot() and forget_bytes() from any.
// Errors:  of a record that does not fit the state: the log stops on it.
// Kafka:   MetadataLoader, MetadataBatchLoader.
class MetadataLoader final : public raft::MetadataLogListener {
public:
    explicit MetadataLoader(ImageHolder& holder) : holder_{holder}, image_{MetadataImage::empty()} {}

    Result<void> handle_load_snapshot(io::MayBlock, raft::SnapshotReader& snapshot) override;
    Result<void> handle_commit(io::MayBlock, const raft::CommittedBatch& batch) override;
    void handle_leader_change(const raft::LeaderAndEpoch& leader, std::int16_t kraft_version) override;

    // The newest state, caught up or not; on the log's thread. The controller starts from here.
    const std::shared_ptr<const MetadataImage>& image() const { return image_; }
    // Whether the log ends inside a transaction: a new controller must abort it.
    std::optional<Offset> open_transaction() const { return transaction_start_; }
    // Whether the log had any record of a state machine: if not, it wants the bootstrap records.
    bool has_seen_record() const { return has_seen_record_; }

    // Bytes of the log since the last snapshot.
    std::uint64_t bytes_since_snapshot() const { return bytes_since_snapshot_.load(std::memory_order_relaxed); }
    void forget_bytes(std::uint64_t bytes) { bytes_since_snapshot_.fetch_sub(bytes, std::memory_order_relaxed); }

private:
    Result<void> replay(ByteView record, Offset offset, LeaderEpoch epoch, TimestampMs timestamp, bool starts_batch);
    void publish(const MetadataProvenance& provenance);
    MetadataDelta& delta();

    ImageHolder& holder_;
    std::shared_ptr<const MetadataImage> image_;  // without what stands in delta_
    std::optional<MetadataDelta> delta_;
    std::optional<Offset> transaction_start_;
    bool caught_up_ = false;
    bool has_seen_record_ = false;
    std::atomic<std::uint64_t> bytes_since_snapshot_{0};
};

}  // namespace odr::metadata
