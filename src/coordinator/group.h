#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "base/types.h"
#include "base/uuid.h"
#include "coordinator/coordinator_result.h"

namespace odr::coordinator {

enum class GroupType : std::uint8_t { unknown, consumer, classic, share, streams };
// Gives: Kafka's spelling in ListGroups, such as "consumer".
std::string_view to_string(GroupType type);

// When the offsets of a group expire. Kafka: OffsetExpirationConditionImpl.
struct OffsetExpiration {
    // Counted from then, where the commit gave no expiry of its own; nullopt: from the commit.
    std::optional<TimestampMs> since{};
};

// What a request that commits offsets says of its sender.
struct OffsetCommitter {
    std::string_view member_id;
    std::optional<std::string_view> group_instance_id;
    std::int32_t generation_or_epoch = -1;
    bool is_transactional = false;
    std::int16_t api_version = 0;
};

// What all kinds of groups have: what offsets, ListGroups and DeleteGroups ask of them.
//
// Owner:   GroupRegistry. Threads: the shard's. Kafka: Group.
class Group {
public:
    explicit Group(std::string id) : id_{std::move(id)} {}
    virtual ~Group() = default;
    Group(const Group&) = delete;
    Group& operator=(const Group&) = delete;

    const std::string& id() const { return id_; }
    virtual GroupType type() const = 0;
    virtual std::string_view state_name() const = 0;     // as in ListGroups: "Stable", "PreparingRebalance"
    virtual std::string_view protocol_type() const = 0;  // as in ListGroups: "consumer", "" for simple groups

    // Errors: those of OffsetCommit and TxnOffsetCommit: unknown_member_id, illegal_generation, stale_member_epoch,
    //         fenced_instance_id, rebalance_in_progress, ...
    virtual Result<void> validate_offset_commit(const OffsetCommitter& committer) const = 0;
    // Asked for each partition after that; an error refuses the whole request. Consumer groups take commits of older
    // member epochs for partitions that were assigned by then (KIP-1251).
    virtual Result<void> validate_partition_commit(const OffsetCommitter& /*committer*/, std::string_view /*topic*/,
                                                   const Uuid& /*topic_id*/, std::int32_t /*partition*/) const {
        return {};
    }
    virtual Result<void> validate_offset_fetch(std::optional<std::string_view> member_id,
                                               std::int32_t member_epoch) const = 0;
    // Errors: group_id_not_found, non_empty_group.
    virtual Result<void> validate_offset_delete() const = 0;
    virtual Result<void> validate_delete_group() const = 0;
    // A commit was accepted: classic groups extend the member's session.
    virtual void on_offset_commit(std::string_view /*member_id*/) {}

    // Tombstones of the group's own records, for its deletion; its offsets have theirs from the offset store.
    virtual void add_tombstones(CoordinatorRecords& records) const = 0;
    virtual bool is_empty() const = 0;
    // Offsets of a topic that a member subscribes to do not expire and cannot be deleted.
    virtual bool is_subscribed_to(std::string_view topic) const = 0;
    // nullopt: its offsets do not expire now.
    virtual std::optional<OffsetExpiration> offset_expiration() const = 0;

private:
    const std::string id_;
};

struct GroupIdHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view id) const noexcept { return std::hash<std::string_view>{}(id); }
};

// The groups of one shard, of all kinds, by id. A group that migrates is replaced by one of the other kind.
//
// Owner: the shard. Threads: its. Pointers live until put() or erase() of the same id.
class GroupRegistry {
public:
    Group* find(std::string_view id) const {
        const auto found = groups_.find(id);
        return found == groups_.end() ? nullptr : found->second.get();
    }
    Group& put(std::unique_ptr<Group> group) {
        const std::string id = group->id();
        return *(groups_[id] = std::move(group));
    }
    void erase(std::string_view id) {
        if (const auto found = groups_.find(id); found != groups_.end()) groups_.erase(found);
    }
    std::size_t size() const { return groups_.size(); }
    // visit(Group&), in no order; must not add or remove groups.
    template <class Visit>
    void for_each(Visit&& visit) const {
        for (const auto& [id, group] : groups_) visit(*group);
    }

private:
    std::unordered_map<std::string, std::unique_ptr<Group>, GroupIdHash, std::equal_to<>> groups_;
};

}  // namespace odr::coordinator
