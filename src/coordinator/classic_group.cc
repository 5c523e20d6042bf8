#include "coordinator/classic_group.h"

#include <algorithm>

#include "base/assert.h"
#include "base/log.h"
#include "protocol/generated/consumer_protocol_subscription.h"
#include "protocol/generated/group_metadata_key.h"
#include "protocol/generated/group_metadata_value.h"
#include "protocol/reader.h"

namespace odr::coordinator {
namespace {

constexpr std::int16_t kGroupMetadataVersion = 3;  // the last one without tagged fields, as Kafka writes

Bytes copy_of(ByteView bytes) { return {bytes.begin(), bytes.end()}; }

bool is_valid_transition(ClassicGroupState from, ClassicGroupState to) {
    using enum ClassicGroupState;
    switch (to) {
        case empty:
        case completing_rebalance:
            return from == preparing_rebalance;
        case preparing_rebalance:
            return from == stable || from == completing_rebalance || from == empty;
        case stable:
            return from == completing_rebalance;
        case dead:
            return true;
    }
    return false;
}

// The names of a request, each once.
std::set<std::string_view> names_of(const std::vector<ClassicProtocol>& protocols) {
    std::set<std::string_view> names;
    for (const ClassicProtocol& each : protocols) names.insert(each.name);
    return names;
}

}  // namespace

std::string_view to_string(ClassicGroupState state) {
    switch (state) {
        case ClassicGroupState::empty:
            return "Empty";
        case ClassicGroupState::preparing_rebalance:
            return "PreparingRebalance";
        case ClassicGroupState::completing_rebalance:
            return "CompletingRebalance";
        case ClassicGroupState::stable:
            return "Stable";
        case ClassicGroupState::dead:
            return "Dead";
    }
    return "Unknown";
}

std::vector<ClassicProtocol> protocols_of(const protocol::JoinGroupRequest& request) {
    std::vector<ClassicProtocol> protocols;
    protocols.reserve(request.protocols.size());
    for (const auto& each : request.protocols) {
        protocols.push_back({.name = std::string{each.name}, .metadata = copy_of(each.metadata)});
    }
    return protocols;
}

ByteView ClassicGroupMember::metadata_for(std::string_view protocol) const {
    const auto found = std::ranges::find(supported_protocols, protocol, &ClassicProtocol::name);
    return found == supported_protocols.end() ? ByteView{} : ByteView{found->metadata};
}

bool ClassicGroupMember::matches(const protocol::JoinGroupRequest& request) const {
    return std::ranges::equal(supported_protocols, request.protocols,
                              [](const ClassicProtocol& mine, const auto& asked) {
                                  return mine.name == asked.name && std::ranges::equal(mine.metadata, asked.metadata);
                              });
}

ClassicGroup::ClassicGroup(std::string id, TimestampMs now, ClassicGroups* owner)
    : Group{std::move(id)}, owner_{owner}, generation_{.since = now} {}

ClassicGroup::ClassicGroup(std::string id, Generation generation, ClassicGroups* owner)
    : Group{std::move(id)}, owner_{owner}, generation_{std::move(generation)} {}

void ClassicGroup::transition_to(ClassicGroupState next, TimestampMs now) {
    ODR_ASSERT(is_valid_transition(generation_.state, next), "group={} from={} to={}", id(),
               to_string(generation_.state), to_string(next));
    previous_state_ = generation_.state;
    generation_.state = next;
    generation_.since = now;
}

ClassicGroupMember* ClassicGroup::member(std::string_view member_id) {
    const auto found = members_.find(member_id);
    return found == members_.end() ? nullptr : &found->second;
}
const ClassicGroupMember* ClassicGroup::member(std::string_view member_id) const {
    const auto found = members_.find(member_id);
    return found == members_.end() ? nullptr : &found->second;
}

const std::string* ClassicGroup::static_member_id(std::string_view group_instance_id) const {
    const auto found = static_members_.find(group_instance_id);
    return found == static_members_.end() ? nullptr : &found->second;
}

Result<void> ClassicGroup::validate_member(std::string_view member_id,
                                           std::optional<std::string_view> group_instance_id) const {
    if (group_instance_id) {
        const std::string* current = static_member_id(*group_instance_id);
        if (current == nullptr) return fail(ErrorCode::unknown_member_id, "no static member of that instance id");
        if (*current != member_id) return fail(ErrorCode::fenced_instance_id, "another member has the instance id");
    }
    if (!has_member(member_id)) return fail(ErrorCode::unknown_member_id, "no such member");
    return {};
}

std::int32_t ClassicGroup::rebalance_timeout_ms() const {
    std::int32_t longest = 0;
    for (const auto& [id, member] : members_) longest = std::max(longest, member.rebalance_timeout_ms);
    return longest;
}

void ClassicGroup::count_protocols(const ClassicGroupMember& member, int change) {
    for (const std::string_view name : names_of(member.supported_protocols)) {
        std::size_t& count = supported_protocols_[std::string{name}];
        count = change > 0 ? count + 1 : count - 1;
        if (count == 0) supported_protocols_.erase(std::string{name});
    }
}

void ClassicGroup::await_join(ClassicGroupMember& member, std::optional<JoinAnswer> answer) {
    // A member joins again while its first request waits, on a connection that broke: that request is told to retry.
    complete_join(member, join_error(member.member_id, ErrorCode::rebalance_in_progress));
    if (!answer) return;
    member.awaiting_join = std::move(answer);
    ++awaiting_join_count_;
}

void ClassicGroup::await_sync(ClassicGroupMember& member, SyncAnswer answer) {
    complete_sync(member, sync_error(ErrorCode::rebalance_in_progress));
    member.awaiting_sync = std::move(answer);
}

ClassicGroupMember& ClassicGroup::add(ClassicGroupMember member, std::optional<JoinAnswer> answer) {
    ODR_ASSERT(!has_member(member.member_id), "group={} member={}", id(), member.member_id);
    if (member.group_instance_id) {
        const bool is_first = static_members_.emplace(*member.group_instance_id, member.member_id).second;
        ODR_ASSERT(is_first, "group={} instance={}", id(), *member.group_instance_id);
    }
    if (members_.empty()) generation_.protocol_type = member.protocol_type;
    ODR_ASSERT(generation_.protocol_type == member.protocol_type, "group={} type={}", id(), member.protocol_type);
    if (!generation_.leader_id) generation_.leader_id = member.member_id;
    pending_join_.erase(member.member_id);
    std::string member_id = member.member_id;
    ClassicGroupMember& added = members_.emplace(std::move(member_id), std::move(member)).first->second;
    count_protocols(added, +1);
    await_join(added, std::move(answer));
    return added;
}

void ClassicGroup::remove(std::string_view member_id) {
    const auto found = members_.find(member_id);
    if (found != members_.end()) {
        ClassicGroupMember& leaving = found->second;
        complete_join(leaving, join_error("", ErrorCode::unknown_member_id));
        complete_sync(leaving, sync_error(ErrorCode::unknown_member_id));
        count_protocols(leaving, -1);
        if (leaving.group_instance_id) static_members_.erase(*leaving.group_instance_id);
        const bool was_leader = is_leader(member_id);
        // The caller's view may be of what goes now.
        const std::string removed = leaving.member_id;
        members_.erase(found);
        if (was_leader) {
            generation_.leader_id =
                members_.empty() ? std::nullopt : std::optional<std::string>{members_.begin()->first};
        }
        pending_sync_.erase(removed);
        return;
    }
    if (const auto pending = pending_join_.find(member_id); pending != pending_join_.end()) {
        pending_join_.erase(pending);
    }
}

ClassicGroupMember& ClassicGroup::replace_static_member(std::string_view old_member_id, std::string new_member_id) {
    const auto found = members_.find(old_member_id);
    ODR_ASSERT(found != members_.end(), "group={} member={}", id(), old_member_id);
    ClassicGroupMember& old = found->second;
    ODR_ASSERT(old.group_instance_id.has_value(), "group={} member={}", id(), old.member_id);
    auto fenced = join_error(old.member_id, ErrorCode::fenced_instance_id);
    fenced.message.protocol_name = std::nullopt;
    complete_join(old, std::move(fenced));
    complete_sync(old, sync_error(ErrorCode::fenced_instance_id));

    if (is_leader(old.member_id)) generation_.leader_id = new_member_id;
    static_members_[*old.group_instance_id] = new_member_id;
    ClassicGroupMember replacement = std::move(old);
    pending_sync_.erase(replacement.member_id);
    members_.erase(found);
    replacement.member_id = new_member_id;
    replacement.is_new = false;
    return members_.emplace(std::move(new_member_id), std::move(replacement)).first->second;
}

void ClassicGroup::update_member(ClassicGroupMember& member, MemberTerms terms, std::optional<JoinAnswer> answer) {
    count_protocols(member, -1);
    member.supported_protocols = std::move(terms.supported_protocols);
    count_protocols(member, +1);
    member.rebalance_timeout_ms = terms.rebalance_timeout_ms;
    member.session_timeout_ms = terms.session_timeout_ms;
    await_join(member, std::move(answer));
}

bool ClassicGroup::elect_joined_leader() {
    if (!generation_.leader_id) return false;
    const ClassicGroupMember* leader = member(*generation_.leader_id);
    if (leader != nullptr && leader->awaiting_join) return true;
    const auto joined =
        std::ranges::find_if(members_, [](const auto& entry) { return entry.second.awaiting_join.has_value(); });
    if (joined == members_.end()) return false;
    log::info("group {}: leader {} did not join in time, {} leads", id(), *generation_.leader_id, joined->first);
    generation_.leader_id = joined->first;
    return true;
}

bool ClassicGroup::supports(std::string_view protocol_type, const protocol::JoinGroupRequest& request) const {
    if (is_empty()) return !protocol_type.empty() && !request.protocols.empty();
    if (generation_.protocol_type != protocol_type) return false;
    return std::ranges::any_of(request.protocols, [this](const auto& asked) {
        const auto found = supported_protocols_.find(asked.name);
        return (found == supported_protocols_.end() ? 0 : found->second) == members_.size();
    });
}

const std::string& ClassicGroup::select_protocol() const {
    std::map<std::string_view, std::size_t> votes;
    for (const auto& [id, member] : members_) {
        const auto vote = std::ranges::find_if(member.supported_protocols, [this](const ClassicProtocol& each) {
            const auto found = supported_protocols_.find(each.name);
            return found != supported_protocols_.end() && found->second == members_.size();
        });
        ODR_ASSERT(vote != member.supported_protocols.end(), "group={} member={}", this->id(), id);
        ++votes[vote->name];
    }
    const auto most = std::ranges::max_element(votes, {}, [](const auto& vote) { return vote.second; });
    ODR_ASSERT(most != votes.end(), "group={}", id());
    return supported_protocols_.find(most->first)->first;
}

void ClassicGroup::init_next_generation(TimestampMs now) {
    ++generation_.id;
    pending_sync_.clear();
    if (members_.empty()) {
        generation_.protocol_name = std::nullopt;
        update_subscribed_topics();
        transition_to(ClassicGroupState::empty, now);
    } else {
        generation_.protocol_name = select_protocol();
        update_subscribed_topics();
        transition_to(ClassicGroupState::completing_rebalance, now);
    }
}

void ClassicGroup::update_subscribed_topics() {
    subscribed_topics_ = std::nullopt;
    if (!uses_consumer_protocol()) return;
    std::set<std::string, std::less<>> topics;
    if (!members_.empty() && !generation_.protocol_name) return;
    for (const auto& [member_id, member] : members_) {
        protocol::Reader in{member.metadata_for(*generation_.protocol_name)};
        in.fixed<std::int16_t>("consumer protocol version");
        // Version 0 is how all versions begin, so what members say in a later one is understood as well.
        protocol::ConsumerProtocolSubscription subscription;
        const Result<void> decoded = decode(in, 0, subscription);
        if (!decoded) {
            log::warn("group {}: the subscription of {} cannot be read ({})", id(), member_id, decoded.error().what);
            return;
        }
        for (const std::string_view topic : subscription.topics) topics.emplace(topic);
    }
    subscribed_topics_ = std::move(topics);
}

Owned<protocol::JoinGroupResponse> ClassicGroup::join_response(const ClassicGroupMember& member,
                                                               bool with_members) const {
    Owned<protocol::JoinGroupResponse> response;
    protocol::JoinGroupResponse& out = response.message;
    out.generation_id = generation_.id;
    out.protocol_name = std::nullopt;
    if (generation_.protocol_name) out.protocol_name = response.keep(*generation_.protocol_name);
    if (generation_.protocol_type) out.protocol_type = response.keep(*generation_.protocol_type);
    if (generation_.leader_id) out.leader = response.keep(*generation_.leader_id);
    out.member_id = response.keep(member.member_id);
    if (!with_members) return response;
    out.members.reserve(members_.size());
    for (const auto& [id, each] : members_) {
        auto& told = out.members.emplace_back();
        told.member_id = response.keep(id);
        if (each.group_instance_id) told.group_instance_id = response.keep(*each.group_instance_id);
        if (generation_.protocol_name) {
            told.metadata = response.keep(copy_of(each.metadata_for(*generation_.protocol_name)));
        }
    }
    return response;
}

bool ClassicGroup::complete_join(ClassicGroupMember& member, Owned<protocol::JoinGroupResponse> response) {
    if (!member.awaiting_join) return false;
    JoinAnswer answer = std::move(*member.awaiting_join);
    member.awaiting_join.reset();
    --awaiting_join_count_;
    answer.complete(std::move(response));
    return true;
}

bool ClassicGroup::complete_sync(ClassicGroupMember& member, Owned<protocol::SyncGroupResponse> response) {
    if (!member.awaiting_sync) return false;
    SyncAnswer answer = std::move(*member.awaiting_sync);
    member.awaiting_sync.reset();
    answer.complete(std::move(response));
    return true;
}

void ClassicGroup::complete_all(ErrorCode error) {
    for (auto& [id, member] : members_) {
        complete_join(member, join_error(id, error));
        complete_sync(member, sync_error(error));
    }
}

CoordinatorRecord ClassicGroup::record() const {
    ClassicAssignments assignments;
    for (const auto& [id, member] : members_) assignments[id] = member.assignment;
    return record_with(assignments);
}

CoordinatorRecord ClassicGroup::record_with(const ClassicAssignments& assignments) const {
    protocol::GroupMetadataValue value;
    value.protocol_type = protocol_type();
    value.generation = generation_.id;
    value.protocol = generation_.protocol_name;
    value.leader = generation_.leader_id;
    value.current_state_timestamp = generation_.since.value_or(kNoTimestamp).raw();
    for (const auto& [id, member] : members_) {
        ODR_ASSERT(generation_.protocol_name.has_value(), "group={} has members and no protocol", this->id());
        const auto assigned = assignments.find(id);
        value.members.push_back(
            {.member_id = id,
             .group_instance_id = member.group_instance_id,
             .client_id = member.client_id,
             .client_host = member.client_host,
             .rebalance_timeout = member.rebalance_timeout_ms,
             .session_timeout = member.session_timeout_ms,
             .subscription = member.metadata_for(*generation_.protocol_name),
             .assignment = assigned == assignments.end() ? ByteView{} : ByteView{assigned->second}});
    }
    return record_of(protocol::GroupMetadataKey{.group = id()}, kGroupMetadataVersion, value);
}

CoordinatorRecord ClassicGroup::empty_record() const {
    protocol::GroupMetadataValue value;
    value.protocol = std::nullopt;
    value.leader = std::nullopt;
    value.current_state_timestamp = generation_.since.value_or(kNoTimestamp).raw();
    return record_of(protocol::GroupMetadataKey{.group = id()}, kGroupMetadataVersion, value);
}

void ClassicGroup::add_tombstones(CoordinatorRecords& records) const {
    records.push_back(tombstone_of(protocol::GroupMetadataKey{.group = id()}));
}

Owned<protocol::JoinGroupResponse> join_error(std::string_view member_id, ErrorCode error) {
    Owned<protocol::JoinGroupResponse> response;
    response.message.member_id = response.keep(std::string{member_id});
    response.message.error_code = static_cast<std::int16_t>(error);
    return response;
}

Owned<protocol::SyncGroupResponse> sync_error(ErrorCode error) {
    Owned<protocol::SyncGroupResponse> response;
    response.message.error_code = static_cast<std::int16_t>(error);
    return response;
}

}  // namespace odr::coordinator
