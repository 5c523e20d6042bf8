#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "base/uuid.h"

namespace odr::coordinator {

// Partitions by topic: a target assignment, or what a member says it owns. Partitions are sorted, without duplicates;
// no topic is there without partitions.
using TopicAssignment = std::map<Uuid, std::vector<std::int32_t>>;

// A partition a member holds, and the epoch in which it was assigned (KIP-1251).
struct HeldPartition {
    std::int32_t partition = 0;
    std::int32_t assignment_epoch = 0;
    friend auto operator<=>(const HeldPartition&, const HeldPartition&) = default;
};
// Sorted by partition, without duplicates; no topic is there without partitions.
using HeldAssignment = std::map<Uuid, std::vector<HeldPartition>>;

inline const HeldPartition* find_held(const std::vector<HeldPartition>& held, std::int32_t partition) {
    const auto found = std::ranges::lower_bound(held, partition, {}, &HeldPartition::partition);
    return found != held.end() && found->partition == partition ? &*found : nullptr;
}
inline const HeldPartition* find_held(const HeldAssignment& held, const Uuid& topic, std::int32_t partition) {
    const auto found = held.find(topic);
    return found == held.end() ? nullptr : find_held(found->second, partition);
}

}  // namespace odr::coordinator
