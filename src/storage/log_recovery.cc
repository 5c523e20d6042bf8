#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "storage/log_impl.h"

// What a log's files are held to after a crash, and what is made anew where they fall short: batches past the recovery
// point, indexes, producers, leader epochs.
namespace odr::storage {
namespace {

constexpr std::uint64_t kProgressBytes = std::uint64_t{1} << 30;
constexpr std::uint64_t kCopyWindow = std::uint64_t{1} << 20;
// A .txnindex larger than this is no index: nobody aborts two million transactions within a segment.
constexpr std::uint64_t kTxnIndexBytesMax = std::uint64_t{64} << 20;

bool is_full_disk(const Error& error) { return error.os_errno == ENOSPC || error.os_errno == EDQUOT; }

// Why a batch cannot follow what is before it; empty when it can. Below the recovery point the disk has confirmed
// every byte, so only what is needed to walk on is looked at.
std::string_view fault_of(const record::RecordBatchView& batch, Offset next, bool trusted, bool may_have_gaps) {
    if (!trusted && !batch.is_crc_valid()) return "wrong CRC";
    if (batch.last_offset_delta() < 0) return "negative offset delta";
    if (batch.last_offset() < batch.base_offset()) return "offset overflow";
    if (!batch.is_legacy() && batch.base_offset() < next) return "offsets go back";
    if (batch.last_offset() < next) return "offsets go back";
    // The CRC does not cover the offset. Only compaction leaves gaps, and what is not durable yet was never compacted
    // unless a leader sent it so.
    if (!trusted && !may_have_gaps && !batch.is_legacy() && batch.base_offset() != next) return "offsets skip";
    return {};
}

}  // namespace

// --- producers

Result<Offset> Log::Impl::load_snapshot(Offset limit) {
    remove_snapshots_above(limit);
    {
        std::lock_guard append{append_mutex};
        std::lock_guard state{state_mutex};
        producers.clear();
    }
    // One from below the first segment knows nothing of what was deleted since, and would hold producers to it.
    const Offset first = segments.front()->base_offset;
    while (!snapshots.empty() && *snapshots.rbegin() >= first) {
        const Offset offset = *snapshots.rbegin();
        const std::string path = path_of(segment_file_name(offset, kSnapshotSuffix));
        const auto bytes = environment.files->read_file(path);
        const auto entries = bytes ? decode_producer_snapshot(as_bytes(*bytes)) : fail(bytes.error());
        if (entries) {
            std::lock_guard append{append_mutex};
            std::lock_guard state{state_mutex};
            for (const ProducerSnapshotEntry& entry : *entries) producers.load(entry.producer_id, entry.state);
            return offset;
        }
        log::warn("{}: {}; removing it", path, entries.error().what);
        ODR_CHECK(environment.files->remove(path));
        std::lock_guard state{state_mutex};
        snapshots.erase(offset);
    }
    return first;
}

Result<void> Log::Impl::rebuild_producers(io::MayBlock, Offset up_to) {
    ODR_TRY(from, load_snapshot(up_to));
    ODR_CHECK(replay_producers(from, up_to));
    std::lock_guard state{state_mutex};
    producers.on_high_watermark(Offset{high_watermark.load()});  // transactions that ended below it are over
    refresh_first_unstable();
    return {};
}

Result<void> Log::Impl::replay_producers(Offset from, Offset up_to) {
    const std::vector<SegmentPtr> all = segments;
    for (std::size_t i = segment_index_for(from); from < up_to && i < all.size(); ++i) {
        if (all[i]->base_offset >= up_to) break;
        ODR_CHECK(replay_segment(all[i], from, up_to));
    }
    return {};
}

Result<void> Log::Impl::replay_segment(const SegmentPtr& segment, Offset from, Offset up_to,
                                       const SegmentPtr& aborted) {
    const std::uint64_t size = segment->size.load();
    if (size == 0) return {};
    const auto start = index_position(segment, from, Access::may_wait);
    ODR_TRY(file, file_of(segment, SegmentFileKind::log, Access::may_wait));
    BatchScanner scan{*file, start && *start < size ? *start : 0, size};
    for (;;) {
        const auto batch = scan.next();
        if (!batch && batch.error().code == ErrorCode::kafka_storage_error) return fail(batch.error());
        if (!batch) {
            // Damage below the recovery point: what is behind it cannot be found, here or by a reader.
            log::warn("{}: damaged at position {} ({}); producers of what follows in it stay unknown",
                      path_of(*segment, kLogSuffix), scan.next_position(), batch.error().what);
            return {};
        }
        if (!*batch || (*batch)->base_offset() >= up_to) return {};
        if ((*batch)->last_offset() < from || !(*batch)->has_producer_id()) continue;
        std::lock_guard append{append_mutex};
        std::lock_guard state{state_mutex};
        (void)note_recovered(aborted, **batch);  // a marker that cannot be read says nothing of its producer
    }
}

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

// --- indexes

namespace {

// The entries of an index file, as far as they can be ones: whole, rising, and not blank.
template <class Entry>
Result<std::vector<Entry>> sound_entries(io::FileSystem& files, const std::string& path, std::uint64_t bytes_max) {
    const auto file = files.open(path, io::OpenMode::read);
    if (!file && file.error().os_errno == ENOENT) return std::vector<Entry>{};
    if (!file) return fail(file.error());
    ODR_TRY(bytes, (*file)->size());
    if (bytes > bytes_max) return std::vector<Entry>{};
    ODR_TRY(entries, read_entries<Entry>(**file, static_cast<std::uint32_t>(bytes / Entry::kBytes)));
    std::size_t sound = 0;
    while (sound < entries.size() && !entries[sound].is_blank() &&
           (sound == 0 || entries[sound].key() > entries[sound - 1].key())) {
        ++sound;
    }
    entries.resize(sound);
    return entries;
}

// Cuts a file behind its first `count` entries; one that is not there is not made.
template <class Entry>
Result<void> cut_behind(io::MayBlock may_block, io::FileSystem& files, const std::string& path, std::size_t count) {
    const auto file = files.open(path, io::OpenMode::read_write);
    if (!file && file.error().os_errno == ENOENT) return {};
    if (!file) return fail(file.error());
    ODR_CHECK((*file)->truncate(count * Entry::kBytes));
    return (*file)->sync(may_block);
}

// Whether a file holds these entries and nothing else.
template <class Entry>
bool holds_exactly(io::FileSystem& files, const std::string& path, const std::vector<Entry>& entries) {
    const auto bytes = files.read_file(path, entries.size() * Entry::kBytes);
    return bytes && std::ranges::equal(as_bytes(*bytes), encode_entries(entries));
}

}  // namespace

// The last place below the recovery point that both indexes and the log agree on, so that a large segment need not be
// read from its start. Gives: position 0 when the indexes cannot be believed.
Result<io::FilePos> Log::Impl::trusted_start(io::MayBlock may_block, const SegmentPtr& segment, Offset trusted_below,
                                             const io::File& file) {
    const std::uint64_t size = segment->size.load();
    const auto index_bytes_max = static_cast<std::uint64_t>(std::max(config.load()->segment_index_bytes, 1 << 20));
    auto& files = *environment.files;
    const std::string offset_path = path_of(*segment, kOffsetIndexSuffix);
    const std::string time_path = path_of(*segment, kTimeIndexSuffix);
    ODR_TRY(offsets, sound_entries<OffsetIndexEntry>(files, offset_path, index_bytes_max));
    ODR_TRY(times, sound_entries<TimeIndexEntry>(files, time_path, index_bytes_max));
    // Neither file need have been synced: the shorter one tells how far both can be believed.
    const std::int64_t timed = times.empty() ? -1 : times.back().relative_offset;
    const std::int64_t below = std::min(trusted_below - segment->base_offset, timed + 1);
    std::erase_if(offsets, [&](const auto& entry) { return entry.relative_offset >= below || entry.position >= size; });
    const bool rises = std::ranges::is_sorted(offsets, {}, &OffsetIndexEntry::position);
    if (offsets.empty() || !rises || offsets.front().relative_offset < 0) return io::FilePos{0};
    const OffsetIndexEntry last = offsets.back();
    BatchScanner scan{file, last.position, size};
    const auto batch = scan.next();
    if (!batch || !*batch || !(*batch)->is_crc_valid()) return io::FilePos{0};
    const Offset indexed = segment->base_offset + last.relative_offset;
    if ((*batch)->base_offset() < segment->base_offset || (*batch)->base_offset() > indexed) return io::FilePos{0};
    // Times are said again from here on.
    const std::int64_t from = (*batch)->base_offset() - segment->base_offset;
    std::erase_if(times, [&](const auto& entry) { return entry.relative_offset >= from; });
    ODR_CHECK(cut_behind<OffsetIndexEntry>(may_block, files, offset_path, offsets.size()));
    ODR_CHECK(cut_behind<TimeIndexEntry>(may_block, files, time_path, times.size()));
    segment->offset_index.reset(static_cast<std::uint32_t>(offsets.size()), last);
    segment->time_index.reset(static_cast<std::uint32_t>(times.size()),
                              times.empty() ? std::nullopt : std::optional{times.back()});
    if (!times.empty()) {
        segment->note_timestamp(TimestampMs{times.back().timestamp},
                                segment->base_offset + times.back().relative_offset);
    }
    return io::FilePos{last.position};
}

// Gives: whether the transactions aborted below the recovery point are known from the segment's .txnindex.
Result<bool> Log::Impl::keep_txn_index(io::MayBlock may_block, const SegmentPtr& segment, Offset trusted_below) {
    const std::string path = path_of(*segment, kTxnIndexSuffix);
    segment->txn_index.reset(0, {});
    const auto file = environment.files->open(path, io::OpenMode::read);
    if (!file && file.error().os_errno == ENOENT) return true;
    if (!file) return fail(file.error());
    ODR_TRY(bytes, (*file)->size());
    if (bytes > kTxnIndexBytesMax) return false;
    ODR_TRY(entries, read_entries<TxnIndexEntry>(**file, static_cast<std::uint32_t>(bytes / TxnIndexEntry::kBytes)));
    std::size_t kept = 0;
    for (; kept < entries.size() && entries[kept].last_offset < trusted_below.raw(); ++kept) {
        const TxnIndexEntry& entry = entries[kept];
        // The marker comes behind the first batch, so zeros that a power loss left are no entry.
        const bool sound = entry.producer_id >= 0 && entry.first_offset >= 0 &&
                           entry.first_offset < entry.last_offset && entry.last_offset >= segment->base_offset.raw();
        if (!sound || (kept != 0 && entry.last_offset <= entries[kept - 1].last_offset)) return false;
    }
    if (bytes != kept * TxnIndexEntry::kBytes) {
        ODR_CHECK(cut_behind<TxnIndexEntry>(may_block, *environment.files, path, kept));
    }
    if (kept == 0) return true;
    segment->txn_index.reset(static_cast<std::uint32_t>(kept), entries[kept - 1]);
    may_have_aborted = true;
    return true;
}

// What a segment's .txnindex should hold, from the producers as they were at its start and from its markers.
Result<void> Log::Impl::rebuild_txn_index(const SegmentPtr& segment, Offset end) {
    log::warn("{} is damaged; making it anew", path_of(*segment, kTxnIndexSuffix));
    ProducerStateManager before;
    Offset from = segments.front()->base_offset;
    for (auto it = snapshots.upper_bound(segment->base_offset); it != snapshots.begin();) {
        --it;
        const auto bytes = environment.files->read_file(path_of(segment_file_name(*it, kSnapshotSuffix)));
        const auto entries = bytes ? decode_producer_snapshot(as_bytes(*bytes)) : fail(bytes.error());
        if (!entries) continue;
        for (const ProducerSnapshotEntry& entry : *entries) before.load(entry.producer_id, entry.state);
        from = std::max(from, *it);
        break;
    }
    std::swap(producers, before);
    const auto replayed = replay_producers(from, segment->base_offset);
    segment->txn_index.reset(0, {});
    const auto noted = replayed ? replay_segment(segment, segment->base_offset, end, segment) : replayed;
    std::swap(producers, before);
    ODR_CHECK(noted);
    ODR_TRY(file, environment.files->open(path_of(*segment, kTxnIndexSuffix), io::OpenMode::truncate));
    ODR_CHECK(file->write_at(encode_entries(segment->txn_index.pending()), 0));
    segment->txn_index.mark_written(segment->txn_index.pending().size());
    segment->indexes_unsynced = true;
    return {};
}

Result<void> Log::Impl::write_recovered_indexes(const SegmentPtr& segment) {
    const auto cut = [&]<class Entry>(const IndexFile<Entry>& index, const char* suffix) -> Result<void> {
        ODR_TRY(file, environment.files->open(path_of(*segment, suffix), io::OpenMode::create));
        return file->truncate(std::uint64_t{index.written()} * Entry::kBytes);
    };
    const auto write = [&]<class Entry>(IndexFile<Entry>& index, const char* suffix) -> Result<void> {
        ODR_TRY(file, environment.files->open(path_of(*segment, suffix), io::OpenMode::create));
        ODR_CHECK(file->write_at(encode_entries(index.pending()), std::uint64_t{index.written()} * Entry::kBytes));
        std::lock_guard state{state_mutex};
        index.mark_written(index.pending().size());
        index.shrink();
        return {};
    };
    segment->indexes_unsynced = true;
    // Both first: what is written when there is room may be shorter than what stood there.
    Result<void> written = cut(segment->offset_index, kOffsetIndexSuffix);
    if (written) written = cut(segment->time_index, kTimeIndexSuffix);
    if (written) written = write(segment->offset_index, kOffsetIndexSuffix);
    if (written) written = write(segment->time_index, kTimeIndexSuffix);
    // They can stay in memory until there is room.
    if (!written && is_full_disk(written.error())) return {};
    return written;
}

// Nothing is cut here: what is behind a damaged batch may still be found by who repairs it.
Result<void> Log::Impl::rebuild_indexes(io::MayBlock may_block, const SegmentPtr& segment, bool sync) {
    const std::uint64_t size = segment->size.load();
    const std::string path = path_of(*segment, kLogSuffix);
    LogSegment made{segment->base_offset, 0};
    made.offset_index.reset(0, {});
    made.time_index.reset(0, {});
    if (size != 0) {
        ODR_TRY(file, environment.files->open(path, io::OpenMode::read));
        HeaderWalker walk{*file, 0, size, Access::may_wait};
        const std::int32_t interval = config.load()->index_interval_bytes;
        for (;;) {
            const auto header = walk.next();
            if (!header && header.error().code == ErrorCode::kafka_storage_error) return fail(header.error());
            if (!header || !*header) {
                if (walk.next_position() < size) {
                    log::warn("{}: damaged at position {}; its indexes end there", path, walk.next_position());
                }
                break;
            }
            if ((*header)->last_offset() - made.base_offset > INT32_MAX) break;
            made.index_batch((*header)->last_offset(), (*header)->max_timestamp(), walk.position(),
                             (*header)->size_in_bytes(), interval);
        }
        made.index_max_timestamp();
    }
    auto& files = *environment.files;
    const bool offsets_hold = holds_exactly(files, path_of(*segment, kOffsetIndexSuffix), made.offset_index.pending());
    const bool times_hold = holds_exactly(files, path_of(*segment, kTimeIndexSuffix), made.time_index.pending());
    {
        std::lock_guard state{state_mutex};
        segment->offset_index = std::move(made.offset_index);
        segment->time_index = std::move(made.time_index);
        segment->note_timestamp(made.max_timestamp, made.offset_of_max_timestamp);
        segment->max_timestamp_known = true;
        segment->bytes_since_index_entry = made.bytes_since_index_entry;
        segment->indexes_doubtful = segment->indexes_are_wrong = false;
        if (offsets_hold) segment->offset_index.mark_written(segment->offset_index.pending().size());
        if (times_hold) segment->time_index.mark_written(segment->time_index.pending().size());
        segment->indexes_unsynced = true;
    }
    environment.open_files->drop_segment(segment->id);
    if (!offsets_hold || !times_hold) ODR_CHECK(write_recovered_indexes(segment));
    return sync ? write_index_blocks(segment, true, may_block) : Result<void>{};
}

// Needs: the maintenance lock.
Result<void> Log::Impl::mend_wrong_indexes(io::MayBlock may_block) {
    wrong_index_found.store(false, std::memory_order_release);
    std::vector<SegmentPtr> wrong;
    {
        std::lock_guard state{state_mutex};
        for (const SegmentPtr& segment : segments) {
            if (segment->indexes_are_wrong) wrong.push_back(segment);
        }
    }
    for (const SegmentPtr& segment : wrong) {
        const bool is_active = segment == active();
        if (is_active) freeze();
        const auto rebuilt = rebuild_indexes(may_block, segment, !is_active);
        if (is_active) thaw();
        ODR_CHECK(rebuilt);
        log::info("{}: indexes made anew", path_of(*segment, kLogSuffix));
    }
    return {};
}

Result<void> Log::Impl::learn_indexes(io::MayBlock may_block, const SegmentPtr& segment) {
    if (segment->indexes_doubtful || segment->indexes_are_wrong) {
        ODR_CHECK(rebuild_indexes(may_block, segment, false));
    }
    const auto is_learnt = [&](const auto& index) {
        std::lock_guard state{state_mutex};
        return index.is_known() && (index.last() || index.written() == 0);
    };
    const bool was_known =
        is_learnt(segment->offset_index) && is_learnt(segment->time_index) && is_learnt(segment->txn_index);
    if (was_known) return {};
    const auto learn = [&]<class Entry>(IndexFile<Entry>& index, SegmentFileKind kind) -> Result<void> {
        if (is_learnt(index)) return {};
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
    ODR_TRY(newest, newest_behind(segment, segment->time_index.last()));
    if (segment->indexes_are_wrong || (newest.timestamp.raw() >= 0 && !segment->time_index.last())) {
        return rebuild_indexes(may_block, segment, false);
    }
    std::lock_guard state{state_mutex};
    segment->note_timestamp(newest.timestamp, newest.offset);
    segment->max_timestamp_known = true;
    return {};
}

// --- segments

// Moves what lies at and behind `position` into a segment of its own, as a cleaner would: whole or not at all.
Result<void> Log::Impl::split_overflow(io::MayBlock may_block, const SegmentPtr& segment, Offset base,
                                       io::FilePos position) {
    const std::uint64_t size = segment->size.load();
    const std::string path = path_of(segment_file_name(base, kLogSuffix));
    log::warn("{}: offset {} at position {} is too far from the segment's base; moving {} bytes to {}",
              path_of(*segment, kLogSuffix), base, position, size - position, path);
    ODR_TRY(from, environment.files->open(path_of(*segment, kLogSuffix), io::OpenMode::read_write));
    ODR_CHECK(copy_tail(may_block, *from, position, size, path + kCleanedSuffix));
    // A stop before the cut leaves the bytes twice; the next start knows by the other segment's name.
    ODR_CHECK(environment.files->rename(path + kCleanedSuffix, path));
    ODR_CHECK(environment.files->sync_directory(may_block, options.directory));
    ODR_CHECK(from->truncate(position));
    ODR_CHECK(from->sync(may_block));
    segment->size = position;
    auto behind = std::make_shared<LogSegment>(base, size - position);
    behind->indexes_doubtful = true;
    behind->txn_index.reset(0, {});
    std::lock_guard state{state_mutex};
    const auto at = std::ranges::find(segments, segment);
    segments.insert(at + 1, std::move(behind));
    return {};
}

// Walks a segment from `at`, checking what is not trusted. Needs: indexes that know how they go on from there.
Result<Log::Impl::Recovered> Log::Impl::walk_segment(const SegmentPtr& segment, const io::File& file, io::FilePos at,
                                                     const RecoverFrom& from) {
    Recovered out{.position = at, .end = segment->base_offset};
    BatchScanner scan{file, at, segment->size.load()};
    const std::int32_t interval = config.load()->index_interval_bytes;
    const bool may_have_gaps = config.load()->cleanup_compact;
    for (;;) {
        const auto batch = scan.next();
        if (!batch && batch.error().code == ErrorCode::kafka_storage_error) return fail(batch.error());
        if (!batch) out.fault = batch.error().what;
        if (!batch || !*batch) return out;
        const record::RecordBatchView& view = **batch;
        const bool trusted = view.last_offset() < from.trusted_below;
        out.fault = fault_of(view, out.end, trusted, may_have_gaps);
        if (!out.fault.empty()) return out;
        if (view.last_offset() - segment->base_offset > INT32_MAX) {
            out.overflow = view.base_offset();
            return out;
        }
        if (view.has_producer_id() && view.last_offset() >= from.producers_from) {
            const bool in_index = view.last_offset() < from.transactions_from;
            if (!note_recovered(in_index ? nullptr : segment, view) && !trusted) {
                out.fault = "broken control batch";
                return out;
            }
        }
        if (view.partition_leader_epoch() > epochs.latest()) {
            epochs.assign(view.partition_leader_epoch(), view.base_offset());
        }
        segment->index_batch(view.last_offset(), view.max_timestamp(), scan.position(), view.size_in_bytes(), interval);
        out.end = view.next_offset();
        out.position = scan.next_position();
    }
}

// Takes away what is behind the last sound batch. Past the recovery point that is what a crash left; below it the disk
// has lost what it had confirmed, and sound batches may follow: a copy is set aside for who repairs it.
Result<void> Log::Impl::cut_broken(io::MayBlock may_block, const SegmentPtr& segment, Offset trusted_below,
                                   Recovered& walked) {
    const std::string path = path_of(*segment, kLogSuffix);
    const std::uint64_t size = segment->size.load();
    if (walked.fault.empty()) walked.fault = "the last batch is not complete";
    log::warn("{}: cut at position {}, {} bytes lost, at offset {}: {}", path, walked.position, size - walked.position,
              walked.end, walked.fault);
    ODR_TRY(cut, environment.files->open(path, io::OpenMode::read_write));
    walked.is_damage = walked.end < trusted_below && !walked.overflow;
    if (walked.is_damage) {
        const std::string aside = fmt::format("{}.{}{}", path, walked.position, kDamagedSuffix);
        log::error("{}: damaged below offset {}, which was durable; what was cut is kept in {}", path, trusted_below,
                   aside);
        ODR_CHECK(copy_tail(may_block, *cut, walked.position, size, aside));
        ODR_CHECK(environment.files->sync_directory(may_block, options.directory));
    }
    ODR_CHECK(cut->truncate(walked.position));
    // No flush looks below the recovery point again, where this may be, and the next power loss could bring it back.
    ODR_CHECK(cut->sync(may_block));
    segment->size = walked.position;
    walked.bytes_cut = walked.overflow ? 0 : size - walked.position;
    return {};
}

Result<void> Log::Impl::copy_tail(io::MayBlock may_block, const io::File& from, io::FilePos position, io::FilePos end,
                                  const std::string& path) {
    ODR_TRY(into, environment.files->open(path, io::OpenMode::truncate));
    std::vector<std::uint8_t> window(std::min<std::uint64_t>(end - position, kCopyWindow));
    for (io::FilePos at = position; at < end;) {
        ODR_TRY(got, from.read_at({window.data(), std::min<std::uint64_t>(window.size(), end - at)}, at));
        if (got == 0) return fail(ErrorCode::kafka_storage_error, "segment is shorter than it was");
        ODR_CHECK(into->write_at(ByteView{window.data(), got}, at - position));
        at += got;
    }
    return into->sync(may_block);
}

Result<Log::Impl::Recovered> Log::Impl::recover_segment(io::MayBlock may_block, const SegmentPtr& segment,
                                                        const RecoverFrom& from) {
    const std::uint64_t size = segment->size.load();
    segment->offset_index.reset(0, {});
    segment->time_index.reset(0, {});
    segment->max_timestamp = kNoTimestamp;
    segment->bytes_since_index_entry = 0;
    segment->max_timestamp_known = true;
    // What the index files of an unread segment hold is settled when it is first appended to or sealed.
    segment->indexes_doubtful = true;
    if (size == 0) return Recovered{.position = 0, .end = segment->base_offset};
    const std::string path = path_of(*segment, kLogSuffix);
    if (size >= kProgressBytes) log::info("recovering {}: {} MiB", path, size >> 20);
    ODR_TRY(file, environment.files->open(path, io::OpenMode::read));
    const bool small = size <= kSmallSegmentBytes;
    io::FilePos at = 0;
    if (!small && from.trusted_below > segment->base_offset && from.producers_from >= from.trusted_below) {
        ODR_TRY(start, trusted_start(may_block, segment, from.trusted_below, *file));
        at = start;
    }
    ODR_TRY(walked, walk_segment(segment, *file, at, from));
    segment->index_max_timestamp();
    if (walked.overflow) {
        const std::size_t next = segment_index_for(segment->base_offset) + 1;
        const bool moved = next < segments.size() && segments[next]->base_offset <= *walked.overflow;
        if (!moved) ODR_CHECK(split_overflow(may_block, segment, *walked.overflow, walked.position));
        if (moved) walked.fault = "what follows is in the next segment";
    }
    if (walked.position < segment->size.load()) ODR_CHECK(cut_broken(may_block, segment, from.trusted_below, walked));
    if (small) {
        segment->offset_index = {};
        segment->time_index = {};
        return walked;
    }
    ODR_CHECK(write_recovered_indexes(segment));
    segment->indexes_doubtful = false;
    return walked;
}

// From the last index entry to the end of the segment, or from its start where the index points astray.
Result<Log::Impl::TailWalk> Log::Impl::walk_tail(const SegmentPtr& segment, const io::File& file) const {
    const std::uint64_t size = segment->size.load();
    TailWalk out{.end = segment->base_offset};
    const auto walk_from = [&](io::FilePos start, Offset indexed) -> Result<bool> {
        HeaderWalker walk{file, start, size, Access::may_wait};
        out.indexed = out.position = start;
        for (;;) {
            const auto header = walk.next();
            if (!header && header.error().code == ErrorCode::kafka_storage_error) return fail(header.error());
            if (!header || !*header) return walk.next_position() != start || start == 0;
            const Offset base = (*header)->base_offset();
            if (walk.position() == start && start != 0 && (base < segment->base_offset || base > indexed)) return false;
            if ((*header)->max_timestamp() > out.newest.timestamp) {
                out.newest = {(*header)->max_timestamp(), (*header)->last_offset(), kNoLeaderEpoch};
            }
            out.batches.push({base, static_cast<std::uint32_t>(walk.position()),
                              static_cast<std::uint32_t>((*header)->size_in_bytes())});
            out.end = (*header)->next_offset();
            out.position = walk.next_position();
        }
    };
    const auto last = segment->offset_index.last();
    if (last && last->position < size) {
        ODR_TRY(holds, walk_from(last->position, segment->base_offset + last->relative_offset));
        if (holds) return out;
        log::warn("{}: the last entry is not of this segment; doing without it", path_of(*segment, kOffsetIndexSuffix));
        out = TailWalk{.end = segment->base_offset};
    }
    ODR_CHECK(walk_from(0, segment->base_offset));
    return out;
}

// After a clean stop: the end of the last segment, without cutting anything.
Result<Offset> Log::Impl::find_end_offset(io::MayBlock may_block, const SegmentPtr& segment) {
    ODR_CHECK(learn_indexes(may_block, segment));
    const std::uint64_t size = segment->size.load();
    const std::string path = path_of(*segment, kLogSuffix);
    ODR_TRY(file, environment.files->open(path, io::OpenMode::read));
    ODR_TRY(walked, walk_tail(segment, *file));
    if (walked.position == size) return walked.end;
    const Offset end = std::max(walked.end, options.recovery_point);
    log::warn("{}: damaged at position {} of {} although it was closed cleanly; the log goes on at offset {}", path,
              walked.position, size, end);
    return end;
}

}  // namespace odr::storage
