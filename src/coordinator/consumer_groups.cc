#include "coordinator/consumer_groups.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/log.h"
#include "coordinator/consumer_group_assignor.h"
#include "coordinator/consumer_group_records.h"
#include "coordinator/consumer_group_regex.h"

namespace odr::coordinator {
namespace {

using protocol::ConsumerGroupHeartbeatRequest;
using protocol::ConsumerGroupHeartbeatResponse;

std::unexpected<Refusal> refuse(ErrorCode code, std::string message) {
    return std::unexpected{Refusal{.code = code, .message = std::move(message)}};
}

bool is_blank(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) <= ' '; });
}

Checked<void> check_joining(const ConsumerGroupHeartbeatRequest& request) {
    if (request.rebalance_timeout_ms == -1) {
        return refuse(ErrorCode::invalid_request, "RebalanceTimeoutMs must be provided in first request.");
    }
    if (!request.topic_partitions || !request.topic_partitions->empty()) {
        return refuse(ErrorCode::invalid_request, "TopicPartitions must be empty when (re-)joining.");
    }
    if (!request.subscribed_topic_names && !request.subscribed_topic_regex) {
        return refuse(ErrorCode::invalid_request,
                      "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.");
    }
    return {};
}

Checked<void> check_request(const ConsumerGroupHeartbeatRequest& request, std::int16_t version,
                            const std::vector<std::string>& assignors) {
    // From version 1 on members make up their ids themselves.
    const bool needs_member_id = version >= 1 || request.member_epoch > 0 || request.member_epoch == kLeaveEpoch;
    if (needs_member_id && is_blank(request.member_id)) {
        return refuse(ErrorCode::invalid_request, "MemberId can't be empty.");
    }
    if (is_blank(request.group_id)) return refuse(ErrorCode::invalid_request, "GroupId can't be empty.");
    if (request.instance_id && is_blank(*request.instance_id)) {
        return refuse(ErrorCode::invalid_request, "InstanceId can't be empty.");
    }
    if (request.rack_id && is_blank(*request.rack_id)) {
        return refuse(ErrorCode::invalid_request, "RackId can't be empty.");
    }
    if (request.member_epoch == kJoinEpoch) {
        if (auto joining = check_joining(request); !joining) return joining;
    } else if (request.member_epoch == kStaticLeaveEpoch) {
        if (!request.instance_id) return refuse(ErrorCode::invalid_request, "InstanceId can't be null.");
    } else if (request.member_epoch < kStaticLeaveEpoch) {
        return refuse(ErrorCode::invalid_request, "MemberEpoch is invalid.");
    }
    if (request.server_assignor && std::ranges::find(assignors, *request.server_assignor) == assignors.end()) {
        return refuse(ErrorCode::unsupported_assignor,
                      fmt::format("ServerAssignor {} is not supported. Supported assignors: {}.",
                                  *request.server_assignor, fmt::join(assignors, ", ")));
    }
    return {};
}

TopicAssignment owned_of(const std::vector<ConsumerGroupHeartbeatRequest::TopicPartitions>& topics) {
    TopicAssignment owned;
    for (const auto& topic : topics) {
        std::vector<std::int32_t>& partitions = owned[topic.topic_id];
        partitions.insert(partitions.end(), topic.partitions.begin(), topic.partitions.end());
    }
    return owned;
}

bool is_within(const TopicAssignment* owned, const HeldAssignment& assigned) {
    if (owned == nullptr) return false;
    return std::ranges::all_of(*owned, [&](const auto& topic) {
        return assigned.contains(topic.first) && std::ranges::all_of(topic.second, [&](std::int32_t partition) {
                   return find_held(assigned, topic.first, partition) != nullptr;
               });
    });
}

// The epoch before is good for a member that did not get its last answer, as long as it claims nothing it may not have.
Checked<void> check_epoch(const ConsumerGroupMember& member, std::int32_t epoch, const TopicAssignment* owned) {
    if (epoch == kJoinEpoch || epoch == member.member_epoch) return {};
    if (epoch < member.member_epoch && epoch == member.previous_member_epoch && is_within(owned, member.assigned)) {
        return {};
    }
    return refuse(ErrorCode::fenced_member_epoch,
                  fmt::format("The consumer group member has a {} member epoch ({}) than the one known by the group "
                              "coordinator ({}). The member must abandon all its partitions and rejoin.",
                              epoch > member.member_epoch ? "greater" : "smaller", epoch, member.member_epoch));
}

