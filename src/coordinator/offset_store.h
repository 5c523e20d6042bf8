#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

#include "coordinator/group.h"
#include "coordinator/group_part.h"
#include "coordinator/shard_context.h"
#include "protocol/generated/offset_commit_request.h"
#include "protocol/generated/offset_commit_response.h"
#include "protocol/generated/offset_delete_request.h"
#include "protocol/generated/offset_delete_response.h"
#include "protocol/generated/offset_fetch_request.h"
#include "protocol/generated/offset_fetch_response.h"

namespace odr::coordinator {

// What a group has committed for one partition. Kafka: OffsetAndMetadata.
struct CommittedOffset {
    std::int64_t offset = -1;
    std::int32_t leader_epoch = -1;  // -1: the client gave none
    std::string metadata{};
    TimestampMs commit_timestamp = kNoTimestamp;
    std::optional<TimestampMs> expire_timestamp{};  // only clients of OffsetCommit 2-4 give one
    Uuid topic_id{};                                // zero: committed by name
    Offset record_offset = kNoOffset;               // of the record in __consumer_offsets
};

// Committed offsets of the groups of a shard, and those that wait for the end of a transaction.
//
// Owner:   GroupShard. Threads: the shard's.
// Records: OffsetCommitKey and OffsetCommitValue: version 4, or 1 with an expiry of its own.
// Kafka:   OffsetMetadataManager.
class OffsetStore final : public GroupPart {
public:
    // Makes an empty group without members, where offsets are for one that is not there. Kafka: a simple group.
    using CreateSimple = std::function<void(std::string_view group_id)>;
    OffsetStore(ShardContext& context, GroupRegistry& groups, CreateSimple create_simple)
        : context_{context}, groups_{groups}, create_simple_{std::move(create_simple)} {}

    // Topics and partitions that do not exist are the caller's to refuse; names stand in the request.
    // Gives:  an answer with views into the request.
    // Errors: those of Group::validate_offset_commit(); a group that does not exist takes commits without a generation
    //         only: group_id_not_found, before version 9 illegal_generation.
    Result<CoordinatorResult<protocol::OffsetCommitResponse>> commit(const protocol::OffsetCommitRequest& request,
                                                                     std::int16_t version);

    // Topics none: all that the group has committed, by name. `require_stable`: offsets that a transaction may still
    // change are unstable_offset_commit (KIP-447).
    // Errors: of Group::validate_offset_fetch(), but a group that does not exist just has no offsets.
    using FetchedGroup = Owned<protocol::OffsetFetchResponse::OffsetFetchResponseGroup>;
    Result<CoordinatorResult<FetchedGroup>> fetch(const protocol::OffsetFetchRequest::OffsetFetchRequestGroup& request,
                                                  bool require_stable) const;

    // Errors: group_id_not_found, non_empty_group.
    Result<CoordinatorResult<protocol::OffsetDeleteResponse>> remove(
        const protocol::OffsetDeleteRequest& request) const;

    // Tombstones for all offsets of a group that is deleted.
    void add_tombstones(std::string_view group_id, CoordinatorRecords& records) const;
    // Tombstones for what expired. Gives: whether the group has no offsets afterwards.
    bool add_expired(const Group& group, CoordinatorRecords& records) const;
    // Tombstones for expired offsets, and for groups that are empty and have none left.
    CoordinatorResult<Nothing> expire() const;
    CoordinatorResult<Nothing> topics_deleted(const std::unordered_map<Uuid, std::string>& topics) const;

    const CommittedOffset* find(std::string_view group_id, std::string_view topic, std::int32_t partition) const;
    bool has_pending(std::string_view group_id, std::string_view topic, std::int32_t partition) const;

    Result<bool> replay(const ReplayedRecord& record) override;
    void replay_end_transaction(ProducerId producer_id, bool is_commit);
    void on_loaded() override { schedule_expiry(); }

private:
    using Partitions = std::map<std::int32_t, CommittedOffset>;
    using Topics = std::map<std::string, Partitions, std::less<>>;
    using Groups = std::unordered_map<std::string, Topics, GroupIdHash, std::equal_to<>>;

    static const CommittedOffset* find_in(const Groups& offsets, std::string_view group_id, std::string_view topic,
                                          std::int32_t partition);
    static void remove_from(Groups& offsets, std::string_view group_id, std::string_view topic, std::int32_t partition);
    void add_wanted(const protocol::OffsetFetchRequest::OffsetFetchRequestGroup& request, bool require_stable,
                    bool is_there, FetchedGroup& out) const;
    void add_all(std::string_view group_id, bool require_stable, FetchedGroup& out) const;
    Result<void> validate_commit(const protocol::OffsetCommitRequest& request, const OffsetCommitter& committer);
    std::optional<TimestampMs> expiry_of(const protocol::OffsetCommitRequest& request, TimestampMs now) const;
    bool is_metadata_too_large(const std::optional<std::string_view>& metadata) const;
    bool is_expired(const CommittedOffset& offset, const OffsetExpiration& expiration, TimestampMs now) const;
    bool has_open_transaction(std::string_view group_id) const { return open_transactions_.contains(group_id); }
    void put_committed(std::string_view group_id, std::string_view topic, std::int32_t partition,
                       CommittedOffset offset, ProducerId producer_id);
    void erase(std::string_view group_id, std::string_view topic, std::int32_t partition);
    void materialise(std::string_view group_id, std::string_view topic, std::int32_t partition,
                     const CommittedOffset& offset);
    template <class Visit>
    void for_each_pending(std::string_view group_id, Visit&& visit) const;
    void schedule_expiry();

    ShardContext& context_;
    GroupRegistry& groups_;
    const CreateSimple create_simple_;
    Groups offsets_;
    std::map<ProducerId, Groups> pending_;  // by the producer whose transaction is open
    std::unordered_map<std::string, std::set<ProducerId>, GroupIdHash, std::equal_to<>> open_transactions_;
};

}  // namespace odr::coordinator
