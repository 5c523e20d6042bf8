#include "record/validation.h"

#include <benchmark/benchmark.h>

#include "base/crc32c.h"
#include "record/test_support.h"

namespace odr::record {
namespace {

using test::Bytes;
using test::kT0;

constexpr TimestampMs kNow{kT0 + 60'000};

void validate_all(benchmark::State& state, Bytes bytes, const ValidationRules& rules) {
    if (!validate_produced(bytes, rules, kNow)) return state.SkipWithError("must be valid, or we time the refusal");
    const Bytes original = bytes;
    for (auto _ : state) {
        auto valid = validate_produced(bytes, rules, kNow);
        benchmark::DoNotOptimize(valid->bytes().data());
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes.size()));
}

// 64 records of 1 KiB, or one of 100 bytes.
Bytes big(CompressionType type) { return test::sample_batch(64, 1000, {.compression = Compression::of(type)}); }

void BM_Validate64KiB(benchmark::State& state) {
    const auto type = static_cast<CompressionType>(state.range(0));
    state.SetLabel(std::string{to_string(type)});
    validate_all(state, big(type), {});
}
BENCHMARK(BM_Validate64KiB)->DenseRange(0, 4);

void BM_ValidateOneRecordOf100Bytes(benchmark::State& state) { validate_all(state, test::sample_batch(1, 100), {}); }
BENCHMARK(BM_ValidateOneRecordOf100Bytes);

void BM_ValidateAndRecompress64KiB(benchmark::State& state) {
    const auto to = static_cast<CompressionType>(state.range(0));
    state.SetLabel("lz4 to " + std::string{to_string(to)});
    validate_all(state, big(CompressionType::lz4), {.compression = Compression::of(to)});
}
BENCHMARK(BM_ValidateAndRecompress64KiB)->Arg(0)->Arg(1)->Arg(2)->Arg(4);

void BM_Assign64KiB(benchmark::State& state) {
    ValidationRules rules;
    if (state.range(0) != 0) rules.timestamp_type = TimestampType::log_append_time;
    state.SetLabel(state.range(0) != 0 ? "LogAppendTime" : "CreateTime");
    Bytes bytes = big(CompressionType::none);
    auto valid = validate_produced(bytes, rules, kNow).value();
    std::int64_t n = 0;
    for (auto _ : state) {
        ++n;
        valid.assign(Offset{n}, LeaderEpoch{1}, TimestampMs{kNow.raw() + n});
        benchmark::DoNotOptimize(valid.bytes().data());
    }
}
BENCHMARK(BM_Assign64KiB)->Arg(0)->Arg(1);

void BM_Crc32c(benchmark::State& state) {
    const Bytes bytes(static_cast<std::size_t>(state.range(0)), 7);
    for (auto _ : state) benchmark::DoNotOptimize(crc32c(bytes));
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes.size()));
}
BENCHMARK(BM_Crc32c)->Arg(128)->Arg(65536)->Arg(1 << 20);

}  // namespace
}  // namespace odr::record