ConsumerGroupMember updated(ConsumerGroupMember member, const Requester& requester,
                            const ConsumerGroupHeartbeatRequest& request) {
    if (request.instance_id) member.instance_id = *request.instance_id;
    if (request.rack_id) member.rack_id = *request.rack_id;
    if (request.rebalance_timeout_ms != -1) member.rebalance_timeout_ms = request.rebalance_timeout_ms;
    if (request.server_assignor) member.server_assignor = *request.server_assignor;
    if (request.subscribed_topic_names) {
        member.subscribed_topic_names.clear();
        for (const std::string_view name : *request.subscribed_topic_names) member.subscribed_topic_names.emplace(name);
    }
    if (request.subscribed_topic_regex) member.subscribed_topic_regex = *request.subscribed_topic_regex;
    member.client_id = requester.client_id;
    member.client_host = requester.client_host;
    member.classic.reset();
    return member;
}

ConsumerGroupHeartbeatResponse::Assignment answer_assignment(const HeldAssignment& assigned) {
    ConsumerGroupHeartbeatResponse::Assignment answer;
    for (const auto& [topic, partitions] : assigned) {
        auto& entry = answer.topic_partitions.emplace_back();
        entry.topic_id = topic;
        for (const HeldPartition& partition : partitions) entry.partitions.push_back(partition.partition);
    }
    return answer;
}

}  // namespace

std::string ConsumerGroups::timer_name(std::string_view kind, std::string_view group_id, std::string_view member_id) {
    return fmt::format("consumer-{}:{}:{}:{}", kind, group_id.size(), group_id, member_id);
}

ConsumerGroups::ConsumerGroups(ShardContext& context, GroupRegistry& groups, ClassicGroups& classic_groups)
    : context_{context}, groups_{groups}, classic_groups_{classic_groups} {
    classic_groups.set_consumer_groups(this);
}

ConsumerGroups::~ConsumerGroups() { classic_groups_.set_consumer_groups(nullptr); }

ConsumerGroup* ConsumerGroups::find(std::string_view group_id) const {
    Group* group = groups_.find(group_id);
    if (group == nullptr || group->type() != GroupType::consumer) return nullptr;
    return static_cast<ConsumerGroup*>(group);
}

Result<ConsumerGroups::Heartbeat> ConsumerGroups::heartbeat(const Requester& requester,
                                                            const HeartbeatRequest& request) {
    Checked<Heartbeat> result = [&]() -> Checked<Heartbeat> {
        const auto& assignors = context_.settings().group_consumer_assignors;
        if (auto checked = check_request(request, requester.api_version, assignors); !checked) {
            return std::unexpected{checked.error()};
        }
        const bool leaves = request.member_epoch == kLeaveEpoch || request.member_epoch == kStaticLeaveEpoch;
        return leaves ? leave(request) : beat(requester, request);
    }();
    if (result) return std::move(*result);
    Heartbeat refused;
    refused.response.message.error_code = static_cast<std::int16_t>(result.error().code);
    refused.response.message.error_message = refused.response.keep(std::move(result.error().message));
    return refused;
}

Checked<ConsumerGroups::Heartbeat> ConsumerGroups::beat(const Requester& requester, const HeartbeatRequest& request) {
    Heartbeat result;
    const bool joins = request.member_epoch == kJoinEpoch;
    auto access = find_or_found(request.group_id, joins, result.records);
    if (!access) return std::unexpected{access.error()};
    ConsumerGroup& group = *access->group;
    if (auto room = check_room(group, request.member_id); !room) return std::unexpected{room.error()};
    const std::string member_id =
        request.member_id.empty() ? context_.random().uuid().to_string() : std::string{request.member_id};
    std::optional<TopicAssignment> owned;
    if (request.topic_partitions) owned = owned_of(*request.topic_partitions);
    const TopicAssignment* const owned_or_null = owned ? &*owned : nullptr;

    auto member = request.instance_id ? static_member(group, request, member_id, owned_or_null, result.records)
                                      : dynamic_member(group, request, member_id, owned_or_null);
    if (!member) return std::unexpected{member.error()};
    const ConsumerGroupMember told = updated(*member, requester, request);
    const bool have_names_changed = record_member(group, *member, told, result.records);
    const auto regex_change = update_regexes(group, *member, told, result.records);
    if (!regex_change) return std::unexpected{regex_change.error()};
    const bool has_changed = have_names_changed || *regex_change != RegexChange::none;
    const Epochs epochs = advance(
        group, *member, told, have_names_changed || *regex_change == RegexChange::changed_and_resolved, result.records);
    auto reconciled = reconcile_member(group, told, epochs, has_changed, owned_or_null, result.records);
    if (!reconciled) return std::unexpected{reconciled.error()};
    schedule_session(request.group_id, member_id, session_timeout_ms(request.group_id));

    HeartbeatResponse& response = result.response.message;
    response.member_id = result.response.keep(member_id);
    response.member_epoch = reconciled->member_epoch;
    response.heartbeat_interval_ms = heartbeat_interval_ms(request.group_id);
    const bool is_full = request.rebalance_timeout_ms != -1 && owned &&
                         (request.subscribed_topic_names || request.subscribed_topic_regex);
    if (joins || is_full || reconciled->assigned != member->assigned) {
        response.assignment = answer_assignment(reconciled->assigned);
    }
    return result;
}

