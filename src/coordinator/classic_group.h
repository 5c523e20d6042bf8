#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/types.h"
#include "coordinator/coordinator_result.h"
#include "coordinator/group.h"
#include "protocol/generated/join_group_request.h"
#include "protocol/generated/join_group_response.h"
#include "protocol/generated/sync_group_response.h"

namespace odr::coordinator {

class ClassicGroups;

using Bytes = std::vector<std::uint8_t>;
using JoinAnswer = Deferred<Owned<protocol::JoinGroupResponse>>;
using SyncAnswer = Deferred<Owned<protocol::SyncGroupResponse>>;
// By member id.
using ClassicAssignments = std::map<std::string, Bytes, std::less<>>;

inline constexpr std::string_view kConsumerProtocolType = "consumer";

// empty:                no members; lingers for its offsets, or is used for offsets only.
// preparing_rebalance:  JoinGroup requests wait until all members have joined, or time is up.
// completing_rebalance: SyncGroup requests wait for the leader's assignment.
// stable:               everybody has an assignment.
// dead:                 unloaded.
enum class ClassicGroupState : std::uint8_t { empty, preparing_rebalance, completing_rebalance, stable, dead };
std::string_view to_string(ClassicGroupState state);

// A way to share out partitions that a member supports, and what the leader must know of the member for it.
struct ClassicProtocol {
    std::string name;
    Bytes metadata;
    friend bool operator==(const ClassicProtocol&, const ClassicProtocol&) = default;
};
std::vector<ClassicProtocol> protocols_of(const protocol::JoinGroupRequest& request);

struct ClassicGroupMember {
    std::string member_id;
    std::optional<std::string> group_instance_id{};  // of a static member (KIP-345)
    std::string client_id{};
    std::string client_host{};
    std::int32_t rebalance_timeout_ms = 0;
    std::int32_t session_timeout_ms = 0;
    std::string protocol_type{};
    std::vector<ClassicProtocol> supported_protocols{};  // the one it likes best first
    Bytes assignment{};

    std::optional<JoinAnswer> awaiting_join{};
    std::optional<SyncAnswer> awaiting_sync{};
    // Joined for the first time and does not know its id: its connection may be gone without anybody noticing.
    bool is_new = false;

    // Empty for a protocol it does not support.
    ByteView metadata_for(std::string_view protocol) const;
    // Who waits for others cannot send heartbeats, so needs none; new members are timed nevertheless.
    bool has_satisfied_heartbeat() const { return !is_new && (awaiting_join.has_value() || awaiting_sync.has_value()); }
    bool matches(const protocol::JoinGroupRequest& request) const;
};

// A group of the classic protocol (JoinGroup, SyncGroup, Heartbeat, LeaveGroup): its members and where its rebalance
// stands. What requests and timers do to it is in ClassicGroups.
//
// Owner:   GroupRegistry. Threads: the shard's.
// Waiting: every waiting answer is completed before its member goes, or is replaced.
// Kafka:   ClassicGroup.
class ClassicGroup final : public Group {
public:
    using Members = std::map<std::string, ClassicGroupMember, std::less<>>;

    // Empty, generation 0. `owner` hears of committed offsets; may be null in tests.
    ClassicGroup(std::string id, TimestampMs now, ClassicGroups* owner = nullptr);
    // As a record tells it; members are added after.
    struct Generation {
        ClassicGroupState state = ClassicGroupState::empty;
        std::int32_t id = 0;
        std::optional<std::string> protocol_type{};
        std::optional<std::string> protocol_name{};
        std::optional<std::string> leader_id{};
        std::optional<TimestampMs> since{};  // of the state
    };
    ClassicGroup(std::string id, Generation generation, ClassicGroups* owner = nullptr);

    GroupType type() const override { return GroupType::classic; }
    std::string_view state_name() const override { return to_string(generation_.state); }
    std::string_view protocol_type() const override {
        return generation_.protocol_type ? std::string_view{*generation_.protocol_type} : std::string_view{};
    }
    Result<void> validate_offset_commit(const OffsetCommitter& committer) const override;
    Result<void> validate_offset_fetch(std::optional<std::string_view> member_id,
                                       std::int32_t member_epoch) const override;
    Result<void> validate_offset_delete() const override;
    Result<void> validate_delete_group() const override;
    void on_offset_commit(std::string_view member_id) override;
    void add_tombstones(CoordinatorRecords& records) const override;
    bool is_empty() const override { return is_in(ClassicGroupState::empty); }
    bool is_subscribed_to(std::string_view topic) const override;
    std::optional<OffsetExpiration> offset_expiration() const override;

    ClassicGroupState state() const { return generation_.state; }
    bool is_in(ClassicGroupState state) const { return generation_.state == state; }
    // The state before the last transition; `dead` when there was none.
    ClassicGroupState previous_state() const { return previous_state_; }
    bool can_rebalance() const {
        return is_in(ClassicGroupState::empty) || is_in(ClassicGroupState::stable) ||
               is_in(ClassicGroupState::completing_rebalance);
    }
    void transition_to(ClassicGroupState next, TimestampMs now);
    const Generation& generation() const { return generation_; }
    std::int32_t generation_id() const { return generation_.id; }
    bool uses_consumer_protocol() const { return generation_.protocol_type == kConsumerProtocolType; }
    // Used for offsets only.
    bool is_simple() const { return !generation_.protocol_type && is_empty() && pending_join_.empty(); }

