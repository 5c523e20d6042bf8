#include "coordinator/consumer_group_reconciliation.h"

#include <algorithm>

namespace odr::coordinator {
namespace {

// Without word from the member it may still own anything.
bool still_owns(const HeldAssignment& revoked, const TopicAssignment* owned) {
    if (owned == nullptr) return true;
    for (const auto& [topic, partitions] : *owned) {
        const auto found = revoked.find(topic);
        if (found == revoked.end()) continue;
        const bool owns_one = std::ranges::any_of(
            partitions, [&](std::int32_t partition) { return find_held(found->second, partition) != nullptr; });
        if (owns_one) return true;
    }
    return false;
}

void insert_held(std::vector<HeldPartition>& held, HeldPartition added) {
    const auto place = std::ranges::lower_bound(held, added.partition, {}, &HeldPartition::partition);
    if (place != held.end() && place->partition == added.partition) {
        *place = added;
    } else {
        held.insert(place, added);
    }
}

// Takes topics away that the member no longer subscribes to, at once, before a new target assignment is there.
ConsumerGroupMember drop_unsubscribed(const ConsumerGroupMember& member, const ReconciliationInput& input) {
    ConsumerGroupMember next = member;
    for (const auto& [topic, partitions] : member.assigned) {
        if (input.is_subscribed(topic)) continue;
        next.assigned.erase(topic);
        for (const HeldPartition& partition : partitions) insert_held(next.pending_revocation[topic], partition);
    }
    if (next.assigned.size() == member.assigned.size()) return member;
    if (still_owns(next.pending_revocation, input.owned)) {
        next.state = MemberState::unrevoked_partitions;
    } else {
        next.pending_revocation = member.pending_revocation;
    }
    next.move_to_epoch(member.member_epoch);
    return next;
}

struct NextAssignment {
    HeldAssignment kept;
    HeldAssignment to_revoke;
    TopicAssignment to_assign;    // free to take
    bool has_unreleased = false;  // more is in the target, but others hold it
};

void compare_topic(const ConsumerGroupMember& member, const ReconciliationInput& input, const Uuid& topic,
                   const std::vector<std::int32_t>& target, NextAssignment& next) {
    const auto assigned = member.assigned.find(topic);
    if (assigned != member.assigned.end()) {
        for (const HeldPartition& partition : assigned->second) {
            const bool stays = std::ranges::binary_search(target, partition.partition);
            (stays ? next.kept : next.to_revoke)[topic].push_back(partition);
        }
    }
    for (const std::int32_t partition : target) {
        if (find_held(member.assigned, topic, partition) != nullptr) continue;
        const bool is_held = input.current_partition_epoch(topic, partition) != -1 &&
                             find_held(member.pending_revocation, topic, partition) == nullptr;
        if (is_held) {
            next.has_unreleased = true;
        } else {
            next.to_assign[topic].push_back(partition);
        }
    }
}

ConsumerGroupMember next_assignment(const ConsumerGroupMember& member, std::int32_t member_epoch,
                                    const ReconciliationInput& input) {
    NextAssignment next;
    static const std::vector<std::int32_t> kNothing;
    for (const auto& [topic, partitions] : *input.target) {
        compare_topic(member, input, topic, input.is_subscribed(topic) ? partitions : kNothing, next);
    }
    for (const auto& [topic, partitions] : member.assigned) {
        if (!input.target->contains(topic)) compare_topic(member, input, topic, kNothing, next);
    }
    ConsumerGroupMember moved = member;
    moved.assigned = std::move(next.kept);
    if (!next.to_revoke.empty() && still_owns(next.to_revoke, input.owned)) {
        moved.state = MemberState::unrevoked_partitions;
        moved.move_to_epoch(member_epoch);
        moved.pending_revocation = std::move(next.to_revoke);
        return moved;
    }
    for (const auto& [topic, partitions] : next.to_assign) {
        for (const std::int32_t partition : partitions) {
            insert_held(moved.assigned[topic], {.partition = partition, .assignment_epoch = input.target_epoch});
        }
    }
    moved.state = next.has_unreleased ? MemberState::unreleased_partitions : MemberState::stable;
    moved.move_to_epoch(input.target_epoch);
    moved.pending_revocation.clear();
    return moved;
}

}  // namespace

std::optional<ConsumerGroupMember> reconcile(const ConsumerGroupMember& member, const ReconciliationInput& input) {
    switch (member.state) {
        case MemberState::stable:
            if (member.member_epoch != input.target_epoch) return next_assignment(member, member.member_epoch, input);
            if (input.has_subscription_changed) return drop_unsubscribed(member, input);
            return member;
        case MemberState::unrevoked_partitions:
            if (!still_owns(member.pending_revocation, input.owned)) {
                return next_assignment(member, member.member_epoch, input);
            }
            if (input.has_subscription_changed) return drop_unsubscribed(member, input);
            return member;
        case MemberState::unreleased_partitions:
            return next_assignment(member, member.member_epoch, input);
        case MemberState::unknown:
            if (input.owned == nullptr || !input.owned->empty()) return std::nullopt;
            return next_assignment(member, input.target_epoch, input);
    }
    return member;
}

}  // namespace odr::coordinator
