// What offset requests and DeleteGroups may do to a classic group.
#include "coordinator/classic_group.h"
#include "coordinator/classic_groups.h"

namespace odr::coordinator {

using enum ClassicGroupState;

Result<void> ClassicGroup::validate_offset_commit(const OffsetCommitter& committer) const {
    if (is_in(dead)) return fail(ErrorCode::coordinator_not_available);
    // Without a generation: an admin client, or a consumer that assigns partitions itself.
    if (committer.generation_or_epoch < 0 && is_in(empty)) return {};
    if (committer.generation_or_epoch >= 0 || !committer.member_id.empty() || committer.group_instance_id) {
        ODR_CHECK(validate_member(committer.member_id, committer.group_instance_id));
        if (committer.generation_or_epoch != generation_.id) return fail(ErrorCode::illegal_generation);
    } else if (!committer.is_transactional && !is_in(empty)) {
        return fail(ErrorCode::unknown_member_id, "the group has members, and the commit names none");
    }
    if (!committer.is_transactional && is_in(completing_rebalance)) return fail(ErrorCode::rebalance_in_progress);
    return {};
}

Result<void> ClassicGroup::validate_offset_fetch(std::optional<std::string_view> /*member_id*/,
                                                 std::int32_t /*member_epoch*/) const {
    if (is_in(dead)) return fail(ErrorCode::group_id_not_found, "the group is dead");
    return {};
}

Result<void> ClassicGroup::validate_offset_delete() const {
    switch (generation_.state) {
        case dead:
            return fail(ErrorCode::group_id_not_found, "the group is dead");
        case stable:
        case preparing_rebalance:
        case completing_rebalance:
            if (!uses_consumer_protocol()) return fail(ErrorCode::non_empty_group);
            return {};
        case empty:
            return {};
    }
    return {};
}

Result<void> ClassicGroup::validate_delete_group() const {
    switch (generation_.state) {
        case dead:
            return fail(ErrorCode::group_id_not_found, "the group is dead");
        case stable:
        case preparing_rebalance:
        case completing_rebalance:
            return fail(ErrorCode::non_empty_group);
        case empty:
            return {};
    }
    return {};
}

void ClassicGroup::on_offset_commit(std::string_view member_id) {
    ClassicGroupMember* committer = member(member_id);
    if (committer != nullptr && owner_ != nullptr) owner_->extend_session(*this, *committer);
}

bool ClassicGroup::is_subscribed_to(std::string_view topic) const {
    // A consumer group whose subscriptions are not known may use any topic.
    return subscribed_topics_ ? subscribed_topics_->contains(topic) : uses_consumer_protocol();
}

std::optional<OffsetExpiration> ClassicGroup::offset_expiration() const {
    if (!generation_.protocol_type) return OffsetExpiration{};
    if (is_in(empty)) return OffsetExpiration{.since = generation_.since};
    if (uses_consumer_protocol() && subscribed_topics_ && is_in(stable)) return OffsetExpiration{};
    return std::nullopt;
}

}  // namespace odr::coordinator
