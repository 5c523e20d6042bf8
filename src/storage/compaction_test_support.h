#pragma once

#include <map>

#include "base/clock.h"
#include "storage/log_compaction.h"
#include "storage/log_test_support.h"

// For tests of compaction: logs of keys and values, and what is left of them.
namespace odr::storage::test {

struct KeyedRecord {
    std::optional<std::string> key;
    std::optional<std::string> value;  // none: a tombstone
    friend bool operator==(const KeyedRecord&, const KeyedRecord&) = default;
};

struct KeyedBatchSpec {
    std::int64_t timestamp = 1'000;
    ProducerId producer = kNoProducerId;
    ProducerEpoch epoch = kNoProducerEpoch;
    std::int32_t sequence = -1;
    bool transactional = false;
    record::CompressionType codec = record::CompressionType::none;
};

inline std::vector<std::uint8_t> make_keyed_batch(const std::vector<KeyedRecord>& records,
                                                  const KeyedBatchSpec& spec = {}) {
    record::RecordBatchBuilder::Options options;
    options.compression = record::Compression::of(spec.codec);
    options.producer_id = spec.producer;
    options.producer_epoch = spec.epoch;
    options.base_sequence = spec.sequence;
    options.is_transactional = spec.transactional;
    record::RecordBatchBuilder builder{options};
    const std::string header_value = "h";
    const std::vector<record::Header> headers{{as_bytes(header_value), as_bytes(header_value)}};
    std::int64_t timestamp = spec.timestamp;
    for (const KeyedRecord& each : records) {
        builder.append(TimestampMs{timestamp++}, each.key ? std::optional{as_bytes(*each.key)} : std::nullopt,
                       each.value ? std::optional{as_bytes(*each.value)} : std::nullopt, headers);
    }
    return *builder.build();
}

// One batch as it stands in the log, unpacked.
struct BatchFound {
    Offset base, last;
    std::vector<std::uint8_t> bytes;
    std::vector<std::pair<Offset, KeyedRecord>> records;
    std::vector<std::int64_t> timestamps;

    record::RecordBatchView view() const { return *record::RecordBatchView::parse(bytes); }
};

class CompactionFixture : public LogFixture {
public:
    explicit CompactionFixture(config::LogConfig settings = compacted()) : LogFixture{settings} {}

    static config::LogConfig compacted() {
        config::LogConfig settings;
        settings.cleanup_compact = true;
        settings.cleanup_delete = false;
        settings.index_interval_bytes = 100;
        return settings;
    }

    Offset put(const std::vector<KeyedRecord>& records, const KeyedBatchSpec& spec = {}) {
        const auto appended = append(make_keyed_batch(records, spec));
        EXPECT_TRUE(appended) << appended.error().what;
        log->set_high_watermark(log->log_end_offset());
        return appended ? appended->base_offset : kNoOffset;
    }
    Offset end_transaction(ProducerId producer, ProducerEpoch epoch, record::ControlRecordType type) {
        const auto appended = append(make_marker(producer, epoch, type), LeaderEpoch{0}, AppendOrigin::coordinator);
        EXPECT_TRUE(appended) << appended.error().what;
        log->set_high_watermark(log->log_end_offset());
        return appended ? appended->base_offset : kNoOffset;
    }
    void roll() { ASSERT_TRUE(log->roll(kMayBlock, now)); }

    TimestampMs later(std::int64_t ms) const { return TimestampMs{now.raw() + ms}; }

    LogToClean assess() {
        auto target = LogCompaction::assess(kMayBlock, log, last_clean, now);
        EXPECT_TRUE(target) << target.error().what;
        return *target;
    }
    // Everything that may be cleaned; the checkpoint is kept.
    Result<Offset> clean() {
        const LogToClean target = assess();
        ODR_CHECK(log->flush(kMayBlock, target.durable_to));
        clock = ManualClock{now.raw()};
        LogCompaction::Means means;
        means.files = &files;
        means.clock = &clock;
        means.hash_key = {1, 2};
        means.map_bytes_max = map_bytes;
        means.io_bytes = io_bytes;
        means.pace = pace;
        LogCompaction compaction{kMayBlock, target, means};
        auto cleaned = compaction.run();
        figures = compaction.figures();
        damage = compaction.place_of_damage();
        if (cleaned) last_clean = *cleaned;
        return cleaned;
    }

    std::vector<BatchFound> batches() const {
        std::vector<BatchFound> out;
        Offset next = log->log_start_offset();
        while (next < log->log_end_offset()) {
            const auto plan = read(next);
            EXPECT_TRUE(plan) << plan.error().what;
            if (!plan || plan->slice.length == 0) return out;
            const auto bytes = bytes_of(plan->slice);
            record::BatchIterator walk{bytes};
            for (;;) {
                const auto batch = walk.next();
                EXPECT_TRUE(batch.has_value());
                if (!batch || !*batch) break;
                out.push_back(unpack(**batch));
                next = (*batch)->next_offset();
            }
        }
        return out;
    }
    static BatchFound unpack(const record::RecordBatchView& batch) {
        BatchFound found{
            batch.base_offset(), batch.last_offset(), {batch.bytes().begin(), batch.bytes().end()}, {}, {}};
        BatchRecords records;
        EXPECT_TRUE(records.read(batch));
        for (const record::Record& each : records.all()) {
            KeyedRecord keyed;
            if (each.key) keyed.key = std::string{as_text(*each.key)};
            if (each.value) keyed.value = std::string{as_text(*each.value)};
            found.records.emplace_back(each.offset(batch), keyed);
            found.timestamps.push_back(each.timestamp(batch).raw());
        }
        return found;
    }
    // "offset:key=value", without control records.
    std::vector<std::string> records() const {
        std::vector<std::string> out;
        for (const BatchFound& batch : batches()) {
            if (batch.view().is_control()) continue;
            for (const auto& [offset, record] : batch.records) {
                out.push_back(std::to_string(offset.raw()) + ":" + record.key.value_or("-") + "=" +
                              record.value.value_or("(none)"));
            }
        }
        return out;
    }
    std::vector<std::string> names() {
        std::vector<std::string> out;
        const auto entries = files.list("/logs/orders-0");
        for (const auto& entry : *entries) out.push_back(entry.name);
        return out;
    }

    std::optional<Offset> last_clean;
    ManualClock clock;
    std::size_t map_bytes = std::size_t{1} << 20;
    std::size_t io_bytes = std::size_t{256} << 10;
    std::function<Result<void>(std::size_t)> pace;
    CleaningFigures figures;
    std::string damage;
};

using Strings = std::vector<std::string>;

}  // namespace odr::storage::test
