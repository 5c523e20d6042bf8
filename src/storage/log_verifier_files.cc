// What stands around the segments: directories, checkpoints, identities, left-overs.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>

#include "storage/log_segment.h"
#include "storage/log_verifier.h"

namespace odr::storage {
namespace {

constexpr std::string_view kMetadataTopic = "__cluster_metadata";
constexpr std::string_view kRemoteIndexFolder = "remote-log-index-cache";
constexpr std::string_view kBootstrapSnapshot = "bootstrap.checkpoint";
constexpr std::string_view kQuorumState = "quorum-state";
constexpr std::string_view kStartMends = "a start of the broker removes it, as does `odradek log repair`";

std::string without_slash(std::string path) {
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    return path;
}
std::pair<std::string, std::string> split(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) return {".", path};
    return {path.substr(0, std::max<std::size_t>(slash, 1)), path.substr(slash + 1)};
}

}  // namespace

std::vector<std::string> LogVerifier::log_directories() const {
    std::vector<std::string> out;
    for (const auto& directory : directories_) {
        if (std::ranges::find(out, directory->path) == out.end()) out.push_back(directory->path);
    }
    return out;
}

Result<void> LogVerifier::open_directory(std::string path) {
    path = without_slash(std::move(path));
    ODR_TRY(entries, files_.list(path));
    const auto [parent, name] = split(path);
    const LogFolderName parsed = parse_log_folder_name(name);
    const bool is_log_directory = std::ranges::any_of(entries, [](const io::DirectoryEntry& entry) {
        return entry.name == kMetaProperties || entry.name == kRecoveryPointCheckpoint ||
               (entry.is_directory && parse_log_folder_name(entry.name).kind == LogFolderKind::log);
    });
    if (!is_log_directory && parsed.kind != LogFolderKind::log) {
        return fail(ErrorCode::kafka_storage_error, "neither a log directory nor the folder of a partition");
    }
    auto directory = std::make_unique<Directory>();
    directory->path = is_log_directory ? path : parent;
    directory->is_live = options_.is_locked && options_.is_locked(directory->path + "/.lock");
    directory->was_clean = files_.exists(directory->path + "/" + kCleanShutdown);
    if (directory->is_live) summary_.live_directories.push_back(directory->path);
    if (is_log_directory) check_meta_properties(*directory);
    directory->recovery_points = check_offset_checkpoint(*directory, kRecoveryPointCheckpoint);
    directory->log_starts = check_offset_checkpoint(*directory, kLogStartOffsetCheckpoint);
    directory->high_watermarks = check_offset_checkpoint(*directory, kHighWatermarkCheckpoint);
    directory->cleaned = check_offset_checkpoint(*directory, kCleanerOffsetCheckpoint);
    if (is_log_directory && files_.exists(path + "/" + std::string{kBootstrapSnapshot})) {
        check_batch_file(path + "/" + std::string{kBootstrapSnapshot}, "bootstrap snapshot");
    }
    ODR_CHECK(list_directory(*directory, is_log_directory ? std::string_view{} : std::string_view{name}));
    directories_.push_back(std::move(directory));
    return {};
}

void LogVerifier::check_meta_properties(Directory& directory) {
    const std::string path = directory.path + "/" + kMetaProperties;
    if (!files_.exists(path)) {
        return report(FindingKind::meta_properties, Severity::warning, path, "is missing",
                      "without it the directory is of no cluster: restore it, or format with the same cluster id");
    }
    const auto text = files_.read_file(path);
    const auto properties = text ? decode_meta_properties(*text) : fail(text.error());
    std::string wrong;
    if (!properties) {
        wrong = properties.error().what;
    } else if (!properties->node_id || properties->cluster_id.empty()) {
        wrong = "has no node.id or no cluster.id";
    } else {
        directory.properties = *properties;
        return;
    }
    report(FindingKind::meta_properties, Severity::damage, path, wrong,
           "a start refuses the directory: take cluster.id and node.id from another directory of the node");
}

std::optional<OffsetCheckpoint> LogVerifier::check_offset_checkpoint(const Directory& directory, const char* name) {
    const std::string path = directory.path + "/" + name;
    if (!files_.exists(path)) return std::nullopt;
    const auto text = files_.read_file(path);
    if (text && text->empty()) return OffsetCheckpoint{};  // as made, before the first write
    auto offsets = text ? decode_offset_checkpoint(*text) : fail(text.error());
    std::string wrong;
    if (!offsets) wrong = offsets.error().what;
    for (auto it = offsets ? offsets->begin() : OffsetCheckpoint::iterator{}; offsets && it != offsets->end(); ++it) {
        if (it->second < Offset{0}) wrong = fmt::format("{} is at offset {}", it->first.to_string(), it->second);
    }
    if (wrong.empty()) return std::move(*offsets);
    report(FindingKind::checkpoint, Severity::damage, path, wrong,
           "a start goes on without it; `odradek log repair` keeps the lines that can be believed",
           Remedy::rewrite_checkpoint);
    return std::nullopt;
}

