// How the epoch of a consumer group moves on, its target assignment follows, and a member is led there.
#include <limits>

#include "base/log.h"
#include "coordinator/consumer_group_assignor.h"
#include "coordinator/consumer_group_reconciliation.h"
#include "coordinator/consumer_group_records.h"
#include "coordinator/consumer_groups.h"
#include "coordinator/topic_hash.h"

namespace odr::coordinator {
namespace {

constexpr std::int64_t kMetadataRefreshMs = std::numeric_limits<std::int32_t>::max();

// visit(name) for each topic that the member subscribes to, by name or regex; a name may come twice.
template <class Visit>
void for_each_subscription(const ConsumerGroup& group, const ConsumerGroupMember& member, Visit&& visit) {
    for (const std::string& name : member.subscribed_topic_names) visit(name);
    if (member.regex().empty()) return;
    if (const ResolvedRegex* resolved = group.resolved(member.regex())) {
        for (const std::string& name : resolved->topics) visit(name);
    }
}

// The members of a group as an assignor wants them: topics by number, equal subscriptions resolved once.
class SpecBuilder {
public:
    SpecBuilder(const ConsumerGroup& group, const metadata::TopicsImage& topics) : group_{group}, topics_{topics} {}

    void add(const ConsumerGroupMember& member, const TopicAssignment& target_before) {
        members_.push_back(&member);
        targets_.push_back(&target_before);
    }

    // The spec points into this builder.
    const GroupSpec& build() {
        std::map<Uuid, std::int32_t> ids;
        std::vector<std::vector<Uuid>> subscriptions;
        std::vector<std::size_t> subscription_of;
        for (std::size_t i = 0; i < members_.size(); ++i) {
            if (i > 0 && have_equal_subscriptions(*members_[i - 1], *members_[i])) {
                subscription_of.push_back(subscription_of.back());
                continue;
            }
            subscription_of.push_back(subscriptions.size());
            subscriptions.push_back(resolve(*members_[i], ids));
        }
        for (const auto& [id, count] : ids) spec_.topics.push_back({.id = id, .partition_count = count});
        number(subscriptions);
        for (std::size_t i = 0; i < members_.size(); ++i) {
            AssignorMember& member = spec_.members.emplace_back();
            member.member_id = members_[i]->member_id;
            if (members_[i]->instance_id) member.instance_id = *members_[i]->instance_id;
            member.topics = numbers_[subscription_of[i]];
            member.target_before = targets_[i];
        }
        spec_.is_homogeneous = std::ranges::all_of(
            numbers_, [&](const std::vector<std::uint32_t>& each) { return each.size() == spec_.topics.size(); });
        return spec_;
    }

private:
    static bool have_equal_subscriptions(const ConsumerGroupMember& a, const ConsumerGroupMember& b) {
        return a.regex() == b.regex() && a.subscribed_topic_names == b.subscribed_topic_names;
    }

    std::vector<Uuid> resolve(const ConsumerGroupMember& member, std::map<Uuid, std::int32_t>& ids) const {
        std::vector<Uuid> subscribed;
        for_each_subscription(group_, member, [&](const std::string& name) {
            const metadata::TopicImage* topic = topics_.find(name);
            if (topic == nullptr) return;
            subscribed.push_back(topic->id);
            ids.emplace(topic->id, static_cast<std::int32_t>(topic->partitions.size()));
        });
        std::ranges::sort(subscribed);
        const auto repeated = std::ranges::unique(subscribed);
        subscribed.erase(repeated.begin(), repeated.end());
        return subscribed;
    }

    void number(const std::vector<std::vector<Uuid>>& subscriptions) {
        for (const std::vector<Uuid>& subscribed : subscriptions) {
            std::vector<std::uint32_t>& numbers = numbers_.emplace_back();
            for (const Uuid& id : subscribed) {
                const auto found = std::ranges::lower_bound(spec_.topics, id, {}, &AssignorTopic::id);
                numbers.push_back(static_cast<std::uint32_t>(found - spec_.topics.begin()));
            }
        }
    }

