#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <ranges>
#include <set>

#include "base/log.h"
#include "storage/checkpoint_file.h"
#include "storage/log_impl.h"

namespace odr::storage {
namespace {

constexpr std::size_t kOpenFilesAlone = 16;  // of a log that shares no cache
constexpr std::size_t kSmallFileBytesMax = std::size_t{16} << 20;

bool is_log_file(std::string_view name) { return offset_of_file_name(name) && name.ends_with(kLogSuffix); }
bool is_index_file(std::string_view name) {
    return offset_of_file_name(name) &&
           (name.ends_with(kOffsetIndexSuffix) || name.ends_with(kTimeIndexSuffix) || name.ends_with(kTxnIndexSuffix));
}

}  // namespace

// Loads one log. Kafka: LogLoader.
class LogLoader {
public:
    LogLoader(io::MayBlock may_block, Log::Impl& log) : may_block_{may_block}, log_{log} {}

    Result<void> load();
    static std::shared_ptr<Log> wrap(std::unique_ptr<Log::Impl> impl) {
        Log::Impl& inside = *impl;
        std::shared_ptr<Log> log{new Log{std::move(impl)}};
        inside.log = log.get();
        return log;
    }

private:
    io::FileSystem& files() { return *log_.environment.files; }
    std::string path(std::string_view name) const { return log_.path_of(name); }
    Result<void> remove(const std::string& name) {
        names_.erase(name);
        return files().remove(path(name));
    }
    Result<void> start_new();
    Result<void> list();
    Result<void> finish_interrupted_cleaning();
    Result<void> make_segments();
    void read_small_files();
    Result<void> check_indexes(std::size_t confirmed);
    Result<void> recover_unflushed();
    Result<Log::Impl::RecoverFrom> prepare_recovery(const std::shared_ptr<LogSegment>& segment, bool first);
    Result<Offset> end_offset();
    Result<void> load_producers(Offset end);
    Result<void> read_epochs();
    Result<void> settle_epochs();
    const std::string& name() {
        if (name_.empty()) name_ = log_.options.topic_partition.to_string();
        return name_;
    }

