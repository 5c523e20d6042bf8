#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "record/record.h"
#include "record/validation.h"
#include "storage/log_impl.h"

namespace odr::storage {
namespace {

constexpr std::uint64_t kSliceBytesMax = std::uint64_t{1} << 31;

}  // namespace

std::size_t Log::Impl::segment_index_for(Offset offset) const {
    const auto after =
        std::ranges::upper_bound(segments, offset, {}, [](const SegmentPtr& segment) { return segment->base_offset; });
    return after == segments.begin() ? 0 : static_cast<std::size_t>(after - segments.begin() - 1);
}

Result<std::shared_ptr<io::File>> Log::Impl::file_of(const SegmentPtr& segment, SegmentFileKind kind,
                                                     Access access) const {
    for (;;) {
        std::string path;
        {
            std::lock_guard state{state_mutex};
            if (segment->is_superseded) {
                const std::shared_ptr<io::File>& file = segment->kept_open[static_cast<std::size_t>(kind)];
                if (file) return file;
                return fail_errno(ErrorCode::kafka_storage_error, ENOENT, "the segment has no such file");
            }
            if (kind == SegmentFileKind::log && segment->file) return segment->file;
            path = path_of(*segment, suffix_of(kind));
        }
        const OpenFiles::Key key{segment->id, kind};
        if (auto open = environment.open_files->find(key)) return open;
        if (access == Access::resident_only) return fail(kNeedsDisk);
        auto file = environment.files->open(path, io::OpenMode::read);
        {
            // What has the name now may be another segment's.
            std::lock_guard state{state_mutex};
            if (segment->is_superseded) continue;
        }
        if (!file) return fail(file.error());
        std::shared_ptr<io::File> shared{std::move(*file)};
        environment.open_files->put(key, shared);
        return shared;
    }
}

Result<std::uint32_t> Log::Impl::index_count(const SegmentPtr& segment, SegmentFileKind kind, Access access) const {
    {
        std::lock_guard state{state_mutex};
        switch (kind) {
            case SegmentFileKind::offset_index:
                if (segment->offset_index.is_known()) return segment->offset_index.written();
                break;
            case SegmentFileKind::time_index:
                if (segment->time_index.is_known()) return segment->time_index.written();
                break;
            case SegmentFileKind::txn_index:
                if (segment->txn_index.is_known()) return segment->txn_index.written();
                break;
            case SegmentFileKind::log:
                return 0U;
        }
    }
    ODR_TRY(file, file_of(segment, kind, access));
    if (access == Access::resident_only) {
        ODR_TRY(bytes, file->size());
        if (!file->resident(bytes == 0 ? 0 : bytes - 1, bytes == 0 ? 0 : 1)) return fail(kNeedsDisk);
    }
    // The active segment's indexes are always known, so these are of a sealed one and nothing is pending.
    switch (kind) {
        case SegmentFileKind::offset_index: {
            ODR_TRY(count, count_entries<OffsetIndexEntry>(*file));
            std::lock_guard state{state_mutex};
            if (!segment->offset_index.is_known()) segment->offset_index.reset(count, {});
            return count;
        }
        case SegmentFileKind::time_index: {
            ODR_TRY(count, count_entries<TimeIndexEntry>(*file));
            std::lock_guard state{state_mutex};
            if (!segment->time_index.is_known()) segment->time_index.reset(count, {});
            return count;
        }
        case SegmentFileKind::txn_index: {
            ODR_TRY(count, count_entries<TxnIndexEntry>(*file));
            std::lock_guard state{state_mutex};
            if (!segment->txn_index.is_known()) segment->txn_index.reset(count, {});
            return count;
        }
        case SegmentFileKind::log:
            break;
    }
    return 0U;
}

namespace {

// Whether an index entry leads to a batch, and to one at or before `offset`.
Result<bool> starts_batch(const io::File& file, const LogSegment& segment, const OffsetIndexEntry& entry, Offset offset,
                          Access access) {
    HeaderWalker walk{file, entry.position, segment.size.load(), access};
    const auto header = walk.next();
    if (!header && header.error().code == ErrorCode::corrupt_message) return false;
    ODR_CHECK(header);
    return *header && (*header)->base_offset() <= offset && (*header)->base_offset() >= segment.base_offset;
}

}  // namespace

Result<io::FilePos> Log::Impl::index_position(const SegmentPtr& segment, Offset offset, Access access) const {
    const std::int64_t target = std::min<std::int64_t>(offset - segment->base_offset, INT32_MAX);
    {
        std::lock_guard state{state_mutex};
        if (segment->indexes_doubtful || segment->indexes_are_wrong) return io::FilePos{0};
        if (const auto pending = segment->offset_index.find_pending(target)) return io::FilePos{pending->position};
    }
    ODR_TRY(count, index_count(segment, SegmentFileKind::offset_index, access));
    if (count == 0) return io::FilePos{0};
    ODR_TRY(file, file_of(segment, SegmentFileKind::offset_index, access));
    if (access == Access::resident_only && !file->resident(0, io::FilePos{count} * OffsetIndexEntry::kBytes)) {
        return fail(kNeedsDisk);
    }
    ODR_TRY(entry, find_entry<OffsetIndexEntry>(*file, count, target));
    if (!entry || entry->position == 0) return io::FilePos{0};
    // An index that lies is of no use, but the log can still be walked from its start.
    ODR_TRY(log_file, file_of(segment, SegmentFileKind::log, access));
    ODR_TRY(leads_there, starts_batch(*log_file, *segment, *entry, offset, access));
    if (leads_there) return io::FilePos{entry->position};
    note_wrong_index(segment);
    return io::FilePos{0};
}

Result<std::optional<Log::Impl::Found>> Log::Impl::find_batch(const SegmentPtr& segment, Offset offset,
                                                              io::FilePos end_position, Access access) const {
    if (end_position == 0) return std::optional<Found>{};
    ODR_TRY(start, index_position(segment, offset, access));
    ODR_TRY(file, file_of(segment, SegmentFileKind::log, access));
    HeaderWalker walk{*file, start < end_position ? start : 0, end_position, access};
    for (;;) {
        ODR_TRY(header, walk.next());
        if (!header) return std::optional<Found>{};
        if (header->last_offset() < offset) continue;
        return std::optional{Found{walk.position(), header->size_in_bytes(), header->base_offset()}};
    }
}

void Log::Impl::note_wrong_index(const SegmentPtr& segment) const {
    std::lock_guard state{state_mutex};
    if (std::exchange(segment->indexes_are_wrong, true)) return;
    log::warn("{}: an index of the segment is damaged; doing without it until it is made anew",
              path_of(*segment, kLogSuffix));
    wrong_index_found.store(true, std::memory_order_release);
    note_change();
}

// Where a read begins: the segment, and the batch too where it is one of the latest. false: there is nothing to read.
Result<bool> Log::Impl::begin_plan(const ReadRequest& request, PlanState& at, ReadPlan& out) const {
    std::lock_guard state{state_mutex};
    const Offset log_end = end();
    out.log_start_offset = Offset{log_start_offset.load(std::memory_order_relaxed)};
    if (request.from < out.log_start_offset || request.from > log_end) {
        return fail(ErrorCode::offset_out_of_range, "the offset is outside the log");
    }
    const std::size_t index = segment_index_for(request.from);
    at.segment = segments[index];
    out.segment_base_offset = at.segment->base_offset;
    if (request.from >= request.upper_bound || request.from == log_end) return false;
    at.end_position = at.segment->size.load(std::memory_order_relaxed);
    const bool last = index + 1 == segments.size();
    at.bounded = request.upper_bound < (last ? log_end : segments[index + 1]->base_offset);
    if (!last || !at.segment->file || !tail.covers(request.from)) return true;
    const BatchTail::Batch& batch = tail.batch_at(request.from);
    at.first = Found{batch.position, batch.size, batch.base_offset};
    at.file = at.segment->file;
    // Batches are whole below a high watermark; a bound within a batch hides that batch.
    if (at.bounded) at.end_position = tail.batch_at(request.upper_bound).position;
    at.bounded = false;
    return true;
}

// Goes on to the segment behind. false: there is none with something below the upper bound.
bool Log::Impl::next_segment(const ReadRequest& request, PlanState& at, ReadPlan& out) const {
    std::lock_guard state{state_mutex};
    const std::size_t next = segment_index_for(at.segment->base_offset) + 1;
    if (next >= segments.size()) return false;
    at.segment = segments[next];
    at.end_position = at.segment->size.load(std::memory_order_relaxed);
    out.segment_base_offset = at.segment->base_offset;
    at.bounded = request.upper_bound < (next + 1 == segments.size() ? end() : segments[next + 1]->base_offset);
    return request.upper_bound > at.segment->base_offset;
}

Result<ReadPlan> Log::Impl::plan(const ReadRequest& request, Access access) const {
    ReadPlan out;
    PlanState at;
    ODR_TRY(something, begin_plan(request, at, out));
    if (!something) return out;
    while (!at.first) {
        ODR_TRY(found, find_batch(at.segment, request.from, at.end_position, access));
        at.first = found;
        // Compaction may have left nothing at or above the offset in this segment.
        if (!at.first && !next_segment(request, at, out)) return out;
    }
    const Found& first = *at.first;
    std::uint64_t wanted = request.bytes_max;
    if (request.min_one_message) wanted = std::max(wanted, first.size);
    wanted = std::min(wanted, kSliceBytesMax);
    if (at.bounded) {
        ODR_TRY(at_or_below_bound, index_position(at.segment, request.upper_bound, access));
        if (first.position + wanted > at_or_below_bound) {
            const auto bound = find_batch(at.segment, request.upper_bound, at.end_position, access);
            // A damaged batch before the bound does not keep what is before it from being read.
            const bool damaged = !bound && bound.error().code == ErrorCode::corrupt_message;
            if (damaged) at.end_position = first.position + first.size;
            if (!damaged) ODR_CHECK(bound);
            if (!damaged && *bound) at.end_position = (*bound)->position;
        }
    }
    if (first.position >= at.end_position) return out;
    out.first_batch_incomplete = wanted < first.size;
    const std::uint64_t length = std::min(wanted, at.end_position - first.position);
    if (length == 0) return out;
    if (!at.file) {
        ODR_TRY(file, file_of(at.segment, SegmentFileKind::log, access));
        if (access == Access::resident_only && !file->resident(first.position, length)) return fail(kNeedsDisk);
        at.file = file;
    }
    out.slice = {.file = std::move(at.file),
                 .position = first.position,
                 .length = length,
                 .warm = length,
                 .disk = disk.load(std::memory_order_acquire)};
    return out;
}

Result<std::optional<ReadPlan>> Log::plan_read(const ReadRequest& request) const {
    auto plan = impl_->plan(request, Access::resident_only);
    if (plan) return std::optional{std::move(*plan)};
    if (needs_disk(plan.error())) return std::optional<ReadPlan>{};
    return fail(plan.error());
}

Result<ReadPlan> Log::read(io::MayBlock may_block, const ReadRequest& request, std::size_t read_ahead_bytes_max) const {
    auto plan = impl_->plan(request, Access::may_wait);
    // A segment deleted since its place was looked up: what is left says offset_out_of_range.
    if (!plan && plan.error().os_errno == ENOENT) plan = impl_->plan(request, Access::may_wait);
    if (!plan) return fail(plan.error());
    if (plan->slice.length != 0) {
        const auto length = std::min<std::size_t>(plan->slice.length, read_ahead_bytes_max);
        ODR_CHECK(plan->slice.file->read_ahead(may_block, plan->slice.position, length));
        plan->slice.warm = length;
    }
    return std::move(*plan);
}

// --- aborted transactions
// ------------------------------------------------------------------------------------------------

std::optional<std::vector<AbortedTransaction>> Log::plan_aborted_transactions(Offset, Offset) const {
    if (impl_->may_have_aborted.load(std::memory_order_acquire)) return std::nullopt;
    return std::vector<AbortedTransaction>{};
}

Result<std::vector<TxnIndexEntry>> Log::Impl::aborted_of(const SegmentPtr& segment) const {
    std::vector<TxnIndexEntry> out;
    bool on_disk = true;
    {
        std::lock_guard state{state_mutex};
        if (segment->txn_index.is_known() && segment->txn_index.written() == 0) on_disk = false;
    }
    if (on_disk) {
        const auto count = index_count(segment, SegmentFileKind::txn_index, Access::may_wait);
        if (!count && count.error().os_errno != ENOENT) return fail(count.error());
        if (count && *count != 0) {
            ODR_TRY(file, file_of(segment, SegmentFileKind::txn_index, Access::may_wait));
            ODR_TRY(entries, read_entries<TxnIndexEntry>(*file, *count));
            out = std::move(entries);
        }
    }
    std::lock_guard state{state_mutex};
    const auto& pending = segment->txn_index.pending();
    out.insert(out.end(), pending.begin(), pending.end());
    return out;
}

Result<std::vector<AbortedTransaction>> Log::aborted_transactions(io::MayBlock, Offset from, Offset upper_bound) const {
    std::vector<AbortedTransaction> out;
    if (!impl_->may_have_aborted.load(std::memory_order_acquire)) return out;
    ODR_TRY(entries, impl_->collect_aborted(from, upper_bound));
    for (const TxnIndexEntry& entry : entries)
        out.push_back({ProducerId{entry.producer_id}, Offset{entry.first_offset}});
    return out;
}

// --- timestamps
// ----------------------------------------------------------------------------------------------------------

Result<void> Log::Impl::learn_max_timestamp(const SegmentPtr& segment) const {
    {
        std::lock_guard state{state_mutex};
        if (segment->max_timestamp_known) return {};
    }
    const auto count = index_count(segment, SegmentFileKind::time_index, Access::may_wait);
    if (!count && count.error().os_errno != ENOENT) return fail(count.error());
    std::optional<TimeIndexEntry> last;
    if (count && *count != 0) {
        ODR_TRY(file, file_of(segment, SegmentFileKind::time_index, Access::may_wait));
        ODR_TRY(entry, read_entry<TimeIndexEntry>(*file, *count - 1));
        last = entry;
    }
    // A time index that ends early, or lies, would hide records from searches and have segments deleted too soon.
    ODR_TRY(newest, newest_behind(segment, last));
    std::lock_guard state{state_mutex};
    segment->note_timestamp(newest.timestamp, newest.offset);
    segment->max_timestamp_known = true;
    return {};
}

// The largest timestamp of a sealed segment: of its last time index entry, if the batch it names has it and nothing in
// the segment's last stretch is newer; else of all its batches.
Result<TimestampOffset> Log::Impl::newest_behind(const SegmentPtr& segment,
                                                 const std::optional<TimeIndexEntry>& last) const {
    const std::uint64_t size = segment->size.load();
    if (size == 0) return TimestampOffset{};
    ODR_TRY(file, file_of(segment, SegmentFileKind::log, Access::may_wait));
    const auto newest_from = [&](io::FilePos start) {
        TimestampOffset newest;
        HeaderWalker walk{*file, start, size, Access::may_wait};
        for (;;) {
            const auto header = walk.next();
            if (!header || !*header) return newest;
            if ((*header)->max_timestamp() > newest.timestamp) {
                newest = {(*header)->max_timestamp(), (*header)->last_offset(), kNoLeaderEpoch};
            }
        }
    };
    if (last) {
        const TimestampOffset said{TimestampMs{last->timestamp}, segment->base_offset + last->relative_offset};
        ODR_TRY(holds, has_timestamp(segment, said));
        ODR_TRY(tail_start, index_position(segment, Offset{INT64_MAX}, Access::may_wait));
        if (holds && newest_from(tail_start < size ? tail_start : 0).timestamp <= said.timestamp) return said;
        note_wrong_index(segment);
    }
    return newest_from(0);
}

// Whether the batch that holds an offset has this as its largest timestamp, as a time index entry says.
Result<bool> Log::Impl::has_timestamp(const SegmentPtr& segment, const TimestampOffset& said) const {
    const auto found = find_batch(segment, said.offset, segment->size.load(), Access::may_wait);
    if (!found && found.error().code == ErrorCode::corrupt_message) return false;
    ODR_CHECK(found);
    if (!*found) return false;
    ODR_TRY(file, file_of(segment, SegmentFileKind::log, Access::may_wait));
    HeaderWalker walk{*file, (*found)->position, (*found)->position + (*found)->size, Access::may_wait};
    ODR_TRY(header, walk.next());
    return header && header->base_offset() <= said.offset && header->max_timestamp() == said.timestamp;
}

namespace {

// The first record of [start, end) of a segment with a timestamp at or above the target and an offset at or above
// `from`. Batches are told apart by their largest timestamp, so that only one is unpacked.
Result<std::optional<TimestampOffset>> find_record(const io::File& file, io::FilePos start, io::FilePos end,
                                                   TimestampMs target, Offset from) {
    BatchScanner scan{file, start, end};
    for (;;) {
        ODR_TRY(batch, scan.next());
        if (!batch) return std::optional<TimestampOffset>{};
        if (batch->last_offset() < from || batch->max_timestamp() < target) continue;
        const auto answer = [&](TimestampMs timestamp, Offset offset) {
            return std::optional{TimestampOffset{timestamp, offset, batch->partition_leader_epoch()}};
        };
        if (batch->is_legacy()) return answer(batch->max_timestamp(), batch->base_offset());
        std::vector<std::uint8_t> unpacked;
        ByteView payload = batch->payload();
        if (batch->is_compressed()) {
            ODR_CHECK(record::decompress(batch->compression(), payload, record::kDecompressedBytesMax, unpacked));
            payload = unpacked;
        }
        record::RecordIterator records{payload, batch->record_count()};
        for (;;) {
            ODR_TRY(record, records.next());
            if (!record) break;
            const TimestampMs timestamp = record->timestamp(*batch);
            if (timestamp >= target && record->offset(*batch) >= from) return answer(timestamp, record->offset(*batch));
        }
    }
}

}  // namespace

Result<std::optional<TimestampOffset>> Log::offset_for_timestamp(io::MayBlock, TimestampMs timestamp) const {
    std::vector<std::shared_ptr<LogSegment>> segments;
    {
        std::lock_guard state{impl_->state_mutex};
        segments = impl_->segments;
    }
    const Offset from = log_start_offset();
    for (const auto& segment : segments) {
        const std::uint64_t size = segment->size.load(std::memory_order_acquire);
        if (size == 0) continue;
        ODR_CHECK(impl_->learn_max_timestamp(segment));
        Offset start_offset = segment->base_offset;
        bool in_memory = false;
        {
            std::lock_guard state{impl_->state_mutex};
            if (segment->max_timestamp < timestamp) continue;
            // Entries at or above the target may be equal to it, so the search starts from the one below.
            in_memory = segment->indexes_doubtful || segment->indexes_are_wrong;
            if (const auto pending = segment->time_index.find_pending(timestamp.raw() - 1)) {
                start_offset = segment->base_offset + pending->relative_offset;
                in_memory = true;
            }
        }
        if (!in_memory) {
            const auto count = impl_->index_count(segment, SegmentFileKind::time_index, Access::may_wait);
            if (count && *count != 0) {
                ODR_TRY(file, impl_->file_of(segment, SegmentFileKind::time_index, Access::may_wait));
                ODR_TRY(entry, find_entry<TimeIndexEntry>(*file, *count, timestamp.raw() - 1));
                if (entry) {
                    const TimestampOffset said{TimestampMs{entry->timestamp},
                                               segment->base_offset + entry->relative_offset};
                    ODR_TRY(holds, impl_->has_timestamp(segment, said));
                    if (holds) start_offset = said.offset;
                    if (!holds) impl_->note_wrong_index(segment);
                }
            }
        }
        ODR_TRY(start, impl_->index_position(segment, std::max(start_offset, from), Access::may_wait));
        ODR_TRY(file, impl_->file_of(segment, SegmentFileKind::log, Access::may_wait));
        ODR_TRY(found, find_record(*file, start, size, timestamp, from));
        if (found) return found;
    }
    return std::optional<TimestampOffset>{};
}

Result<std::optional<TimestampOffset>> Log::offset_of_max_timestamp(io::MayBlock may_block) const {
    std::vector<std::shared_ptr<LogSegment>> segments;
    {
        std::lock_guard state{impl_->state_mutex};
        segments = impl_->segments;
    }
    TimestampMs largest = kNoTimestamp;
    for (const auto& segment : segments) {
        if (segment->size.load(std::memory_order_acquire) == 0) continue;
        ODR_CHECK(impl_->learn_max_timestamp(segment));
        std::lock_guard state{impl_->state_mutex};
        largest = std::max(largest, segment->max_timestamp);
    }
    if (largest == kNoTimestamp) return std::optional<TimestampOffset>{};
    return offset_for_timestamp(may_block, largest);
}

}  // namespace odr::storage
