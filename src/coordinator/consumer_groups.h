#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "coordinator/classic_groups.h"
#include "coordinator/consumer_group.h"
#include "coordinator/group.h"
#include "coordinator/group_part.h"
#include "coordinator/shard_context.h"
#include "protocol/generated/consumer_group_describe_response.h"
#include "protocol/generated/consumer_group_heartbeat_request.h"
#include "protocol/generated/consumer_group_heartbeat_response.h"

namespace odr::coordinator {

class RegexResolution;

// Why a request is refused, with what the client is told.
struct Refusal {
    ErrorCode code;
    std::string message;
};
template <class T>
using Checked = std::expected<T, Refusal>;

// What requests, timers and records do to the consumer groups of a shard (KIP-848): the coordinator computes who gets
// what, and each member is led there by its own heartbeats.
//
// Records: operations decide and touch nothing; replayed records change the state. A group that becomes a classic one
//          is the exception, as classic groups are.
// Timers:  per member one for its session, and one while it must give up partitions; members of the classic protocol
//          have one to join and one to sync.
// Regexes: are resolved in slices, each a turn of its own, so that many topics do not hold up the reactor.
// Owner:   GroupShard. Threads: the shard's.
// Kafka:   the consumerGroup... methods of GroupMetadataManager.
class ConsumerGroups final : public GroupPart, public ClassicProtocolOfConsumerGroups {
public:
    ConsumerGroups(ShardContext& context, GroupRegistry& groups, ClassicGroups& classic_groups);
    ~ConsumerGroups() override;

    // --- requests; errors are in the answers
    Result<CoordinatorResult<Owned<protocol::ConsumerGroupHeartbeatResponse>>> heartbeat(
        const Requester& requester, const protocol::ConsumerGroupHeartbeatRequest& request);
    // Adds the group as ConsumerGroupDescribe tells it.
    void describe(std::string_view group_id, Owned<protocol::ConsumerGroupDescribeResponse>& response) const;

    // Gives: nullptr for no group, and for one of another kind.
    ConsumerGroup* find(std::string_view group_id) const;

    // --- members of the classic protocol
    CoordinatorResult<Nothing> classic_join(Group& group, const Requester& requester,
                                            const protocol::JoinGroupRequest& request, JoinAnswer answer) override;
    CoordinatorResult<Nothing> classic_sync(Group& group, const protocol::SyncGroupRequest& request,
                                            SyncAnswer answer) override;
    Result<CoordinatorResult<protocol::HeartbeatResponse>> classic_heartbeat(
        Group& group, const protocol::HeartbeatRequest& request) override;
    Result<CoordinatorResult<Owned<protocol::LeaveGroupResponse>>> classic_leave(
        Group& group, const protocol::LeaveGroupRequest& request) override;

    // --- GroupPart
    Result<bool> replay(const ReplayedRecord& record) override;
    void on_loaded() override;
    void on_new_image(const metadata::MetadataChanges& changes) override;

private:
    using HeartbeatRequest = protocol::ConsumerGroupHeartbeatRequest;
    using HeartbeatResponse = protocol::ConsumerGroupHeartbeatResponse;
    using Heartbeat = CoordinatorResult<Owned<HeartbeatResponse>>;

    // A group as a request finds or founds it; one that is new, or was a classic one until now, comes to be with the
    // replay of the operation's records.
    struct GroupAccess {
        ConsumerGroup* group = nullptr;
        std::unique_ptr<ConsumerGroup> founded{};
    };
    struct Epochs {
        std::int32_t group_epoch = 0;
        std::int32_t target_epoch = 0;
        TopicAssignment target{};
    };
    enum class RegexChange : std::uint8_t { none, changed, changed_and_resolved };

    Checked<Heartbeat> beat(const Requester& requester, const HeartbeatRequest& request);
    Checked<Heartbeat> leave(const HeartbeatRequest& request);
    Checked<GroupAccess> find_or_found(std::string_view group_id, bool may_found, CoordinatorRecords& records);
    Checked<GroupAccess> upgrade(ClassicGroup& classic, CoordinatorRecords& records);
    Checked<ConsumerGroup*> existing(std::string_view group_id) const;
    Checked<void> check_room(const ConsumerGroup& group, std::string_view member_id) const;
    Checked<ConsumerGroupMember> dynamic_member(const ConsumerGroup& group, const HeartbeatRequest& request,
                                                std::string_view member_id, const TopicAssignment* owned) const;
    Checked<ConsumerGroupMember> static_member(const ConsumerGroup& group, const HeartbeatRequest& request,
                                               std::string_view member_id, const TopicAssignment* owned,
                                               CoordinatorRecords& records) const;
    void replace_member(const ConsumerGroup& group, std::string_view old_member_id,
                        const ConsumerGroupMember& new_member, CoordinatorRecords& records) const;
    // Records what a member says of itself. Gives: whether the names it subscribes to changed.
    bool record_member(const ConsumerGroup& group, const ConsumerGroupMember& before, const ConsumerGroupMember& after,
                       CoordinatorRecords& records) const;

