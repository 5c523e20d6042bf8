#include "storage/log_repair.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <sstream>

#include "storage/checkpoint_file.h"
#include "storage/log_segment.h"
#include "storage/producer_replay.h"
#include "storage/segment_scanner.h"

namespace odr::storage {
namespace {

constexpr std::int32_t kIndexIntervalBytes = 4096;  // index.interval.bytes, which the files do not tell
constexpr std::size_t kCopyBytes = std::size_t{1} << 20;

std::unexpected<Error> refuse(std::string_view why) { return fail(ErrorCode::kafka_storage_error, why); }

struct Name {
    std::string folder, file;
};
Name split(const std::string& path) {
    const auto slash = path.rfind('/');
    return {path.substr(0, slash), path.substr(slash + 1)};
}

// What a step is done to: both indexes of a segment are made at once.
std::string target_of(const Finding& finding) {
    if (finding.remedy != Remedy::rebuild_indexes) return finding.file;
    return finding.file.substr(0, finding.file.rfind('.')) + kOffsetIndexSuffix;
}

std::string text_of(const Finding& finding) {
    switch (finding.remedy) {
        case Remedy::rebuild_indexes:
            return "make the offset index and the time index anew from the segment";
        case Remedy::rebuild_txn_index:
            return "make the index of aborted transactions anew from the markers in the log";
        case Remedy::rebuild_snapshot:
            return "make the producer snapshot anew from the log";
        case Remedy::rebuild_epochs:
            return "make the leader epochs anew from the batches";
        case Remedy::cut_tail:
            return fmt::format("cut the segment at byte {}, from offset {} on, and make its indexes anew",
                               finding.position, finding.first_offset);
        case Remedy::remove_file:
            return "remove the left-over";
        case Remedy::rewrite_checkpoint:
            return finding.file.ends_with(kRecoveryPointCheckpoint)
                       ? "empty the recovery points: the next start reads every log to its end"
                       : "write the checkpoint anew with the lines that can be believed";
        case Remedy::rewrite_topic_id:
            return "take the topic id from the topic's other partitions";
        case Remedy::none:
            break;
    }
    return {};
}

// Tails first, for what is derived from segments wants them sound.
int order_of(Remedy remedy) { return remedy == Remedy::cut_tail ? 0 : remedy == Remedy::remove_file ? 2 : 1; }

}  // namespace

Result<RepairPlan> LogRepair::plan(io::MayBlock may_block, const VerifyProgress** progress) {
    RepairPlan plan;
    std::set<std::pair<Remedy, std::string>> known;
    VerifyOptions options = options_;
    if (!locks_.empty()) options.is_locked = nullptr;  // by this object
    verifier_ = std::make_unique<LogVerifier>(files_, options, [&](const Finding& finding) {
        if (finding.remedy == Remedy::none) {
            if (finding.severity == Severity::damage) plan.beyond_repair.push_back(finding);
            return;
        }
        const std::string target = target_of(finding);
        if (!known.emplace(finding.remedy, target).second) return;
        plan.steps.push_back({finding.remedy, target, finding.what, text_of(finding)});
    });
    if (progress != nullptr) *progress = &verifier_->progress();
    auto summary = verifier_->run(may_block);
    if (!summary) {
        failed_path_ = verifier_->failed_path();
        return fail(summary.error());
    }
    plan.summary = *summary;
    directories_ = verifier_->log_directories();
    std::ranges::sort(plan.steps, [](const RepairStep& a, const RepairStep& b) {
        return std::tuple{order_of(a.remedy), a.file, a.remedy} < std::tuple{order_of(b.remedy), b.file, b.remedy};
    });
    return plan;
}

Result<void> LogRepair::lock() {
    for (const std::string& directory : directories_) {
        auto lock = files_.lock(directory + "/.lock");
        if (!lock) {
            failed_path_ = directory;
            locks_.clear();
            return fail(lock.error());
        }
        locks_.push_back(std::move(*lock));
    }
    return {};
}

Result<void> LogRepair::execute(io::MayBlock may_block, const RepairStep& step) {
    switch (step.remedy) {
        case Remedy::rebuild_indexes:
            return rebuild_indexes(may_block, step.file);
        case Remedy::rebuild_txn_index:
            return rebuild_txn_index(may_block, step.file);
        case Remedy::rebuild_snapshot:
            return rebuild_snapshot(may_block, step.file);
        case Remedy::rebuild_epochs:
            return rebuild_epochs(may_block, step.file);
        case Remedy::cut_tail:
            return cut_tail(may_block, step.file);
        case Remedy::remove_file:
            return files_.remove(step.file);
        case Remedy::rewrite_checkpoint:
            return rewrite_checkpoint(may_block, step.file);
        case Remedy::rewrite_topic_id:
            return rewrite_topic_id(may_block, step.file);
        case Remedy::none:
            break;
    }
    return {};
}

// --- files

Result<std::string> LogRepair::set_aside(const std::string& path) {
    std::string aside = path + ".damaged";
    for (int i = 2; files_.exists(aside); ++i) aside = fmt::format("{}.damaged.{}", path, i);
    if (files_.exists(path)) ODR_CHECK(files_.rename(path, aside));
    return aside;
}

Result<void> LogRepair::replace(io::MayBlock may_block, const std::string& path, ByteView contents) {
    ODR_CHECK(set_aside(path));
    return files_.replace_file(may_block, path, contents);
}

Result<void> LogRepair::rebuild_indexes(io::MayBlock may_block, const std::string& index) {
    const auto [folder, name] = split(index);
    const auto base = offset_of_file_name(name);
    if (!base) return refuse("no file of a segment");
    const std::string prefix = folder + "/" + segment_file_name(*base, "");
    ODR_TRY(file, files_.open(prefix + kLogSuffix, io::OpenMode::read));
    ODR_TRY(size, file->size());
    LogSegment segment{*base, size};
    segment.offset_index.reset(0, {});
    segment.time_index.reset(0, {});
    SegmentScanner scanner{*file, 0, size, *base, *base};
    for (;;) {
        ODR_TRY(step, scanner.next());
        if (step.kind == SegmentScanner::Kind::end) break;
        if (step.kind != SegmentScanner::Kind::batch) return refuse("the segment itself is damaged");
        const record::RecordBatchHeader& batch = scanner.header();
        segment.index_batch(batch.last_offset(), batch.max_timestamp(), step.position, step.length,
                            kIndexIntervalBytes);
    }
    segment.index_max_timestamp();
    ODR_CHECK(replace(may_block, prefix + kOffsetIndexSuffix, encode_entries(segment.offset_index.pending())));
    return replace(may_block, prefix + kTimeIndexSuffix, encode_entries(segment.time_index.pending()));
}

Result<void> LogRepair::cut_tail(io::MayBlock may_block, const std::string& path) {
    const auto [folder, name] = split(path);
    const auto base = offset_of_file_name(name);
    if (!base) return refuse("no file of a segment");
    ODR_TRY(file, files_.open(path, io::OpenMode::read_write));
    ODR_TRY(size, file->size());
    SegmentScanner scanner{*file, 0, size, *base, *base};
    io::FilePos cut = size;
    for (;;) {
        ODR_TRY(step, scanner.next());
        if (step.kind == SegmentScanner::Kind::end) break;
        if (step.kind == SegmentScanner::Kind::batch) continue;
        if (step.position + step.length < size) return refuse("damage stands before sound batches");
        cut = step.position;
        break;
    }
    if (cut == size) return {};
    std::string aside = path + ".damaged";
    for (int i = 2; files_.exists(aside); ++i) aside = fmt::format("{}.damaged.{}", path, i);
    ODR_TRY(copy, files_.open(aside, io::OpenMode::create_new));
    std::vector<std::uint8_t> buffer(kCopyBytes);
    for (io::FilePos at = cut; at < size;) {
        ODR_TRY(got, file->read_at({buffer.data(), std::min<io::FilePos>(buffer.size(), size - at)}, at));
        if (got == 0) break;
        ODR_CHECK(copy->write_at(ByteView{buffer.data(), got}, at - cut));
        at += got;
    }
    ODR_CHECK(copy->sync(may_block));
    ODR_CHECK(files_.sync_directory(may_block, folder));
    ODR_CHECK(file->truncate(cut));
    ODR_CHECK(file->sync(may_block));
    return rebuild_indexes(may_block, folder + "/" + segment_file_name(*base, kOffsetIndexSuffix));
}

// --- what is derived from the log

Result<void> LogRepair::rebuild_txn_index(io::MayBlock may_block, const std::string& path) {
    const auto [folder, name] = split(path);
    const auto base = offset_of_file_name(name);
    if (!base) return refuse("no file of a segment");
    ProducerReplay replay{files_, folder};
    ODR_CHECK(replay.start_at_or_below(*base));
    if (!replay.knows_all()) return refuse("no producer snapshot tells which transactions were open before it");
    ODR_CHECK(replay.advance_to(*base));
    replay.clear_aborted();
    ODR_CHECK(replay.finish_segment(*base));
    return replace(may_block, path, encode_entries(replay.aborted()));
}

Result<void> LogRepair::rebuild_snapshot(io::MayBlock may_block, const std::string& path) {
    const auto [folder, name] = split(path);
    const auto offset = offset_of_file_name(name);
    if (!offset) return refuse("no producer snapshot");
    ProducerReplay replay{files_, folder};
    ODR_CHECK(replay.start_at_or_below(*offset - 1));
    ODR_CHECK(replay.advance_to(*offset));
    const std::string snapshot = replay.encode_snapshot();
    return replace(may_block, path, as_bytes(snapshot));
}

Result<void> LogRepair::rebuild_epochs(io::MayBlock may_block, const std::string& path) {
    const std::string folder = split(path).folder;
    ODR_TRY(segments, list_segments(files_, folder));
    std::vector<EpochEntry> entries;
    for (const Offset base : segments) {
        ODR_TRY(file, files_.open(folder + "/" + segment_file_name(base, kLogSuffix), io::OpenMode::read));
        ODR_TRY(size, file->size());
        SegmentScanner scanner{*file, 0, size, base, base};
        for (;;) {
            ODR_TRY(step, scanner.next());
            if (step.kind == SegmentScanner::Kind::end) break;
            if (step.kind != SegmentScanner::Kind::batch) return refuse("a segment is damaged");
            const LeaderEpoch epoch = scanner.header().partition_leader_epoch();
            const LeaderEpoch last = entries.empty() ? kNoLeaderEpoch : entries.back().epoch;
            if (epoch < last) return refuse("the epochs of the batches go back");
            if (epoch > last) entries.push_back({epoch, scanner.header().base_offset()});
        }
    }
    const std::string text = encode_epoch_checkpoint(entries);
    return replace(may_block, path, as_bytes(text));
}

namespace {

// The lines of a broken offset checkpoint that are whole.
OffsetCheckpoint salvage(const std::string& text) {
    OffsetCheckpoint out;
    std::istringstream lines{text};
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words{line};
        std::string topic, beyond;
        std::int32_t partition = -1;
        std::int64_t offset = -1;
        if (!(words >> topic >> partition >> offset) || partition < 0 || offset < 0 || words >> beyond) continue;
        out[{topic, PartitionIndex{partition}}] = Offset{offset};
    }
    return out;
}

// Gives: the offset behind the last batch of a log; nullopt when there is no telling.
std::optional<Offset> log_end(io::FileSystem& files, const std::string& folder, Offset& first) {
    const auto segments = list_segments(files, folder);
    if (!segments || segments->empty()) return std::nullopt;
    first = segments->front();
    const auto file = files.open(folder + "/" + segment_file_name(segments->back(), kLogSuffix), io::OpenMode::read);
    const auto size = file ? (*file)->size() : fail(file.error());
    if (!size) return std::nullopt;
    SegmentScanner scanner{**file, 0, *size, segments->back(), segments->back()};
    for (;;) {
        const auto step = scanner.next();
        if (!step) return std::nullopt;
        if (step->kind == SegmentScanner::Kind::end) return scanner.next_offset();
    }
}

}  // namespace