Checked<ConsumerGroups::GroupAccess> ConsumerGroups::find_or_found(std::string_view group_id, bool may_found,
                                                                   CoordinatorRecords& records) {
    Group* const found = groups_.find(group_id);
    if (found == nullptr && !may_found) {
        return refuse(ErrorCode::group_id_not_found, fmt::format("Consumer group {} not found.", group_id));
    }
    GroupAccess access;
    if (found != nullptr && found->type() == GroupType::consumer) {
        access.group = static_cast<ConsumerGroup*>(found);
        return access;
    }
    if (found != nullptr) {
        if (!may_found || found->type() != GroupType::classic) {
            return refuse(ErrorCode::group_id_not_found, fmt::format("Group {} is not a consumer group.", group_id));
        }
        auto& classic = static_cast<ClassicGroup&>(*found);
        if (!classic.is_empty()) return upgrade(classic, records);
        classic_groups_.give_up(classic, records);
    }
    access.founded = std::make_unique<ConsumerGroup>(std::string{group_id});
    access.group = access.founded.get();
    return access;
}

Checked<ConsumerGroup*> ConsumerGroups::existing(std::string_view group_id) const {
    Group* const found = groups_.find(group_id);
    if (found == nullptr) {
        return refuse(ErrorCode::group_id_not_found, fmt::format("Group {} not found.", group_id));
    }
    if (found->type() != GroupType::consumer) {
        return refuse(ErrorCode::group_id_not_found, fmt::format("Group {} is not a consumer group.", group_id));
    }
    return static_cast<ConsumerGroup*>(found);
}

Checked<void> ConsumerGroups::check_room(const ConsumerGroup& group, std::string_view member_id) const {
    const std::int32_t most = context_.settings().group_consumer_max_size;
    if (static_cast<std::int64_t>(group.members().size()) < most || group.member(member_id) != nullptr) return {};
    return refuse(ErrorCode::group_max_size_reached,
                  fmt::format("The consumer group has reached its maximum capacity of {} members.", most));
}

Checked<ConsumerGroupMember> ConsumerGroups::dynamic_member(const ConsumerGroup& group, const HeartbeatRequest& request,
                                                            std::string_view member_id,
                                                            const TopicAssignment* owned) const {
    const ConsumerGroupMember* found = group.member(member_id);
    if (found == nullptr) {
        if (request.member_epoch == kJoinEpoch) return ConsumerGroupMember{.member_id = std::string{member_id}};
        return refuse(ErrorCode::unknown_member_id,
                      fmt::format("Member {} is not a member of group {}.", member_id, group.id()));
    }
    if (auto checked = check_epoch(*found, request.member_epoch, owned); !checked) {
        return std::unexpected{checked.error()};
    }
    return *found;
}

Checked<ConsumerGroupMember> ConsumerGroups::static_member(const ConsumerGroup& group, const HeartbeatRequest& request,
                                                           std::string_view member_id, const TopicAssignment* owned,
                                                           CoordinatorRecords& records) const {
    const ConsumerGroupMember* found = group.static_member(request.instance_id);
    const std::string_view instance_id = *request.instance_id;
    if (request.member_epoch != kJoinEpoch) {
        if (found == nullptr) {
            return refuse(ErrorCode::unknown_member_id, fmt::format("Instance id {} is unknown.", instance_id));
        }
        if (found->member_id != member_id) {
            return refuse(ErrorCode::fenced_instance_id,
                          fmt::format("Static member {} with instance id {} was fenced by member {}.", member_id,
                                      instance_id, found->member_id));
        }
        if (auto checked = check_epoch(*found, request.member_epoch, owned); !checked) {
            return std::unexpected{checked.error()};
        }
        return *found;
    }
    if (found == nullptr) {
        const ConsumerGroupMember* known = group.member(member_id);
        return known != nullptr ? *known : ConsumerGroupMember{.member_id = std::string{member_id}};
    }
    if (!found->uses_classic_protocol() && found->member_epoch != kStaticLeaveEpoch) {
        return refuse(ErrorCode::unreleased_instance_id,
                      fmt::format("Static member {} with instance id {} cannot join the group because the instance id "
                                  "is owned by {} member.",
                                  member_id, instance_id, found->member_id));
    }
    ConsumerGroupMember back = *found;
    back.member_id = member_id;
    back.member_epoch = 0;
    back.previous_member_epoch = 0;
    replace_member(group, found->member_id, back, records);
    return back;
}

