#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "coordinator/consumer_group_assignment.h"
#include "coordinator/consumer_group_member.h"
#include "coordinator/group.h"

namespace odr::coordinator {

// How many ask for a topic: members by its name, and regexes (not members) that match it.
struct SubscriptionCount {
    std::int32_t by_name = 0;
    std::int32_t by_regex = 0;
};
using SubscribedTopics = std::map<std::string, SubscriptionCount, std::less<>>;

// The topics that matched a regex when it was last looked at, and when that was.
struct ResolvedRegex {
    std::set<std::string, std::less<>> topics;
    std::int64_t version = 0;  // of the metadata: its offset
    std::int64_t timestamp_ms = 0;
};

// A group of the consumer protocol (KIP-848), as its records say. It changes by replayed records only; what is asked
// of the future (what if this member came, or changed?) is computed without touching it.
//
// Epochs:  group_epoch grows when members, subscriptions or topics change; assignment_epoch says for which group epoch
//          the target assignment was computed; each member follows with an epoch of its own.
// Owner:   GroupRegistry. Threads: the shard's. Kafka: ConsumerGroup, ModernGroup.
class ConsumerGroup final : public Group {
public:
    using Members = std::map<std::string, ConsumerGroupMember, std::less<>>;
    using Counts = std::map<std::string, std::int32_t, std::less<>>;

    explicit ConsumerGroup(std::string id) : Group{std::move(id)} {}

    GroupType type() const override { return GroupType::consumer; }
    std::string_view state_name() const override;
    std::string_view protocol_type() const override { return "consumer"; }
    Result<void> validate_offset_commit(const OffsetCommitter& committer) const override;
    Result<void> validate_partition_commit(const OffsetCommitter& committer, std::string_view topic,
                                           const Uuid& topic_id, std::int32_t partition) const override;
    Result<void> validate_offset_fetch(std::optional<std::string_view> member_id,
                                       std::int32_t member_epoch) const override;
    Result<void> validate_offset_delete() const override { return {}; }
    Result<void> validate_delete_group() const override;
    void add_tombstones(CoordinatorRecords& records) const override { add_tombstones(records, {}, {}); }
    bool is_empty() const override { return members_.empty(); }
    bool is_subscribed_to(std::string_view topic) const override { return subscribed_topics_.contains(topic); }
    std::optional<OffsetExpiration> offset_expiration() const override { return OffsetExpiration{}; }
    // As add_tombstones(), with `joining` in the place of member `replaced`.
    void add_tombstones(CoordinatorRecords& records, std::string_view replaced, std::string_view joining) const;
    // All records of the group, as its conversion from a classic group writes them.
    void add_records(CoordinatorRecords& records) const;

    std::int32_t group_epoch() const { return group_epoch_; }
    std::int64_t metadata_hash() const { return metadata_hash_; }
    std::int32_t assignment_epoch() const { return assignment_epoch_; }
    std::int64_t assignment_timestamp_ms() const { return assignment_timestamp_ms_; }
    void set_epoch(std::int32_t epoch, std::int64_t metadata_hash) {
        group_epoch_ = epoch;
        metadata_hash_ = metadata_hash;
    }
    void set_assignment_epoch(std::int32_t epoch, std::int64_t timestamp_ms) {
        assignment_epoch_ = epoch;
        assignment_timestamp_ms_ = timestamp_ms;
    }

    const Members& members() const { return members_; }
    const ConsumerGroupMember* member(std::string_view member_id) const;
    // Gives: nullptr without an instance id, and for one nobody has.
    const std::string* static_member_id(const std::optional<std::string_view>& instance_id) const;
    const ConsumerGroupMember* static_member(const std::optional<std::string_view>& instance_id) const;
    const std::map<std::string, std::string, std::less<>>& static_members() const { return static_members_; }
    void put_member(ConsumerGroupMember member);
    void remove_member(std::string_view member_id);

