// "uniform" where members subscribe to different topics: best is impossible to have cheaply, so loads are evened out
// topic by topic until a round moves nothing.
#include <algorithm>
#include <set>
#include <utility>

#include "coordinator/consumer_group_assignor.h"

namespace odr::coordinator {
namespace {

constexpr int kRoundsMax = 16;  // most groups settle in two or three
constexpr std::int32_t kNobody = -1;

class HeterogeneousBuilder {
public:
    explicit HeterogeneousBuilder(const GroupSpec& spec)
        : spec_{spec}, subscribers_(spec.topics.size()), owners_(spec.topics.size()), loads_(spec.members.size()) {
        for (std::size_t topic = 0; topic < spec.topics.size(); ++topic) {
            owners_[topic].assign(static_cast<std::size_t>(spec.topics[topic].partition_count), kNobody);
        }
        for (std::size_t member = 0; member < spec.members.size(); ++member) {
            for (const std::uint32_t topic : spec.members[member].topics) {
                subscribers_[topic].push_back(static_cast<std::int32_t>(member));
            }
        }
    }

    GroupAssignment build() && {
        for (std::size_t member = 0; member < spec_.members.size(); ++member) keep(static_cast<std::int32_t>(member));
        const std::vector<std::uint32_t> order = topics_in_order();
        for (const std::uint32_t topic : order) give_free(topic);
        balance(order);
        return collect();
    }

private:
    using Loads = std::set<std::pair<std::int64_t, std::int32_t>>;  // load, member

    void keep(std::int32_t member_index) {
        const AssignorMember& member = spec_.members[static_cast<std::size_t>(member_index)];
        if (member.target_before == nullptr) return;
        for (const auto& [topic_id, partitions] : *member.target_before) {
            const auto found = std::ranges::lower_bound(spec_.topics, topic_id, {}, &AssignorTopic::id);
            if (found == spec_.topics.end() || found->id != topic_id) continue;
            const auto topic = static_cast<std::uint32_t>(found - spec_.topics.begin());
            if (!std::ranges::binary_search(member.topics, topic)) continue;
            for (const std::int32_t partition : partitions) {
                const auto place = static_cast<std::size_t>(partition);
                if (place < owners_[topic].size() && owners_[topic][place] == kNobody) own(topic, place, member_index);
            }
        }
    }

    // The fuller a topic makes its subscribers, the earlier: later topics can make up for it.
    std::vector<std::uint32_t> topics_in_order() const {
        std::vector<std::uint32_t> order;
        for (std::uint32_t topic = 0; topic < spec_.topics.size(); ++topic) {
            if (!subscribers_[topic].empty()) order.push_back(topic);
        }
        std::ranges::sort(order, [&](std::uint32_t a, std::uint32_t b) {
            const auto subscribers_a = static_cast<std::int64_t>(subscribers_[a].size());
            const auto subscribers_b = static_cast<std::int64_t>(subscribers_[b].size());
            const std::int64_t weight_a = spec_.topics[a].partition_count * subscribers_b;
            const std::int64_t weight_b = spec_.topics[b].partition_count * subscribers_a;
            if (weight_a != weight_b) return weight_a > weight_b;
            if (subscribers_a != subscribers_b) return subscribers_a < subscribers_b;
            return a < b;  // topics are sorted by id
        });
        return order;
    }

    void give_free(std::uint32_t topic) {
        std::vector<std::int32_t>& owners = owners_[topic];
        if (std::ranges::find(owners, kNobody) == owners.end()) return;
        Loads loads = loads_of_subscribers(topic);
        for (std::size_t place = 0; place < owners.size(); ++place) {
            if (owners[place] != kNobody) continue;
            const std::int32_t least = loads.begin()->second;
            loads.erase(loads.begin());
            own(topic, place, least);
            loads.emplace(load(least), least);
        }
    }

    void balance(const std::vector<std::uint32_t>& order) {
        for (int round = 0; round < kRoundsMax; ++round) {
            bool has_moved = false;
            for (const std::uint32_t topic : order) has_moved |= balance_topic(topic);
            if (!has_moved) return;
        }
    }

    // Moves partitions of one topic from those who have most, of any topic, to those who have least.
    bool balance_topic(std::uint32_t topic) {
        Loads least = loads_of_subscribers(topic);
        if (least.rbegin()->first - least.begin()->first <= 1) return false;
        std::vector<std::vector<std::size_t>> places(spec_.members.size());
        for (std::size_t place = 0; place < owners_[topic].size(); ++place) {
            places[static_cast<std::size_t>(owners_[topic][place])].push_back(place);
        }
        Loads givers;
        for (const std::int32_t member : subscribers_[topic]) {
            if (!places[static_cast<std::size_t>(member)].empty()) givers.emplace(load(member), member);
        }
        bool has_moved = false;
        while (!givers.empty() && givers.rbegin()->first - least.begin()->first > 1) {
            const std::int32_t from = givers.rbegin()->second;
            const std::int32_t to = least.begin()->second;
            auto& from_places = places[static_cast<std::size_t>(from)];
            const std::size_t place = from_places.back();
            from_places.pop_back();
            givers.erase({load(from), from});
            givers.erase({load(to), to});
            least.erase({load(from), from});
            least.erase({load(to), to});
            --loads_[static_cast<std::size_t>(from)];
            own(topic, place, to);
            places[static_cast<std::size_t>(to)].push_back(place);
            if (!from_places.empty()) givers.emplace(load(from), from);
            givers.emplace(load(to), to);
            least.emplace(load(from), from);
            least.emplace(load(to), to);
            has_moved = true;
        }
        return has_moved;
    }

    Loads loads_of_subscribers(std::uint32_t topic) const {
        Loads loads;
        for (const std::int32_t member : subscribers_[topic]) loads.emplace(load(member), member);
        return loads;
    }
    std::int64_t load(std::int32_t member) const { return loads_[static_cast<std::size_t>(member)]; }
    void own(std::uint32_t topic, std::size_t place, std::int32_t member) {
        owners_[topic][place] = member;
        ++loads_[static_cast<std::size_t>(member)];
    }

    GroupAssignment collect() const {
        GroupAssignment assignment(spec_.members.size());
        for (std::size_t topic = 0; topic < owners_.size(); ++topic) {
            for (std::size_t place = 0; place < owners_[topic].size(); ++place) {
                const std::int32_t owner = owners_[topic][place];
                if (owner == kNobody) continue;  // a topic without subscribers
                assignment[static_cast<std::size_t>(owner)][spec_.topics[topic].id].push_back(
                    static_cast<std::int32_t>(place));
            }
        }
        return assignment;
    }

    const GroupSpec& spec_;
    std::vector<std::vector<std::int32_t>> subscribers_;  // members by topic
    std::vector<std::vector<std::int32_t>> owners_;       // member by topic and partition
    std::vector<std::int64_t> loads_;                     // partitions by member
};

}  // namespace

GroupAssignment assign_uniformly_heterogeneous(const GroupSpec& spec) { return HeterogeneousBuilder{spec}.build(); }

}  // namespace odr::coordinator
