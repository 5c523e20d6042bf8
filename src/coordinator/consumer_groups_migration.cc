// Members of the classic protocol in consumer groups, and groups on their way from one protocol to the other
// (KIP-848, online migration; group.consumer.migration.policy).
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "coordinator/consumer_group_records.h"
#include "coordinator/consumer_groups.h"
#include "coordinator/consumer_protocol.h"

namespace odr::coordinator {
namespace {

using protocol::JoinGroupRequest;

constexpr std::int16_t kMemberIdRequiredFrom = 4;  // KIP-394

std::unexpected<Refusal> refuse(ErrorCode code, std::string message) {
    return std::unexpected{Refusal{.code = code, .message = std::move(message)}};
}

// Who a classic member of a consumer group is, of a classic group's member.
Checked<ConsumerGroupMember> converted(const ClassicGroup& group, const ClassicGroupMember& from,
                                       const metadata::TopicsImage& topics, TopicAssignment& target) {
    const auto refuse_upgrade = [&](std::string_view why) {
        return refuse(ErrorCode::group_id_not_found,
                      fmt::format("Cannot upgrade classic group {} to consumer group because {}", group.id(), why));
    };
    const auto assignment = read_assignment(from.assignment, topics);
    const std::optional<std::string>& chosen = group.generation().protocol_name;
    const std::string_view protocol = chosen ? std::string_view{*chosen} : std::string_view{};
    ByteView metadata = from.metadata_for(protocol);
    if (metadata.empty() && !from.supported_protocols.empty()) metadata = from.supported_protocols.front().metadata;
    const auto subscription = read_subscription(metadata, topics);
    if (!assignment || !subscription) return refuse_upgrade("the embedded consumer protocol is malformed.");
    if (assignment->has_user_data) {
        return refuse_upgrade(
            "an unsupported custom assignor is in use. Please refer to the documentation or switch "
            "to a default assignor before re-attempting the upgrade.");
    }
    target = assignment->partitions;
    ConsumerGroupMember member{.member_id = from.member_id,
                               .member_epoch = group.generation_id(),
                               .previous_member_epoch = group.generation_id(),
                               .instance_id = from.group_instance_id,
                               .rack_id = subscription->rack_id,
                               .rebalance_timeout_ms = from.rebalance_timeout_ms,
                               .client_id = from.client_id,
                               .client_host = from.client_host};
    member.subscribed_topic_names.insert(subscription->topics.begin(), subscription->topics.end());
    for (const auto& [topic, partitions] : target) {
        for (const std::int32_t partition : partitions) {
            member.assigned[topic].push_back({.partition = partition, .assignment_epoch = group.generation_id()});
        }
    }
    member.classic = {.session_timeout_ms = from.session_timeout_ms, .protocols = from.supported_protocols};
    return member;
}

ConsumerGroupMember joined(ConsumerGroupMember member, const Requester& requester, const JoinGroupRequest& request,
                           const ClassicSubscription& subscription) {
    if (request.group_instance_id) member.instance_id = *request.group_instance_id;
    if (subscription.rack_id) member.rack_id = subscription.rack_id;
    if (request.rebalance_timeout_ms != -1) member.rebalance_timeout_ms = request.rebalance_timeout_ms;
    member.subscribed_topic_names = {subscription.topics.begin(), subscription.topics.end()};
    member.subscribed_topic_regex = "";
    member.client_id = requester.client_id;
    member.client_host = requester.client_host;
    member.classic = {.session_timeout_ms = request.session_timeout_ms, .protocols = protocols_of(request)};
    return member;
}

std::int16_t protocol_version(const ConsumerGroupMember& member) {
    const std::vector<std::uint8_t>& metadata = member.classic->protocols.front().metadata;
    return metadata.size() < 2 ? std::int16_t{0}
                               : std::clamp<std::int16_t>(load_be<std::int16_t>(metadata.data()), 0, 3);
}

Owned<protocol::JoinGroupResponse> joined_response(const std::string& member_id, std::int32_t generation,
                                                   const std::string& protocol) {
    Owned<protocol::JoinGroupResponse> response;
    response.message.member_id = response.keep(member_id);
    response.message.generation_id = generation;
    response.message.protocol_type = kConsumerProtocolType;
    response.message.protocol_name = response.keep(protocol);
    return response;
}

bool can_downgrade_by(MigrationPolicy policy) {
    return policy == MigrationPolicy::downgrade || policy == MigrationPolicy::bidirectional;
}
bool can_upgrade_by(MigrationPolicy policy) {
    return policy == MigrationPolicy::upgrade || policy == MigrationPolicy::bidirectional;
}

}  // namespace

Checked<ConsumerGroups::GroupAccess> ConsumerGroups::upgrade(ClassicGroup& classic, CoordinatorRecords& records) {
    const GroupSettings& settings = context_.settings();
    const auto refuse_upgrade = [&](std::string_view why) {
        return refuse(ErrorCode::group_id_not_found,
                      fmt::format("Cannot upgrade classic group {} to consumer group because {}", classic.id(), why));
    };
    if (!can_upgrade_by(settings.group_consumer_migration_policy)) {
        return refuse_upgrade("online upgrade is disabled.");
    }
    if (!classic.uses_consumer_protocol()) {
        return refuse_upgrade("the group does not use the consumer embedded protocol.");
    }
    if (static_cast<std::int64_t>(classic.members().size()) > settings.group_consumer_max_size) {
        return refuse_upgrade("the group size exceeds the consumer group maximum size.");
    }
    GroupAccess access;
    access.founded = std::make_unique<ConsumerGroup>(classic.id());
    ConsumerGroup& group = *access.founded;
    for (const auto& [member_id, from] : classic.members()) {
        TopicAssignment target;
        auto member = converted(classic, from, context_.image().topics(), target);
        if (!member) return std::unexpected{member.error()};
        group.put_target(member_id, std::move(target));
        group.put_member(std::move(*member));
    }
    group.set_epoch(classic.generation_id(), metadata_hash(group.subscribed_topics()));
    group.set_assignment_epoch(classic.generation_id(), 0);
    classic_groups_.give_up(classic, records);
    group.add_records(records);
    for (const auto& [member_id, member] : group.members()) {
        schedule_session(group.id(), member_id, member.classic->session_timeout_ms);
    }
    log::info("{}: group {}: the classic group becomes a consumer group", context_.name(), group.id());
    access.group = &group;
    return access;
}

bool ConsumerGroups::can_downgrade(const ConsumerGroup& group, const std::vector<const ConsumerGroupMember*>& gone,
                                   const ConsumerGroupMember* joining) const {
    const auto members = static_cast<std::int64_t>(group.members().size());
    std::int64_t left = members;
    std::int64_t classic_left = group.classic_member_count();
    if (joining != nullptr) {
        if (joining->uses_classic_protocol() || classic_left != members - 1) return false;
    } else {
        left -= static_cast<std::int64_t>(gone.size());
        classic_left -= std::ranges::count_if(gone, &ConsumerGroupMember::uses_classic_protocol);
        if (classic_left != left || left <= 0) return false;
    }
    const GroupSettings& settings = context_.settings();
    return can_downgrade_by(settings.group_consumer_migration_policy) && left <= settings.group_max_size;
}

ClassicGroup& ConsumerGroups::downgrade(ConsumerGroup& group, const std::vector<const ConsumerGroupMember*>& gone,
                                        const ConsumerGroupMember* joining, CoordinatorRecords& records) {
    std::optional<std::string_view> instance_id;
    if (joining != nullptr && joining->instance_id) instance_id = *joining->instance_id;
    const std::string* const replaced = group.static_member_id(instance_id);
    if (joining != nullptr && replaced != nullptr) {
        group.add_tombstones(records, *replaced, joining->member_id);
    } else {
        group.add_tombstones(records);
    }
    auto classic =
        std::make_unique<ClassicGroup>(group.id(),
                                       ClassicGroup::Generation{.state = ClassicGroupState::stable,
                                                                .id = group.group_epoch(),
                                                                .protocol_type = std::string{kConsumerProtocolType},
                                                                .protocol_name = std::nullopt,
                                                                .leader_id = std::nullopt,
                                                                .since = context_.now()},
                                       &classic_groups_);
    const auto add = [&](const ConsumerGroupMember& member, const TopicAssignment& target) {
        ClassicGroupMember into{.member_id = member.member_id,
                                .group_instance_id = member.instance_id,
                                .client_id = member.client_id,
                                .client_host = member.client_host,
                                .rebalance_timeout_ms = member.rebalance_timeout_ms,
                                .session_timeout_ms = member.classic->session_timeout_ms,
                                .protocol_type = std::string{kConsumerProtocolType},
                                .supported_protocols = member.classic->protocols,
                                .assignment = {}};
        into.assignment = write_assignment(target, protocol_version(member), context_.image().topics());
        classic->add(std::move(into), std::nullopt);
    };
    for (const auto& [member_id, member] : group.members()) {
        cancel_timers(group.id(), member_id);
        const bool goes = std::ranges::find(gone, &member) != gone.end() ||
                          (joining != nullptr && replaced != nullptr && member_id == *replaced) ||
                          (joining != nullptr && member_id == joining->member_id);
        if (!goes) add(member, group.target_of(member_id));
    }
    if (joining != nullptr) add(*joining, group.target_of(joining->member_id, instance_id));
    ClassicGroup::Generation generation = classic->generation();
    generation.protocol_name = classic->select_protocol();
    auto named = std::make_unique<ClassicGroup>(group.id(), generation, &classic_groups_);
    for (auto& [member_id, member] : classic->members()) named->add(std::move(member), std::nullopt);
    named->update_subscribed_topics();
    records.push_back(named->record());
    log::info("{}: group {}: the consumer group becomes a classic group", context_.name(), group.id());
    return classic_groups_.adopt(std::move(named));  // `group` is gone
}

CoordinatorResult<Nothing> ConsumerGroups::classic_join(Group& group, const Requester& requester,
                                                        const JoinGroupRequest& request, JoinAnswer answer) {
    CoordinatorResult<Nothing> result;
    const auto done = join_as_classic(static_cast<ConsumerGroup&>(group), requester, request, answer, result);
    if (done) return result;
    answer.complete(join_error(request.member_id, done.error().code));
    return {};
}

Checked<ConsumerGroupMember> ConsumerGroups::joining_classic_member(const ConsumerGroup& group,
                                                                    const JoinGroupRequest& request,
                                                                    std::string_view member_id,
                                                                    CoordinatorRecords& records) const {
    const bool is_unknown = request.member_id.empty();
    const ConsumerGroupMember* const existing_static = group.static_member(request.group_instance_id);
    if (!request.group_instance_id) {
        const ConsumerGroupMember* known = group.member(member_id);
        return known != nullptr ? *known : ConsumerGroupMember{.member_id = std::string{member_id}};
    }
    if (existing_static == nullptr) {
        if (is_unknown) return ConsumerGroupMember{.member_id = std::string{member_id}};
        return refuse(ErrorCode::unknown_member_id, "the instance id is unknown");
    }
    if (!is_unknown) {
        if (existing_static->member_id == member_id) return *existing_static;
        return refuse(ErrorCode::fenced_instance_id, "another member has the instance id");
    }
    ConsumerGroupMember member = *existing_static;
    member.member_id = member_id;
    member.member_epoch = 0;
    member.previous_member_epoch = 0;
    replace_member(group, existing_static->member_id, member, records);
    return member;
}

Checked<void> ConsumerGroups::join_as_classic(ConsumerGroup& group, const Requester& requester,
                                              const JoinGroupRequest& request, JoinAnswer& answer,
                                              CoordinatorResult<Nothing>& result) {
    const std::string group_id = group.id();
    const bool is_unknown = request.member_id.empty();
    const std::string member_id = is_unknown ? context_.random().uuid().to_string() : std::string{request.member_id};
    if (auto room = check_room(group, member_id); !room) return room;
    if (!group.supports_classic(request.protocol_type, protocols_of(request))) {
        return refuse(ErrorCode::inconsistent_group_protocol, "the member's protocols are not supported");
    }
    if (is_unknown && !request.group_instance_id && requester.api_version >= kMemberIdRequiredFrom) {
        answer.complete(join_error(member_id, ErrorCode::member_id_required));
        return {};
    }
    const auto subscription = read_subscription(request.protocols.front().metadata, context_.image().topics());
    if (!subscription) return refuse(ErrorCode::inconsistent_group_protocol, "the embedded protocol is malformed");
    const ConsumerGroupMember* const existing_static = group.static_member(request.group_instance_id);
    const auto member = joining_classic_member(group, request, member_id, result.records);
    if (!member) return std::unexpected{member.error()};
    const bool downgrades = existing_static != nullptr && can_downgrade(group, {}, existing_static);
    ConsumerGroupMember told = joined(*member, requester, request, *subscription);
    const bool have_names_changed = record_member(group, *member, told, result.records);
    const auto regex_change = update_regexes(group, *member, told, result.records);
    if (!regex_change) return std::unexpected{regex_change.error()};
    const bool has_changed = have_names_changed || *regex_change != RegexChange::none;

    Epochs epochs{.group_epoch = group.group_epoch()};
    bool must_rebalance = false;
    if (downgrades) {
        if (has_changed || group.has_metadata_expired(context_.now().raw())) {
            epochs.group_epoch = advance_group_epoch(group, *member, told, has_changed, result.records);
        }
        epochs.target_epoch = group.assignment_epoch();
        epochs.target = group.target_of(told.member_id, request.group_instance_id);
        must_rebalance = group.assignment_epoch() < epochs.group_epoch;
    } else {
        epochs = advance(group, *member, told, has_changed, result.records);
    }
    if (!must_rebalance) {
        auto reconciled = reconcile_member(group, told, epochs, has_changed, &subscription->owned, result.records);
        if (!reconciled) return std::unexpected{reconciled.error()};
        told = std::move(*reconciled);
    }
    std::move_only_function<void(ErrorCode)> after_rebalance;
    if (downgrades) {
        ClassicGroup& classic = downgrade(group, {}, &told, result.records);
        result.replay = false;
        if (must_rebalance) {
            CoordinatorResult<Nothing> rebalance = classic_groups_.prepare_rebalance(
                classic, fmt::format("Downgrade group {} from consumer to classic with stale assignment.", group_id));
            std::ranges::move(rebalance.records, std::back_inserter(result.records));
            after_rebalance = std::move(rebalance.on_appended);
        }
    }
    result.on_appended = [this, group_id, downgrades, answer, member_id = told.member_id,
                          generation = told.member_epoch, protocol = told.classic->protocols.front().name,
                          session_ms = request.session_timeout_ms, rebalance_ms = request.rebalance_timeout_ms,
                          after_rebalance = std::move(after_rebalance)](ErrorCode error) mutable {
        if (after_rebalance) after_rebalance(error);
        if (error != ErrorCode::none) return answer.complete(join_error(member_id, error));
        if (!downgrades) {
            context_.cancel(timer_name("join", group_id, member_id));
            schedule_session(group_id, member_id, session_ms);
            schedule_sync(group_id, member_id, rebalance_ms);
        }
        answer.complete(joined_response(member_id, generation, protocol));
    };
    return {};
}

Checked<const ConsumerGroupMember*> ConsumerGroups::classic_member(const ConsumerGroup& group,
                                                                   std::string_view member_id,
                                                                   const std::optional<std::string_view>& instance_id,
                                                                   std::int32_t generation_id) const {
    const ConsumerGroupMember* const found = instance_id ? group.static_member(instance_id) : group.member(member_id);
    if (found == nullptr) return refuse(ErrorCode::unknown_member_id, "not a member of the group");
    if (found->member_id != member_id)
        return refuse(ErrorCode::fenced_instance_id, "another member has the instance id");
    if (!found->uses_classic_protocol()) {
        return refuse(ErrorCode::unknown_member_id, "the member does not use the classic protocol");
    }
    if (found->member_epoch != generation_id) {
        return refuse(ErrorCode::illegal_generation, "the generation is not the member's epoch");
    }
    return found;
}

CoordinatorResult<Nothing> ConsumerGroups::classic_sync(Group& any_group, const protocol::SyncGroupRequest& request,
                                                        SyncAnswer answer) {
    const auto& group = static_cast<const ConsumerGroup&>(any_group);
    const auto found = classic_member(group, request.member_id, request.group_instance_id, request.generation_id);
    if (!found) {
        answer.complete(sync_error(found.error().code));
        return {};
    }
    const ConsumerGroupMember& member = **found;
    const bool is_other_type = request.protocol_type && *request.protocol_type != kConsumerProtocolType;
    const bool is_other_protocol =
        request.protocol_name && *request.protocol_name != member.classic->protocols.front().name;
    if (is_other_type || is_other_protocol) {
        answer.complete(sync_error(ErrorCode::inconsistent_group_protocol));
        return {};
    }
    if (group.assignment_epoch() > member.member_epoch && member.state != MemberState::unrevoked_partitions) {
        schedule_join(group, member);
        answer.complete(sync_error(ErrorCode::rebalance_in_progress));
        return {};
    }
    Owned<protocol::SyncGroupResponse> response;
    if (request.protocol_type) response.message.protocol_type = response.keep(std::string{*request.protocol_type});
    if (request.protocol_name) response.message.protocol_name = response.keep(std::string{*request.protocol_name});
    response.message.assignment = response.keep(
        write_assignment(without_epochs(member.assigned), protocol_version(member), context_.image().topics()));
    CoordinatorResult<Nothing> result;
    result.on_appended = [this, group_id = group.id(), member_id = member.member_id,
                          session_ms = member.classic->session_timeout_ms, answer,
                          response = std::move(response)](ErrorCode error) mutable {
        if (error != ErrorCode::none) return answer.complete(sync_error(error));
        context_.cancel(timer_name("sync", group_id, member_id));
        schedule_session(group_id, member_id, session_ms);
        answer.complete(std::move(response));
    };
    return result;
}

Result<CoordinatorResult<protocol::HeartbeatResponse>> ConsumerGroups::classic_heartbeat(
    Group& any_group, const protocol::HeartbeatRequest& request) {
    const auto& group = static_cast<const ConsumerGroup&>(any_group);
    CoordinatorResult<protocol::HeartbeatResponse> result;
    const auto found = classic_member(group, request.member_id, request.group_instance_id, request.generation_id);
    if (!found) {
        result.response.error_code = static_cast<std::int16_t>(found.error().code);
        return result;
    }
    const ConsumerGroupMember& member = **found;
    schedule_session(group.id(), member.member_id, member.classic->session_timeout_ms);
    const bool must_rejoin =
        member.member_epoch < group.assignment_epoch() || member.state == MemberState::unrevoked_partitions ||
        (member.state == MemberState::unreleased_partitions && !group.waits_for_unreleased(member));
    if (must_rejoin) {
        result.response.error_code = static_cast<std::int16_t>(ErrorCode::rebalance_in_progress);
        schedule_join(group, member);
    }
    return result;
}

Result<CoordinatorResult<Owned<protocol::LeaveGroupResponse>>> ConsumerGroups::classic_leave(
    Group& any_group, const protocol::LeaveGroupRequest& request) {
    auto& group = static_cast<ConsumerGroup&>(any_group);
    Owned<protocol::LeaveGroupResponse> response;
    std::vector<const ConsumerGroupMember*> gone;
    for (const auto& leaving : request.members) {
        auto& answer = response.message.members.emplace_back();
        answer.member_id = response.keep(std::string{leaving.member_id});
        if (leaving.group_instance_id) {
            answer.group_instance_id = response.keep(std::string{*leaving.group_instance_id});
        }
        const ConsumerGroupMember* const member = leaving.group_instance_id
                                                      ? group.static_member(leaving.group_instance_id)
                                                      : group.member(leaving.member_id);
        ErrorCode error = ErrorCode::none;
        if (member == nullptr) {
            error = ErrorCode::unknown_member_id;
        } else if (!leaving.member_id.empty() && member->member_id != leaving.member_id) {
            error = ErrorCode::fenced_instance_id;
        }
        answer.error_code = static_cast<std::int16_t>(error);
        if (error == ErrorCode::none && std::ranges::find(gone, member) == gone.end()) gone.push_back(member);
    }
    return fence(group, gone, std::move(response));
}

}  // namespace odr::coordinator
