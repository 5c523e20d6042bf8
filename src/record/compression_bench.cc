#include "record/compression.h"

#include <benchmark/benchmark.h>

#include "record/test_support.h"

namespace odr::record {
namespace {

using test::Bytes;

Bytes input() {
    SeededRandom random{1};
    return test::random_bytes(random, 65'536);
}

void BM_Compress64KiB(benchmark::State& state) {
    const auto how = Compression::of(static_cast<CompressionType>(state.range(0)));
    const Bytes plain = input();
    Bytes out;
    for (auto _ : state) {
        out.clear();
        if (!compress(how, plain, out)) return state.SkipWithError("must pack");
    }
    state.SetLabel(std::string{to_string(how.type)} + ", to " + std::to_string(out.size()) + " bytes");
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * plain.size()));
}
BENCHMARK(BM_Compress64KiB)->DenseRange(1, 4);

void BM_Decompress64KiB(benchmark::State& state) {
    const auto how = Compression::of(static_cast<CompressionType>(state.range(0)));
    const Bytes plain = input();
    Bytes packed;
    if (!compress(how, plain, packed)) return state.SkipWithError("must pack");
    for (auto _ : state) {
        const auto source = make_decompressor(how.type, packed, plain.size()).value();
        std::size_t seen = 0;
        for (auto chunk = source->next(); chunk && !chunk->empty(); chunk = source->next()) seen += chunk->size();
        if (seen != plain.size()) return state.SkipWithError("must unpack to what was packed");
    }
    state.SetLabel(std::string{to_string(how.type)});
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * plain.size()));
}
BENCHMARK(BM_Decompress64KiB)->DenseRange(1, 4);

}  // namespace
}  // namespace odr::record
