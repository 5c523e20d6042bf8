// SyncGroup, Heartbeat and LeaveGroup, the records of classic groups, and what becomes of them when a shard is loaded
// or unloaded.
#include "coordinator/classic_groups.h"

#include "base/log.h"
#include "protocol/generated/group_metadata_key.h"
#include "protocol/generated/group_metadata_value.h"
#include "protocol/reader.h"

namespace odr::coordinator {
namespace {

using enum ClassicGroupState;
using protocol::DescribeGroupsResponse;
using protocol::GroupMetadataKey;
using protocol::GroupMetadataValue;
using protocol::HeartbeatRequest;
using protocol::HeartbeatResponse;
using protocol::LeaveGroupRequest;
using protocol::LeaveGroupResponse;
using protocol::SyncGroupRequest;

constexpr std::int16_t kDescribeTellsNotFoundFrom = 6;  // KIP-1043

std::int16_t code(ErrorCode error) { return static_cast<std::int16_t>(error); }

CoordinatorResult<HeartbeatResponse> heartbeat_answer(ErrorCode error) {
    CoordinatorResult<HeartbeatResponse> result;
    result.response.error_code = code(error);
    return result;
}

void add_member_response(Owned<LeaveGroupResponse>& response, const LeaveGroupRequest::MemberIdentity& member,
                         ErrorCode error) {
    auto& told = response.message.members.emplace_back();
    told.member_id = response.keep(std::string{member.member_id});
    told.group_instance_id = std::nullopt;
    if (member.group_instance_id) told.group_instance_id = response.keep(std::string{*member.group_instance_id});
    told.error_code = code(error);
}

bool differs(std::optional<std::string_view> asked, const std::optional<std::string>& current) {
    return asked && current && *asked != *current;
}

ErrorCode check_sync(const ClassicGroup& group, const SyncGroupRequest& request) {
    if (group.is_in(dead)) return ErrorCode::coordinator_not_available;
    const Result<void> valid = group.validate_member(request.member_id, request.group_instance_id);
    if (!valid) return valid.error().code;
    if (request.generation_id != group.generation_id()) return ErrorCode::illegal_generation;
    if (differs(request.protocol_type, group.generation().protocol_type) ||
        differs(request.protocol_name, group.generation().protocol_name)) {
        return ErrorCode::inconsistent_group_protocol;
    }
    if (group.is_in(preparing_rebalance)) return ErrorCode::rebalance_in_progress;
    return ErrorCode::none;
}

Owned<protocol::SyncGroupResponse> assignment_of(const ClassicGroup& group, const ClassicGroupMember& member) {
    Owned<protocol::SyncGroupResponse> response;
    if (group.generation().protocol_type) {
        response.message.protocol_type = response.keep(*group.generation().protocol_type);
    }
    if (group.generation().protocol_name) {
        response.message.protocol_name = response.keep(*group.generation().protocol_name);
    }
    response.message.assignment = response.keep(Bytes{member.assignment});
    return response;
}

// Errors: invalid_record for what no broker writes.
Result<std::unique_ptr<ClassicGroup>> group_of(std::string_view id, const GroupMetadataValue& value,
                                               ClassicGroups* owner) {
    ClassicGroup::Generation generation{.state = value.members.empty() ? empty : stable, .id = value.generation};
    if (!value.protocol_type.empty()) generation.protocol_type = std::string{value.protocol_type};
    if (value.protocol) generation.protocol_name = std::string{*value.protocol};
    if (value.leader) generation.leader_id = std::string{*value.leader};
    if (value.current_state_timestamp >= 0) generation.since = TimestampMs{value.current_state_timestamp};
    if (!value.members.empty() && (!generation.protocol_name || !generation.protocol_type)) {
        return fail(ErrorCode::invalid_record, "group metadata: members without a protocol");
    }
    auto group = std::make_unique<ClassicGroup>(std::string{id}, std::move(generation), owner);
    for (const auto& told : value.members) {
        if (group->has_member(told.member_id)) return fail(ErrorCode::invalid_record, "group metadata: member twice");
        if (told.group_instance_id && group->static_member_id(*told.group_instance_id) != nullptr) {
            return fail(ErrorCode::invalid_record, "group metadata: static member twice");
        }
        ClassicGroupMember member{
            .member_id = std::string{told.member_id},
            .client_id = std::string{told.client_id},
            .client_host = std::string{told.client_host},
            // Version 0 has no rebalance timeout.
            .rebalance_timeout_ms = told.rebalance_timeout == -1 ? told.session_timeout : told.rebalance_timeout,
            .session_timeout_ms = told.session_timeout,
            .protocol_type = std::string{value.protocol_type},
            .supported_protocols = {{std::string{*value.protocol},
                                     {told.subscription.begin(), told.subscription.end()}}},
            .assignment = {told.assignment.begin(), told.assignment.end()}};
        if (told.group_instance_id) member.group_instance_id = std::string{*told.group_instance_id};
        group->add(std::move(member), std::nullopt);
    }
    group->update_subscribed_topics();
    return group;
}

}  // namespace

CoordinatorResult<Nothing> ClassicGroups::sync(const Requester& /*requester*/, const SyncGroupRequest& request,
                                               SyncAnswer answer) {
    if (request.group_id.empty()) {
        answer.complete(sync_error(ErrorCode::invalid_group_id));
        return {};
    }
    Group* const group = groups_.find(request.group_id);
    if (group != nullptr && !group->is_empty()) {
        if (ClassicGroup* const classic = find(request.group_id)) {
            return sync_classic(*classic, request, std::move(answer));
        }
        if (group->type() == GroupType::consumer && consumer_groups_ != nullptr) {
            return consumer_groups_->classic_sync(*group, request, std::move(answer));
        }
    }
    answer.complete(sync_error(ErrorCode::unknown_member_id));
    return {};
}

CoordinatorResult<Nothing> ClassicGroups::sync_classic(ClassicGroup& group, const SyncGroupRequest& request,
                                                       SyncAnswer answer) {
    const ErrorCode error = check_sync(group, request);
    if (error != ErrorCode::none) {
        answer.complete(sync_error(error));
        return {};
    }
    ClassicGroupMember& member = *group.member(request.member_id);
    if (group.is_in(stable)) {
        note_synced(group, request.member_id);
        answer.complete(assignment_of(group, member));
        return {};
    }
    group.await_sync(member, std::move(answer));
    note_synced(group, request.member_id);
    if (!group.is_leader(request.member_id)) return {};
    return take_assignment(group, request);
}

void ClassicGroups::note_synced(ClassicGroup& group, std::string_view member_id) {
    if (const auto found = group.pending_sync().find(member_id); found != group.pending_sync().end()) {
        group.pending_sync().erase(found);
    }
    if (group.pending_sync().empty()) context_.cancel(sync_timer(group.id()));
}

// The group is stable once the assignment is committed.
CoordinatorResult<Nothing> ClassicGroups::take_assignment(ClassicGroup& group, const SyncGroupRequest& request) {
    ClassicAssignments assignments;
    for (const auto& [id, member] : group.members()) assignments[id] = {};
    for (const auto& each : request.assignments) {
        const auto found = assignments.find(each.member_id);
        if (found != assignments.end()) found->second.assign(each.assignment.begin(), each.assignment.end());
    }
    CoordinatorResult<Nothing> result;
    result.replay = false;
    result.records.push_back(group.record_with(assignments));
    result.on_appended = [this, id = group.id(), generation_id = group.generation_id(),
                          assignments = std::move(assignments)](ErrorCode error) {
        finish_sync(id, generation_id, assignments, error);
    };
    return result;
}

void ClassicGroups::finish_sync(std::string_view group_id, std::int32_t generation_id,
                                const ClassicAssignments& assignments, ErrorCode error) {
    ClassicGroup* const group = find(group_id);
    // Somebody joined or left while the assignment was written: the next generation has its own.
    if (group == nullptr || !group->is_in(completing_rebalance) || group->generation_id() != generation_id) return;
    if (error != ErrorCode::none) {
        reset_assignments(*group, coordinator_error_of(error));
        // Nobody waits for JoinGroup in this state, so nothing is to be written yet.
        prepare_rebalance(*group, "the assignment could not be written");
        return;
    }
    group->transition_to(stable, context_.now());
    for (auto& [id, member] : group->members()) {
        const auto assigned = assignments.find(id);
        member.assignment = assigned == assignments.end() ? Bytes{} : assigned->second;
        // A session that ended while the member waited was let pass, so it starts again here.
        if (member.awaiting_sync) extend_session(*group, member);
    }
    for (auto& [id, member] : group->members()) {
        if (member.awaiting_sync) group->complete_sync(member, assignment_of(*group, member));
    }
}

Result<CoordinatorResult<HeartbeatResponse>> ClassicGroups::heartbeat(const Requester& /*requester*/,
                                                                      const HeartbeatRequest& request) {
    if (request.group_id.empty()) return heartbeat_answer(ErrorCode::invalid_group_id);
    ClassicGroup* const group = find(request.group_id);
    if (group == nullptr) {
        Group* const other = groups_.find(request.group_id);
        if (other != nullptr && other->type() == GroupType::consumer && consumer_groups_ != nullptr) {
            return consumer_groups_->classic_heartbeat(*other, request);
        }
        return heartbeat_answer(ErrorCode::unknown_member_id);
    }
    if (group->is_in(dead)) return heartbeat_answer(ErrorCode::coordinator_not_available);
    const Result<void> valid = group->validate_member(request.member_id, request.group_instance_id);
    if (!valid) return heartbeat_answer(valid.error().code);
    if (request.generation_id != group->generation_id()) return heartbeat_answer(ErrorCode::illegal_generation);
    extend_session(*group, *group->member(request.member_id));
    const bool is_rebalancing = group->is_in(preparing_rebalance);
    return heartbeat_answer(is_rebalancing ? ErrorCode::rebalance_in_progress : ErrorCode::none);
}

Result<CoordinatorResult<Owned<LeaveGroupResponse>>> ClassicGroups::leave(const Requester& /*requester*/,
                                                                          const LeaveGroupRequest& request) {
    CoordinatorResult<Owned<LeaveGroupResponse>> result;
    if (request.group_id.empty()) {
        result.response.message.error_code = code(ErrorCode::invalid_group_id);
        return result;
    }
    if (ClassicGroup* const group = find(request.group_id)) return leave_classic(*group, request);
    Group* const other = groups_.find(request.group_id);
    if (other != nullptr && other->type() == GroupType::consumer && consumer_groups_ != nullptr) {
        return consumer_groups_->classic_leave(*other, request);
    }
    for (const auto& member : request.members) {
        add_member_response(result.response, member, ErrorCode::unknown_member_id);
    }
    return result;
}

CoordinatorResult<Owned<LeaveGroupResponse>> ClassicGroups::leave_classic(ClassicGroup& group,
                                                                          const LeaveGroupRequest& request) {
    CoordinatorResult<Owned<LeaveGroupResponse>> result;
    if (group.is_in(dead)) {
        result.response.message.error_code = code(ErrorCode::coordinator_not_available);
        return result;
    }
    bool has_left = false;
    for (const auto& member : request.members) {
        const ErrorCode error = leave_one(group, member);
        has_left |= error == ErrorCode::none;
        add_member_response(result.response, member, error);
    }
    if (!has_left || group.is_in(empty)) return result;
    CoordinatorResult<Nothing> next = group.is_in(preparing_rebalance)
                                          ? maybe_complete_join(group)
                                          : rebalance_or_complete_join(group, "members left");
    result.records = std::move(next.records);
    result.on_appended = std::move(next.on_appended);
    result.replay = next.replay;
    return result;
}

ErrorCode ClassicGroups::leave_one(ClassicGroup& group, const LeaveGroupRequest::MemberIdentity& leaving) {
    std::string member_id{leaving.member_id};
    if (member_id.empty()) {
        // An administrator removes a static member by its instance id.
        const std::string* const current =
            leaving.group_instance_id ? group.static_member_id(*leaving.group_instance_id) : nullptr;
        if (current == nullptr) return ErrorCode::unknown_member_id;
        member_id = *current;
    } else if (!group.is_pending(member_id)) {
        const Result<void> valid = group.validate_member(member_id, leaving.group_instance_id);
        if (!valid) return valid.error().code;
    }
    log::info("group {}: member {} leaves; client reason: {}", group.id(), member_id,
              leaving.reason.value_or("not provided"));
    remove_member(group, std::move(member_id));
    return ErrorCode::none;
}

void ClassicGroups::describe(std::string_view group_id, std::int16_t version,
                             Owned<DescribeGroupsResponse>& response) const {
    auto& told = response.message.groups.emplace_back();
    told.group_id = response.keep(std::string{group_id});
    const ClassicGroup* const group = find(group_id);
    if (group == nullptr) {
        told.group_state = to_string(dead);
        if (version < kDescribeTellsNotFoundFrom) return;
        const bool is_other = groups_.find(group_id) != nullptr;
        told.error_code = code(ErrorCode::group_id_not_found);
        told.error_message = response.keep(
            fmt::format(fmt::runtime(is_other ? "Group {} is not a classic group." : "Group {} not found."), group_id));
        return;
    }
    told.group_state = group->state_name();
    told.protocol_type = response.keep(std::string{group->protocol_type()});
    const bool is_stable = group->is_in(stable) && group->generation().protocol_name;
    if (is_stable) told.protocol_data = response.keep(*group->generation().protocol_name);
    for (const auto& [id, member] : group->members()) {
        auto& each = told.members.emplace_back();
        each.member_id = response.keep(id);
        if (member.group_instance_id) each.group_instance_id = response.keep(*member.group_instance_id);
        each.client_id = response.keep(member.client_id);
        each.client_host = response.keep(member.client_host);
        each.member_assignment = response.keep(Bytes{member.assignment});
        if (!is_stable) continue;
        const ByteView metadata = member.metadata_for(*group->generation().protocol_name);
        each.member_metadata = response.keep(Bytes{metadata.begin(), metadata.end()});
    }
}

ClassicGroup* ClassicGroups::find(std::string_view group_id) const {
    Group* const group = groups_.find(group_id);
    return group != nullptr && group->type() == GroupType::classic ? static_cast<ClassicGroup*>(group) : nullptr;
}

ClassicGroup* ClassicGroups::find_or_create(std::string_view group_id) {
    if (groups_.find(group_id) != nullptr) return find(group_id);
    groups_.put(std::make_unique<ClassicGroup>(std::string{group_id}, context_.now(), this));
    return find(group_id);
}

ClassicGroup& ClassicGroups::adopt(std::unique_ptr<ClassicGroup> group) {
    auto& adopted = static_cast<ClassicGroup&>(groups_.put(std::move(group)));
    for (const auto& [id, member] : adopted.members()) extend_session(adopted, member);
    return adopted;
}

void ClassicGroups::give_up(ClassicGroup& group, CoordinatorRecords& records) {
    group.complete_all(ErrorCode::rebalance_in_progress);
    cancel_timers(group);
    group.add_tombstones(records);
}

void ClassicGroups::erase(std::string_view group_id) {
    ClassicGroup* const group = find(group_id);
    if (group == nullptr) return;
    cancel_timers(*group);
    group->complete_all(ErrorCode::not_coordinator);
    groups_.erase(group_id);
}

Result<bool> ClassicGroups::replay(const ReplayedRecord& record) {
    if (record.key_type != GroupMetadataKey::kApiKey) return false;
    protocol::Reader key_in{record.key};
    GroupMetadataKey key;
    ODR_CHECK(decode(key_in, 0, key));
    if (!record.value) {
        erase(key.group);
        return true;
    }
    if (record.value->version < GroupMetadataValue::kMinVersion ||
        record.value->version > GroupMetadataValue::kMaxVersion) {
        return fail(ErrorCode::unsupported_version, "group metadata of an unknown version");
    }
    protocol::Reader value_in{record.value->body};
    GroupMetadataValue value;
    ODR_CHECK(decode(value_in, record.value->version, value));
    ODR_TRY(group, group_of(key.group, value, this));
    if (const ClassicGroup* const before = find(key.group)) cancel_timers(*before);
    groups_.put(std::move(group));
    return true;
}

void ClassicGroups::on_loaded() {
    std::vector<ClassicGroup*> loaded;
    groups_.for_each([&](Group& group) {
        if (group.type() == GroupType::classic) loaded.push_back(static_cast<ClassicGroup*>(&group));
    });
    for (ClassicGroup* const group : loaded) {
        for (const auto& [id, member] : group->members()) extend_session(*group, member);
        const auto max_size = static_cast<std::size_t>(std::max(context_.settings().group_max_size, 0));
        // The setting shrank: a rebalance lets those in who rejoin first.
        if (group->members().size() > max_size) prepare_rebalance(*group, "the loaded group is over its size");
    }
}

void ClassicGroups::on_unloaded() {
    groups_.for_each([this](Group& group) {
        if (group.type() != GroupType::classic) return;
        auto& classic = static_cast<ClassicGroup&>(group);
        classic.complete_all(ErrorCode::not_coordinator);
        classic.transition_to(dead, context_.now());
    });
}

}  // namespace odr::coordinator
