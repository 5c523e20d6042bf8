#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "coordinator/classic_group.h"
#include "coordinator/group.h"
#include "coordinator/group_part.h"
#include "coordinator/shard_context.h"
#include "protocol/generated/describe_groups_response.h"
#include "protocol/generated/heartbeat_request.h"
#include "protocol/generated/heartbeat_response.h"
#include "protocol/generated/join_group_request.h"
#include "protocol/generated/leave_group_request.h"
#include "protocol/generated/leave_group_response.h"
#include "protocol/generated/sync_group_request.h"

namespace odr::coordinator {

// Members of the classic protocol in groups of the consumer protocol (KIP-848, online migration): what ClassicGroups
// hands over when a request is for such a group. Implemented by the part that owns them.
class ClassicProtocolOfConsumerGroups {
public:
    virtual ~ClassicProtocolOfConsumerGroups() = default;
    // The group has members.
    virtual CoordinatorResult<Nothing> classic_join(Group& group, const Requester& requester,
                                                    const protocol::JoinGroupRequest& request, JoinAnswer answer) = 0;
    virtual CoordinatorResult<Nothing> classic_sync(Group& group, const protocol::SyncGroupRequest& request,
                                                    SyncAnswer answer) = 0;
    virtual Result<CoordinatorResult<protocol::HeartbeatResponse>> classic_heartbeat(
        Group& group, const protocol::HeartbeatRequest& request) = 0;
    virtual Result<CoordinatorResult<Owned<protocol::LeaveGroupResponse>>> classic_leave(
        Group& group, const protocol::LeaveGroupRequest& request) = 0;
};

// What requests, timers and records do to the classic groups of a shard.
//
// Records: a generation is written when its leader gave the assignment, or when it is empty. The state is changed by
//          the operations themselves, so their records are not replayed.
// Timers:  per group one for joining and one for syncing, per member one for its session. A group that goes takes its
//          timers along.
// Answers: an answer is completed from inside an operation; who gets it must not call back into the shard from there.
// Owner:   GroupShard. Threads: the shard's.
// Kafka:   the classicGroup... methods of GroupMetadataManager.
class ClassicGroups final : public GroupPart {
public:
    ClassicGroups(ShardContext& context, GroupRegistry& groups) : context_{context}, groups_{groups} {}
    void set_consumer_groups(ClassicProtocolOfConsumerGroups* consumer_groups) { consumer_groups_ = consumer_groups; }

    // --- requests; all errors are in the answers. LeaveGroup: before version 3 with the member as the only one.
    CoordinatorResult<Nothing> join(const Requester& requester, const protocol::JoinGroupRequest& request,
                                    JoinAnswer answer);
    CoordinatorResult<Nothing> sync(const Requester& requester, const protocol::SyncGroupRequest& request,
                                    SyncAnswer answer);
    Result<CoordinatorResult<protocol::HeartbeatResponse>> heartbeat(const Requester& requester,
                                                                     const protocol::HeartbeatRequest& request);
    Result<CoordinatorResult<Owned<protocol::LeaveGroupResponse>>> leave(const Requester& requester,
                                                                         const protocol::LeaveGroupRequest& request);
    // Adds the group as DescribeGroups tells it; groups that do not exist, or are of another kind, are dead.
    void describe(std::string_view group_id, std::int16_t version,
                  Owned<protocol::DescribeGroupsResponse>& response) const;

    // --- for the other parts
    // Gives: nullptr for no group, and for one of another kind.
    ClassicGroup* find(std::string_view group_id) const;
    // A group that keeps offsets only comes to be with its first commit.
    // Gives: nullptr for a group of another kind.
    ClassicGroup* find_or_create(std::string_view group_id);
    void extend_session(ClassicGroup& group, const ClassicGroupMember& member);

    // A consumer group becomes this classic group: takes its place at once, sessions start. The caller writes
    // group.record() and answers without replay.
    ClassicGroup& adopt(std::unique_ptr<ClassicGroup> group);
    CoordinatorResult<Nothing> prepare_rebalance(ClassicGroup& group, std::string_view reason);
    // The classic group becomes a consumer group: who waits is told that a rebalance is in progress, timers end, and
    // its tombstone, whose replay removes it, is added.
    void give_up(ClassicGroup& group, CoordinatorRecords& records);

