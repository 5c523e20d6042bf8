#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/checkpoint_file.h"
#include "storage/finding.h"
#include "storage/segment_verifier.h"

namespace odr::storage {

struct VerifyOptions {
    // Log directories, or folders of single partitions.
    std::vector<std::string> directories;
    std::size_t threads = 1;
    // Whether a broker holds this .lock file; empty: none does.
    std::function<bool(const std::string&)> is_locked;
};

struct VerifySummary {
    std::uint64_t directories = 0, partitions = 0, segments = 0, batches = 0, records = 0, bytes = 0;
    std::uint64_t damage = 0, warnings = 0, notes = 0;
    std::vector<std::string> live_directories;  // a broker holds them
};

// How far a run is; read it from any thread.
struct VerifyProgress {
    std::atomic<std::uint64_t> bytes_total{0}, bytes_done{0};
};

// One folder of a partition, as found.
struct PartitionFiles {
    LogFacts facts;
    TopicPartition name;
    std::vector<SegmentFacts> segments;           // by base offset
    std::vector<Offset> snapshots;                // producer snapshots
    std::vector<std::string> metadata_snapshots;  // *.checkpoint of __cluster_metadata
    bool is_metadata_log = false;
    std::optional<Offset> log_start, high_watermark;  // as checkpointed
    Uuid topic_id{};                                  // zero: no readable partition.metadata

    // While the run lasts.
    std::vector<SegmentSummary> summaries;
    std::atomic<std::size_t> segments_left{0};
};

// Checks every file of log directories, Apache Kafka's or ours, without writing any: batches and the records in them,
// offsets, indexes, leader epochs, producers, transactions, checkpoints.
//
// Owner:   a tool. Threads: run() uses `threads` of them; segments are shared out, so that one large log uses all.
// Memory:  per thread a chunk, the largest batch (SegmentScanner) and the indexes of a segment; per log a few numbers a
//          producer and an epoch.
// Live:    where a broker holds a directory, the end of each active segment is moving: what looks wrong there is a
// note.
class LogVerifier {
public:
    LogVerifier(io::FileSystem& files, VerifyOptions options, OnFinding found);
    ~LogVerifier();

    // Errors: kafka_storage_error: a directory cannot be listed at all, or is none of a broker's; failed_path() names
    // it.
    Result<VerifySummary> run(io::MayBlock);
    const VerifyProgress& progress() const { return progress_; }
    const std::string& failed_path() const { return failed_path_; }
    // The log directories that the run looked into.
    std::vector<std::string> log_directories() const;

private:
    // A log directory that was named, or that a named folder stands in.
    struct Directory {
        std::string path;
        bool is_live = false, was_clean = false;
        std::optional<MetaProperties> properties;
        std::optional<OffsetCheckpoint> recovery_points, log_starts, high_watermarks, cleaned;
    };

    // --- log_verifier_files.cc
    Result<void> open_directory(std::string path);
    void check_meta_properties(Directory& directory);
    std::optional<OffsetCheckpoint> check_offset_checkpoint(const Directory& directory, const char* name);
    Result<void> list_directory(const Directory& directory, std::string_view only);
    void add_partition(const Directory& directory, const std::string& folder, TopicPartition name);
    void check_small_files(PartitionFiles& partition, const std::vector<io::DirectoryEntry>& entries);
    void check_other_file(PartitionFiles& partition, const std::string& name);
    void check_quorum_state(const PartitionFiles& partition);
    void compare_directories();
    void compare_topic_ids();

    // --- log_verifier.cc
    void run_unit(PartitionFiles& partition, std::size_t segment);
    void finish_partition(PartitionFiles& partition);
    void check_epochs(PartitionFiles& partition);
    void check_producers(PartitionFiles& partition);
    void check_ends(PartitionFiles& partition);
    void check_producer_snapshots(PartitionFiles& partition);
    void check_batch_file(const std::string& path, std::string_view what);

    void report(const Finding& finding);
    void report(FindingKind kind, Severity severity, std::string file, std::string what, std::string advice,
                Remedy remedy = Remedy::none);

    io::FileSystem& files_;
    const VerifyOptions options_;
    const OnFinding found_;
    OnFinding counted_;  // report(), for SegmentVerifier
    VerifyProgress progress_;
    std::string failed_path_;

    std::vector<std::unique_ptr<Directory>> directories_;
    std::deque<PartitionFiles> partitions_;
    std::mutex mutex_;       // found_ and summary_
    VerifySummary summary_;  // under mutex_ while threads run
};

}  // namespace odr::storage
