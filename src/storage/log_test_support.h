#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "io/simulated_file_system.h"
#include "record/record.h"
#include "storage/log.h"

// For tests of this layer: batches and a log on simulated files.
namespace odr::storage::test {

inline const io::MayBlock kMayBlock = io::MayBlock::for_test();

struct BatchSpec {
    int records = 1;
    std::int64_t timestamp = 1'000;
    std::size_t value_bytes = 20;
    ProducerId producer = kNoProducerId;
    ProducerEpoch epoch = kNoProducerEpoch;
    std::int32_t sequence = -1;
    bool transactional = false;
    Offset base_offset{0};
    LeaderEpoch leader_epoch = kNoLeaderEpoch;
    char fill = 'v';
};

inline std::vector<std::uint8_t> make_batch(const BatchSpec& spec = {}) {
    record::RecordBatchBuilder builder{{.base_offset = spec.base_offset,
                                        .partition_leader_epoch = spec.leader_epoch,
                                        .compression = {},
                                        .timestamp_type = record::TimestampType::create_time,
                                        .log_append_time = kNoTimestamp,
                                        .producer_id = spec.producer,
                                        .producer_epoch = spec.epoch,
                                        .base_sequence = spec.sequence,
                                        .is_transactional = spec.transactional,
                                        .is_control = false,
                                        .delete_horizon = {},
                                        .last_offset = {}}};
    const std::string value(spec.value_bytes, spec.fill);
    for (int i = 0; i < spec.records; ++i)
        builder.append(TimestampMs{spec.timestamp + i}, std::nullopt, as_bytes(value));
    return *builder.build();
}

inline std::vector<std::uint8_t> make_marker(ProducerId producer, ProducerEpoch epoch, record::ControlRecordType type,
                                             std::int64_t timestamp = 1'000) {
    record::RecordBatchBuilder builder{{.base_offset = Offset{0},
                                        .partition_leader_epoch = kNoLeaderEpoch,
                                        .compression = {},
                                        .timestamp_type = record::TimestampType::create_time,
                                        .log_append_time = kNoTimestamp,
                                        .producer_id = producer,
                                        .producer_epoch = epoch,
                                        .base_sequence = -1,
                                        .is_transactional = true,
                                        .is_control = true,
                                        .delete_horizon = {},
                                        .last_offset = {}}};
    builder.append_end_txn_marker(TimestampMs{timestamp}, type, {.coordinator_epoch = 0});
    return *builder.build();
}

// A log and the verbs of its tests.
class LogFixture {
public:
    explicit LogFixture(config::LogConfig settings = {}) : config{std::make_shared<config::LogConfig>(settings)} {
        (void)files.create_directories("/logs");
        open();
    }

    void open(bool clean = false) {
        log.reset();
        LogOpenOptions options{
            .directory = "/logs/orders-0", .topic_partition = {"orders", PartitionIndex{0}}, .config = config};
        options.recovery_point = recovery_point;
        options.log_start_offset = log_start;
        options.clean_shutdown = clean;
        options.now = now;
        auto opened = open_log(kMayBlock, environment, options);
        ASSERT_TRUE(opened.has_value()) << opened.error().what;
        log = *opened;
    }
    // Writes what the manager would have in its checkpoints.
    void checkpoint() {
        recovery_point = log->recovery_point();
        log_start = log->log_start_offset();
    }
    void restart_cleanly() {
        ASSERT_TRUE(log->close(kMayBlock));
        checkpoint();
        open(true);
    }
    // As the manager closes the logs of a directory together.
    Result<void> close_with_volume() {
        ODR_TRY(volume, files.open_volume("/logs"));
        ODR_CHECK(log->write_for_close(kMayBlock));
        ODR_CHECK(volume->sync(kMayBlock));
        ODR_TRY(named, log->name_for_close(kMayBlock));
        if (named) ODR_CHECK(volume->sync(kMayBlock));
        log->end_close();
        return {};
    }

    AppendSummary append_all(std::vector<std::vector<std::uint8_t>>& batches, std::vector<Result<AppendInfo>>* results,
                             LeaderEpoch epoch = LeaderEpoch{0}, AppendOrigin origin = AppendOrigin::client) {
        std::vector<PendingAppend> pending;
        AppendDemand demand;
        for (auto& bytes : batches) {
            pending.push_back(
                {.batch = *record::MutableRecordBatch::parse(bytes), .origin = origin, .result = AppendInfo{}});
            demand.add(pending.back().batch);
        }
        for (;;) {
            {
                auto lock = log->lock_for_append();
                if (log->ready_to_append(lock, demand, now)) {
                    const AppendSummary summary = log->append(lock, pending, epoch, now);
                    if (results != nullptr) {
                        for (auto& item : pending) results->push_back(item.result);
                    }
                    return summary;
                }
            }
            if (const auto prepared = log->prepare_append(kMayBlock, demand, now); !prepared) {
                if (results != nullptr) results->assign(batches.size(), fail(prepared.error()));
                return {};
            }
        }
    }
    Result<AppendInfo> append(std::vector<std::uint8_t> batch, LeaderEpoch epoch = LeaderEpoch{0},
                              AppendOrigin origin = AppendOrigin::client) {
        std::vector<std::vector<std::uint8_t>> batches{std::move(batch)};
        std::vector<Result<AppendInfo>> results;
        append_all(batches, &results, epoch, origin);
        return results.front();
    }
    Result<AppendInfo> append(const BatchSpec& spec) { return append(make_batch(spec)); }

    Result<ReadPlan> read(Offset from, std::size_t bytes_max = 1 << 20, bool min_one = true) const {
        return log->read(
            kMayBlock,
            {.from = from, .bytes_max = bytes_max, .upper_bound = log->log_end_offset(), .min_one_message = min_one});
    }
    static std::vector<std::uint8_t> bytes_of(const FileSlice& slice) {
        std::vector<std::uint8_t> out(slice.length);
        if (slice.length != 0) out.resize(slice.file->read_at(out, slice.position).value_or(0));
        return out;
    }
    std::string path(const std::string& name) const { return "/logs/orders-0/" + name; }

    io::SimulatedFileSystem files;
    LogEnvironment environment{.files = &files, .open_files = {}, .delete_later = {}, .on_disk_failure = {}};
    std::shared_ptr<config::LogConfig> config;
    TimestampMs now{1'000'000};
    Offset recovery_point{0};
    Offset log_start{0};
    std::shared_ptr<Log> log;
};

}  // namespace odr::storage::test
