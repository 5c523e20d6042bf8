#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/classic_group.h"
#include "coordinator/consumer_group_assignment.h"

namespace odr::coordinator {

// Epochs that stand for something else.
inline constexpr std::int32_t kJoinEpoch = 0;          // a member (re)joins
inline constexpr std::int32_t kLeaveEpoch = -1;        // it leaves for good
inline constexpr std::int32_t kStaticLeaveEpoch = -2;  // a static member leaves and will be back

// How far a member has come on its way to its target assignment; the numbers are those of the records.
enum class MemberState : std::int8_t {
    stable = 0,                 // has what its epoch gives it
    unrevoked_partitions = 1,   // must give up partitions before it may enter the next epoch
    unreleased_partitions = 2,  // waits for partitions that others still hold
    unknown = 127,              // written by a newer broker
};

// There for members that speak the classic protocol in a consumer group (online migration).
struct ClassicMemberMetadata {
    std::int32_t session_timeout_ms = 0;
    std::vector<ClassicProtocol> protocols;  // in the member's order
    friend bool operator==(const ClassicMemberMetadata&, const ClassicMemberMetadata&) = default;
};

// One member of a consumer group, as its records say. A value.
//
// Kafka: ConsumerGroupMember.
struct ConsumerGroupMember {
    std::string member_id;
    std::int32_t member_epoch = 0;
    std::int32_t previous_member_epoch = -1;
    MemberState state = MemberState::stable;
    std::optional<std::string> instance_id{};
    std::optional<std::string> rack_id{};
    std::int32_t rebalance_timeout_ms = -1;
    std::string client_id{};
    std::string client_host{};
    std::set<std::string, std::less<>> subscribed_topic_names{};
    std::optional<std::string> subscribed_topic_regex{""};  // "": none
    std::optional<std::string> server_assignor{};
    HeldAssignment assigned{};            // what it may use
    HeldAssignment pending_revocation{};  // what it must give up first; others cannot have it yet
    std::optional<ClassicMemberMetadata> classic{};

    friend bool operator==(const ConsumerGroupMember&, const ConsumerGroupMember&) = default;

    bool uses_classic_protocol() const { return classic.has_value(); }
    bool is_reconciled_to(std::int32_t assignment_epoch) const {
        return state == MemberState::stable && member_epoch == assignment_epoch;
    }
    // "": none.
    std::string_view regex() const { return subscribed_topic_regex ? std::string_view{*subscribed_topic_regex} : ""; }
    void move_to_epoch(std::int32_t epoch) {
        previous_member_epoch = member_epoch;
        member_epoch = epoch;
    }
};

}  // namespace odr::coordinator
