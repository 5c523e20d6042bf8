// JoinGroup: who may join, and as whom.
// Kafka: GroupMetadataManager.classicGroupJoin...
#include <algorithm>

#include "base/log.h"
#include "coordinator/classic_groups.h"

namespace odr::coordinator {
namespace {

using enum ClassicGroupState;
using protocol::JoinGroupRequest;

constexpr std::int64_t kNewMemberJoinTimeoutMs = 5 * 60 * 1000;
constexpr std::int16_t kMemberIdRequiredFrom = 4;  // KIP-394
constexpr std::int16_t kSkipAssignmentFrom = 9;    // KIP-814
constexpr std::int16_t kRebalanceTimeoutFrom = 1;

std::int32_t rebalance_timeout_of(const JoinGroupRequest& request, std::int16_t version) {
    return version < kRebalanceTimeoutFrom ? request.session_timeout_ms : request.rebalance_timeout_ms;
}

ClassicGroup::MemberTerms terms_of(const JoinGroupRequest& request, std::int16_t version) {
    return {.supported_protocols = protocols_of(request),
            .rebalance_timeout_ms = rebalance_timeout_of(request, version),
            .session_timeout_ms = request.session_timeout_ms};
}

std::string_view reason_of(const JoinGroupRequest& request) {
    return request.reason && !request.reason->empty() ? *request.reason : std::string_view{"not provided"};
}

}  // namespace

CoordinatorResult<Nothing> ClassicGroups::join(const Requester& requester, const JoinGroupRequest& request,
                                               JoinAnswer answer) {
    if (request.group_id.empty()) {
        answer.complete(join_error(request.member_id, ErrorCode::invalid_group_id));
        return {};
    }
    if (request.session_timeout_ms < context_.settings().group_min_session_timeout_ms ||
        request.session_timeout_ms > context_.settings().group_max_session_timeout_ms) {
        answer.complete(join_error(request.member_id, ErrorCode::invalid_session_timeout));
        return {};
    }
    Group* const group = groups_.find(request.group_id);
    if (group == nullptr || group->type() == GroupType::classic) {
        return join_classic(requester, request, std::move(answer));
    }
    if (group->type() == GroupType::consumer) {
        if (group->is_empty()) return join_classic(requester, request, std::move(answer));
        if (consumer_groups_ != nullptr) {
            return consumer_groups_->classic_join(*group, requester, request, std::move(answer));
        }
    }
    answer.complete(join_error("", ErrorCode::inconsistent_group_protocol));
    return {};
}

CoordinatorResult<Nothing> ClassicGroups::join_classic(const Requester& requester, const JoinGroupRequest& request,
                                                       JoinAnswer answer) {
    CoordinatorResult<Nothing> created;
    created.replay = false;
    Group* const before = groups_.find(request.group_id);
    if (before != nullptr && before->type() == GroupType::consumer) {
        before->add_tombstones(created.records);
        groups_.erase(request.group_id);
    }
    const bool is_new_group = groups_.find(request.group_id) == nullptr;
    // A member id that somebody gave out names a group that was there then.
    if (is_new_group && !request.member_id.empty()) {
        answer.complete(join_error(request.member_id, ErrorCode::unknown_member_id));
        return created;
    }
    ClassicGroup& group = *find_or_create(request.group_id);
    std::optional<CoordinatorResult<Nothing>> result;
    if (!accepts(group, request.member_id)) {
        answer.complete(join_error("", ErrorCode::group_max_size_reached));
        remove_member(group, std::string{request.member_id});
    } else if (request.member_id.empty()) {
        result = join_new_member(group, requester, request, answer);
    } else {
        result = join_existing_member(group, requester, request, answer);
    }
    if (!is_new_group || (result && !result->records.empty())) {
        return result ? std::move(*result) : CoordinatorResult<Nothing>{};
    }
    created.records.push_back(group.empty_record());
    created.on_appended = [answer](ErrorCode error) mutable {
        if (error != ErrorCode::none) answer.complete(join_error("", coordinator_error_of(error)));
    };
    return created;
}

// An existing member may always come back. New ones fit while there is room; members that rejoin first have precedence
// when the group is over its size, which it can be after the setting shrank.
bool ClassicGroups::accepts(const ClassicGroup& group, std::string_view member_id) const {
    const auto max_size = static_cast<std::size_t>(std::max(context_.settings().group_max_size, 0));
    const ClassicGroupMember* const member = group.member(member_id);
    switch (group.state()) {
        case empty:
        case dead:
            return true;
        case preparing_rebalance:
            return (member != nullptr && member->awaiting_join) || group.awaiting_join_count() < max_size;
        case completing_rebalance:
        case stable:
            return member != nullptr || group.members().size() < max_size;
    }
    return false;
}

std::string ClassicGroups::new_member_id(const Requester& requester,
                                         std::optional<std::string_view> group_instance_id) {
    // Java's Uuid spelling: hexadecimal, 8-4-4-4-12.
    const Uuid id = context_.random().uuid();
    std::string text{group_instance_id.value_or(requester.client_id)};
    text += '-';
    for (std::size_t i = 0; i < id.bytes.size(); ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
        constexpr std::string_view kDigits = "0123456789abcdef";
        text += kDigits[id.bytes[i] >> 4];
        text += kDigits[id.bytes[i] & 15];
    }
    return text;
}

std::optional<CoordinatorResult<Nothing>> ClassicGroups::join_new_member(ClassicGroup& group,
                                                                         const Requester& requester,
                                                                         const JoinGroupRequest& request,
                                                                         JoinAnswer answer) {
    if (group.is_in(dead)) {
        answer.complete(join_error("", ErrorCode::coordinator_not_available));
        return std::nullopt;
    }
    if (!group.supports(request.protocol_type, request)) {
        answer.complete(join_error("", ErrorCode::inconsistent_group_protocol));
        return std::nullopt;
    }
    std::string member_id = new_member_id(requester, request.group_instance_id);
    if (request.group_instance_id) {
        const std::string* const current = group.static_member_id(*request.group_instance_id);
        if (current != nullptr) {
            log::info("group {}: static member {} comes back as {}", group.id(), *current, member_id);
            const std::string old_member_id = *current;
            return replace_static_member(group, requester, request, old_member_id, std::move(member_id), answer);
        }
        return add_member(group, requester, request, std::move(member_id), answer);
    }
    if (requester.api_version >= kMemberIdRequiredFrom) {
        group.add_pending(member_id);
        schedule_session(group, member_id, request.session_timeout_ms);
        answer.complete(join_error(member_id, ErrorCode::member_id_required));
        return std::nullopt;
    }
    return add_member(group, requester, request, std::move(member_id), answer);
}

CoordinatorResult<Nothing> ClassicGroups::join_existing_member(ClassicGroup& group, const Requester& requester,
                                                               const JoinGroupRequest& request, JoinAnswer answer) {
    const auto refuse = [&](ErrorCode error) -> CoordinatorResult<Nothing> {
        answer.complete(join_error(request.member_id, error));
        return {};
    };
    if (group.is_in(dead)) return refuse(ErrorCode::coordinator_not_available);
    if (!group.supports(request.protocol_type, request)) return refuse(ErrorCode::inconsistent_group_protocol);
    if (group.is_pending(request.member_id)) {
        // Static members are never made to ask twice, so this is no client that follows the protocol.
        if (request.group_instance_id) return refuse(ErrorCode::unknown_server_error);
        return add_member(group, requester, request, std::string{request.member_id}, std::move(answer));
    }
    const Result<void> valid = group.validate_member(request.member_id, request.group_instance_id);
    if (!valid) {
        auto refused = join_error(request.member_id, valid.error().code);
        refused.message.protocol_name = std::nullopt;
        answer.complete(std::move(refused));
        return {};
    }
    return rejoin(group, *group.member(request.member_id), requester, request, std::move(answer));
}

CoordinatorResult<Nothing> ClassicGroups::rejoin(ClassicGroup& group, ClassicGroupMember& member,
                                                 const Requester& requester, const JoinGroupRequest& request,
                                                 JoinAnswer answer) {
    const auto join_anew = [&](std::string_view why) {
        group.update_member(member, terms_of(request, requester.api_version), answer);
        return rebalance_or_complete_join(
            group, fmt::format("{} {}; client reason: {}", why, request.member_id, reason_of(request)));
    };
    const bool is_leader = group.is_leader(member.member_id);
    switch (group.state()) {
        case preparing_rebalance:
            return join_anew("joining during a rebalance: member");
        case completing_rebalance:
            if (!member.matches(request)) return join_anew("new metadata of member");
            // It missed the answer to its first request.
            answer.complete(group.join_response(member, is_leader));
            return {};
        case stable:
            // A leader rejoins when something but its own metadata changed: topics, for example.
            if (is_leader) return join_anew("rejoining leader");
            if (!member.matches(request)) return join_anew("new metadata of member");
            answer.complete(group.join_response(member, false));
            return {};
        case empty:
        case dead:
            break;
    }
    answer.complete(join_error(request.member_id, ErrorCode::unknown_member_id));
    return {};
}

CoordinatorResult<Nothing> ClassicGroups::add_member(ClassicGroup& group, const Requester& requester,
                                                     const JoinGroupRequest& request, std::string member_id,
                                                     JoinAnswer answer) {
    ClassicGroupMember member{.member_id = member_id,
                              .client_id = std::string{requester.client_id},
                              .client_host = std::string{requester.client_host},
                              .rebalance_timeout_ms = rebalance_timeout_of(request, requester.api_version),
                              .session_timeout_ms = request.session_timeout_ms,
                              .protocol_type = std::string{request.protocol_type},
                              .supported_protocols = protocols_of(request),
                              .is_new = true};
    if (request.group_instance_id) member.group_instance_id = std::string{*request.group_instance_id};
    if (group.is_in(preparing_rebalance) && group.previous_state() == empty) group.new_member_added = true;
    group.add(std::move(member), std::move(answer));
    // A new member cannot send heartbeats, it does not know its id. If its connection breaks nobody notices while the
    // request waits, and the client tries again as yet another member: so the wait of new members has an end.
    schedule_session(group, member_id, kNewMemberJoinTimeoutMs);
    return rebalance_or_complete_join(group,
                                      fmt::format("new member {}; client reason: {}", member_id, reason_of(request)));
}

CoordinatorResult<Nothing> ClassicGroups::replace_static_member(ClassicGroup& group, const Requester& requester,
                                                                const JoinGroupRequest& request,
                                                                const std::string& old_member_id,
                                                                std::string new_member_id, JoinAnswer answer) {
    StaticReturn back{.old_member_id = old_member_id, .new_member_id = new_member_id};
    back.old_leader = group.generation().leader_id.value_or("");
    back.version = requester.api_version;
    // The old one will not ask for its assignment any more, and is not missed.
    note_synced(group, old_member_id);
    ClassicGroupMember& member = group.replace_static_member(old_member_id, new_member_id);
    back.old_terms = {member.supported_protocols, member.rebalance_timeout_ms, member.session_timeout_ms};
    context_.cancel(session_timer(group.id(), old_member_id));
    group.update_member(member, terms_of(request, requester.api_version), std::move(answer));
    extend_session(group, member);
    switch (group.state()) {
        case stable:
            if (group.generation().protocol_name == group.select_protocol()) {
                return keep_static_assignment(group, std::move(back));
            }
            return rebalance_or_complete_join(
                group, fmt::format("static member {} changes the protocol; client reason: {}", new_member_id,
                                   reason_of(request)));
        case completing_rebalance:
            // The leader may be assigning to the old member id already.
            return prepare_rebalance(
                group, fmt::format("static member {} came back; client reason: {}", new_member_id, reason_of(request)));
        case preparing_rebalance:
            return maybe_complete_join(group);
        case empty:
        case dead:
            break;
    }
    return {};
}

// Nothing changes but the member id: it is stored, and no rebalance is needed.
CoordinatorResult<Nothing> ClassicGroups::keep_static_assignment(ClassicGroup& group, StaticReturn back) {
    CoordinatorResult<Nothing> result;
    result.replay = false;
    result.records.push_back(group.record());
    result.on_appended = [this, group_id = group.id(), generation_id = group.generation_id(),
                          back = std::move(back)](ErrorCode error) mutable {
        ClassicGroup* const now = find(group_id);
        ClassicGroupMember* const member = now == nullptr ? nullptr : now->member(back.new_member_id);
        if (member == nullptr) return;
        if (error != ErrorCode::none) return undo_static_return(*now, std::move(back), coordinator_error_of(error));
        // If a rebalance began meanwhile its end answers.
        if (!member->awaiting_join || !now->is_in(stable) || now->generation_id() != generation_id) return;
        const bool is_skipping = back.version >= kSkipAssignmentFrom && now->is_leader(back.new_member_id);
        auto response = now->join_response(*member, is_skipping);
        response.message.skip_assignment = is_skipping;
        // Before KIP-814 a leader is kept from assigning anew by naming the old one.
        if (back.version < kSkipAssignmentFrom) response.message.leader = response.keep(std::move(back.old_leader));
        extend_session(*now, *member);
        now->complete_join(*member, std::move(response));
    };
    return result;
}

// The new member id was not stored: the old one is the member again.
void ClassicGroups::undo_static_return(ClassicGroup& group, StaticReturn back, ErrorCode error) {
    ClassicGroupMember& member = *group.member(back.new_member_id);
    auto response = group.join_response(member, false);
    response.message.leader = response.keep(std::move(back.old_leader));
    response.message.member_id = "";
    response.message.error_code = static_cast<std::int16_t>(error);
    group.complete_join(member, std::move(response));
    context_.cancel(session_timer(group.id(), back.new_member_id));
    group.update_member(member, std::move(back.old_terms), std::nullopt);
    extend_session(group, group.replace_static_member(back.new_member_id, std::move(back.old_member_id)));
}

}  // namespace odr::coordinator