Result<void> LogVerifier::list_directory(const Directory& directory, std::string_view only) {
    ODR_TRY(entries, files_.list(directory.path));
    std::ranges::sort(entries, {}, &io::DirectoryEntry::name);
    for (const io::DirectoryEntry& entry : entries) {
        if (!only.empty() && entry.name != only) continue;
        const std::string path = directory.path + "/" + entry.name;
        if (!entry.is_directory) {
            if (entry.name.ends_with(".tmp") && !directory.is_live) {
                report(FindingKind::leftover, Severity::note, path, "a file whose writing was interrupted",
                       std::string{kStartMends}, Remedy::remove_file);
            }
            continue;
        }
        if (entry.name == kRemoteIndexFolder) continue;
        LogFolderName parsed = parse_log_folder_name(entry.name);
        switch (parsed.kind) {
            case LogFolderKind::log:
                add_partition(directory, entry.name, std::move(parsed.topic_partition));
                break;
            case LogFolderKind::deleted:
                break;  // about to be removed
            case LogFolderKind::future:
            case LogFolderKind::stray:
                report(FindingKind::leftover, Severity::note, path, "is not checked: no replica of the cluster",
                       "remove it when nobody needs it");
                break;
            case LogFolderKind::foreign:
                report(FindingKind::unknown_file, Severity::note, path, "is not the folder of a partition",
                       "Apache Kafka refuses a log directory with such a folder: move it away");
                break;
        }
    }
    return {};
}

void LogVerifier::add_partition(const Directory& directory, const std::string& folder, TopicPartition name) {
    const auto entries = files_.list(directory.path + "/" + folder);
    if (!entries) {
        if (directory.is_live && entries.error().os_errno == ENOENT) return;  // deleted meanwhile
        return report(FindingKind::unreadable, Severity::damage, directory.path + "/" + folder,
                      fmt::format("cannot be listed ({})", std::strerror(entries.error().os_errno)),
                      "look into the kernel's log, and at the folder's owner and mode");
    }
    const auto offset_in = [&](const std::optional<OffsetCheckpoint>& checkpoint) -> std::optional<Offset> {
        if (!checkpoint) return std::nullopt;
        const auto found = checkpoint->find(name);
        return found == checkpoint->end() ? std::nullopt : std::optional{found->second};
    };
    PartitionFiles& partition = partitions_.emplace_back();
    partition.is_metadata_log = name.topic == kMetadataTopic;
    LogFacts& facts = partition.facts;
    facts.folder = directory.path + "/" + folder;
    facts.is_live = directory.is_live;
    facts.was_clean = directory.was_clean && !partition.is_metadata_log;
    facts.has_recovery_points = offset_in(directory.recovery_points).has_value();
    facts.recovery_point = offset_in(directory.recovery_points).value_or(Offset{0});
    if (directory.cleaned) facts.cleaned_below = offset_in(directory.cleaned).value_or(Offset{0});
    partition.log_start = offset_in(directory.log_starts);
    partition.high_watermark = offset_in(directory.high_watermarks);
    partition.name = std::move(name);
    check_small_files(partition, *entries);
}

void LogVerifier::check_small_files(PartitionFiles& partition, const std::vector<io::DirectoryEntry>& entries) {
    std::map<Offset, SegmentFacts> segments;
    std::vector<std::pair<Offset, std::string>> others;
    for (const io::DirectoryEntry& entry : entries) {
        if (entry.is_directory) continue;
        const auto offset = offset_of_file_name(entry.name);
        const std::string_view suffix = offset ? std::string_view{entry.name}.substr(20) : std::string_view{};
        if (suffix == kLogSuffix) {
            const auto size = files_.size_of(partition.facts.folder + "/" + entry.name);
            if (!size && partition.facts.is_live) continue;
            segments[*offset].base = *offset;
            segments[*offset].size = size.value_or(0);
        } else if (suffix == kOffsetIndexSuffix || suffix == kTimeIndexSuffix || suffix == kTxnIndexSuffix) {
            others.emplace_back(*offset, entry.name);
        } else if (suffix == kSnapshotSuffix) {
            partition.snapshots.push_back(*offset);
        } else {
            check_other_file(partition, entry.name);
            if (partition.is_metadata_log && entry.name.ends_with(".checkpoint"))
                partition.metadata_snapshots.push_back(entry.name);
        }
    }
    for (const auto& [offset, name] : others) {
        const auto segment = segments.find(offset);
        if (segment == segments.end()) {
            if (partition.facts.is_live) continue;
            report(FindingKind::leftover, Severity::warning, partition.facts.folder + "/" + name,
                   "an index without its segment", std::string{kStartMends}, Remedy::remove_file);
            continue;
        }
        if (name.ends_with(kOffsetIndexSuffix)) segment->second.has_offset_index = true;
        if (name.ends_with(kTimeIndexSuffix)) segment->second.has_time_index = true;
        if (name.ends_with(kTxnIndexSuffix)) segment->second.has_txn_index = true;
    }
    for (const auto& [base, segment] : segments) {
        if (!partition.segments.empty()) partition.segments.back().next_base = base;
        partition.segments.push_back(segment);
    }
    if (!partition.segments.empty()) partition.segments.back().is_active = true;
    std::ranges::sort(partition.snapshots);
    if (partition.is_metadata_log) check_quorum_state(partition);
}

