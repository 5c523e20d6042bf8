#include <algorithm>

#include "coordinator/consumer_group_assignor.h"

namespace odr::coordinator {
namespace {

struct FreePartition {
    std::uint32_t topic;
    std::int32_t partition;
};
struct Vacancy {
    std::size_t member;
    std::int64_t count;
};

// Members keep what they have up to their share; what is over and what nobody has fills the others up.
class HomogeneousBuilder {
public:
    explicit HomogeneousBuilder(const GroupSpec& spec) : spec_{spec}, assignment_(spec.members.size()) {
        taken_.resize(spec.topics.size());
        std::int64_t total = 0;
        for (std::size_t topic = 0; topic < spec.topics.size(); ++topic) {
            taken_[topic].resize(static_cast<std::size_t>(spec.topics[topic].partition_count));
            total += spec.topics[topic].partition_count;
        }
        const auto members = static_cast<std::int64_t>(spec.members.size());
        share_ = total / members;
        extras_ = total % members;
    }

    GroupAssignment build() && {
        for (std::size_t member = 0; member < spec_.members.size(); ++member) keep_share(member);
        collect_free();
        fill_vacancies();
        return std::move(assignment_);
    }

private:
    void keep_share(std::size_t member) {
        const bool may_have_extra = extras_ > 0;
        std::int64_t room = share_ + (may_have_extra ? 1 : 0);
        if (const TopicAssignment* before = spec_.members[member].target_before) {
            for (const auto& [topic_id, partitions] : *before) keep_topic(member, topic_id, partitions, room);
        }
        // A member that has not filled its extra place needs it only if there are no more members left than extras.
        const auto members_left = static_cast<std::int64_t>(spec_.members.size() - member);
        const bool gives_extra_up = may_have_extra && room > 0 && members_left > extras_;
        if (gives_extra_up) --room;
        if (may_have_extra && !gives_extra_up) --extras_;
        if (room > 0) vacancies_.push_back({.member = member, .count = room});
    }

    void keep_topic(std::size_t member, const Uuid& topic_id, const std::vector<std::int32_t>& partitions,
                    std::int64_t& room) {
        const auto found = std::ranges::lower_bound(spec_.topics, topic_id, {}, &AssignorTopic::id);
        if (found == spec_.topics.end() || found->id != topic_id) return;
        std::vector<char>& taken = taken_[static_cast<std::size_t>(found - spec_.topics.begin())];
        std::vector<std::int32_t> kept;
        for (const std::int32_t partition : partitions) {
            if (room == 0) break;
            const auto place = static_cast<std::size_t>(partition);
            if (place >= taken.size() || taken[place] != 0) continue;
            taken[place] = 1;
            kept.push_back(partition);
            --room;
        }
        if (!kept.empty()) assignment_[member].emplace(topic_id, std::move(kept));
    }

    void collect_free() {
        for (std::uint32_t topic = 0; topic < taken_.size(); ++topic) {
            for (std::size_t place = 0; place < taken_[topic].size(); ++place) {
                if (taken_[topic][place] == 0) free_.push_back({topic, static_cast<std::int32_t>(place)});
            }
        }
    }

    void fill_vacancies() {
        std::size_t next = 0;
        for (const Vacancy& vacancy : vacancies_) {
            TopicAssignment& assignment = assignment_[vacancy.member];
            std::vector<std::int32_t>* partitions = nullptr;
            std::uint32_t topic = 0;
            for (std::int64_t i = 0; i < vacancy.count && next < free_.size(); ++i, ++next) {
                if (partitions == nullptr || topic != free_[next].topic) {
                    topic = free_[next].topic;
                    if (partitions != nullptr) std::ranges::sort(*partitions);
                    partitions = &assignment[spec_.topics[topic].id];
                }
                partitions->push_back(free_[next].partition);
            }
            if (partitions != nullptr) std::ranges::sort(*partitions);
        }
    }

    const GroupSpec& spec_;
    GroupAssignment assignment_;
    std::vector<std::vector<char>> taken_;  // by topic and partition
    std::vector<FreePartition> free_;
    std::vector<Vacancy> vacancies_;
    std::int64_t share_ = 0;   // every member gets that many at least
    std::int64_t extras_ = 0;  // members that get one more, not counted off yet
};

class UniformAssignor final : public ConsumerGroupAssignor {
public:
    std::string_view name() const override { return "uniform"; }
    GroupAssignment assign(const GroupSpec& spec) const override {
        if (spec.members.empty() || spec.topics.empty()) return GroupAssignment(spec.members.size());
        return spec.is_homogeneous ? assign_uniformly_homogeneous(spec) : assign_uniformly_heterogeneous(spec);
    }
};

}  // namespace

GroupAssignment assign_uniformly_homogeneous(const GroupSpec& spec) { return HomogeneousBuilder{spec}.build(); }

const ConsumerGroupAssignor& uniform_assignor() {
    static const UniformAssignor assignor;
    return assignor;
}

const ConsumerGroupAssignor* find_consumer_group_assignor(std::string_view name) {
    if (name == uniform_assignor().name()) return &uniform_assignor();
    if (name == range_assignor().name()) return &range_assignor();
    return nullptr;
}

}  // namespace odr::coordinator
