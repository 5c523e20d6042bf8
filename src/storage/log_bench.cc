#include <benchmark/benchmark.h>

#include <filesystem>

#include "record/record.h"
#include "storage/index_file.h"
#include "storage/log.h"

// Real files in the temporary folder, on the page cache.
namespace odr::storage {
namespace {

class Bench {
public:
    Bench() {
        std::filesystem::remove_all(directory_);
        auto opened = open_log(
            may_block_, {.files = &io::real_file_system(), .open_files = {}, .delete_later = {}, .on_disk_failure = {}},
            {.directory = directory_,
             .topic_partition = {"bench", PartitionIndex{0}},
             .config = std::make_shared<config::LogConfig>()});
        log = *opened;
    }
    ~Bench() {
        log.reset();
        std::filesystem::remove_all(directory_);
    }
    // Gives: what was written.
    std::size_t append(std::span<PendingAppend> batches) {
        AppendDemand demand;
        for (PendingAppend& pending : batches) demand.add(pending.batch);
        for (;;) {
            {
                auto lock = log->lock_for_append();
                if (log->ready_to_append(lock, demand, now))
                    return log->append(lock, batches, LeaderEpoch{0}, now).bytes;
            }
            if (!log->prepare_append(may_block_, demand, now)) return 0;
            // Bounded disk use: the benchmark writes gigabytes.
            log->set_high_watermark(log->log_end_offset());
            (void)log->advance_log_start_offset(log->active_segment_offset());
            (void)log->delete_old_segments(may_block_, now);
        }
    }
    static std::vector<std::uint8_t> batch(std::size_t value_bytes) {
        record::RecordBatchBuilder builder;
        const std::string value(value_bytes, 'v');
        builder.append(TimestampMs{1'000}, std::nullopt, as_bytes(value));
        return *builder.build();
    }

    std::shared_ptr<Log> log;
    TimestampMs now{1'000'000};

private:
    io::MayBlock may_block_ = io::MayBlock::for_test();
    std::string directory_ = std::filesystem::temp_directory_path() / "odradek-log-bench";
};

void BM_Append(benchmark::State& state) {
    Bench bench;
    std::vector<std::vector<std::uint8_t>> bytes(static_cast<std::size_t>(state.range(0)),
                                                 Bench::batch(static_cast<std::size_t>(state.range(1))));
    std::vector<PendingAppend> batches;
    for (auto& one : bytes) {
        batches.push_back(
            {.batch = *record::MutableRecordBatch::parse(one), .origin = AppendOrigin::client, .result = AppendInfo{}});
    }
    std::size_t written = 0;
    for (auto _ : state) written += bench.append(batches);
    if (written == 0) return state.SkipWithError("nothing was written");
    state.SetBytesProcessed(static_cast<std::int64_t>(written));
}
BENCHMARK(BM_Append)->Args({1, 100})->Args({20, 100})->Args({1, 65'000});

void BM_PlanReadAtTheEnd(benchmark::State& state) {
    Bench bench;
    auto bytes = Bench::batch(100);
    std::vector<PendingAppend> batches{
        {.batch = *record::MutableRecordBatch::parse(bytes), .origin = AppendOrigin::client, .result = AppendInfo{}}};
    for (int i = 0; i < 1000; ++i) bench.append(batches);
    for (auto _ : state) {
        auto plan = bench.log->plan_read(
            {.from = Offset{990}, .bytes_max = 1 << 20, .upper_bound = Offset{1000}, .min_one_message = true});
        if (!plan || !*plan || (*plan)->slice.empty()) return state.SkipWithError("no plan");
    }
}
BENCHMARK(BM_PlanReadAtTheEnd);

void BM_PlanReadInTheMiddle(benchmark::State& state) {
    Bench bench;
    auto bytes = Bench::batch(1000);
    std::vector<PendingAppend> batches{
        {.batch = *record::MutableRecordBatch::parse(bytes), .origin = AppendOrigin::client, .result = AppendInfo{}}};
    for (int i = 0; i < 200'000; ++i) bench.append(batches);
    std::int64_t at = 0;
    for (auto _ : state) {
        at = (at + 7919) % 190'000;
        auto plan = bench.log->plan_read(
            {.from = Offset{at}, .bytes_max = 1 << 16, .upper_bound = Offset{200'000}, .min_one_message = true});
        if (!plan) return state.SkipWithError("no plan");
    }
}
BENCHMARK(BM_PlanReadInTheMiddle);

void BM_FindInAnIndexFileOf256KEntries(benchmark::State& state) {
    const std::string path = std::filesystem::temp_directory_path() / "odradek-index-bench";
    constexpr std::uint32_t kEntries = 262'144;
    std::vector<OffsetIndexEntry> entries;
    for (std::uint32_t i = 0; i < kEntries; ++i) entries.push_back({static_cast<std::int32_t>(i + 1) * 10, i * 4096});
    const auto file = *io::real_file_system().open(path, io::OpenMode::truncate);
    (void)file->write_at(encode_entries(entries), 0);
    std::int64_t target = 0;
    for (auto _ : state) {
        target = (target + 1'000'003) % 2'600'000;
        auto found = find_entry<OffsetIndexEntry>(*file, kEntries, target);
        if (!found) return state.SkipWithError("not found");
    }
    std::filesystem::remove(path);
}
BENCHMARK(BM_FindInAnIndexFileOf256KEntries);

}  // namespace
}  // namespace odr::storage
