#include "coordinator/consumer_group_records.h"

#include <algorithm>

#include "coordinator/consumer_group.h"
#include "coordinator/consumer_group_member.h"
#include "protocol/generated/consumer_group_current_member_assignment_key.h"
#include "protocol/generated/consumer_group_member_metadata_key.h"
#include "protocol/generated/consumer_group_metadata_key.h"
#include "protocol/generated/consumer_group_metadata_value.h"
#include "protocol/generated/consumer_group_partition_metadata_key.h"
#include "protocol/generated/consumer_group_regular_expression_key.h"
#include "protocol/generated/consumer_group_regular_expression_value.h"
#include "protocol/generated/consumer_group_target_assignment_member_key.h"
#include "protocol/generated/consumer_group_target_assignment_metadata_key.h"
#include "protocol/generated/consumer_group_target_assignment_metadata_value.h"

namespace odr::coordinator {
namespace {

using namespace protocol;
using Current = ConsumerGroupCurrentMemberAssignmentValue;

std::optional<std::string_view> view(const std::optional<std::string>& text) {
    return text ? std::optional<std::string_view>{*text} : std::nullopt;
}
std::optional<std::string> text(const std::optional<std::string_view>& seen) {
    return seen ? std::optional<std::string>{*seen} : std::nullopt;
}

std::vector<Current::TopicPartitions> to_record(const HeldAssignment& held) {
    std::vector<Current::TopicPartitions> topics;
    topics.reserve(held.size());
    for (const auto& [topic, partitions] : held) {
        Current::TopicPartitions& entry = topics.emplace_back();
        entry.topic_id = topic;
        entry.assignment_epochs.emplace();
        for (const HeldPartition& partition : partitions) {
            entry.partitions.push_back(partition.partition);
            entry.assignment_epochs->push_back(partition.assignment_epoch);
        }
    }
    return topics;
}

// Brokers before 4.3 wrote no assignment epochs: the member's stands in.
HeldAssignment from_record(const std::vector<Current::TopicPartitions>& topics, std::int32_t member_epoch) {
    HeldAssignment held;
    for (const Current::TopicPartitions& entry : topics) {
        if (entry.partitions.empty()) continue;
        const bool has_epochs = entry.assignment_epochs && entry.assignment_epochs->size() == entry.partitions.size();
        std::vector<HeldPartition>& partitions = held[entry.topic_id];
        for (std::size_t i = 0; i < entry.partitions.size(); ++i) {
            const std::int32_t epoch = has_epochs ? (*entry.assignment_epochs)[i] : std::max(member_epoch, 0);
            partitions.push_back({.partition = entry.partitions[i], .assignment_epoch = epoch});
        }
        std::ranges::stable_sort(partitions, {}, &HeldPartition::partition);
        const auto repeated = std::ranges::unique(partitions, {}, &HeldPartition::partition);
        partitions.erase(repeated.begin(), repeated.end());
    }
    return held;
}

}  // namespace

CoordinatorRecord member_record(std::string_view group_id, const ConsumerGroupMember& member) {
    ConsumerGroupMemberMetadataValue value;
    value.instance_id = view(member.instance_id);
    value.rack_id = view(member.rack_id);
    value.client_id = member.client_id;
    value.client_host = member.client_host;
    value.subscribed_topic_names.assign(member.subscribed_topic_names.begin(), member.subscribed_topic_names.end());
    value.subscribed_topic_regex = view(member.subscribed_topic_regex);
    value.rebalance_timeout_ms = member.rebalance_timeout_ms;
    value.server_assignor = view(member.server_assignor);
    if (!member.classic) {
        value.classic_member_metadata.reset();
    } else {
        auto& classic = *value.classic_member_metadata;  // there by default
        classic.session_timeout_ms = member.classic->session_timeout_ms;
        for (const ClassicProtocol& protocol : member.classic->protocols) {
            classic.supported_protocols.push_back({.name = protocol.name, .metadata = protocol.metadata});
        }
    }
    return record_of(ConsumerGroupMemberMetadataKey{.group_id = group_id, .member_id = member.member_id}, 0, value);
}

CoordinatorRecord member_tombstone(std::string_view group_id, std::string_view member_id) {
    return tombstone_of(ConsumerGroupMemberMetadataKey{.group_id = group_id, .member_id = member_id});
}

CoordinatorRecord epoch_record(std::string_view group_id, std::int32_t epoch, std::int64_t metadata_hash) {
    return record_of(ConsumerGroupMetadataKey{.group_id = group_id}, 0,
                     ConsumerGroupMetadataValue{.epoch = epoch, .metadata_hash = metadata_hash});
}

CoordinatorRecord epoch_tombstone(std::string_view group_id) {
    return tombstone_of(ConsumerGroupMetadataKey{.group_id = group_id});
}

CoordinatorRecord target_record(std::string_view group_id, std::string_view member_id, const TopicAssignment& target) {
    ConsumerGroupTargetAssignmentMemberValue value;
    value.topic_partitions.reserve(target.size());
    for (const auto& [topic, partitions] : target) {
        value.topic_partitions.push_back({.topic_id = topic, .partitions = partitions});
    }
    return record_of(ConsumerGroupTargetAssignmentMemberKey{.group_id = group_id, .member_id = member_id}, 0, value);
}

CoordinatorRecord target_tombstone(std::string_view group_id, std::string_view member_id) {
    return tombstone_of(ConsumerGroupTargetAssignmentMemberKey{.group_id = group_id, .member_id = member_id});
}

CoordinatorRecord target_metadata_record(std::string_view group_id, std::int32_t assignment_epoch,
                                         std::int64_t timestamp_ms) {
    return record_of(ConsumerGroupTargetAssignmentMetadataKey{.group_id = group_id}, 0,
                     ConsumerGroupTargetAssignmentMetadataValue{.assignment_epoch = assignment_epoch,
                                                                .assignment_timestamp = timestamp_ms});
}

CoordinatorRecord target_metadata_tombstone(std::string_view group_id) {
    return tombstone_of(ConsumerGroupTargetAssignmentMetadataKey{.group_id = group_id});
}

CoordinatorRecord current_record(std::string_view group_id, const ConsumerGroupMember& member) {
    return record_of(ConsumerGroupCurrentMemberAssignmentKey{.group_id = group_id, .member_id = member.member_id}, 0,
                     Current{.member_epoch = member.member_epoch,
                             .previous_member_epoch = member.previous_member_epoch,
                             .state = static_cast<std::int8_t>(member.state),
                             .assigned_partitions = to_record(member.assigned),
                             .partitions_pending_revocation = to_record(member.pending_revocation)});
}

CoordinatorRecord current_tombstone(std::string_view group_id, std::string_view member_id) {
    return tombstone_of(ConsumerGroupCurrentMemberAssignmentKey{.group_id = group_id, .member_id = member_id});
}

CoordinatorRecord regex_record(std::string_view group_id, std::string_view regex, const ResolvedRegex& resolved) {
    ConsumerGroupRegularExpressionValue value;
    value.topics.assign(resolved.topics.begin(), resolved.topics.end());
    value.version = resolved.version;
    value.timestamp = resolved.timestamp_ms;
    return record_of(ConsumerGroupRegularExpressionKey{.group_id = group_id, .regular_expression = regex}, 0, value);
}

CoordinatorRecord regex_tombstone(std::string_view group_id, std::string_view regex) {
    return tombstone_of(ConsumerGroupRegularExpressionKey{.group_id = group_id, .regular_expression = regex});
}

CoordinatorRecord subscription_metadata_tombstone(std::string_view group_id) {
    return tombstone_of(ConsumerGroupPartitionMetadataKey{.group_id = group_id});
}

void take_over(ConsumerGroupMember& member, const ConsumerGroupMemberMetadataValue& value) {
    member.instance_id = text(value.instance_id);
    member.rack_id = text(value.rack_id);
    member.client_id = value.client_id;
    member.client_host = value.client_host;
    member.subscribed_topic_names.clear();
    for (const std::string_view name : value.subscribed_topic_names) member.subscribed_topic_names.emplace(name);
    member.subscribed_topic_regex = text(value.subscribed_topic_regex);
    member.rebalance_timeout_ms = value.rebalance_timeout_ms;
    member.server_assignor = text(value.server_assignor);
    member.classic.reset();
    if (!value.classic_member_metadata) return;
    member.classic.emplace().session_timeout_ms = value.classic_member_metadata->session_timeout_ms;
    for (const auto& protocol : value.classic_member_metadata->supported_protocols) {
        member.classic->protocols.push_back(
            {.name = std::string{protocol.name}, .metadata = {protocol.metadata.begin(), protocol.metadata.end()}});
    }
}

void take_over(ConsumerGroupMember& member, const Current& value) {
    member.member_epoch = value.member_epoch;
    member.previous_member_epoch = value.previous_member_epoch;
    const bool is_known = value.state >= static_cast<std::int8_t>(MemberState::stable) &&
                          value.state <= static_cast<std::int8_t>(MemberState::unreleased_partitions);
    member.state = is_known ? static_cast<MemberState>(value.state) : MemberState::unknown;
    member.assigned = from_record(value.assigned_partitions, value.member_epoch);
    member.pending_revocation = from_record(value.partitions_pending_revocation, value.member_epoch);
}

TopicAssignment target_from(const ConsumerGroupTargetAssignmentMemberValue& value) {
    TopicAssignment target;
    for (const auto& entry : value.topic_partitions) {
        if (entry.partitions.empty()) continue;
        std::vector<std::int32_t>& partitions = target[entry.topic_id];
        partitions.insert(partitions.end(), entry.partitions.begin(), entry.partitions.end());
        std::ranges::sort(partitions);
        const auto repeated = std::ranges::unique(partitions);
        partitions.erase(repeated.begin(), repeated.end());
    }
    return target;
}

}  // namespace odr::coordinator
