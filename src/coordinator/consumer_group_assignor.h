#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/uuid.h"
#include "coordinator/consumer_group_assignment.h"

// Who gets which partitions: pure functions from a group's members and topics to its target assignment.
namespace odr::coordinator {

struct AssignorTopic {
    Uuid id;
    std::int32_t partition_count = 0;
};
struct AssignorMember {
    std::string_view member_id;
    std::optional<std::string_view> instance_id{};
    std::span<const std::uint32_t> topics{};         // places in GroupSpec::topics, ascending
    const TopicAssignment* target_before = nullptr;  // its last target assignment; nullptr: none
};
// Views are the caller's.
struct GroupSpec {
    std::vector<AssignorTopic> topics;  // by id, ascending; each has a subscriber
    std::vector<AssignorMember> members;
    bool is_homogeneous = true;  // all members subscribe to the same topics
};

// The target assignment of each member, in the order of GroupSpec::members. Each partition of each topic goes to
// exactly one of the topic's subscribers.
using GroupAssignment = std::vector<TopicAssignment>;

// Threads: any. Kafka: ConsumerGroupPartitionAssignor.
class ConsumerGroupAssignor {
public:
    virtual ~ConsumerGroupAssignor() = default;
    virtual std::string_view name() const = 0;
    virtual GroupAssignment assign(const GroupSpec& spec) const = 0;
};

// "range": neighbouring partitions of each topic go to members in the order of their ids, the same for each topic, so
// that topics with as many partitions are joined by one member. Not sticky.
const ConsumerGroupAssignor& range_assignor();
// "uniform": as even as the subscriptions allow, and moves as few partitions as that needs.
const ConsumerGroupAssignor& uniform_assignor();
// Gives: nullptr for a name nobody knows.
const ConsumerGroupAssignor* find_consumer_group_assignor(std::string_view name);

// The two ways of "uniform". Needs: members, and topics; the first way needs spec.is_homogeneous.
GroupAssignment assign_uniformly_homogeneous(const GroupSpec& spec);
GroupAssignment assign_uniformly_heterogeneous(const GroupSpec& spec);

}  // namespace odr::coordinator
