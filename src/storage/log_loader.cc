#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/log.h"
#include "storage/checkpoint_file.h"
#include "storage/log_impl.h"

namespace odr::storage {
namespace {

constexpr std::size_t kOpenFilesAlone = 16;  // of a log that shares no cache
constexpr std::uint64_t kProgressBytes = std::uint64_t{1} << 30;

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
        return std::shared_ptr<Log>{new Log{std::move(impl)}};
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
    Result<void> recover_unflushed();
    Result<Offset> end_offset();
    Result<void> load_producers(Offset end);
    const std::string& name() {
        if (name_.empty()) name_ = log_.options.topic_partition.to_string();
        return name_;
    }

    io::MayBlock may_block_;
    Log::Impl& log_;
    std::set<std::string> names_;
    std::string name_;
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
    for (const std::string& file : cleaned) ODR_CHECK(remove(file));
    // Of a group of segments split into several, some are still .cleaned: the swap was not complete.
    std::erase_if(swaps, [&](const std::string& file) {
        if (offset_of_file_name(file).value_or(Offset{0}) < cleaned_min) return false;
        (void)remove(file);
        return true;
    });
    Offset from{INT64_MAX}, to{INT64_MIN};
    for (const std::string& file : swaps) {
        if (!file.ends_with(".log.swap")) continue;
        const Offset base = offset_of_file_name(file).value_or(Offset{0});
        ODR_TRY(opened, files().open(path(file), io::OpenMode::read));
        ODR_TRY(size, opened->size());
        from = std::min(from, base);
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
        if (offset && !file.ends_with(kSwapSuffix) && *offset >= from && *offset < to) replaced.push_back(file);
    }
    for (const std::string& file : replaced) ODR_CHECK(remove(file));
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
        auto segment = std::make_shared<LogSegment>(*offset, size);
        if (names_.contains(segment_file_name(*offset, kTxnIndexSuffix))) {
            log_.may_have_aborted = true;
        } else {
            segment->txn_index.reset(0, {});
        }
        log_.segments.push_back(std::move(segment));
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
    if (names_.contains(kLeaderEpochCheckpoint)) {
        const auto text = files().read_file(path(kLeaderEpochCheckpoint));
        const auto entries = text ? decode_epoch_checkpoint(*text) : fail(text.error());
        if (entries) {
            log_.epochs.load(*entries);
        } else {
            log::warn("{}: leader-epoch-checkpoint is of no use ({}); epochs start anew", name(), entries.error().what);
        }
    }
    if (names_.contains(kPartitionMetadata)) {
        const auto text = files().read_file(path(kPartitionMetadata));
        const auto id = text ? decode_partition_metadata(*text) : fail(text.error());
        if (id) {
            log_.topic_id = *id;
        } else {
            log::warn("{}: partition.metadata is of no use ({})", name(), id.error().what);
        }
    }
}

Result<void> LogLoader::recover_unflushed() {
    const Offset recovery_point = log_.options.recovery_point;
    const std::size_t first = log_.segment_index_for(recovery_point);
    std::size_t next = 0;
    if (log_.options.clean_shutdown) next = log_.segments.size();
    for (std::size_t i = 0; i < (log_.options.clean_shutdown ? log_.segments.size() : first); ++i) {
        const auto& segment = log_.segments[i];
        if (segment->size == 0 || names_.contains(segment_file_name(segment->base_offset, kOffsetIndexSuffix)))
            continue;
        log::warn("{}: segment {} has no offset index, making it anew", name(), segment->base_offset);
        ODR_CHECK(log_.recover_segment(may_block_, segment, false));
    }
    if (log_.options.clean_shutdown) return {};
    ODR_CHECK(log_.rebuild_producers(may_block_, log_.segments[first]->base_offset));
    for (next = first; next < log_.segments.size(); ++next) {
        ODR_TRY(recovered, log_.recover_segment(may_block_, log_.segments[next], true));
        if (recovered.bytes_cut != 0) break;
        // Of two segments that were never flushed a power loss may take the end of the first alone. Only compaction
        // leaves such gaps on purpose.
        const bool last = next + 1 == log_.segments.size();
        if (!last && !log_.config.load()->cleanup_compact && recovered.end < log_.segments[next + 1]->base_offset)
            break;
    }
    // Behind a broken batch nothing can be trusted to follow it.
    for (std::size_t i = next + 1; i < log_.segments.size(); ++i) {
        log::warn("{}: removing segment {}, which does not follow what is before it", name(),
                  log_.segments[i]->base_offset);
        log_.remove_files(*log_.segments[i]);
    }
    if (next + 1 >= log_.segments.size()) return {};
    log_.segments.resize(next + 1);
    ODR_CHECK(files().sync_directory(may_block_, log_.options.directory));
    return {};
}

Result<Offset> LogLoader::end_offset() {
    const auto& active = log_.active();
    if (active->size == 0) return active->base_offset;
    const Offset recovery_point = log_.options.recovery_point;
    // A clean stop flushed all and left a snapshot of the producers at the end: no need to look into the segment.
    if (log_.options.clean_shutdown && recovery_point > active->base_offset && !log_.snapshots.empty() &&
        *log_.snapshots.rbegin() == recovery_point) {
        return recovery_point;
    }
    return log_.find_end_offset(active);
}

Result<void> LogLoader::load_producers(Offset end) {
    // Snapshots at other places than segment starts are left by stops; the newest is enough.
    std::set<Offset> wanted;
    for (const auto& segment : log_.segments) wanted.insert(segment->base_offset);
    if (!log_.snapshots.empty()) wanted.insert(*log_.snapshots.rbegin());
    for (auto it = log_.snapshots.begin(); it != log_.snapshots.end();) {
        if (wanted.contains(*it) && *it <= end) {
            ++it;
            continue;
        }
        ODR_CHECK(files().remove(path(segment_file_name(*it, kSnapshotSuffix))));
        it = log_.snapshots.erase(it);
    }
    if (!log_.options.clean_shutdown) {
        if (end > log_.active()->base_offset) return log_.write_snapshot(end);
        return {};
    }
    // A clean stop of an older version, which had no producers: reading everything to find none would take long.
    if (log_.snapshots.empty()) return {};
    return log_.rebuild_producers(may_block_, end);
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
    if (!files().exists(log_.options.directory)) return start_new();
    ODR_CHECK(list());
    ODR_CHECK(finish_interrupted_cleaning());
    read_small_files();
    ODR_CHECK(make_segments());
    ODR_CHECK(recover_unflushed());
    ODR_TRY(found_end, end_offset());
    Offset end = found_end;
    const Offset checkpointed_start = log_.options.log_start_offset;
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
    return log_.write_epochs(may_block_);
}

// --- producers and indexes of what is there
// -----------------------------------------------------------------------------

Result<void> Log::Impl::rebuild_producers(io::MayBlock, Offset up_to) {
    remove_snapshots_above(up_to);
    {
        std::lock_guard append{append_mutex};
        std::lock_guard state{state_mutex};
        producers.clear();
    }
    Offset from = segments.front()->base_offset;
    while (!snapshots.empty()) {
        const Offset offset = *snapshots.rbegin();
        const std::string path = path_of(segment_file_name(offset, kSnapshotSuffix));
        const auto bytes = environment.files->read_file(path);
        const auto entries = bytes ? decode_producer_snapshot(as_bytes(*bytes)) : fail(bytes.error());
        if (entries) {
            std::lock_guard append{append_mutex};
            std::lock_guard state{state_mutex};
            for (const ProducerSnapshotEntry& entry : *entries) producers.load(entry.producer_id, entry.state);
            from = std::max(from, offset);
            break;
        }
        log::warn("{}: {}; removing it", path, entries.error().what);
        ODR_CHECK(environment.files->remove(path));
        std::lock_guard state{state_mutex};
        snapshots.erase(offset);
    }
    const std::vector<SegmentPtr> all = segments;
    for (std::size_t i = segment_index_for(from); i < all.size() && all[i]->base_offset < up_to; ++i) {
        if (from < up_to) ODR_CHECK(replay_producers(all[i], from, up_to));
    }
    std::lock_guard state{state_mutex};
    refresh_first_unstable();
    return {};
}

Result<void> Log::Impl::replay_producers(const SegmentPtr& segment, Offset from, Offset up_to) {
    const std::uint64_t size = segment->size.load();
    if (size == 0) return {};
    ODR_TRY(start, index_position(segment, from, Access::may_wait));
    ODR_TRY(file, file_of(segment, SegmentFileKind::log, Access::may_wait));
    BatchScanner scan{*file, start < size ? start : 0, size};
    for (;;) {
        ODR_TRY(batch, scan.next());
        if (!batch || batch->base_offset() >= up_to) return {};
        if (batch->last_offset() < from || !batch->has_producer_id()) continue;
        std::lock_guard append{append_mutex};
        std::lock_guard state{state_mutex};
        ODR_CHECK(note_recovered(nullptr, *batch));
    }
}

namespace {

// Why a batch cannot be where it is; empty when it can.
std::string_view fault_of(const record::RecordBatchView& batch, Offset next, Offset segment_base) {
    if (!batch.is_crc_valid()) return "wrong CRC";
    if (batch.last_offset_delta() < 0) return "negative offset delta";
    if (!batch.is_legacy() && batch.base_offset() < next) return "offsets go back";
    if (batch.last_offset() < next) return "offsets go back";
    if (batch.last_offset() - segment_base > INT32_MAX) return "offset too far from the segment's base";
    return {};
}

}  // namespace

Result<void> Log::Impl::note_recovered(const SegmentPtr& segment, const record::RecordBatchView& batch) {
    const ProducerStateEntry* known = producers.find(batch.producer_id());
    const bool was_open = known != nullptr && known->current_txn_first_offset != kNoOffset;
    std::optional<CompletedTransaction> ended;
    ODR_CHECK(producers.append(batch, ProducerStateManager::Origin::replication, ended));
    if (!batch.is_control() && batch.is_transactional() && !was_open) {
        producers.begin_transaction(batch.producer_id(), batch.base_offset());
    }
    if (!ended) return {};
    if (ended->aborted && segment) {
        segment->txn_index.append({ended->producer_id.raw(), ended->first_offset.raw(), ended->last_offset.raw(),
                                   producers.last_stable_offset_after(*ended).raw()});
        may_have_aborted = true;
    }
    producers.complete_transaction(*ended);
    return {};
}

Result<Log::Impl::Recovered> Log::Impl::recover_segment(io::MayBlock may_block, const SegmentPtr& segment,
                                                        bool replay) {
    const std::uint64_t size = segment->size.load();
    const std::string path = path_of(*segment, kLogSuffix);
    if (size >= kProgressBytes) log::info("recovering {}: {} MiB to read", path, size >> 20);
    ODR_CHECK(environment.files->remove(path_of(*segment, kOffsetIndexSuffix)));
    ODR_CHECK(environment.files->remove(path_of(*segment, kTimeIndexSuffix)));
    if (replay) {
        ODR_CHECK(environment.files->remove(path_of(*segment, kTxnIndexSuffix)));
        segment->txn_index.reset(0, {});
    }
    environment.open_files->drop_segment(segment->id);
    segment->offset_index.reset(0, {});
    segment->time_index.reset(0, {});
    segment->max_timestamp = kNoTimestamp;
    segment->bytes_since_index_entry = 0;
    ODR_TRY(file, environment.files->open(path, io::OpenMode::create));
    BatchScanner scan{*file, 0, size};
    Offset next = segment->base_offset;
    std::uint64_t valid = 0;
    std::string_view fault;
    const std::int32_t interval = config.load()->index_interval_bytes;
    for (;;) {
        const auto batch = scan.next();
        if (!batch && batch.error().code == ErrorCode::kafka_storage_error) return fail(batch.error());
        if (!batch) fault = batch.error().what;
        if (!batch || !*batch) break;
        const record::RecordBatchView& view = **batch;
        fault = fault_of(view, next, segment->base_offset);
        if (!fault.empty()) break;
        if (replay && view.has_producer_id() && !note_recovered(segment, view)) {
            fault = "broken control batch";
            break;
        }
        if (replay && view.partition_leader_epoch() > epochs.latest()) {
            epochs.assign(view.partition_leader_epoch(), view.base_offset());
        }
        segment->index_batch(view.last_offset(), view.max_timestamp(), scan.position(), view.size_in_bytes(), interval);
        next = view.next_offset();
        valid = scan.next_position();
    }
    segment->index_max_timestamp();
    segment->max_timestamp_known = true;
    if (valid < size) {
        log::warn("{}: cut at position {}, {} bytes lost, at offset {}: {}", path, valid, size - valid, next,
                  fault.empty() ? "the last batch is not complete" : fault);
        ODR_CHECK(file->truncate(valid));
        // No flush looks below the recovery point again, where this may be, and the next power loss could bring it
        // back.
        ODR_CHECK(file->sync(may_block));
        segment->size = valid;
    }
    ODR_CHECK(create_files(*segment));
    // Above the recovery point the next flush makes all of it durable.
    ODR_CHECK(write_index_blocks(segment, !replay, may_block));
    return Recovered{.bytes_cut = size - valid, .end = next};
}

Result<void> Log::Impl::learn_indexes(const SegmentPtr& segment) {
    const auto learn = [&]<class Entry>(IndexFile<Entry>& index, SegmentFileKind kind) -> Result<void> {
        {
            std::lock_guard state{state_mutex};
            if (index.is_known() && (index.last() || index.written() == 0)) return {};
        }
        const auto file = environment.files->open(path_of(*segment, suffix_of(kind)), io::OpenMode::read_write);
        std::uint32_t count = 0;
        std::optional<Entry> last;
        if (file) {
            ODR_TRY(found, count_entries<Entry>(**file));
            count = found;
            // Zeros that Kafka preallocated would come to stand before our entries' end.
            ODR_CHECK((*file)->truncate(io::FilePos{count} * Entry::kBytes));
            if (count != 0) {
                ODR_TRY(entry, read_entry<Entry>(**file, count - 1));
                last = entry;
            }
        } else if (file.error().os_errno != ENOENT) {
            return fail(file.error());
        }
        std::lock_guard state{state_mutex};
        index.reset(count, last);
        return {};
    };
    ODR_CHECK(learn(segment->offset_index, SegmentFileKind::offset_index));
    ODR_CHECK(learn(segment->time_index, SegmentFileKind::time_index));
    ODR_CHECK(learn(segment->txn_index, SegmentFileKind::txn_index));
    std::lock_guard state{state_mutex};
    if (const auto last = segment->time_index.last()) {
        segment->note_timestamp(TimestampMs{last->timestamp}, segment->base_offset + last->relative_offset);
    }
    segment->max_timestamp_known = true;
    return {};
}

Result<Offset> Log::Impl::find_end_offset(const SegmentPtr& segment) {
    ODR_CHECK(learn_indexes(segment));
    const std::uint64_t size = segment->size.load();
    std::uint64_t start = 0;
    if (const auto last = segment->offset_index.last(); last && last->position < size) start = last->position;
    ODR_TRY(file, environment.files->open(path_of(*segment, kLogSuffix), io::OpenMode::read));
    HeaderWalker walk{*file, start, size, Access::may_wait};
    Offset next = segment->base_offset;
    for (;;) {
        ODR_TRY(header, walk.next());
        if (!header) return next;
        next = header->next_offset();
    }
}

Result<std::shared_ptr<Log>> open_log(io::MayBlock may_block, const LogEnvironment& environment,
                                      LogOpenOptions options) {
    auto impl = std::make_unique<Log::Impl>();
    impl->environment = environment;
    if (!impl->environment.open_files) impl->environment.open_files = std::make_shared<OpenFiles>(kOpenFilesAlone);
    impl->config = options.config;
    impl->options = std::move(options);
    ODR_CHECK(LogLoader(may_block, *impl).load());
    return LogLoader::wrap(std::move(impl));
}

}  // namespace odr::storage
