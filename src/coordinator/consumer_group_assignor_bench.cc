#include <benchmark/benchmark.h>

#include <numeric>
#include <string>

#include "coordinator/consumer_group_assignor.h"

namespace odr::coordinator {
namespace {

constexpr int kTopics = 100;

struct BenchGroup {
    std::vector<std::string> ids;
    std::vector<std::vector<std::uint32_t>> topics;
    GroupAssignment targets;
    GroupSpec spec;
};

// `members` share 10,000 partitions in 100 topics; of different subscriptions, each member leaves out one topic.
BenchGroup make_group(std::size_t members, bool is_homogeneous) {
    BenchGroup group;
    for (int i = 0; i < kTopics; ++i) {
        Uuid id;
        id.bytes[15] = static_cast<std::uint8_t>(i);
        group.spec.topics.push_back({id, 100});
    }
    group.spec.is_homogeneous = is_homogeneous;
    group.topics.resize(members);
    for (std::size_t i = 0; i < members; ++i) {
        group.ids.push_back("member-" + std::to_string(i));
        for (std::uint32_t topic = 0; topic < kTopics; ++topic) {
            if (is_homogeneous || topic != i % kTopics) group.topics[i].push_back(topic);
        }
    }
    for (std::size_t i = 0; i < members; ++i) {
        group.spec.members.push_back({.member_id = group.ids[i], .topics = group.topics[i]});
    }
    return group;
}

// One member more than the target assignment was made for, as in a rebalance.
void run(benchmark::State& state, const ConsumerGroupAssignor& assignor, bool is_homogeneous) {
    const auto members = static_cast<std::size_t>(state.range(0));
    BenchGroup group = make_group(members, is_homogeneous);
    const AssignorMember newcomer = group.spec.members.back();
    group.spec.members.pop_back();
    group.targets = assignor.assign(group.spec);
    for (std::size_t i = 0; i < group.spec.members.size(); ++i) group.spec.members[i].target_before = &group.targets[i];
    group.spec.members.push_back(newcomer);
    for (auto _ : state) {
        GroupAssignment assignment = assignor.assign(group.spec);
        std::size_t assigned = 0;
        for (const TopicAssignment& each : assignment) {
            for (const auto& [id, partitions] : each) assigned += partitions.size();
        }
        if (assigned != kTopics * 100) return state.SkipWithError("a partition was left out");
    }
}

void BM_UniformHomogeneous(benchmark::State& state) { run(state, uniform_assignor(), true); }
void BM_UniformHeterogeneous(benchmark::State& state) { run(state, uniform_assignor(), false); }
void BM_Range(benchmark::State& state) { run(state, range_assignor(), true); }
BENCHMARK(BM_UniformHomogeneous)->Arg(100)->Arg(1000)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_UniformHeterogeneous)->Arg(100)->Arg(1000)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Range)->Arg(100)->Arg(1000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace odr::coordinator