void ConsumerGroups::replace_member(const ConsumerGroup& group, std::string_view old_member_id,
                                    const ConsumerGroupMember& new_member, CoordinatorRecords& records) const {
    records.push_back(current_tombstone(group.id(), old_member_id));
    records.push_back(target_tombstone(group.id(), old_member_id));
    records.push_back(member_tombstone(group.id(), old_member_id));
    records.push_back(member_record(group.id(), new_member));
    records.push_back(target_record(group.id(), new_member.member_id, group.target_of(old_member_id)));
    records.push_back(current_record(group.id(), new_member));
}

bool ConsumerGroups::record_member(const ConsumerGroup& group, const ConsumerGroupMember& before,
                                   const ConsumerGroupMember& after, CoordinatorRecords& records) const {
    if (before == after) return false;
    records.push_back(member_record(group.id(), after));
    return before.subscribed_topic_names != after.subscribed_topic_names;
}

Checked<ConsumerGroups::Heartbeat> ConsumerGroups::leave(const HeartbeatRequest& request) {
    const auto found = existing(request.group_id);
    if (!found) return std::unexpected{found.error()};
    ConsumerGroup& group = **found;
    Owned<HeartbeatResponse> response;
    response.message.member_id = response.keep(std::string{request.member_id});
    response.message.member_epoch = request.member_epoch;
    if (!request.instance_id) {
        const ConsumerGroupMember* member = group.member(request.member_id);
        if (member == nullptr) {
            return refuse(ErrorCode::unknown_member_id,
                          fmt::format("Member {} is not a member of group {}.", request.member_id, group.id()));
        }
        return fence(group, {member}, std::move(response));
    }
    const ConsumerGroupMember* member = group.static_member(request.instance_id);
    if (member == nullptr) {
        return refuse(ErrorCode::unknown_member_id, fmt::format("Instance id {} is unknown.", *request.instance_id));
    }
    if (member->member_id != request.member_id) {
        return refuse(ErrorCode::fenced_instance_id,
                      fmt::format("Static member {} with instance id {} was fenced by member {}.", request.member_id,
                                  *request.instance_id, member->member_id));
    }
    if (request.member_epoch != kStaticLeaveEpoch) return fence(group, {member}, std::move(response));
    // It keeps its target, and its partitions are nobody else's, until it is back or its session ends.
    ConsumerGroupMember away = *member;
    away.member_epoch = kStaticLeaveEpoch;
    away.pending_revocation.clear();
    for (auto& [topic, partitions] : away.assigned) {
        for (HeldPartition& partition : partitions) partition.assignment_epoch = 0;
    }
    Heartbeat result;
    result.records.push_back(current_record(group.id(), away));
    result.response = std::move(response);
    return result;
}

template <class Response>
CoordinatorResult<Response> ConsumerGroups::fence(ConsumerGroup& group,
                                                  const std::vector<const ConsumerGroupMember*>& gone,
                                                  Response response) {
    CoordinatorResult<Response> result;
    result.response = std::move(response);
    if (gone.empty()) return result;
    if (can_downgrade(group, gone, nullptr)) {
        const std::string why =
            fmt::format("Downgrade group {} from consumer to classic for member leaving.", group.id());
        ClassicGroup& classic = downgrade(group, gone, nullptr, result.records);
        CoordinatorResult<Nothing> rebalance = classic_groups_.prepare_rebalance(classic, why);
        std::ranges::move(rebalance.records, std::back_inserter(result.records));
        result.on_appended = std::move(rebalance.on_appended);
        result.replay = false;
        return result;
    }
    std::map<std::string_view, std::int32_t> regexes;
    for (const ConsumerGroupMember* member : gone) {
        result.records.push_back(current_tombstone(group.id(), member->member_id));
        result.records.push_back(target_tombstone(group.id(), member->member_id));
        result.records.push_back(member_tombstone(group.id(), member->member_id));
        if (!member->regex().empty()) ++regexes[member->regex()];
    }
    std::set<std::string, std::less<>> regexes_gone;
    for (const auto& [regex, count] : regexes) {
        if (group.subscribers_of(regex) != count) continue;
        result.records.push_back(regex_tombstone(group.id(), regex));
        regexes_gone.emplace(regex);
    }
    const std::int64_t hash = metadata_hash(group.subscribed_topics_without(gone, regexes_gone));
    result.records.push_back(epoch_record(group.id(), group.group_epoch() + 1, hash));
    for (const ConsumerGroupMember* member : gone) cancel_timers(group.id(), member->member_id);
    return result;
}