    io::MayBlock may_block_;
    Log::Impl& log_;
    std::set<std::string> names_;
    std::string name_;
    bool epochs_are_lost_ = false;
    std::vector<EpochEntry> epochs_on_disk_;  // as the file says
    Offset end_{0};                           // of what recovery found sound
};

Result<void> LogLoader::list() {
    ODR_TRY(entries, files().list(log_.options.directory));
    for (io::DirectoryEntry& entry : entries) {
        if (!entry.is_directory) names_.insert(std::move(entry.name));
    }
    return {};
}

// The cleaner writes X.cleaned, renames it to X.swap, removes what it replaces, and renames it to X.
Result<void> LogLoader::finish_interrupted_cleaning() {
    std::vector<std::string> deleted, cleaned, swaps;
    Offset cleaned_min{INT64_MAX};
    for (const std::string& file : names_) {
        if (file.ends_with(kDeletedSuffix) && !file.ends_with(".checkpoint.deleted")) deleted.push_back(file);
        if (file.ends_with(kSwapSuffix)) swaps.push_back(file);
        if (!file.ends_with(kCleanedSuffix)) continue;
        cleaned.push_back(file);
        cleaned_min = std::min(cleaned_min, offset_of_file_name(file).value_or(cleaned_min));
    }
    for (const std::string& file : deleted) ODR_CHECK(remove(file));
    // Of the files of a segment, or of a group of segments split into several, some are still .cleaned: the swap was
    // not complete. What tells so goes last.
    const auto incomplete = std::ranges::stable_partition(
        swaps, [&](const std::string& file) { return offset_of_file_name(file).value_or(Offset{0}) < cleaned_min; });
    for (const std::string& file : incomplete) ODR_CHECK(remove(file));
    swaps.erase(incomplete.begin(), incomplete.end());
    for (const std::string& file : cleaned) ODR_CHECK(remove(file));
    Offset from{INT64_MAX}, to{INT64_MIN};
    for (const std::string& file : swaps) {
        if (!file.ends_with(".log.swap")) continue;
        const Offset base = offset_of_file_name(file).value_or(Offset{0});
        ODR_TRY(opened, files().open(path(file), io::OpenMode::read));
        ODR_TRY(size, opened->size());
        from = std::min(from, base);
        to = std::max(to, base + 1);  // also of a segment of which nothing is left
        HeaderWalker walk{*opened, 0, size, Access::may_wait};
        for (;;) {
            ODR_TRY(header, walk.next());
            if (!header) break;
            to = std::max(to, header->next_offset());
        }
    }
    std::vector<std::string> replaced;
    for (const std::string& file : names_) {
        const auto offset = offset_of_file_name(file);
        if (!offset || file.ends_with(kSwapSuffix) || *offset < from || *offset >= to) continue;
        // The state of producers before a segment is the same whatever was cleaned out of it.
        const bool stays =
            file.ends_with(kSnapshotSuffix) && names_.contains(segment_file_name(*offset, kLogSuffix) + kSwapSuffix);
        if (!stays) replaced.push_back(file);
    }
    for (const std::string& file : replaced) ODR_CHECK(remove(file));
    // The log first: once it has its name nothing of the segment counts as replaced any more.
    std::ranges::stable_partition(swaps, [](const std::string& file) { return file.ends_with(".log.swap"); });
    for (const std::string& file : swaps) {
        const std::string final_name = file.substr(0, file.size() - std::string_view{kSwapSuffix}.size());
        ODR_CHECK(files().rename(path(file), path(final_name)));
        names_.erase(file);
        names_.insert(final_name);
    }
    return {};
}

Result<void> LogLoader::make_segments() {
    std::vector<std::string> orphans;
    for (const std::string& file : names_) {
        const auto offset = offset_of_file_name(file);
        if (!offset) continue;
        if (is_index_file(file) && !names_.contains(segment_file_name(*offset, kLogSuffix))) orphans.push_back(file);
        if (file.ends_with(kSnapshotSuffix)) log_.snapshots.insert(*offset);
        if (!is_log_file(file)) continue;
        ODR_TRY(size, files().size_of(path(file)));
        log_.segments.push_back(std::make_shared<LogSegment>(*offset, size));
    }
    for (const std::string& file : orphans) {
        log::warn("{}: removing index {} without a segment", name(), file);
        ODR_CHECK(remove(file));
    }
    if (log_.segments.empty()) {
        auto segment = std::make_shared<LogSegment>(log_.options.log_start_offset, 0);
        segment->offset_index.reset(0, {});
        segment->time_index.reset(0, {});
        segment->txn_index.reset(0, {});
        segment->max_timestamp_known = true;
        log_.segments.push_back(std::move(segment));
    }
    return {};
}

void LogLoader::read_small_files() {
    // A flush writes it, so that a durable log without it has lost it.
    epochs_are_lost_ = log_.options.clean_shutdown || log_.options.recovery_point > Offset{0};
    if (names_.contains(kLeaderEpochCheckpoint)) {
        epochs_are_lost_ = false;
        const auto text = files().read_file(path(kLeaderEpochCheckpoint), kSmallFileBytesMax);
        auto entries = text ? decode_epoch_checkpoint(*text) : fail(text.error());
        if (entries) log_.epochs.load(*entries);
        if (entries) epochs_on_disk_ = *entries;
        if (entries && log_.epochs.entries() != *entries) {
            entries = fail(ErrorCode::kafka_storage_error, "leader-epoch-checkpoint does not rise");
        }
        if (!entries) {
            log::warn("{}/{} is of no use ({}); reading the epochs from the log", log_.options.directory,
                      kLeaderEpochCheckpoint, entries.error().what);
            epochs_are_lost_ = true;
        }
    }
    log_.topic_id = log_.options.known_topic_id;
    if (log_.topic_id.is_zero() && names_.contains(kPartitionMetadata)) {
        const auto text = files().read_file(path(kPartitionMetadata), kSmallFileBytesMax);
        const auto id = text ? decode_partition_metadata(*text) : fail(text.error());
        if (id) {
            log_.topic_id = *id;
        } else {
            log::warn("{}/{} is of no use ({}); the cluster's metadata tell the topic's id", log_.options.directory,
                      kPartitionMetadata, id.error().what);
        }
    }
}

// Indexes of segments that the disk has confirmed: made anew where they are missing, or cannot be what they should.
Result<void> LogLoader::check_indexes(std::size_t confirmed) {
    for (std::size_t i = 0; i < confirmed; ++i) {
        const std::shared_ptr<LogSegment> segment = log_.segments[i];
        if (!names_.contains(segment_file_name(segment->base_offset, kTxnIndexSuffix))) {
            segment->txn_index.reset(0, {});
        } else {
            ODR_TRY(sound, log_.keep_txn_index(may_block_, segment, Offset{INT64_MAX}));
            const bool last = i + 1 == log_.segments.size();
            const Offset end = last ? Offset{INT64_MAX} : log_.segments[i + 1]->base_offset;
            if (!sound) ODR_CHECK(log_.rebuild_txn_index(segment, end));
        }
        if (segment->size == 0 || names_.contains(segment_file_name(segment->base_offset, kOffsetIndexSuffix)))
            continue;
        log::warn("{}: segment {} has no offset index, making it anew", name(), segment->base_offset);
        segment->indexes_doubtful = true;
        if (segment->size > kSmallSegmentBytes) ODR_CHECK(log_.rebuild_indexes(may_block_, segment, true));
    }
    return {};
}

Result<void> LogLoader::recover_unflushed() {
    if (log_.options.clean_shutdown) return check_indexes(log_.segments.size());
    const Offset recovery_point = log_.options.recovery_point;
    const std::size_t first = log_.segment_index_for(recovery_point);
    ODR_CHECK(check_indexes(first));
    // Past the recovery point the batches say which epochs there were.
    log_.epochs.truncate_from_end(recovery_point);
    std::size_t next = first;
    bool is_damage = false;
    for (; next < log_.segments.size(); ++next) {
        const std::shared_ptr<LogSegment> segment = log_.segments[next];
        ODR_TRY(from, prepare_recovery(segment, next == first));
        ODR_TRY(recovered, log_.recover_segment(may_block_, segment, from));
        end_ = recovered.end;
        is_damage = recovered.is_damage;
        // Of two segments that were never flushed a power loss may take the end of the first alone. Only compaction
        // leaves such gaps on purpose.
        const bool may_have_gaps = recovered.bytes_cut == 0 && log_.config.load()->cleanup_compact;
        const bool last = next + 1 == log_.segments.size();
        if (!last && !may_have_gaps && recovered.end < log_.segments[next + 1]->base_offset) break;
    }
    // Behind a gap nothing can be trusted to follow.
    for (std::size_t i = next + 1; i < log_.segments.size(); ++i) {
        const std::string segment = log_.path_of(*log_.segments[i], kLogSuffix);
        log::warn("{}: {} segment {}, which does not follow what is before it", name(),
                  is_damage ? "setting aside" : "removing", log_.segments[i]->base_offset);
        if (is_damage) ODR_CHECK(files().rename(segment, segment + kDamagedSuffix));
        log_.remove_files(*log_.segments[i]);
    }
    if (next + 1 >= log_.segments.size()) return {};
    log_.segments.resize(next + 1);
    return files().sync_directory(may_block_, log_.options.directory);
}

// Where the checks of a segment begin, with the producers as they were there.
Result<Log::Impl::RecoverFrom> LogLoader::prepare_recovery(const std::shared_ptr<LogSegment>& segment, bool first) {
    const Offset recovery_point = log_.options.recovery_point;
    const Offset base = segment->base_offset;
    bool aborted_are_known = true;
    if (names_.contains(segment_file_name(base, kTxnIndexSuffix))) {
        ODR_TRY(known, log_.keep_txn_index(may_block_, segment, std::max(base, recovery_point)));
        aborted_are_known = known;
    } else {
        segment->txn_index.reset(0, {});
    }
    Log::Impl::RecoverFrom from{.trusted_below = recovery_point, .producers_from = base, .transactions_from = base};
    if (!first) return from;
    if (aborted_are_known) from.transactions_from = std::max(base, recovery_point);
    ODR_TRY(snapshot, log_.load_snapshot(from.transactions_from));
    if (snapshot < base) ODR_CHECK(log_.replay_producers(snapshot, base));
    from.producers_from = std::max(base, snapshot);
    return from;
}

Result<Offset> LogLoader::end_offset() {
    if (!log_.options.clean_shutdown) return end_;
    const auto& active = log_.active();
    const Offset recovery_point = log_.options.recovery_point;
    // A clean stop flushed all and left a snapshot of the producers at the end: no need to look into the segment.
    if (recovery_point > active->base_offset && !log_.snapshots.empty() && *log_.snapshots.rbegin() == recovery_point) {
        return recovery_point;
    }
    if (active->size == 0) return active->base_offset;
    return log_.find_end_offset(may_block_, active);
}

Result<void> LogLoader::load_producers(Offset end) {
    // Snapshots at other places than segment starts are left by stops; the newest is enough.
    std::set<Offset> wanted;
    for (const auto& segment : log_.segments) wanted.insert(segment->base_offset);
    const Offset first = log_.segments.front()->base_offset;
    const auto behind_end = log_.snapshots.upper_bound(end);
    if (behind_end != log_.snapshots.begin()) wanted.insert(*std::prev(behind_end));
    for (auto it = log_.snapshots.begin(); it != log_.snapshots.end();) {
        if (wanted.contains(*it) && *it <= end && *it >= first) {
            ++it;
            continue;
        }
        ODR_CHECK(files().remove(path(segment_file_name(*it, kSnapshotSuffix))));
        it = log_.snapshots.erase(it);
    }
    // After a crash recovery has met them. A clean stop of an older version, which had no producers, left no snapshot:
    // reading everything to find none would take long.
    if (!log_.options.clean_shutdown || log_.snapshots.empty()) return {};
    return log_.rebuild_producers(may_block_, end);
}

// The epochs that the batches say, where their own file is lost.
Result<void> LogLoader::read_epochs() {
    log_.epochs.clear();
    for (const auto& segment : log_.segments) {
        if (segment->size == 0) continue;
        ODR_TRY(file, files().open(path(segment_file_name(segment->base_offset, kLogSuffix)), io::OpenMode::read));
        HeaderWalker walk{*file, 0, segment->size, Access::may_wait};
        for (;;) {
            const auto header = walk.next();
            if (!header && header.error().code == ErrorCode::kafka_storage_error) return fail(header.error());
            if (!header || !*header) break;
            if ((*header)->is_legacy()) return {};  // written before there were epochs
            if ((*header)->partition_leader_epoch() <= log_.epochs.latest()) continue;
            log_.epochs.assign((*header)->partition_leader_epoch(), (*header)->base_offset());
        }
    }
    return {};
}

// Leaves the file of the epochs to the next flush where the next start would come to the same without it: what it says
// past the recovery point counts for nothing, and is read from the batches. So a start after a crash writes nothing.
Result<void> LogLoader::settle_epochs() {
    const std::vector<EpochEntry>& known = log_.epochs.entries();
    if (known == epochs_on_disk_ && !epochs_are_lost_) {
        log_.epochs.mark_clean();
        return {};
    }
    std::erase_if(epochs_on_disk_,
                  [&](const EpochEntry& entry) { return entry.start_offset >= log_.options.recovery_point; });
    const bool says_nothing_wrong =
        epochs_on_disk_.size() <= known.size() &&
        std::ranges::equal(epochs_on_disk_, known | std::views::take(epochs_on_disk_.size()));
    if (says_nothing_wrong && !epochs_are_lost_) return {};
    return log_.write_epochs(may_block_);
}

// A log that was never there: a folder and its topic's id, without a sync, for the metadata log knows both. So a topic
// of thousands of partitions takes a moment.
Result<void> LogLoader::start_new() {
    ODR_CHECK(files().create_directories(log_.options.directory));
    ODR_CHECK(make_segments());
    const std::int64_t start = log_.options.log_start_offset.raw();
    log_.log_end_offset = log_.log_start_offset = log_.high_watermark = log_.recovery_point = start;
    if (log_.options.new_topic_id.is_zero()) return {};
    const std::string text = encode_partition_metadata(log_.options.new_topic_id);
    ODR_TRY(file, files().open(path(kPartitionMetadata), io::OpenMode::truncate));
    ODR_CHECK(file->write_at(as_bytes(text), 0));
    log_.topic_id = log_.options.new_topic_id;
    log_.topic_id_is_unsynced = true;
    return {};
}

Result<void> LogLoader::load() {
    log_.folder_is_dirty = true;
    if (!log_.options.new_topic_id.is_zero()) return start_new();
    const auto listed = list();
    if (!listed && listed.error().os_errno == ENOENT) return start_new();
    ODR_CHECK(listed);
    ODR_CHECK(finish_interrupted_cleaning());
    read_small_files();
    ODR_CHECK(make_segments());
    ODR_CHECK(recover_unflushed());
    ODR_TRY(found_end, end_offset());
    Offset end = found_end;
    Offset checkpointed_start = log_.options.log_start_offset;
    if (epochs_are_lost_) ODR_CHECK(read_epochs());
    if (end < checkpointed_start && log_.options.clean_shutdown) {
        log::warn("{}: the log ends at {} but is said to start at {}, which a clean stop cannot leave; it starts at {}",
                  name(), end, checkpointed_start, log_.segments.front()->base_offset);
        checkpointed_start = log_.segments.front()->base_offset;
    }
    if (end < checkpointed_start) {
        log::warn("{}: the log ends at {} but is said to start at {}; it starts anew there", name(), end,
                  checkpointed_start);
        ODR_CHECK(log_.start_empty_at(checkpointed_start, checkpointed_start));
        ODR_CHECK(files().sync_directory(may_block_, log_.options.directory));
        end = checkpointed_start;
    }
    log_.log_end_offset = end.raw();
    log_.epochs.truncate_from_end(end);
    log_.epochs.truncate_from_start(checkpointed_start);
    const Offset start = std::max(checkpointed_start, log_.segments.front()->base_offset);
    log_.log_start_offset = start.raw();
    log_.high_watermark = start.raw();
    const Offset recovered = log_.options.clean_shutdown ? end : std::min(log_.options.recovery_point, end);
    log_.recovery_point = recovered.raw();
    ODR_CHECK(load_producers(end));
    log_.producers.remove_expired(log_.options.now, log_.options.producer_id_expiration_ms);
    log_.refresh_first_unstable();
    return settle_epochs();
}

Result<std::shared_ptr<Log>> open_log(io::MayBlock may_block, const LogEnvironment& environment,
                                      LogOpenOptions options) {
    auto impl = std::make_unique<Log::Impl>();
    impl->disk = options.disk;
    impl->environment = environment;
    if (!impl->environment.open_files) impl->environment.open_files = std::make_shared<OpenFiles>(kOpenFilesAlone);
    impl->config = options.config;
    impl->options = std::move(options);
    ODR_CHECK(LogLoader(may_block, *impl).load());
    return LogLoader::wrap(std::move(impl));
}

}  // namespace odr::storage