    // --- GroupPart
    Result<bool> replay(const ReplayedRecord& record) override;
    void on_loaded() override;
    void on_unloaded() override;

private:
    CoordinatorResult<Nothing> join_classic(const Requester& requester, const protocol::JoinGroupRequest& request,
                                            JoinAnswer answer);
    std::optional<CoordinatorResult<Nothing>> join_new_member(ClassicGroup& group, const Requester& requester,
                                                              const protocol::JoinGroupRequest& request,
                                                              JoinAnswer answer);
    CoordinatorResult<Nothing> join_existing_member(ClassicGroup& group, const Requester& requester,
                                                    const protocol::JoinGroupRequest& request, JoinAnswer answer);
    CoordinatorResult<Nothing> rejoin(ClassicGroup& group, ClassicGroupMember& member, const Requester& requester,
                                      const protocol::JoinGroupRequest& request, JoinAnswer answer);
    CoordinatorResult<Nothing> add_member(ClassicGroup& group, const Requester& requester,
                                          const protocol::JoinGroupRequest& request, std::string member_id,
                                          JoinAnswer answer);
    CoordinatorResult<Nothing> replace_static_member(ClassicGroup& group, const Requester& requester,
                                                     const protocol::JoinGroupRequest& request,
                                                     const std::string& old_member_id, std::string new_member_id,
                                                     JoinAnswer answer);
    // A static member that came back under a new member id.
    struct StaticReturn {
        std::string old_member_id;
        std::string new_member_id;
        std::string old_leader{};
        ClassicGroup::MemberTerms old_terms{};
        std::int16_t version = 0;  // of JoinGroup
    };
    CoordinatorResult<Nothing> keep_static_assignment(ClassicGroup& group, StaticReturn back);
    void undo_static_return(ClassicGroup& group, StaticReturn back, ErrorCode error);
    bool accepts(const ClassicGroup& group, std::string_view member_id) const;
    std::string new_member_id(const Requester& requester, std::optional<std::string_view> group_instance_id);

    CoordinatorResult<Nothing> rebalance_or_complete_join(ClassicGroup& group, std::string_view reason);
    CoordinatorResult<Nothing> maybe_complete_join(ClassicGroup& group);
    CoordinatorResult<Nothing> complete_join(ClassicGroup& group);
    CoordinatorResult<Nothing> extend_initial_rebalance(ClassicGroup& group, std::int64_t delay_ms,
                                                        std::int64_t remaining_ms);
    void schedule_initial_rebalance(ClassicGroup& group, std::int64_t delay_ms, std::int64_t remaining_ms);
    void schedule_join(ClassicGroup& group);
    void schedule_sync(ClassicGroup& group);
    void drop_missing_members(ClassicGroup& group);
    void start_sync(ClassicGroup& group);
    CoordinatorResult<Nothing> expire_sync(ClassicGroup& group, std::int32_t generation_id);
    void reset_assignments(ClassicGroup& group, ErrorCode error);

    CoordinatorResult<Nothing> sync_classic(ClassicGroup& group, const protocol::SyncGroupRequest& request,
                                            SyncAnswer answer);
    CoordinatorResult<Nothing> take_assignment(ClassicGroup& group, const protocol::SyncGroupRequest& request);
    void finish_sync(std::string_view group_id, std::int32_t generation_id, const ClassicAssignments& assignments,
                     ErrorCode error);
    void note_synced(ClassicGroup& group, std::string_view member_id);
    CoordinatorResult<Owned<protocol::LeaveGroupResponse>> leave_classic(ClassicGroup& group,
                                                                         const protocol::LeaveGroupRequest& request);
    ErrorCode leave_one(ClassicGroup& group, const protocol::LeaveGroupRequest::MemberIdentity& leaving);

    void schedule_session(ClassicGroup& group, std::string_view member_id, std::int64_t timeout_ms);
    CoordinatorResult<Nothing> expire_session(ClassicGroup& group, std::string_view member_id);
    // Removes a member or pending member and its timer.
    void remove_member(ClassicGroup& group, std::string member_id);
    void cancel_timers(const ClassicGroup& group);
    void erase(std::string_view group_id);

    // Names of timers; no group or member id can make one name mean two things.
    static std::string join_timer(std::string_view group_id) { return "classic-join:" + std::string{group_id}; }
    static std::string sync_timer(std::string_view group_id) { return "classic-sync:" + std::string{group_id}; }
    static std::string session_timer(std::string_view group_id, std::string_view member_id) {
        return "classic-session:" + std::to_string(group_id.size()) + ":" + std::string{group_id} + ":" +
               std::string{member_id};
    }

    ShardContext& context_;
    GroupRegistry& groups_;
    ClassicProtocolOfConsumerGroups* consumer_groups_ = nullptr;
};

}  // namespace odr::coordinator
