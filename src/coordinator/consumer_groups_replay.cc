// What records of consumer groups do to the state, and what follows from loading them and from new metadata.
#include "base/log.h"
#include "coordinator/consumer_group_records.h"
#include "coordinator/consumer_group_regex.h"
#include "coordinator/consumer_groups.h"
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

template <class Message>
Result<Message> decode_body(ByteView body, std::int16_t version) {
    Reader reader{body};
    Message message;
    ODR_CHECK(decode(reader, version, message));
    return message;
}
template <class Key>
Result<Key> key_of(const ReplayedRecord& record) {
    return decode_body<Key>(record.key, 0);
}
template <class Value>
Result<Value> value_of(const ReplayedRecord& record) {
    if (record.value->version < Value::kMinVersion || record.value->version > Value::kMaxVersion) {
        return fail(ErrorCode::unsupported_version, "a consumer group record of a version that is not known");
    }
    return decode_body<Value>(record.value->body, record.value->version);
}

}  // namespace

Result<bool> ConsumerGroups::replay(const ReplayedRecord& record) {
    Result<void> done;
    switch (record.key_type) {
        case ConsumerGroupMetadataKey::kApiKey:
            done = replay_epoch(record);
            break;
        case ConsumerGroupPartitionMetadataKey::kApiKey:
            done = replay_subscription_metadata(record);
            break;
        case ConsumerGroupMemberMetadataKey::kApiKey:
            done = replay_member(record);
            break;
        case ConsumerGroupTargetAssignmentMetadataKey::kApiKey:
            done = replay_target_metadata(record);
            break;
        case ConsumerGroupTargetAssignmentMemberKey::kApiKey:
            done = replay_target(record);
            break;
        case ConsumerGroupCurrentMemberAssignmentKey::kApiKey:
            done = replay_current(record);
            break;
        case ConsumerGroupRegularExpressionKey::kApiKey:
            done = replay_regex(record);
            break;
        default:
            return false;
    }
    if (!done) return std::unexpected{done.error()};
    return true;
}

ConsumerGroup* ConsumerGroups::persisted(std::string_view group_id, bool may_create) {
    if (ConsumerGroup* group = find(group_id)) return group;
    if (!may_create) return nullptr;
    // Offsets may have come before: they make a simple classic group, which holds nothing.
    const Group* const other = groups_.find(group_id);
    if (other != nullptr && (other->type() != GroupType::classic || !other->is_empty())) {
        log::warn("{}: group {}: a record of a consumer group, but it is a group of another kind", context_.name(),
                  group_id);
        return nullptr;
    }
    return static_cast<ConsumerGroup*>(&groups_.put(std::make_unique<ConsumerGroup>(std::string{group_id})));
}

Result<void> ConsumerGroups::replay_member(const ReplayedRecord& record) {
    ODR_TRY(key, key_of<ConsumerGroupMemberMetadataKey>(record));
    if (!record.value) {
        if (ConsumerGroup* group = persisted(key.group_id, false)) group->remove_member(key.member_id);
        return {};
    }
    ODR_TRY(value, value_of<ConsumerGroupMemberMetadataValue>(record));
    ConsumerGroup* const group = persisted(key.group_id, true);
    if (group == nullptr) return {};
    const ConsumerGroupMember* const before = group->member(key.member_id);
    ConsumerGroupMember member = before ? *before : ConsumerGroupMember{.member_id = std::string{key.member_id}};
    take_over(member, value);
    group->put_member(std::move(member));
    return {};
}

Result<void> ConsumerGroups::replay_epoch(const ReplayedRecord& record) {
    ODR_TRY(key, key_of<ConsumerGroupMetadataKey>(record));
    if (!record.value) {
        if (persisted(key.group_id, false) != nullptr) groups_.erase(key.group_id);
        return {};
    }
    ODR_TRY(value, value_of<ConsumerGroupMetadataValue>(record));
    if (ConsumerGroup* group = persisted(key.group_id, true)) group->set_epoch(value.epoch, value.metadata_hash);
    return {};
}

Result<void> ConsumerGroups::replay_subscription_metadata(const ReplayedRecord& record) {
    ODR_TRY(key, key_of<ConsumerGroupPartitionMetadataKey>(record));
    if (ConsumerGroup* group = persisted(key.group_id, record.value.has_value())) {
        group->has_subscription_metadata_record = record.value.has_value();
    }
    return {};
}

