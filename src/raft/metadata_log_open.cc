#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "raft/metadata_log_impl.h"
#include "storage/batch_walker.h"
#include "storage/checkpoint_file.h"
#include "storage/log_segment.h"

// The start of a metadata log: which snapshot counts, what is cut, who the voters are.
namespace odr::raft {

Result<std::unique_ptr<MetadataLog>> MetadataLog::open(io::MayBlock may_block, io::FileSystem& files,
                                                       const Clock& clock, MetadataLogOptions options) {
    auto impl = std::make_unique<Impl>(files, clock, std::move(options));
    ODR_CHECK(impl->open(may_block));
    return std::unique_ptr<MetadataLog>{new MetadataLog{std::move(impl)}};
}

Result<void> MetadataLog::Impl::open(io::MayBlock may_block) {
    ODR_CHECK(files.create_directories(log_directory));
    ODR_CHECK(find_snapshots(may_block));
    ODR_CHECK(drop_broken_snapshots(may_block));
    ODR_CHECK(check_nothing_confirmed_is_lost());
    ODR_CHECK(open_log(may_block));
    ODR_CHECK(read_quorum(may_block));
    ODR_CHECK(check_voters());
    // What a crash left in the page cache counts from here on, so it must be on the disk first.
    ODR_CHECK(log->flush(may_block));
    log->set_high_watermark(log->log_end_offset());
    high_watermark = log->log_end_offset().raw();
    return {};
}

Result<void> MetadataLog::Impl::find_snapshots(io::MayBlock) {
    ODR_TRY(entries, files.list(log_directory));
    for (const io::DirectoryEntry& entry : entries) {
        const std::string path = log_directory + "/" + entry.name;
        const std::string_view name = entry.name;
        if (name.ends_with(".checkpoint.part") || name.ends_with(".checkpoint.deleted")) {
            ODR_CHECK(files.remove(path));  // never finished, or deleted already
        } else if (const auto id = parse_snapshot_file_name(name)) {
            ODR_TRY(size, files.size_of(path));
            snapshots.emplace(*id, size);
        }
    }
    return {};
}

// Reads the newest snapshot to its footer. A broken one is passed over while the log still has what it stood for.
Result<void> MetadataLog::Impl::drop_broken_snapshots(io::MayBlock may_block) {
    while (!snapshots.empty()) {
        const OffsetAndEpoch id = snapshots.rbegin()->first;
        ODR_TRY(reader, SnapshotReader::open(may_block, files, snapshot_path(id), id));
        for (;;) {
            const auto records = reader->next(may_block);
            if (records && !records->empty()) continue;
            if (records) {
                quorum.kraft_version = reader->kraft_version();
                quorum.voters = reader->voters();
                return {};
            }
            if (records.error().code == ErrorCode::kafka_storage_error) return fail(records.error());
            log::error("snapshot {} is broken and passed over: {}", snapshot_path(id), records.error().what);
            break;
        }
        snapshots.erase(id);
    }
    return {};
}

namespace {

// How far the batches of a log follow each other without a fault, and where it ends.
struct SoundPart {
    Offset end{0};
    LeaderEpoch latest_epoch = kNoLeaderEpoch;
    std::string faulty_file;  // the segment after whose last sound batch the log goes on with something else, or ends
};

Result<SoundPart> find_sound_part(io::FileSystem& files, const std::string& folder) {
    ODR_TRY(entries, files.list(folder));
    std::vector<std::string> segments;
    for (const io::DirectoryEntry& entry : entries) {
        const bool is_segment = entry.name.ends_with(storage::kLogSuffix) && storage::offset_of_file_name(entry.name);
        if (is_segment) segments.push_back(entry.name);
    }
    std::ranges::sort(segments);
    SoundPart out{.faulty_file = folder};
    if (!segments.empty()) out.end = *storage::offset_of_file_name(segments.front());
    for (const std::string& name : segments) {
        if (storage::offset_of_file_name(name) != out.end) return out;
        out.faulty_file = folder + "/" + name;
        ODR_TRY(file, files.open(out.faulty_file, io::OpenMode::read));
        ODR_TRY(size, file->size());
        storage::BatchScanner scan{*file, 0, size};
        for (;;) {
            const auto batch = scan.next();
            if (!batch && batch.error().code == ErrorCode::kafka_storage_error) return fail(batch.error());
            const bool is_sound = batch && *batch && (*batch)->is_crc_valid() && (*batch)->base_offset() == out.end;
            if (!is_sound) break;
            out.end = (*batch)->next_offset();
            out.latest_epoch = std::max(out.latest_epoch, (*batch)->partition_leader_epoch());
        }
    }
    return out;
}

}  // namespace

// A leader makes durable what it finds before its epoch begins, and notes the epoch after its first batch is durable. A
// log that breaks off below that has lost what was confirmed: topics among it, whose folders a start would take for
// strays. What breaks off later may be what a crash left, and is cut.
Result<void> MetadataLog::Impl::check_nothing_confirmed_is_lost() {
    const std::string path = log_directory + "/" + storage::kLeaderEpochCheckpoint;
    if (!files.exists(path)) return {};
    const auto text = files.read_file(path);
    const auto epochs = text ? storage::decode_epoch_checkpoint(*text) : fail(text.error());
    if (!epochs || epochs->empty()) return {};  // it is made anew from the batches
    const storage::EpochEntry last = epochs->back();
    if (newest_snapshot() && newest_snapshot()->offset >= last.start_offset) return {};
    ODR_TRY(sound, find_sound_part(files, log_directory));
    // With batches of the epoch in the log it is the checkpoint that is wrong.
    if (sound.end >= last.start_offset || sound.latest_epoch >= last.epoch) return {};
    log::error(
        "{}: sound up to offset {} only, but by {} epoch {} began at {}: confirmed metadata are lost. Restore {} "
        "from a backup; without {} the node starts on what is left",
        sound.faulty_file, sound.end, path, last.epoch, last.start_offset, log_directory, path);
    return fail(ErrorCode::corrupt_message, "confirmed metadata are lost");
}

Result<void> MetadataLog::Impl::open_log(io::MayBlock may_block) {
    auto config = std::make_shared<config::LogConfig>();
    config->segment_bytes = options.segment_bytes;
    config->segment_ms = options.segment_ms;
    config->max_message_bytes = static_cast<std::int32_t>(kBatchBytesMax);
    config->retention_ms = -1;  // segments go when a snapshot covers them
    config->retention_bytes = -1;
    storage::LogEnvironment environment;
    environment.files = &files;
    storage::LogOpenOptions open;
    open.directory = log_directory;
    open.topic_partition = {.topic = "__cluster_metadata", .partition = PartitionIndex{0}};
    open.config = config;
    open.now = clock.now();
    ODR_TRY(opened, storage::open_log(may_block, environment, std::move(open)));
    log = opened;
    ODR_CHECK(log->assign_topic_id(may_block, kMetadataTopicId));

    const auto snapshot = newest_snapshot();
    if (!snapshot) {
        if (log->log_start_offset() > Offset{0})
            return fail(ErrorCode::corrupt_message,
                        "the metadata log does not start at 0, and no snapshot can be read");
        return {};
    }
    if (log->log_start_offset() > snapshot->offset)
        return fail(ErrorCode::corrupt_message, "the metadata log starts behind its newest readable snapshot");
    if (log->log_end_offset() < snapshot->offset) {
        // The snapshot knows more than the log, as after it was fetched from a leader: the log goes on behind it.
        ODR_CHECK(log->truncate_fully_and_start_at(may_block, snapshot->offset, snapshot->offset));
    }
    return {};
}

Result<void> read_quorum_records(const record::RecordBatchView& batch, QuorumRecords& into) {
    record::RecordIterator records{batch};
    for (;;) {
        ODR_TRY(each, records.next());
        if (!each) return {};
        ODR_TRY(type, record::parse_control_record_key(each->key));
        const ByteView value = each->value.value_or(ByteView{});
        if (type == record::ControlRecordType::kraft_version) {
            ODR_TRY(version, parse_kraft_version(value));
            into.kraft_version = version;
        } else if (type == record::ControlRecordType::kraft_voters) {
            ODR_TRY(voters, parse_voters(value));
            into.voters = std::move(voters);
            into.voters_offset = each->offset(batch);
        }
    }
}

Result<void> MetadataLog::Impl::read_quorum(io::MayBlock may_block) {
    const Offset from =
        newest_snapshot() ? std::max(newest_snapshot()->offset, log->log_start_offset()) : log->log_start_offset();
    ODR_CHECK(for_each_batch(may_block, from, [&](const record::RecordBatchView& batch) -> Result<void> {
        if (!batch.is_control()) return {};
        return read_quorum_records(batch, quorum);
    }));
    if (quorum.kraft_version == 0 || !quorum.voters) quorum.voters = options.static_voters;
    ODR_TRY(state, read_quorum_state(files, log_directory + "/quorum-state"));
    epoch = std::max(log->latest_epoch(), LeaderEpoch{0});
    if (newest_snapshot()) epoch = std::max(epoch, newest_snapshot()->epoch);
    if (state) epoch = std::max(epoch, state->leader_epoch);
    return {};
}

static std::string to_text(const VoterSet& voters) {
    std::string text;
    for (const VoterNode& voter : voters)
        text += fmt::format("{}{}-{}", text.empty() ? "" : ",", voter.key.id, voter.key.directory_id.to_string());
    return "[" + text + "]";
}

Result<void> MetadataLog::Impl::check_voters() const {
    const VoterSet& voters = *quorum.voters;
    const ReplicaKey& self = options.self;
    if (voters.empty()) {
        log::error("no voters: {} has none and controller.quorum.voters is not set", log_directory);
        return fail(
            ErrorCode::invalid_config,
            "the quorum has no voters: format the directory with --standalone, or set controller.quorum.voters");
    }
    const VoterNode* own = find_voter(voters, self.id);
    const bool same_directory =
        own != nullptr && (quorum.kraft_version == 0 || own->key.directory_id == self.directory_id);
    if (voters.size() == 1 && same_directory) return {};
    log::error("this node is {}-{}, the voters are {}", self.id, self.directory_id.to_string(), to_text(voters));
    if (own == nullptr) return fail(ErrorCode::invalid_config, "this node is not a voter of the metadata quorum");
    if (!same_directory)
        return fail(
            ErrorCode::invalid_config,
            "the voters record names another directory of this node: metadata.log.dir is not the one formatted");
    return fail(ErrorCode::invalid_config,
                "the metadata quorum has several voters; this version serves a quorum of one");
}

}  // namespace odr::raft