Result<void> LogRepair::rewrite_checkpoint(io::MayBlock may_block, const std::string& path) {
    const auto [directory, name] = split(path);
    OffsetCheckpoint kept;
    // A recovery point that is too high would hide what a crash broke; none at all only costs time.
    if (name != kRecoveryPointCheckpoint) {
        ODR_TRY(text, files_.read_file(path));
        for (const auto& [topic_partition, offset] : salvage(text)) {
            const std::string folder = directory + "/" + topic_partition.to_string();
            Offset first{0};
            if (!files_.exists(folder)) continue;
            const auto end = log_end(files_, folder, first);
            if (end && offset >= first && offset <= *end) kept[topic_partition] = offset;
        }
    }
    const std::string text = encode_offset_checkpoint(kept);
    return replace(may_block, path, as_bytes(text));
}

Result<void> LogRepair::rewrite_topic_id(io::MayBlock may_block, const std::string& path) {
    const std::string folder = split(path).folder;
    const LogFolderName own = parse_log_folder_name(split(folder).file);
    std::optional<Uuid> id;
    for (const std::string& directory : directories_) {
        ODR_TRY(entries, files_.list(directory));
        for (const io::DirectoryEntry& entry : entries) {
            const LogFolderName other = parse_log_folder_name(entry.name);
            if (!entry.is_directory || other.kind != LogFolderKind::log ||
                other.topic_partition.topic != own.topic_partition.topic) {
                continue;
            }
            const auto text = files_.read_file(directory + "/" + entry.name + "/" + kPartitionMetadata);
            const auto found = text ? decode_partition_metadata(*text) : fail(text.error());
            if (!found) continue;
            if (id && *id != *found) return refuse("the topic's other partitions do not agree on its id");
            id = *found;
        }
    }
    if (!id) return refuse("no other partition of the topic has its id here; kafka-topics --describe shows it");
    const std::string text = encode_partition_metadata(*id);
    return replace(may_block, path, as_bytes(text));
}

}  // namespace odr::storage