Result<void> ConsumerGroups::replay_target(const ReplayedRecord& record) {
    ODR_TRY(key, key_of<ConsumerGroupTargetAssignmentMemberKey>(record));
    if (!record.value) {
        if (ConsumerGroup* group = persisted(key.group_id, false)) group->remove_target(key.member_id);
        return {};
    }
    ODR_TRY(value, value_of<ConsumerGroupTargetAssignmentMemberValue>(record));
    if (ConsumerGroup* group = persisted(key.group_id, true)) group->put_target(key.member_id, target_from(value));
    return {};
}

Result<void> ConsumerGroups::replay_target_metadata(const ReplayedRecord& record) {
    ODR_TRY(key, key_of<ConsumerGroupTargetAssignmentMetadataKey>(record));
    if (!record.value) {
        if (ConsumerGroup* group = persisted(key.group_id, false)) group->set_assignment_epoch(-1, 0);
        return {};
    }
    ODR_TRY(value, value_of<ConsumerGroupTargetAssignmentMetadataValue>(record));
    if (ConsumerGroup* group = persisted(key.group_id, true)) {
        group->set_assignment_epoch(value.assignment_epoch, value.assignment_timestamp);
    }
    return {};
}

Result<void> ConsumerGroups::replay_current(const ReplayedRecord& record) {
    ODR_TRY(key, key_of<ConsumerGroupCurrentMemberAssignmentKey>(record));
    ConsumerGroup* const group = persisted(key.group_id, record.value.has_value());
    if (group == nullptr) return {};
    const ConsumerGroupMember* const before = group->member(key.member_id);
    ConsumerGroupMember member = before ? *before : ConsumerGroupMember{.member_id = std::string{key.member_id}};
    if (record.value) {
        ODR_TRY(value, value_of<ConsumerGroupCurrentMemberAssignmentValue>(record));
        take_over(member, value);
    } else if (before == nullptr) {
        return {};
    } else {
        member.member_epoch = kLeaveEpoch;
        member.previous_member_epoch = kLeaveEpoch;
        member.assigned.clear();
        member.pending_revocation.clear();
    }
    group->put_member(std::move(member));
    return {};
}

Result<void> ConsumerGroups::replay_regex(const ReplayedRecord& record) {
    ODR_TRY(key, key_of<ConsumerGroupRegularExpressionKey>(record));
    if (!record.value) {
        if (ConsumerGroup* group = persisted(key.group_id, false)) group->remove_resolved(key.regular_expression);
        return {};
    }
    ODR_TRY(value, value_of<ConsumerGroupRegularExpressionValue>(record));
    ConsumerGroup* const group = persisted(key.group_id, true);
    if (group == nullptr) return {};
    ResolvedRegex resolved{.topics = {}, .version = value.version, .timestamp_ms = value.timestamp};
    for (const std::string_view topic : value.topics) resolved.topics.emplace(topic);
    group->put_resolved(key.regular_expression, std::move(resolved));
    return {};
}

void ConsumerGroups::on_loaded() {
    groups_.for_each([this](Group& each) {
        if (each.type() != GroupType::consumer) return;
        const auto& group = static_cast<const ConsumerGroup&>(each);
        for (const auto& [member_id, member] : group.members()) {
            schedule_session(group.id(), member_id, session_timeout_ms(group.id()));
            if (member.state == MemberState::unrevoked_partitions) schedule_rebalance(group, member);
        }
    });
}

void ConsumerGroups::on_new_image(const metadata::MetadataChanges& changes) {
    const std::int64_t version = context_.image().offset().raw();
    if (last_image_with_new_topics_ == -1 || !changes.created_topics.empty()) last_image_with_new_topics_ = version;
    std::set<std::string, std::less<>> touched;
    for (const Uuid& id : changes.changed_topics) {
        if (const metadata::TopicImage* topic = context_.image().topics().find(id)) touched.insert(topic->name);
    }
    for (const auto& [id, name] : changes.deleted_topics) touched.insert(name);
    if (touched.empty()) return;
    for (const std::string& name : touched) {
        if (const auto found = topic_hashes_.find(name); found != topic_hashes_.end()) topic_hashes_.erase(found);
    }
    groups_.for_each([&](Group& each) {
        if (each.type() != GroupType::consumer) return;
        auto& group = static_cast<ConsumerGroup&>(each);
        const bool is_concerned = std::ranges::any_of(
            touched, [&](const std::string& name) { return group.subscribed_topics().contains(name); });
        if (is_concerned) group.request_metadata_refresh();
    });
}

}  // namespace odr::coordinator
