#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "coordinator/consumer_group_member.h"

namespace odr::coordinator {

// What one step of a member towards its target assignment depends on. Views and functions are the caller's.
struct ReconciliationInput {
    std::int32_t target_epoch = 0;
    const TopicAssignment* target = nullptr;
    bool has_subscription_changed = false;
    // Whether the member subscribes to the topic, by name or by a resolved regex.
    std::function<bool(const Uuid&)> is_subscribed{};
    // The epoch of the member that holds the partition; -1: nobody does.
    std::function<std::int32_t(const Uuid&, std::int32_t)> current_partition_epoch{};
    // What the member said it owns; nullptr: it did not say.
    const TopicAssignment* owned = nullptr;
};

// Moves a member towards its target as far as its own and others' partitions allow: it first gives up what is no
// longer its own (staying in its epoch until it says that it has), then enters the target's epoch with what is free,
// and gets the rest as others release it. So no partition is ever with two members.
//
// Gives:   the member after the step, equal to `member` where nothing can move; nullopt: it is in a state this broker
//          does not know and must give everything up and rejoin (fenced_member_epoch).
// Kafka:   CurrentAssignmentBuilder.
std::optional<ConsumerGroupMember> reconcile(const ConsumerGroupMember& member, const ReconciliationInput& input);

}  // namespace odr::coordinator
