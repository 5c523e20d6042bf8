#pragma once

#include <cstdint>
#include <string_view>

#include "coordinator/consumer_group_assignment.h"
#include "coordinator/coordinator_result.h"
#include "protocol/generated/consumer_group_current_member_assignment_value.h"
#include "protocol/generated/consumer_group_member_metadata_value.h"
#include "protocol/generated/consumer_group_target_assignment_member_value.h"

// The records of a consumer group in __consumer_offsets, as metadata.version 4.3 writes them.
namespace odr::coordinator {

struct ConsumerGroupMember;
struct ResolvedRegex;

CoordinatorRecord member_record(std::string_view group_id, const ConsumerGroupMember& member);
CoordinatorRecord member_tombstone(std::string_view group_id, std::string_view member_id);
CoordinatorRecord epoch_record(std::string_view group_id, std::int32_t epoch, std::int64_t metadata_hash);
CoordinatorRecord epoch_tombstone(std::string_view group_id);
CoordinatorRecord target_record(std::string_view group_id, std::string_view member_id, const TopicAssignment& target);
CoordinatorRecord target_tombstone(std::string_view group_id, std::string_view member_id);
CoordinatorRecord target_metadata_record(std::string_view group_id, std::int32_t assignment_epoch,
                                         std::int64_t timestamp_ms);
CoordinatorRecord target_metadata_tombstone(std::string_view group_id);
CoordinatorRecord current_record(std::string_view group_id, const ConsumerGroupMember& member);
CoordinatorRecord current_tombstone(std::string_view group_id, std::string_view member_id);
CoordinatorRecord regex_record(std::string_view group_id, std::string_view regex, const ResolvedRegex& resolved);
CoordinatorRecord regex_tombstone(std::string_view group_id, std::string_view regex);
// Only old brokers wrote what this removes.
CoordinatorRecord subscription_metadata_tombstone(std::string_view group_id);

// What records say, taken over into a member and a target.
void take_over(ConsumerGroupMember& member, const protocol::ConsumerGroupMemberMetadataValue& value);
void take_over(ConsumerGroupMember& member, const protocol::ConsumerGroupCurrentMemberAssignmentValue& value);
TopicAssignment target_from(const protocol::ConsumerGroupTargetAssignmentMemberValue& value);

}  // namespace odr::coordinator