    const std::map<std::string, TopicAssignment, std::less<>>& targets() const { return targets_; }
    // Of the member, or of the one with its instance id before it; empty: none.
    const TopicAssignment& target_of(std::string_view member_id,
                                     const std::optional<std::string_view>& instance_id = {}) const;
    void put_target(std::string_view member_id, TopicAssignment target);
    void remove_target(std::string_view member_id);

    // The epoch of the member that holds a partition; -1: nobody.
    std::int32_t current_partition_epoch(const Uuid& topic, std::int32_t partition) const;

    const SubscribedTopics& subscribed_topics() const { return subscribed_topics_; }
    // As it would be with `after` in the place of `before`; nullptr: none.
    SubscribedTopics subscribed_topics_with(const ConsumerGroupMember* before, const ConsumerGroupMember* after) const;
    SubscribedTopics subscribed_topics_without(const std::vector<const ConsumerGroupMember*>& gone,
                                               const std::set<std::string, std::less<>>& regexes_gone) const;

    const Counts& subscribed_regexes() const { return subscribed_regexes_; }
    std::int32_t subscribers_of(std::string_view regex) const;
    const std::map<std::string, ResolvedRegex, std::less<>>& resolved_regexes() const { return resolved_regexes_; }
    const ResolvedRegex* resolved(std::string_view regex) const;
    void put_resolved(std::string_view regex, ResolvedRegex resolved);
    void remove_resolved(std::string_view regex);

    // The assignor most members want; of equals the first by name. nullopt: nobody said.
    std::optional<std::string> preferred_assignor(const ConsumerGroupMember* before = nullptr,
                                                  const ConsumerGroupMember* after = nullptr) const;

    // Can a classic member with these protocols join those that are there?
    bool supports_classic(std::string_view protocol_type, const std::vector<ClassicProtocol>& protocols) const;
    std::int32_t classic_member_count() const { return classic_member_count_; }
    bool waits_for_unreleased(const ConsumerGroupMember& member) const;

    // Older brokers wrote topic metadata with the group; the record is removed when the group next changes.
    bool has_subscription_metadata_record = false;

    // When the topics must be compared with the metadata again.
    void set_metadata_refresh_deadline(std::int64_t deadline_ms, std::int32_t epoch) {
        refresh_deadline_ms_ = deadline_ms;
        refresh_epoch_ = epoch;
    }
    void request_metadata_refresh() { set_metadata_refresh_deadline(0, 0); }
    bool has_metadata_expired(std::int64_t now_ms) const {
        return now_ms >= refresh_deadline_ms_ || group_epoch_ < refresh_epoch_;
    }

private:
    void count_member(const ConsumerGroupMember& member, std::int32_t change);
    void release_partitions(const HeldAssignment& held, std::int32_t epoch);
    void take_partitions(const HeldAssignment& held, std::int32_t epoch);

    std::int32_t group_epoch_ = 1;  // 0 would send a member of a regex not resolved yet back to joining
    std::int64_t metadata_hash_ = 0;
    std::int32_t assignment_epoch_ = 0;
    std::int64_t assignment_timestamp_ms_ = 0;
    Members members_;
    std::map<std::string, std::string, std::less<>> static_members_;  // member id by instance id
    std::map<std::string, TopicAssignment, std::less<>> targets_;     // by member id
    std::unordered_map<Uuid, std::unordered_map<std::int32_t, std::int32_t>> partition_epochs_;
    SubscribedTopics subscribed_topics_;
    Counts assignors_;
    Counts subscribed_regexes_;  // by how many members
    std::map<std::string, ResolvedRegex, std::less<>> resolved_regexes_;
    Counts classic_protocols_;
    std::int32_t classic_member_count_ = 0;
    std::int64_t refresh_deadline_ms_ = 0;
    std::int32_t refresh_epoch_ = 0;
};

}  // namespace odr::coordinator