    const ConsumerGroup& group_;
    const metadata::TopicsImage& topics_;
    std::vector<const ConsumerGroupMember*> members_;
    std::vector<const TopicAssignment*> targets_;
    std::vector<std::vector<std::uint32_t>> numbers_;
    GroupSpec spec_;
};

}  // namespace

ConsumerGroups::Epochs ConsumerGroups::advance(ConsumerGroup& group, const ConsumerGroupMember& before,
                                               const ConsumerGroupMember& after, bool has_subscription_changed,
                                               CoordinatorRecords& records) {
    const std::int64_t now_ms = context_.now().raw();
    Epochs epochs{.group_epoch = group.group_epoch()};
    if (has_subscription_changed || group.has_metadata_expired(now_ms)) {
        epochs.group_epoch = advance_group_epoch(group, before, after, has_subscription_changed, records);
    }
    const std::int64_t next_assignment_ms = group.assignment_timestamp_ms() + assignment_interval_ms(group.id());
    const bool may_assign = group.assignment_timestamp_ms() == 0 || now_ms >= next_assignment_ms;
    if (group.assignment_epoch() < epochs.group_epoch && may_assign) {
        compute_target(group, before, after, epochs, records);
        return epochs;
    }
    std::optional<std::string_view> instance_id;
    if (after.instance_id) instance_id = *after.instance_id;
    epochs.target_epoch = group.assignment_epoch();
    epochs.target = group.target_of(after.member_id, instance_id);
    return epochs;
}

std::int32_t ConsumerGroups::advance_group_epoch(ConsumerGroup& group, const ConsumerGroupMember& before,
                                                 const ConsumerGroupMember& after, bool has_subscription_changed,
                                                 CoordinatorRecords& records) {
    std::int32_t epoch = group.group_epoch();
    const std::int64_t hash = metadata_hash(group.subscribed_topics_with(&before, &after));
    if (has_subscription_changed || hash != group.metadata_hash()) {
        records.push_back(epoch_record(group.id(), ++epoch, hash));
        log::debug("{}: group {}: epoch {}", context_.name(), group.id(), epoch);
    }
    group.set_metadata_refresh_deadline(context_.now().raw() + kMetadataRefreshMs, epoch);
    if (group.has_subscription_metadata_record) records.push_back(subscription_metadata_tombstone(group.id()));
    return epoch;
}

void ConsumerGroups::compute_target(const ConsumerGroup& group, const ConsumerGroupMember& before,
                                    const ConsumerGroupMember& after, Epochs& epochs,
                                    CoordinatorRecords& records) const {
    std::optional<std::string_view> instance_id;
    if (after.instance_id) instance_id = *after.instance_id;
    const std::string* const replaced = group.static_member_id(instance_id);
    const bool replaces = replaced != nullptr && *replaced != after.member_id;
    const std::shared_ptr<const metadata::MetadataImage> image = context_.shared_image();
    SpecBuilder builder{group, image->topics()};
    std::vector<std::string_view> member_ids;
    for (const auto& [member_id, member] : group.members()) {
        if (member_id == after.member_id || (replaces && member_id == *replaced)) continue;
        builder.add(member, group.target_of(member_id));
        member_ids.push_back(member_id);
    }
    builder.add(after, group.target_of(replaces ? std::string_view{*replaced} : after.member_id));
    member_ids.push_back(after.member_id);

    const std::string name = group.preferred_assignor(&before, &after).value_or(default_assignor());
    const ConsumerGroupAssignor* found = find_consumer_group_assignor(name);
    const ConsumerGroupAssignor& assignor = found != nullptr ? *found : uniform_assignor();
    GroupAssignment assignment = assignor.assign(builder.build());
    for (std::size_t i = 0; i < member_ids.size(); ++i) {
        const auto old_target = group.targets().find(member_ids[i]);
        if (old_target != group.targets().end() && old_target->second == assignment[i]) continue;
        records.push_back(target_record(group.id(), member_ids[i], assignment[i]));
    }
    records.push_back(target_metadata_record(group.id(), epochs.group_epoch, context_.now().raw()));
    epochs.target_epoch = epochs.group_epoch;
    epochs.target = std::move(assignment.back());
}

Checked<ConsumerGroupMember> ConsumerGroups::reconcile_member(const ConsumerGroup& group, ConsumerGroupMember member,
                                                              const Epochs& epochs, bool has_subscription_changed,
                                                              const TopicAssignment* owned,
                                                              CoordinatorRecords& records) {
    if (!has_subscription_changed && member.is_reconciled_to(epochs.target_epoch)) return member;
    const std::shared_ptr<const metadata::MetadataImage> image = context_.shared_image();
    std::set<Uuid> subscribed;
    for_each_subscription(group, member, [&](const std::string& name) {
        if (const metadata::TopicImage* topic = image->topics().find(name)) subscribed.insert(topic->id);
    });
    std::optional<ConsumerGroupMember> next = reconcile(
        member,
        {.target_epoch = epochs.target_epoch,
         .target = &epochs.target,
         .has_subscription_changed = has_subscription_changed,
         .is_subscribed = [&](const Uuid& topic) { return subscribed.contains(topic); },
         .current_partition_epoch =
             [&](const Uuid& topic, std::int32_t partition) { return group.current_partition_epoch(topic, partition); },
         .owned = owned});
    if (!next) {
        return std::unexpected{Refusal{.code = ErrorCode::fenced_member_epoch,
                                       .message = "The consumer group member is in a unknown state. The member must "
                                                  "abandon all its partitions and rejoin."}};
    }
    if (*next == member) return member;
    records.push_back(current_record(group.id(), *next));
    if (!next->uses_classic_protocol()) {
        if (next->state == MemberState::unrevoked_partitions) {
            schedule_rebalance(group, *next);
        } else {
            context_.cancel(timer_name("rebalance", group.id(), next->member_id));
        }
    }
    return std::move(*next);
}

std::int64_t ConsumerGroups::metadata_hash(const SubscribedTopics& topics) {
    const metadata::MetadataImage& image = context_.image();
    std::map<std::string_view, std::int64_t> hashes;
    for (const auto& [name, count] : topics) {
        const metadata::TopicImage* topic = image.topics().find(name);
        if (topic == nullptr) continue;
        auto found = topic_hashes_.find(name);
        if (found == topic_hashes_.end())
            found = topic_hashes_.emplace(name, topic_hash(*topic, image.cluster())).first;
        hashes.emplace(name, found->second);
    }
    return group_metadata_hash(hashes);
}

}  // namespace odr::coordinator