    const Members& members() const { return members_; }
    Members& members() { return members_; }
    ClassicGroupMember* member(std::string_view member_id);
    const ClassicGroupMember* member(std::string_view member_id) const;
    bool has_member(std::string_view member_id) const { return member(member_id) != nullptr; }
    bool is_leader(std::string_view member_id) const { return generation_.leader_id == member_id; }
    // Gives: nullptr without such a static member, else its member id.
    const std::string* static_member_id(std::string_view group_instance_id) const;
    std::size_t static_member_count() const { return static_members_.size(); }
    // Errors: unknown_member_id, fenced_instance_id.
    Result<void> validate_member(std::string_view member_id, std::optional<std::string_view> group_instance_id) const;
    // The longest of the members'.
    std::int32_t rebalance_timeout_ms() const;

    // Needs: no member of that id or instance id; its protocol type that of the group, unless it is the first.
    ClassicGroupMember& add(ClassicGroupMember member, std::optional<JoinAnswer> answer);
    // Members and pending members; whatever it waits for is answered unknown_member_id. A leader is followed by
    // another member.
    void remove(std::string_view member_id);
    // A static member came back without its member id: the old one is fenced and what it had is the new one's.
    ClassicGroupMember& replace_static_member(std::string_view old_member_id, std::string new_member_id);
    // What a member may say anew each time it joins.
    struct MemberTerms {
        std::vector<ClassicProtocol> supported_protocols;
        std::int32_t rebalance_timeout_ms = 0;
        std::int32_t session_timeout_ms = 0;
    };
    // Without an answer the member waits no more.
    void update_member(ClassicGroupMember& member, MemberTerms terms, std::optional<JoinAnswer> answer);

    // Given a member id, not joined yet (KIP-394).
    bool is_pending(std::string_view member_id) const { return pending_join_.contains(member_id); }
    void add_pending(std::string member_id) { pending_join_.insert(std::move(member_id)); }
    const std::set<std::string, std::less<>>& pending_join() const { return pending_join_; }
    bool has_all_members_joined() const { return members_.size() == awaiting_join_count_ && pending_join_.empty(); }
    std::size_t awaiting_join_count() const { return awaiting_join_count_; }
    // False: no member joined who could lead.
    bool elect_joined_leader();

    // Members of this generation that have not asked for their assignment yet.
    std::set<std::string, std::less<>>& pending_sync() { return pending_sync_; }
    const std::set<std::string, std::less<>>& pending_sync() const { return pending_sync_; }

    // A member came while the first rebalance of an empty group was delayed: delay it more.
    bool new_member_added = false;

    // Can all members go on together with one who supports these? An empty group takes any.
    bool supports(std::string_view protocol_type, const protocol::JoinGroupRequest& request) const;
    // The one most members like best, of those all support; of equals the first by name.
    // Needs: members.
    const std::string& select_protocol() const;
    // Starts completing_rebalance, or empty when nobody is left.
    void init_next_generation(TimestampMs now);
    // From the protocol's metadata; none for other types than "consumer", and when it cannot be read.
    void update_subscribed_topics();
    const std::optional<std::set<std::string, std::less<>>>& subscribed_topics() const { return subscribed_topics_; }

    // A JoinGroup answer of this generation; the leader's has the members.
    Owned<protocol::JoinGroupResponse> join_response(const ClassicGroupMember& member, bool with_members) const;
    // Answer and forget that it waits; nothing when it does not.
    bool complete_join(ClassicGroupMember& member, Owned<protocol::JoinGroupResponse> response);
    bool complete_sync(ClassicGroupMember& member, Owned<protocol::SyncGroupResponse> response);
    void complete_all(ErrorCode error);
    // Waits for the assignment; one that waited before, on a connection that is gone, is told to join again.
    void await_sync(ClassicGroupMember& member, SyncAnswer answer);

    // Takes members' own assignments.
    CoordinatorRecord record() const;
    CoordinatorRecord record_with(const ClassicAssignments& assignments) const;
    // Generation 0 without members: a group that was just made.
    CoordinatorRecord empty_record() const;

private:
    void await_join(ClassicGroupMember& member, std::optional<JoinAnswer> answer);
    void count_protocols(const ClassicGroupMember& member, int change);

    ClassicGroups* owner_;
    Generation generation_;
    ClassicGroupState previous_state_ = ClassicGroupState::dead;
    Members members_;
    std::unordered_map<std::string, std::string, GroupIdHash, std::equal_to<>> static_members_;  // by instance id
    std::set<std::string, std::less<>> pending_join_;
    std::set<std::string, std::less<>> pending_sync_;
    std::size_t awaiting_join_count_ = 0;
    std::map<std::string, std::size_t, std::less<>> supported_protocols_;  // by how many members
    std::optional<std::set<std::string, std::less<>>> subscribed_topics_;
};

Owned<protocol::JoinGroupResponse> join_error(std::string_view member_id, ErrorCode error);
Owned<protocol::SyncGroupResponse> sync_error(ErrorCode error);

}  // namespace odr::coordinator