void LogVerifier::check_other_file(PartitionFiles& partition, const std::string& name) {
    const std::string path = partition.facts.folder + "/" + name;
    const bool is_live = partition.facts.is_live;
    if (name == kLeaderEpochCheckpoint || name == kQuorumState) return;  // each where its content is known
    if (name.find(".damaged") != std::string::npos) return;              // kept aside by a repair
    if (name == kPartitionMetadata) {
        const auto text = files_.read_file(path);
        const auto id = text ? decode_partition_metadata(*text) : fail(text.error());
        if (id) {
            partition.topic_id = *id;
        } else {
            report(FindingKind::partition_metadata, Severity::damage, path, std::string{id.error().what},
                   "Apache Kafka refuses the partition; `odradek log repair` takes the id from the topic's others",
                   Remedy::rewrite_topic_id);
        }
        return;
    }
    if (name.ends_with(kDeletedSuffix) || name.ends_with(kCleanedSuffix) || name.ends_with(".part") ||
        name.ends_with(".tmp")) {
        if (!is_live) {
            report(FindingKind::leftover, Severity::note, path, "of work that was interrupted",
                   std::string{kStartMends}, Remedy::remove_file);
        }
        return;
    }
    if (name.ends_with(kSwapSuffix)) {
        if (!is_live) {
            report(FindingKind::leftover, Severity::warning, path, "of a cleaning that was interrupted",
                   "a start of the broker completes it");
        }
        return;
    }
    if (partition.is_metadata_log && name.ends_with(".checkpoint")) return;
    if (name.ends_with(kLogSuffix)) {
        return report(FindingKind::unknown_file, Severity::damage, path, "a segment needs a name of 20 digits",
                      "a start may refuse the partition: give it its base offset for a name, or move it away");
    }
    report(FindingKind::unknown_file, Severity::note, path, "is no file of a log", "it does no harm");
}

void LogVerifier::check_quorum_state(const PartitionFiles& partition) {
    const std::string path = partition.facts.folder + "/" + std::string{kQuorumState};
    if (!files_.exists(path)) return;
    const auto text = files_.read_file(path);
    const auto is_whole = [](std::string_view json) {
        const auto end = json.find_last_not_of(" \t\r\n");
        return json.starts_with('{') && end != std::string_view::npos && json[end] == '}' &&
               json.find("\"leaderEpoch\"") != std::string_view::npos &&
               json.find("\"data_version\"") != std::string_view::npos;
    };
    if (text && is_whole(*text)) return;
    report(FindingKind::checkpoint, Severity::damage, path, "is no quorum state",
           "the controller's vote is lost: in a quorum of several remove the file, alone restore it from a backup");
}

void LogVerifier::compare_directories() {
    const Directory* first = nullptr;
    for (const auto& directory : directories_) {
        if (!directory->properties) continue;
        if (first == nullptr) {
            first = directory.get();
            continue;
        }
        const MetaProperties& a = *first->properties;
        const MetaProperties& b = *directory->properties;
        const std::string path = directory->path + "/" + kMetaProperties;
        if (a.cluster_id != b.cluster_id || a.node_id != b.node_id) {
            report(FindingKind::meta_properties, Severity::warning, path,
                   fmt::format("is of another node or cluster than {}", first->path),
                   "right if they are directories of different brokers");
        } else if (a.directory_id && a.directory_id == b.directory_id) {
            report(FindingKind::meta_properties, Severity::damage, path,
                   fmt::format("has the same directory.id as {}", first->path),
                   "one is a copy of the other: take it out of log.dirs");
        }
    }
    std::map<TopicPartition, std::string> seen;
    for (const PartitionFiles& partition : partitions_) {
        if (partition.is_metadata_log) continue;
        const auto [other, is_new] = seen.emplace(partition.name, partition.facts.folder);
        if (is_new || other->second == partition.facts.folder) continue;
        report(FindingKind::unknown_file, Severity::warning, partition.facts.folder,
               fmt::format("the partition stands in {} too", other->second),
               "right if they are of different brokers; one broker refuses to start: keep the longer one");
    }
}

void LogVerifier::compare_topic_ids() {
    std::map<std::string, const PartitionFiles*> first_of;
    for (const PartitionFiles& partition : partitions_) {
        if (partition.topic_id.is_zero()) continue;
        const auto [first, is_new] = first_of.emplace(partition.name.topic, &partition);
        if (is_new || first->second->topic_id == partition.topic_id) continue;
        report(FindingKind::partition_metadata, Severity::damage, partition.facts.folder + "/" + kPartitionMetadata,
               fmt::format("topic id {} is not {}, which {} has", partition.topic_id.to_string(),
                           first->second->topic_id.to_string(), first->second->facts.folder),
               "one of the folders belongs to a deleted topic of the same name");
    }
}

}  // namespace odr::storage
