#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <vector>

#include "storage/checkpoint_file.h"
#include "storage/log_segment.h"
#include "storage/log_test_support.h"
#include "storage/log_verifier.h"

namespace odr::storage::test {

// A log directory after a clean stop, or a crash: /logs with orders-0 in several segments, an idempotent producer, a
// transactional one that aborts and commits, and two leader epochs.
class DirectoryFixture {
public:
    DirectoryFixture() : log{small_segments()} {
        for (int i = 0; i < 40; ++i) write(log, i);
        EXPECT_TRUE(log.log->close(kMayBlock));
        end = log.log->log_end_offset();
        put(kRecoveryPointCheckpoint, encode_offset_checkpoint({{name, end}}));
        put(kLogStartOffsetCheckpoint, encode_offset_checkpoint({}));
        put(kHighWatermarkCheckpoint, encode_offset_checkpoint({{name, end}}));
        put(kCleanerOffsetCheckpoint, "");
        put(kCleanShutdown, encode_clean_shutdown(1));
        put(kMetaProperties, encode_meta_properties({.version = 1,
                                                     .node_id = BrokerId{1},
                                                     .cluster_id = "cluster",
                                                     .directory_id = Uuid::parse("AAAAAAAAAAAAAAAAAAAAAg")}));
        put("orders-0/partition.metadata", encode_partition_metadata(*Uuid::parse("BBBBBBBBBBBBBBBBBBBBBg")));
        for (const Offset base : bases()) segments.push_back(base);
    }

    std::vector<Finding> verify() {
        std::vector<Finding> out;
        LogVerifier verifier{
            files, {.directories = {"/logs"}, .threads = 1}, [&](const Finding& f) { out.push_back(f); }};
        const auto done = verifier.run(kMayBlock);
        EXPECT_TRUE(done.has_value());
        if (done) summary = *done;
        return out;
    }
    std::string get(const std::string& file) const { return files.contents("/logs/" + file); }
    void put(const std::string& file, std::string_view bytes) { files.set_contents("/logs/" + file, bytes); }
    void flip(const std::string& file, std::size_t byte, int bit = 0) {
        std::string bytes = get(file);
        bytes[byte] = static_cast<char>(bytes[byte] ^ (1 << bit));
        put(file, bytes);
    }
    std::string segment(std::size_t i, std::string_view suffix = kLogSuffix) const {
        return "orders-0/" + segment_file_name(segments[i], suffix);
    }
    // Of the batches of a segment: where each starts, and its first and last offset.
    struct Batch {
        std::size_t position, size;
        Offset first, last;
    };
    std::vector<Batch> batches(std::size_t i) const {
        const std::string bytes = get(segment(i));
        std::vector<Batch> out;
        for (std::size_t at = 0; at < bytes.size();) {
            const auto batch = record::RecordBatchView::parse(as_bytes(bytes).subspan(at));
            out.push_back({at, batch->size_in_bytes(), batch->base_offset(), batch->last_offset()});
            at += batch->size_in_bytes();
        }
        return out;
    }

    const TopicPartition name{"orders", PartitionIndex{0}};
    LogFixture log;
    io::SimulatedFileSystem& files = log.files;
    std::vector<Offset> segments;
    Offset end{0};
    VerifySummary summary;

private:
    static config::LogConfig small_segments() {
        config::LogConfig settings;
        settings.segment_bytes = 2000;
        settings.index_interval_bytes = 200;
        return settings;
    }
    static void write(LogFixture& to, int i) {
        const LeaderEpoch epoch{i < 25 ? 0 : 3};
        const std::int64_t time = 1'000 + i * 10;
        EXPECT_TRUE(to.append(make_batch({.records = 2,
                                          .timestamp = time,
                                          .producer = ProducerId{7},
                                          .epoch = ProducerEpoch{0},
                                          .sequence = i * 2}),
                              epoch));
        EXPECT_TRUE(to.append(make_batch({.timestamp = time + 2,
                                          .producer = ProducerId{9},
                                          .epoch = ProducerEpoch{0},
                                          .sequence = i,
                                          .transactional = true}),
                              epoch));
        if (i % 6 != 5) return;
        const auto type = i % 12 == 5 ? record::ControlRecordType::abort : record::ControlRecordType::commit;
        EXPECT_TRUE(
            to.append(make_marker(ProducerId{9}, ProducerEpoch{0}, type, time + 3), epoch, AppendOrigin::coordinator));
    }
    std::vector<Offset> bases() const {
        std::vector<Offset> out;
        const auto entries = files.list("/logs/orders-0");
        for (const io::DirectoryEntry& entry : *entries) {
            if (entry.name.ends_with(kLogSuffix)) out.push_back(*offset_of_file_name(entry.name));
        }
        std::ranges::sort(out);
        return out;
    }
};

inline std::size_t count_damage(const std::vector<Finding>& findings) {
    return static_cast<std::size_t>(
        std::ranges::count_if(findings, [](const Finding& finding) { return finding.severity == Severity::damage; }));
}
inline std::string text_of(const std::vector<Finding>& findings) {
    std::string out;
    for (const Finding& f : findings)
        out +=
            fmt::format("{} {} {} at {}: {}\n", to_string(f.severity), to_string(f.kind), f.file, f.position, f.what);
    return out;
}

}  // namespace odr::storage::test