template CoordinatorResult<Owned<protocol::LeaveGroupResponse>> ConsumerGroups::fence(
    ConsumerGroup&, const std::vector<const ConsumerGroupMember*>&, Owned<protocol::LeaveGroupResponse>);

Result<CoordinatorResult<Nothing>> ConsumerGroups::fence_for(std::string_view group_id, std::string_view member_id,
                                                             std::string_view why) {
    ConsumerGroup* const group = find(group_id);
    const ConsumerGroupMember* const member = group == nullptr ? nullptr : group->member(member_id);
    if (member == nullptr) return CoordinatorResult<Nothing>{};
    log::info("{}: group {}: member {} is fenced: {}", context_.name(), group_id, member_id, why);
    return fence(*group, {member}, Nothing{});
}

void ConsumerGroups::schedule_session(std::string_view group_id, std::string_view member_id, std::int64_t timeout_ms) {
    context_.schedule(timer_name("session", group_id, member_id), timeout_ms,
                      [this, group = std::string{group_id}, member = std::string{member_id}] {
                          return fence_for(group, member, "its session expired");
                      });
}

void ConsumerGroups::schedule_rebalance(const ConsumerGroup& group, const ConsumerGroupMember& member) {
    context_.schedule(timer_name("rebalance", group.id(), member.member_id), member.rebalance_timeout_ms,
                      [this, group_id = group.id(), member_id = member.member_id,
                       epoch = member.member_epoch]() -> Result<CoordinatorResult<Nothing>> {
                          const ConsumerGroup* found = find(group_id);
                          const ConsumerGroupMember* still = found == nullptr ? nullptr : found->member(member_id);
                          if (still == nullptr || still->member_epoch != epoch) return CoordinatorResult<Nothing>{};
                          return fence_for(group_id, member_id, "it did not give up its partitions in time");
                      });
}

void ConsumerGroups::schedule_join(const ConsumerGroup& group, const ConsumerGroupMember& member) {
    context_.schedule_if_absent(timer_name("join", group.id(), member.member_id), member.rebalance_timeout_ms,
                                [this, group_id = group.id(), member_id = member.member_id] {
                                    return fence_for(group_id, member_id, "it did not join the rebalance in time");
                                });
}

void ConsumerGroups::schedule_sync(std::string_view group_id, std::string_view member_id, std::int64_t timeout_ms) {
    context_.schedule(timer_name("sync", group_id, member_id), timeout_ms,
                      [this, group = std::string{group_id}, member = std::string{member_id}] {
                          return fence_for(group, member, "it did not sync in time");
                      });
}

void ConsumerGroups::cancel_timers(std::string_view group_id, std::string_view member_id) {
    for (const char* kind : {"session", "rebalance", "join", "sync"}) {
        context_.cancel(timer_name(kind, group_id, member_id));
    }
}

std::int32_t ConsumerGroups::setting(std::string_view group_id, std::string_view key, std::int32_t broker_wide) const {
    const auto& configs = context_.image().configs().find(metadata::ConfigResourceType::group, group_id);
    const auto found = configs.find(key);
    if (found == configs.end()) return broker_wide;
    std::int32_t value = 0;
    const std::string& text = found->second;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    return parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size() ? value : broker_wide;
}

std::int32_t ConsumerGroups::session_timeout_ms(std::string_view group_id) const {
    return setting(group_id, "consumer.session.timeout.ms", context_.settings().group_consumer_session_timeout_ms);
}

std::int32_t ConsumerGroups::heartbeat_interval_ms(std::string_view group_id) const {
    return setting(group_id, "consumer.heartbeat.interval.ms",
                   context_.settings().group_consumer_heartbeat_interval_ms);
}

std::int32_t ConsumerGroups::assignment_interval_ms(std::string_view group_id) const {
    return setting(group_id, "consumer.assignment.interval.ms",
                   context_.settings().group_consumer_assignment_interval_ms);
}

const std::string& ConsumerGroups::default_assignor() const {
    return context_.settings().group_consumer_assignors.front();
}

}  // namespace odr::coordinator
