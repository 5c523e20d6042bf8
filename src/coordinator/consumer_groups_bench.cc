#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "coordinator/consumer_groups_test_support.h"

namespace odr::coordinator::testing {
namespace {

constexpr int kTopics = 100;
constexpr int kPartitionsPerTopic = 100;

// Everybody heartbeats until nobody is told anything new.
void settle(std::vector<TestConsumer>& members) {
    for (int quiet = 0; quiet < 2; ++quiet) {
        for (TestConsumer& member : members) {
            const std::int32_t before = member.epoch;
            if (member.beat().message.assignment || member.epoch != before) quiet = -1;
        }
    }
}

// The heartbeat with which one more joins: its records, the new target assignment of 10,000 partitions over all, and
// the records of that. What a rebalance keeps the shard from answering others.
void BM_JoiningHeartbeat(benchmark::State& state) {
    ConsumerShard shard;
    std::vector<std::string> topics;
    for (int i = 0; i < kTopics; ++i) {
        topics.push_back("topic-" + std::to_string(i));
        shard.create_topic(topics.back(), kPartitionsPerTopic);
    }
    std::vector<TestConsumer> members;
    for (int i = 1; i < state.range(0); ++i) {
        members.emplace_back(shard, "member-" + std::to_string(i), topics);
        members.back().beat();
    }
    settle(members);
    for (auto _ : state) {
        TestConsumer newcomer{shard, "newcomer", topics};
        newcomer.beat();
        state.PauseTiming();
        std::size_t owned = 0;
        members.push_back(std::move(newcomer));
        settle(members);
        for (const TestConsumer& member : members) owned += member.owned.size();
        if (owned != kTopics * kPartitionsPerTopic) return state.SkipWithError("a partition was left out");
        members.back().leave();
        members.pop_back();
        settle(members);
        state.ResumeTiming();
    }
}
BENCHMARK(BM_JoiningHeartbeat)->Arg(100)->Iterations(20)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace odr::coordinator::testing
