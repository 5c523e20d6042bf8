// How a classic group goes from one generation to the next, and what its timers do.
#include <algorithm>

#include "base/assert.h"
#include "base/log.h"
#include "coordinator/classic_groups.h"

namespace odr::coordinator {

using enum ClassicGroupState;

CoordinatorResult<Nothing> ClassicGroups::rebalance_or_complete_join(ClassicGroup& group, std::string_view reason) {
    return group.can_rebalance() ? prepare_rebalance(group, reason) : maybe_complete_join(group);
}

CoordinatorResult<Nothing> ClassicGroups::prepare_rebalance(ClassicGroup& group, std::string_view reason) {
    if (group.is_in(completing_rebalance)) reset_assignments(group, ErrorCode::rebalance_in_progress);
    group.pending_sync().clear();
    context_.cancel(sync_timer(group.id()));

    const bool is_initial = group.is_in(empty);
    if (is_initial) {
        // Consumers of one application start together: wait for the others.
        const std::int64_t delay_ms = context_.settings().group_initial_rebalance_delay_ms;
        schedule_initial_rebalance(group, delay_ms, std::max<std::int64_t>(group.rebalance_timeout_ms() - delay_ms, 0));
    }
    group.transition_to(preparing_rebalance, context_.now());
    log::info("group {}: rebalance after generation {}: {}", group.id(), group.generation_id(), reason);
    if (is_initial) return {};
    if (group.has_all_members_joined()) return complete_join(group);
    schedule_join(group);
    return {};
}

CoordinatorResult<Nothing> ClassicGroups::maybe_complete_join(ClassicGroup& group) {
    if (!group.is_in(preparing_rebalance)) return {};
    // The first rebalance waits for its delay to pass.
    if (group.previous_state() == empty) return {};
    if (!group.has_all_members_joined()) return {};
    return complete_join(group);
}

CoordinatorResult<Nothing> ClassicGroups::extend_initial_rebalance(ClassicGroup& group, std::int64_t delay_ms,
                                                                   std::int64_t remaining_ms) {
    if (!group.new_member_added || remaining_ms == 0) return complete_join(group);
    group.new_member_added = false;
    const std::int64_t next_delay_ms =
        std::min<std::int64_t>(context_.settings().group_initial_rebalance_delay_ms, remaining_ms);
    schedule_initial_rebalance(group, next_delay_ms, std::max<std::int64_t>(remaining_ms - delay_ms, 0));
    return {};
}

void ClassicGroups::schedule_initial_rebalance(ClassicGroup& group, std::int64_t delay_ms, std::int64_t remaining_ms) {
    context_.schedule(join_timer(group.id()), delay_ms,
                      [this, id = group.id(), delay_ms, remaining_ms]() -> Result<CoordinatorResult<Nothing>> {
                          ClassicGroup* const now = find(id);
                          if (now == nullptr) return CoordinatorResult<Nothing>{};
                          return extend_initial_rebalance(*now, delay_ms, remaining_ms);
                      });
}

void ClassicGroups::schedule_join(ClassicGroup& group) {
    context_.schedule(join_timer(group.id()), group.rebalance_timeout_ms(),
                      [this, id = group.id()]() -> Result<CoordinatorResult<Nothing>> {
                          ClassicGroup* const now = find(id);
                          if (now == nullptr) return CoordinatorResult<Nothing>{};
                          return complete_join(*now);
                      });
}

void ClassicGroups::schedule_sync(ClassicGroup& group) {
    context_.schedule(
        sync_timer(group.id()), group.rebalance_timeout_ms(),
        [this, id = group.id(), generation_id = group.generation_id()]() -> Result<CoordinatorResult<Nothing>> {
            ClassicGroup* const now = find(id);
            if (now == nullptr) return CoordinatorResult<Nothing>{};
            return expire_sync(*now, generation_id);
        });
}

// Static members stay without joining, until their session ends.
void ClassicGroups::drop_missing_members(ClassicGroup& group) {
    std::vector<std::string> missing;
    for (const auto& [id, member] : group.members()) {
        if (!member.awaiting_join && !member.group_instance_id) missing.push_back(id);
    }
    for (std::string& id : missing) {
        log::info("group {}: member {} did not rejoin in time", group.id(), id);
        remove_member(group, std::move(id));
    }
}

CoordinatorResult<Nothing> ClassicGroups::complete_join(ClassicGroup& group) {
    context_.cancel(join_timer(group.id()));
    if (!group.is_in(preparing_rebalance)) return {};
    group.new_member_added = false;
    drop_missing_members(group);
    if (!group.elect_joined_leader() && !group.members().empty()) {
        // Only static members are left, and none of them came: either one joins, or their sessions end.
        log::warn("group {}: no member rejoined", group.id());
        schedule_join(group);
        return {};
    }
    group.init_next_generation(context_.now());
    if (group.is_in(empty)) {
        log::info("group {}: empty in generation {}", group.id(), group.generation_id());
        CoordinatorResult<Nothing> result;
        result.replay = false;
        result.records.push_back(group.record());
        return result;
    }
    log::info("group {}: generation {} has {} members", group.id(), group.generation_id(), group.members().size());
    start_sync(group);
    return {};
}

void ClassicGroups::start_sync(ClassicGroup& group) {
    for (auto& [id, member] : group.members()) {
        extend_session(group, member);
        member.is_new = false;
        group.pending_sync().insert(id);
    }
    schedule_sync(group);
    for (auto& [id, member] : group.members()) {
        if (member.awaiting_join) group.complete_join(member, group.join_response(member, group.is_leader(id)));
    }
}

CoordinatorResult<Nothing> ClassicGroups::expire_sync(ClassicGroup& group, std::int32_t generation_id) {
    const bool is_syncing = group.is_in(completing_rebalance) || group.is_in(stable);
    if (generation_id != group.generation_id() || !is_syncing || group.pending_sync().empty()) return {};
    const std::vector<std::string> missing{group.pending_sync().begin(), group.pending_sync().end()};
    for (const std::string& id : missing) {
        log::info("group {}: member {} did not ask for its assignment in time", group.id(), id);
        remove_member(group, id);
    }
    return prepare_rebalance(group, "members did not ask for their assignment in time");
}

void ClassicGroups::reset_assignments(ClassicGroup& group, ErrorCode error) {
    ODR_ASSERT(group.is_in(completing_rebalance), "group={} state={}", group.id(), group.state_name());
    for (auto& [id, member] : group.members()) {
        member.assignment.clear();
        if (group.complete_sync(member, sync_error(error))) extend_session(group, member);
    }
}

void ClassicGroups::extend_session(ClassicGroup& group, const ClassicGroupMember& member) {
    schedule_session(group, member.member_id, member.session_timeout_ms);
}

void ClassicGroups::schedule_session(ClassicGroup& group, std::string_view member_id, std::int64_t timeout_ms) {
    context_.schedule(session_timer(group.id(), member_id), timeout_ms,
                      [this, id = group.id(), member = std::string{member_id}]() -> Result<CoordinatorResult<Nothing>> {
                          ClassicGroup* const now = find(id);
                          if (now == nullptr) return CoordinatorResult<Nothing>{};
                          return expire_session(*now, member);
                      });
}

CoordinatorResult<Nothing> ClassicGroups::expire_session(ClassicGroup& group, std::string_view member_id) {
    if (group.is_in(dead)) return {};
    const bool is_pending = group.is_pending(member_id);
    const ClassicGroupMember* const member = group.member(member_id);
    if (!is_pending && (member == nullptr || member->has_satisfied_heartbeat())) return {};
    log::info("group {}: {} {} let its session end", group.id(), is_pending ? "pending member" : "member", member_id);
    remove_member(group, std::string{member_id});
    if (group.is_in(preparing_rebalance)) {
        return group.has_all_members_joined() ? complete_join(group) : CoordinatorResult<Nothing>{};
    }
    if (is_pending || group.is_in(empty)) return {};
    return rebalance_or_complete_join(group, fmt::format("the session of {} ended", member_id));
}

void ClassicGroups::remove_member(ClassicGroup& group, std::string member_id) {
    context_.cancel(session_timer(group.id(), member_id));
    group.remove(member_id);
}

void ClassicGroups::cancel_timers(const ClassicGroup& group) {
    context_.cancel(join_timer(group.id()));
    context_.cancel(sync_timer(group.id()));
    for (const auto& [id, member] : group.members()) context_.cancel(session_timer(group.id(), id));
    for (const std::string& id : group.pending_join()) context_.cancel(session_timer(group.id(), id));
}

}  // namespace odr::coordinator
