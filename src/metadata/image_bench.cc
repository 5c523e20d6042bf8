#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "metadata/delta.h"
#include "metadata/image_holder.h"
#include "metadata/image_writer.h"
#include "metadata/test_records.h"

namespace odr::metadata {
namespace {

using namespace testing_records;

Uuid numbered(std::int64_t n) {
    Uuid out{{7}};
    store_be(out.bytes.data() + 8, n + 1000);
    return out;
}

// `topics` topics of `partitions` each, three replicas.
std::shared_ptr<const MetadataImage> make_image(std::int64_t topics, std::int32_t partitions) {
    MetadataDelta delta{MetadataImage::empty()};
    for (std::int64_t t = 0; t < topics; ++t) {
        const std::string name = fmt::format("topic-{}", t);
        if (!delta.replay(topic(name, numbered(t)))) return nullptr;
        for (std::int32_t p = 0; p < partitions; ++p)
            if (!delta.replay(partition(numbered(t), p, {1, 2, 3}, 1))) return nullptr;
    }
    return delta.apply({});
}

// One ISR change in an image of range(0) topics of range(1) partitions: delta, replay, apply, and freeing the old
// image.
void BM_OnePartitionChanges(benchmark::State& state) {
    auto image = make_image(state.range(0), static_cast<std::int32_t>(state.range(1)));
    std::int64_t n = 0;
    for (auto _ : state) {
        MetadataDelta delta{image};
        ++n;
        auto record = change(numbered(n % state.range(0)), static_cast<std::int32_t>(n % state.range(1)));
        record.isr = std::vector<std::int32_t>{1, 2};
        if (!delta.replay(record)) return state.SkipWithError("refused");
        image = delta.apply({});
    }
}
BENCHMARK(BM_OnePartitionChanges)->Args({1, 1})->Args({100'000, 1})->Args({1'000, 100})->Args({1, 100'000});

void BM_OneTopicIsCreatedAndRemoved(benchmark::State& state) {
    auto image = make_image(state.range(0), 1);
    for (auto _ : state) {
        MetadataDelta make{image};
        if (!make.replay(topic("new", id(1))) || !make.replay(partition(id(1), 0, {1, 2, 3}, 1)))
            return state.SkipWithError("refused");
        image = make.apply({});
        MetadataDelta take{image};
        if (!take.replay(remove(id(1)))) return state.SkipWithError("refused");
        image = take.apply({});
    }
}
BENCHMARK(BM_OneTopicIsCreatedAndRemoved)->Arg(1)->Arg(100'000);

void BM_LookUpByNameAndPartition(benchmark::State& state) {
    const auto image = make_image(state.range(0), 1);
    std::vector<std::string> names;
    for (std::int64_t t = 0; t < 1024; ++t) names.push_back(fmt::format("topic-{}", t * state.range(0) / 1024));
    std::size_t n = 0;
    for (auto _ : state) {
        const auto* found = image->topics().partition(names[n++ % names.size()], PartitionIndex{0});
        if (found == nullptr) return state.SkipWithError("not found");
        benchmark::DoNotOptimize(found);
    }
}
BENCHMARK(BM_LookUpByNameAndPartition)->Arg(1'024)->Arg(100'000);

void BM_LookUpById(benchmark::State& state) {
    const auto image = make_image(state.range(0), 1);
    std::int64_t n = 0;
    for (auto _ : state) benchmark::DoNotOptimize(image->topics().find(numbered(n++ * 7919 % state.range(0))));
}
BENCHMARK(BM_LookUpById)->Arg(1'024)->Arg(100'000);

// Replaying a snapshot of 100,000 partitions.
void BM_LoadSnapshot(benchmark::State& state) {
    const auto list = image_records(*make_image(state.range(0), static_cast<std::int32_t>(state.range(1))));
    for (auto _ : state) {
        MetadataDelta delta{MetadataImage::empty()};
        delta.begin_snapshot();
        for (std::size_t i = 0; i < list->size(); ++i)
            if (!delta.replay((*list)[i])) return state.SkipWithError("refused");
        delta.finish_snapshot();
        benchmark::DoNotOptimize(delta.apply({}));
    }
    state.counters["snapshot_bytes"] = static_cast<double>(list->size_in_bytes());
}
BENCHMARK(BM_LoadSnapshot)->Args({100'000, 1})->Args({1'000, 100})->Unit(benchmark::kMillisecond);

void BM_CacheGet(benchmark::State& state) {
    ImageHolder holder;
    ImageCache cache{holder};
    for (auto _ : state) benchmark::DoNotOptimize(&cache.get());
}
BENCHMARK(BM_CacheGet);

}  // namespace
}  // namespace odr::metadata
