#include "coordinator/consumer_group.h"

#include <algorithm>

#include "base/log.h"
#include "coordinator/consumer_group_records.h"

namespace odr::coordinator {
namespace {

constexpr std::int16_t kEpochInCommitFrom = 9;  // OffsetCommit knows member epochs

template <class Counts>
void count(Counts& counts, std::string_view name, std::int32_t change) {
    if (change > 0) {
        counts[std::string{name}] += change;
        return;
    }
    const auto found = counts.find(name);
    if (found == counts.end()) return;
    found->second += change;
    if (found->second <= 0) counts.erase(found);
}

void count_topic(SubscribedTopics& topics, std::string_view name, SubscriptionCount change) {
    auto found = topics.find(name);
    if (found == topics.end()) {
        if (change.by_name < 0 || change.by_regex < 0) return;
        found = topics.emplace(std::string{name}, SubscriptionCount{}).first;
    }
    found->second.by_name += change.by_name;
    found->second.by_regex += change.by_regex;
    if (found->second.by_name <= 0 && found->second.by_regex <= 0) topics.erase(found);
}

void count_names(SubscribedTopics& topics, const ConsumerGroupMember* before, const ConsumerGroupMember* after) {
    if (before != nullptr) {
        for (const std::string& name : before->subscribed_topic_names) count_topic(topics, name, {.by_name = -1});
    }
    if (after != nullptr) {
        for (const std::string& name : after->subscribed_topic_names) count_topic(topics, name, {.by_name = 1});
    }
}

ErrorCode wrong_epoch(const ConsumerGroupMember& member) {
    return member.uses_classic_protocol() ? ErrorCode::illegal_generation : ErrorCode::stale_member_epoch;
}

}  // namespace

std::string_view ConsumerGroup::state_name() const {
    if (members_.empty()) return "Empty";
    if (group_epoch_ > assignment_epoch_) return "Assigning";
    const bool is_stable = std::ranges::all_of(
        members_, [&](const auto& entry) { return entry.second.is_reconciled_to(assignment_epoch_); });
    return is_stable ? "Stable" : "Reconciling";
}

Result<void> ConsumerGroup::validate_offset_commit(const OffsetCommitter& committer) const {
    // Consumers that assign partitions themselves, and admins.
    if (committer.generation_or_epoch < 0 && members_.empty()) return {};
    // Transactions of producers that do not say for whom they commit (before KIP-447).
    if (committer.is_transactional && committer.generation_or_epoch == -1 && committer.member_id.empty() &&
        !committer.group_instance_id) {
        return {};
    }
    const ConsumerGroupMember* found = member(committer.member_id);
    if (found == nullptr) return fail(ErrorCode::unknown_member_id, "not a member of the group");
    if (!committer.is_transactional && !found->uses_classic_protocol() && committer.api_version < kEpochInCommitFrom) {
        return fail(ErrorCode::unsupported_version, "members of the consumer protocol need OffsetCommit version 9");
    }
    // Of an older epoch each partition is looked at.
    if (committer.generation_or_epoch <= found->member_epoch) return {};
    return fail(wrong_epoch(*found), "newer than the member's epoch");
}

Result<void> ConsumerGroup::validate_partition_commit(const OffsetCommitter& committer, std::string_view /*topic*/,
                                                      const Uuid& topic_id, std::int32_t partition) const {
    const ConsumerGroupMember* found = member(committer.member_id);
    if (found == nullptr) return {};  // let in without being a member
    if (committer.generation_or_epoch == found->member_epoch) return {};
    const HeldPartition* held = find_held(found->assigned, topic_id, partition);
    if (held == nullptr) held = find_held(found->pending_revocation, topic_id, partition);
    if (held != nullptr && committer.generation_or_epoch >= held->assignment_epoch) return {};
    return fail(wrong_epoch(*found), "the partition was not the member's in that epoch");
}

Result<void> ConsumerGroup::validate_offset_fetch(std::optional<std::string_view> member_id,
                                                  std::int32_t member_epoch) const {
    if (!member_id && member_epoch < 0) return {};
    const ConsumerGroupMember* found = member(member_id.value_or(""));
    if (found == nullptr) return fail(ErrorCode::unknown_member_id, "not a member of the group");
    if (member_epoch != found->member_epoch) return fail(wrong_epoch(*found), "not the member's epoch");
    return {};
}

Result<void> ConsumerGroup::validate_delete_group() const {
    if (!members_.empty()) return fail(ErrorCode::non_empty_group, "the group has members");
    return {};
}

void ConsumerGroup::add_tombstones(CoordinatorRecords& records, std::string_view replaced,
                                   std::string_view joining) const {
    const auto id_of = [&](const std::string& member_id) {
        return !joining.empty() && member_id == replaced ? joining : std::string_view{member_id};
    };
    for (const auto& [member_id, each] : members_) records.push_back(current_tombstone(id(), id_of(member_id)));
    for (const auto& [member_id, each] : members_) records.push_back(target_tombstone(id(), id_of(member_id)));
    records.push_back(target_metadata_tombstone(id()));
    for (const auto& [member_id, each] : members_) records.push_back(member_tombstone(id(), id_of(member_id)));
    for (const auto& [regex, each] : resolved_regexes_) records.push_back(regex_tombstone(id(), regex));
    records.push_back(subscription_metadata_tombstone(id()));
    records.push_back(epoch_tombstone(id()));
}

void ConsumerGroup::add_records(CoordinatorRecords& records) const {
    for (const auto& [member_id, each] : members_) records.push_back(member_record(id(), each));
    records.push_back(epoch_record(id(), group_epoch_, metadata_hash_));
    for (const auto& [member_id, each] : members_) {
        records.push_back(target_record(id(), member_id, target_of(member_id)));
    }
    records.push_back(target_metadata_record(id(), assignment_epoch_, assignment_timestamp_ms_));
    for (const auto& [member_id, each] : members_) records.push_back(current_record(id(), each));
}

const ConsumerGroupMember* ConsumerGroup::member(std::string_view member_id) const {
    const auto found = members_.find(member_id);
    return found == members_.end() ? nullptr : &found->second;
}

const std::string* ConsumerGroup::static_member_id(const std::optional<std::string_view>& instance_id) const {
    if (!instance_id) return nullptr;
    const auto found = static_members_.find(*instance_id);
    return found == static_members_.end() ? nullptr : &found->second;
}

const ConsumerGroupMember* ConsumerGroup::static_member(const std::optional<std::string_view>& instance_id) const {
    const std::string* member_id = static_member_id(instance_id);
    return member_id == nullptr ? nullptr : member(*member_id);
}

void ConsumerGroup::put_member(ConsumerGroupMember member) {
    const auto found = members_.find(member.member_id);
    const ConsumerGroupMember* before = found == members_.end() ? nullptr : &found->second;
    count_names(subscribed_topics_, before, &member);
    if (before != nullptr) {
        count_member(*before, -1);
        release_partitions(before->assigned, before->member_epoch);
        release_partitions(before->pending_revocation, before->member_epoch);
    }
    count_member(member, 1);
    take_partitions(member.assigned, member.member_epoch);
    take_partitions(member.pending_revocation, member.member_epoch);
    if (member.instance_id) static_members_[*member.instance_id] = member.member_id;
    if (found == members_.end()) {
        const std::string id = member.member_id;
        members_.emplace(id, std::move(member));
    } else {
        found->second = std::move(member);
    }
}

void ConsumerGroup::remove_member(std::string_view member_id) {
    const auto found = members_.find(member_id);
    if (found == members_.end()) return;
    const ConsumerGroupMember& member = found->second;
    count_names(subscribed_topics_, &member, nullptr);
    count_member(member, -1);
    release_partitions(member.assigned, member.member_epoch);
    release_partitions(member.pending_revocation, member.member_epoch);
    if (const std::string* owner = static_member_id(member.instance_id); owner != nullptr && *owner == member_id) {
        static_members_.erase(*member.instance_id);
    }
    members_.erase(found);
}

void ConsumerGroup::count_member(const ConsumerGroupMember& member, std::int32_t change) {
    if (member.server_assignor) count(assignors_, *member.server_assignor, change);
    if (!member.regex().empty()) count(subscribed_regexes_, member.regex(), change);
    if (!member.classic) return;
    classic_member_count_ += change;
    for (const ClassicProtocol& protocol : member.classic->protocols) count(classic_protocols_, protocol.name, change);
}

// Compaction may keep a partition's next owner and drop the last word of the one before, so while loading a partition
// can pass on in an order in which it never passed.
void ConsumerGroup::release_partitions(const HeldAssignment& held, std::int32_t epoch) {
    for (const auto& [topic, partitions] : held) {
        const auto found = partition_epochs_.find(topic);
        if (found == partition_epochs_.end()) continue;
        for (const HeldPartition& partition : partitions) {
            const auto owner = found->second.find(partition.partition);
            if (owner != found->second.end() && owner->second == epoch) found->second.erase(owner);
        }
        if (found->second.empty()) partition_epochs_.erase(found);
    }
}

void ConsumerGroup::take_partitions(const HeldAssignment& held, std::int32_t epoch) {
    for (const auto& [topic, partitions] : held) {
        auto& epochs = partition_epochs_[topic];
        for (const HeldPartition& partition : partitions) {
            const auto [owner, is_new] = epochs.try_emplace(partition.partition, epoch);
            if (is_new) continue;
            log::warn("group {}: partition {}-{} is taken in epoch {} while it is held in epoch {}", id(),
                      topic.to_string(), partition.partition, epoch, owner->second);
            owner->second = std::max(owner->second, epoch);
        }
    }
}

const TopicAssignment& ConsumerGroup::target_of(std::string_view member_id,
                                                const std::optional<std::string_view>& instance_id) const {
    static const TopicAssignment kNone;
    if (instance_id) {
        const std::string* before = static_member_id(instance_id);
        if (before == nullptr) return kNone;
        member_id = *before;
    }
    const auto found = targets_.find(member_id);
    return found == targets_.end() ? kNone : found->second;
}

void ConsumerGroup::put_target(std::string_view member_id, TopicAssignment target) {
    targets_.insert_or_assign(std::string{member_id}, std::move(target));
}

void ConsumerGroup::remove_target(std::string_view member_id) {
    if (const auto found = targets_.find(member_id); found != targets_.end()) targets_.erase(found);
}

std::int32_t ConsumerGroup::current_partition_epoch(const Uuid& topic, std::int32_t partition) const {
    const auto found = partition_epochs_.find(topic);
    if (found == partition_epochs_.end()) return -1;
    const auto owner = found->second.find(partition);
    return owner == found->second.end() ? -1 : owner->second;
}

SubscribedTopics ConsumerGroup::subscribed_topics_with(const ConsumerGroupMember* before,
                                                       const ConsumerGroupMember* after) const {
    SubscribedTopics topics = subscribed_topics_;
    count_names(topics, before, after);
    // The last subscriber of a regex takes its topics along.
    const std::string_view regex_before = before == nullptr ? "" : before->regex();
    const std::string_view regex_after = after == nullptr ? "" : after->regex();
    if (!regex_before.empty() && regex_before != regex_after && subscribers_of(regex_before) == 1) {
        if (const ResolvedRegex* found = resolved(regex_before)) {
            for (const std::string& name : found->topics) count_topic(topics, name, {.by_regex = -1});
        }
    }
    return topics;
}

SubscribedTopics ConsumerGroup::subscribed_topics_without(
    const std::vector<const ConsumerGroupMember*>& gone, const std::set<std::string, std::less<>>& regexes_gone) const {
    SubscribedTopics topics = subscribed_topics_;
    for (const ConsumerGroupMember* member : gone) count_names(topics, member, nullptr);
    for (const std::string& regex : regexes_gone) {
        const ResolvedRegex* found = resolved(regex);
        if (found == nullptr) continue;
        for (const std::string& name : found->topics) count_topic(topics, name, {.by_regex = -1});
    }
    return topics;
}

std::int32_t ConsumerGroup::subscribers_of(std::string_view regex) const {
    const auto found = subscribed_regexes_.find(regex);
    return found == subscribed_regexes_.end() ? 0 : found->second;
}

const ResolvedRegex* ConsumerGroup::resolved(std::string_view regex) const {
    const auto found = resolved_regexes_.find(regex);
    return found == resolved_regexes_.end() ? nullptr : &found->second;
}

void ConsumerGroup::put_resolved(std::string_view regex, ResolvedRegex resolved) {
    remove_resolved(regex);
    for (const std::string& name : resolved.topics) count_topic(subscribed_topics_, name, {.by_regex = 1});
    resolved_regexes_.emplace(std::string{regex}, std::move(resolved));
}

void ConsumerGroup::remove_resolved(std::string_view regex) {
    const auto found = resolved_regexes_.find(regex);
    if (found == resolved_regexes_.end()) return;
    for (const std::string& name : found->second.topics) count_topic(subscribed_topics_, name, {.by_regex = -1});
    resolved_regexes_.erase(found);
}

std::optional<std::string> ConsumerGroup::preferred_assignor(const ConsumerGroupMember* before,
                                                             const ConsumerGroupMember* after) const {
    Counts counts = assignors_;
    if (before != nullptr && before->server_assignor) count(counts, *before->server_assignor, -1);
    if (after != nullptr && after->server_assignor) count(counts, *after->server_assignor, 1);
    const auto most = std::ranges::max_element(counts, {}, [](const auto& entry) { return entry.second; });
    if (most == counts.end()) return std::nullopt;
    return most->first;
}

bool ConsumerGroup::supports_classic(std::string_view protocol_type,
                                     const std::vector<ClassicProtocol>& protocols) const {
    if (protocol_type != kConsumerProtocolType) return false;
    if (members_.empty()) return !protocols.empty();
    return std::ranges::any_of(protocols, [&](const ClassicProtocol& protocol) {
        const auto found = classic_protocols_.find(protocol.name);
        return (found == classic_protocols_.end() ? 0 : found->second) == classic_member_count_;
    });
}

bool ConsumerGroup::waits_for_unreleased(const ConsumerGroupMember& member) const {
    if (member.state != MemberState::unreleased_partitions) return false;
    for (const auto& [topic, partitions] : target_of(member.member_id)) {
        for (const std::int32_t partition : partitions) {
            if (find_held(member.assigned, topic, partition) == nullptr &&
                current_partition_epoch(topic, partition) != -1) {
                return true;
            }
        }
    }
    return false;
}

}  // namespace odr::coordinator