    // --- epochs (consumer_groups_epochs.cc)
    // Moves the group's epoch and target assignment on if the member's change, or the topics', ask for it.
    Epochs advance(ConsumerGroup& group, const ConsumerGroupMember& before, const ConsumerGroupMember& after,
                   bool has_subscription_changed, CoordinatorRecords& records);
    std::int32_t advance_group_epoch(ConsumerGroup& group, const ConsumerGroupMember& before,
                                     const ConsumerGroupMember& after, bool has_subscription_changed,
                                     CoordinatorRecords& records);
    void compute_target(const ConsumerGroup& group, const ConsumerGroupMember& before, const ConsumerGroupMember& after,
                        Epochs& epochs, CoordinatorRecords& records) const;
    Checked<ConsumerGroupMember> reconcile_member(const ConsumerGroup& group, ConsumerGroupMember member,
                                                  const Epochs& epochs, bool has_subscription_changed,
                                                  const TopicAssignment* owned, CoordinatorRecords& records);
    std::int64_t metadata_hash(const SubscribedTopics& topics);

    // --- members that go
    template <class Response>
    CoordinatorResult<Response> fence(ConsumerGroup& group, const std::vector<const ConsumerGroupMember*>& gone,
                                      Response response);
    Result<CoordinatorResult<Nothing>> fence_for(std::string_view group_id, std::string_view member_id,
                                                 std::string_view why);
    void schedule_session(std::string_view group_id, std::string_view member_id, std::int64_t timeout_ms);
    void schedule_rebalance(const ConsumerGroup& group, const ConsumerGroupMember& member);
    void schedule_join(const ConsumerGroup& group, const ConsumerGroupMember& member);
    void schedule_sync(std::string_view group_id, std::string_view member_id, std::int64_t timeout_ms);
    void cancel_timers(std::string_view group_id, std::string_view member_id);
    static std::string timer_name(std::string_view kind, std::string_view group_id, std::string_view member_id);

    // --- regexes (consumer_groups_regex.cc)
    Checked<RegexChange> update_regexes(const ConsumerGroup& group, const ConsumerGroupMember& before,
                                        const ConsumerGroupMember& after, CoordinatorRecords& records);
    void start_resolution(std::string_view group_id, std::set<std::string, std::less<>> regexes);
    Result<CoordinatorResult<Nothing>> continue_resolution(const std::string& group_id);
    CoordinatorRecords take_resolution(const std::string& group_id, RegexResolution& resolution);

    // --- between the protocols (consumer_groups_migration.cc)
    // `gone` may be empty, and `joining` null: the static member that replaces the last of the consumer protocol.
    bool can_downgrade(const ConsumerGroup& group, const std::vector<const ConsumerGroupMember*>& gone,
                       const ConsumerGroupMember* joining) const;
    ClassicGroup& downgrade(ConsumerGroup& group, const std::vector<const ConsumerGroupMember*>& gone,
                            const ConsumerGroupMember* joining, CoordinatorRecords& records);
    Checked<ConsumerGroupMember> joining_classic_member(const ConsumerGroup& group,
                                                        const protocol::JoinGroupRequest& request,
                                                        std::string_view member_id, CoordinatorRecords& records) const;
    Checked<void> join_as_classic(ConsumerGroup& group, const Requester& requester,
                                  const protocol::JoinGroupRequest& request, JoinAnswer& answer,
                                  CoordinatorResult<Nothing>& result);
    Checked<const ConsumerGroupMember*> classic_member(const ConsumerGroup& group, std::string_view member_id,
                                                       const std::optional<std::string_view>& instance_id,
                                                       std::int32_t generation_id) const;

    // --- replay
    ConsumerGroup* persisted(std::string_view group_id, bool may_create);
    Result<void> replay_member(const ReplayedRecord& record);
    Result<void> replay_epoch(const ReplayedRecord& record);
    Result<void> replay_subscription_metadata(const ReplayedRecord& record);
    Result<void> replay_target(const ReplayedRecord& record);
    Result<void> replay_target_metadata(const ReplayedRecord& record);
    Result<void> replay_current(const ReplayedRecord& record);
    Result<void> replay_regex(const ReplayedRecord& record);

    // Settings of the group, else of the broker. Kafka: GroupConfig.
    std::int32_t setting(std::string_view group_id, std::string_view key, std::int32_t broker_wide) const;
    std::int32_t session_timeout_ms(std::string_view group_id) const;
    std::int32_t heartbeat_interval_ms(std::string_view group_id) const;
    std::int32_t assignment_interval_ms(std::string_view group_id) const;
    const std::string& default_assignor() const;

    ShardContext& context_;
    GroupRegistry& groups_;
    ClassicGroups& classic_groups_;
    std::unordered_map<std::string, std::int64_t, GroupIdHash, std::equal_to<>> topic_hashes_;  // by name
    std::unordered_map<std::string, std::unique_ptr<RegexResolution>> resolutions_;             // by group
    std::int64_t last_image_with_new_topics_ = -1;
};

}  // namespace odr::coordinator
