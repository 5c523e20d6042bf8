#include "storage/log_compaction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "io/file_hints.h"
#include "storage/log_impl.h"

namespace odr::storage {
namespace {

constexpr std::int64_t kRelativeOffsetMax = std::numeric_limits<std::int32_t>::max();
constexpr std::uint64_t kWriteBackBytes = std::uint64_t{8} << 20;

std::uint64_t bytes_of(const std::vector<std::shared_ptr<LogSegment>>& segments) {
    std::uint64_t bytes = 0;
    for (const auto& segment : segments) bytes += segment->size.load(std::memory_order_acquire);
    return bytes;
}

std::int64_t modified_ms(Log::Impl& log, const LogSegment& segment) {
    return log.environment.files->modified_ms(log.path_of(segment, kLogSuffix)).value_or(0);
}

}  // namespace

// --- what can be cleaned
// ------------------------------------------------------------------------------------------------

namespace {

// The largest timestamp of a segment; when it was written last where it has none.
Result<TimestampMs> largest_timestamp(Log::Impl& log, const std::shared_ptr<LogSegment>& segment) {
    ODR_CHECK(log.learn_max_timestamp(segment));
    std::lock_guard state{log.state_mutex};
    if (segment->max_timestamp >= TimestampMs{0}) return segment->max_timestamp;
    return TimestampMs{modified_ms(log, *segment)};
}

// Of the first batch; kNoTimestamp for an empty segment.
Result<TimestampMs> first_timestamp(Log::Impl& log, const std::shared_ptr<LogSegment>& segment) {
    {
        std::lock_guard state{log.state_mutex};
        if (segment->first_timestamp_known) return segment->first_timestamp;
    }
    ODR_TRY(file, log.file_of(segment, SegmentFileKind::log, Access::may_wait));
    HeaderWalker walk{*file, 0, segment->size.load(), Access::may_wait};
    ODR_TRY(header, walk.next());
    std::lock_guard state{log.state_mutex};
    if (header) segment->first_timestamp = header->max_timestamp();
    segment->first_timestamp_known = true;
    return segment->first_timestamp;
}

Result<std::int64_t> compaction_delay(Log::Impl& log, const std::vector<std::shared_ptr<LogSegment>>& dirty,
                                      std::int64_t lag_max_ms, TimestampMs now) {
    const std::int64_t clean_until = now.raw() - std::max<std::int64_t>(lag_max_ms, 0);
    if (clean_until <= 0) return std::int64_t{0};
    std::int64_t earliest = INT64_MAX;
    for (const auto& segment : dirty) {
        ODR_TRY(first, first_timestamp(log, segment));
        if (first > TimestampMs{0}) earliest = std::min(earliest, first.raw());
    }
    return earliest < clean_until ? clean_until - earliest : std::int64_t{0};
}

Result<Offset> first_within_lag(Log::Impl& log, const std::vector<std::shared_ptr<LogSegment>>& dirty,
                                std::int64_t lag_min_ms, TimestampMs now) {
    if (lag_min_ms <= 0) return Offset{INT64_MAX};
    for (const auto& segment : dirty) {
        ODR_TRY(largest, largest_timestamp(log, segment));
        if (largest.raw() > now.raw() - lag_min_ms) return segment->base_offset;
    }
    return Offset{INT64_MAX};
}

void choose_first_dirty(const Log& log, std::optional<Offset> last_clean, const config::LogConfig& settings,
                        LogToClean& out) {
    const Offset start = log.log_start_offset();
    out.first_dirty = last_clean.value_or(start);
    if (out.first_dirty < start) {
        // Retention deletes what was cleaned; elsewhere only DeleteRecords does.
        if (!settings.cleanup_delete) {
            log::info("{}: the cleaner goes on at the log start {}, not at {} as checkpointed",
                      log.topic_partition().to_string(), start, out.first_dirty);
        }
        out.first_dirty = start;
        out.resets_checkpoint = true;
    } else if (out.first_dirty > log.log_end_offset()) {
        log::warn("{}: the cleaner's checkpoint {} lies behind the log end {}; the whole log is dirty again",
                  log.topic_partition().to_string(), out.first_dirty, log.log_end_offset());
        out.first_dirty = start;
        out.resets_checkpoint = true;
    }
}

}  // namespace

Result<LogToClean> LogCompaction::assess(io::MayBlock, std::shared_ptr<Log> given, std::optional<Offset> last_clean,
                                         TimestampMs now) {
    Log::Impl& log = *given->impl_;
    const auto settings = given->config();
    LogToClean out;
    out.log = given;
    choose_first_dirty(*given, last_clean, *settings, out);
    const Offset stable = given->last_stable_offset();
    out.durable_to = given->high_watermark();  // a transaction begun below `stable` may have ended above it
    Offset active;
    std::vector<SegmentPtr> dirty;
    {
        std::lock_guard state{log.state_mutex};
        active = log.active()->base_offset;
        dirty = log.segments_between(out.first_dirty, active);
        out.clean_bytes = bytes_of(log.segments_between(Offset{0}, out.first_dirty));
    }
    ODR_TRY(lag, first_within_lag(log, dirty, settings->min_compaction_lag_ms, now));
    const Offset bound = std::max(out.first_dirty, std::min({stable, active, lag}));
    {
        std::lock_guard state{log.state_mutex};
        const auto behind = log.segments_between(bound, active);
        out.first_uncleanable = behind.empty() ? active : behind.front()->base_offset;
        out.cleanable_bytes =
            bytes_of(log.segments_between(std::min(out.first_dirty, out.first_uncleanable), out.first_uncleanable));
    }
    ODR_TRY(delay, compaction_delay(log, dirty, settings->max_compaction_lag_ms, now));
    out.delay_ms = delay;
    return out;
}

// --- one cleaning
// -------------------------------------------------------------------------------------------------------

// A cleaned segment while it is written.
struct LogCompaction::Output {
    SegmentPtr segment;
    std::unique_ptr<io::File> file;
    std::vector<TxnIndexEntry> aborted;
    std::vector<std::uint8_t> buffer;  // not written yet
    std::uint64_t written = 0;
    std::uint64_t written_back = 0;
    bool is_cold = true;   // no part of what it replaces was of use to anybody of late
    bool is_same = false;  // so far everything of the only segment stays as it is: nothing is written
};

LogCompaction::LogCompaction(io::MayBlock may_block, const LogToClean& target, const Means& means)
    : may_block_{may_block}, target_{target}, means_{means}, now_{means.clock->now()} {}
LogCompaction::~LogCompaction() = default;

Result<void> LogCompaction::check() {
    Log::Impl& log = this->log();
    if (log.closed || log.offline) return fail(kCleaningAborted);
    std::lock_guard state{log.state_mutex};
    if (log.truncations != truncations_) return fail(kCleaningAborted);
    return {};
}

Result<void> LogCompaction::pace(std::size_t bytes) {
    ODR_CHECK(check());
    if (means_.pace) ODR_CHECK(means_.pace(bytes));
    return {};
}

std::unexpected<Error> LogCompaction::damaged(const SegmentPtr& segment, const CleaningScan& scan, const Error& error) {
    // What a truncation took away under the scan is no damage.
    if (const auto unchanged = check(); !unchanged) return fail(unchanged.error());
    if (is_aborted(error) || error.code == ErrorCode::kafka_storage_error) return fail(error);
    place_ = fmt::format("{} at position {}", log().path_of(*segment, kLogSuffix), scan.position());
    return fail(error);
}

Result<Offset> LogCompaction::run() {
    const std::int64_t started = means_.clock->monotonic_ms();
    std::vector<SegmentPtr> clean;
    {
        std::lock_guard state{log().state_mutex};
        truncations_ = log().truncations;
        clean = log().segments_between(Offset{0}, target_.first_dirty);
    }
    // Outside the lock: it asks the disk.
    if (!clean.empty()) {
        legacy_horizon_ = TimestampMs{modified_ms(log(), *clean.back()) - log().config.load()->delete_retention_ms};
    }
    if (target_.log->recovery_point() < target_.durable_to) return fail(kCleaningAborted);
    ODR_CHECK(learn_latest());
    figures_.map_ms = means_.clock->monotonic_ms() - started;
    figures_.map_entries = latest_->size();
    figures_.map_utilization = latest_->utilization();
    ODR_TRY(groups, group());
    CleanedTransactions transactions;
    for (const auto& segments : groups) ODR_CHECK(clean_group(segments, transactions));
    figures_.total_ms = means_.clock->monotonic_ms() - started;
    return latest_->latest_offset() + 1;
}

// --- the latest offset of each key
// --------------------------------------------------------------------------------------

Result<void> LogCompaction::learn_latest() {
    // No more keys than offsets; and half as many entries as slots, where there is room.
    const auto offsets = static_cast<std::size_t>(target_.first_uncleanable - target_.first_dirty);
    const std::size_t slots_max = means_.map_bytes_max / OffsetMap::kBytesPerEntry;
    const std::size_t slots = std::clamp<std::size_t>(offsets * 2, 2, std::max<std::size_t>(slots_max, 2));
    entries_max_ =
        std::max<std::size_t>(1, static_cast<std::size_t>(static_cast<double>(slots) * means_.map_load_factor));
    if (offsets <= slots / 2) entries_max_ = slots;
    latest_ = std::make_unique<OffsetMap>(slots, means_.hash_key);

    CleanedTransactions transactions;
    ODR_TRY(aborted, log().collect_aborted(target_.first_dirty, target_.first_uncleanable));
    transactions.add_aborted(aborted);
    std::vector<SegmentPtr> dirty;
    {
        std::lock_guard state{log().state_mutex};
        dirty = log().segments_between(target_.first_dirty, target_.first_uncleanable);
    }
    for (std::size_t i = 0; i < dirty.size(); ++i) {
        const Offset next_start = i + 1 < dirty.size() ? dirty[i + 1]->base_offset : target_.first_uncleanable;
        ODR_TRY(is_full, learn_segment(dirty[i], next_start, transactions));
        if (is_full) return {};
    }
    return {};
}

// Gives: whether the map was full before the segment's end.
Result<bool> LogCompaction::learn_segment(const SegmentPtr& segment, Offset next_start,
                                          CleanedTransactions& transactions) {
    const std::uint64_t size = segment->size.load();
    const auto found = log().index_position(segment, target_.first_dirty, Access::may_wait);
    const io::FilePos start = found ? *found : 0;
    ODR_TRY(file, log().file_of(segment, SegmentFileKind::log, Access::may_wait));
    const CleaningScan::BeforeRead before = [&](io::FilePos from, std::size_t bytes) {
        cold_[segment->id].look(*file, from, from + bytes, size);
        return pace(bytes);
    };
    const CleaningScan::Range range{
        .start = start < size ? start : 0, .end = size, .first = segment->base_offset, .behind = next_start};
    CleaningScan scan{*file, range, means_.io_bytes, read_buffer_, before};
    for (;;) {
        const auto batch = scan.next();
        if (!batch) return damaged(segment, scan, batch.error());
        if (!*batch) break;
        figures_.map_bytes_read += (*batch)->size_in_bytes();
        const auto is_full = learn_batch(**batch, transactions);
        if (!is_full) return damaged(segment, scan, is_full.error());
        if (*is_full) return true;
        if ((*batch)->last_offset() >= target_.first_dirty) latest_->set_latest_offset((*batch)->last_offset());
    }
    // Offsets that are missing at the end of the segment count as read.
    latest_->set_latest_offset(next_start - 1);
    return false;
}

Result<bool> LogCompaction::learn_batch(const record::RecordBatchView& batch, CleanedTransactions& transactions) {
    ODR_CHECK(records_.read(batch));
    const std::vector<record::Record>& records = records_.all();
    figures_.map_records_read += records.size();
    if (batch.is_control()) {
        ODR_CHECK(transactions.on_control_batch(batch, records.empty() ? nullptr : &records.front()));
        return false;
    }
    if (transactions.on_batch(batch)) return false;
    hashes_.resize(records.size());
    for (std::size_t i = 0; i < records.size(); ++i) {
        if (!records[i].key) continue;
        hashes_[i] = latest_->hash_of(*records[i].key);
        latest_->prefetch(hashes_[i]);
    }
    for (std::size_t i = 0; i < records.size(); ++i) {
        const Offset offset = records[i].offset(batch);
        if (!records[i].key || offset < target_.first_dirty) continue;
        if (latest_->size() >= entries_max_) return true;
        latest_->put(hashes_[i], offset);
        latest_->set_latest_offset(offset);
    }
    return false;
}

// --- groups
// -------------------------------------------------------------------------------------------------------------

Result<std::uint64_t> LogCompaction::index_bytes(const SegmentPtr& segment, int kind) {
    const auto which = static_cast<SegmentFileKind>(kind);
    const auto count = log().index_count(segment, which, Access::may_wait);
    if (!count && count.error().os_errno == ENOENT) return std::uint64_t{0};
    if (!count) return fail(count.error());
    const bool by_offset = which == SegmentFileKind::offset_index;
    return std::uint64_t{*count} * (by_offset ? OffsetIndexEntry::kBytes : TimeIndexEntry::kBytes);
}

// Segments in a row whose logs and indexes fit into one: cleaning must not leave ever more ever smaller ones.
Result<std::vector<std::vector<LogCompaction::SegmentPtr>>> LogCompaction::group() {
    const auto settings = log().config.load();
    const auto log_bytes_max = static_cast<std::uint64_t>(settings->segment_bytes);
    const auto index_bytes_max = static_cast<std::uint64_t>(settings->segment_index_bytes);
    std::vector<SegmentPtr> segments;
    {
        std::lock_guard state{log().state_mutex};
        segments = log().segments_between(Offset{0}, latest_->latest_offset() + 1);
    }
    std::vector<std::vector<SegmentPtr>> groups;
    std::uint64_t log_total = 0, offset_total = 0, time_total = 0;
    for (std::size_t i = 0; i < segments.size(); ++i) {
        const SegmentPtr& segment = segments[i];
        const std::uint64_t size = segment->size.load();
        ODR_TRY(offset_bytes, index_bytes(segment, static_cast<int>(SegmentFileKind::offset_index)));
        ODR_TRY(time_bytes, index_bytes(segment, static_cast<int>(SegmentFileKind::time_index)));
        // The next segment's start bounds this one's end without a look into it.
        const Offset end = i + 1 < segments.size() ? segments[i + 1]->base_offset : target_.first_uncleanable;
        const bool fits = !groups.empty() && log_total + size <= log_bytes_max &&
                          offset_total + offset_bytes <= index_bytes_max &&
                          time_total + time_bytes <= index_bytes_max &&
                          (size == 0 || end - 1 - groups.back().front()->base_offset <= kRelativeOffsetMax);
        if (!fits) {
            groups.emplace_back();
            log_total = offset_total = time_total = 0;
        }
        groups.back().push_back(segment);
        log_total += size;
        offset_total += offset_bytes;
        time_total += time_bytes;
    }
    return groups;
}

// --- writing a group anew
// -----------------------------------------------------------------------------------------------

Result<void> LogCompaction::clean_group(const std::vector<SegmentPtr>& segments, CleanedTransactions& transactions) {
    Output out;
    out.segment = std::make_shared<LogSegment>(segments.front()->base_offset, 0);
    out.segment->offset_index.reset(0, {});
    out.segment->time_index.reset(0, {});
    out.segment->txn_index.reset(0, {});
    const auto cleaned_path = [&](const char* suffix) { return log().path_of(*out.segment, suffix) + kCleanedSuffix; };
    const auto work = [&]() -> Result<void> {
        out.is_same = segments.size() == 1;
        if (!out.is_same) ODR_CHECK(open(out));
        transactions.set_index(&out.aborted);
        ODR_CHECK(write_group(segments, transactions, out));
        if (out.is_same) return {};
        ODR_CHECK(finish(out, segments));
        ODR_TRY(is_done, log().replace_segments(may_block_, out.segment, segments, truncations_, now_));
        if (!is_done) return fail(kCleaningAborted);
        return {};
    };
    const auto done = work();
    transactions.set_index(nullptr);
    if (done || log().offline || out.file == nullptr) return done;
    for (const char* suffix : {kLogSuffix, kOffsetIndexSuffix, kTimeIndexSuffix, kTxnIndexSuffix}) {
        (void)means_.files->remove(cleaned_path(suffix));
    }
    return done;
}

Result<void> LogCompaction::write_group(const std::vector<SegmentPtr>& segments, CleanedTransactions& transactions,
                                        Output& out) {
    const LastProducerRecords producers = [&] {
        std::lock_guard append{log().append_mutex};
        return log().producers.last_records();
    }();
    BatchFilter filter{transactions};
    RetentionRules rules{.now = now_,
                         .delete_retention_ms = log().config.load()->delete_retention_ms,
                         .upper_bound = target_.first_uncleanable,
                         .latest = latest_.get(),
                         .producers = &producers};
    for (const SegmentPtr& segment : segments) {
        Offset behind = target_.first_uncleanable;
        {
            std::lock_guard state{log().state_mutex};
            const std::size_t next = log().segment_index_for(segment->base_offset) + 1;
            if (next < log().segments.size()) behind = log().segments[next]->base_offset;
        }
        // Of the whole segment, for the cleaned segment's index is made from them.
        ODR_TRY(aborted, log().collect_aborted(segment->base_offset, behind));
        transactions.add_aborted(aborted);
        rules.retain_legacy_tombstones = modified_ms(log(), *segment) > legacy_horizon_.raw();
        filter.set_rules(rules);
        ODR_CHECK(clean_segment(segment, behind, filter, out));
    }
    figures_.records_read += filter.counts().records_read;
    figures_.records_kept += filter.counts().records_kept;
    figures_.records_without_key += filter.counts().records_without_key;
    return {};
}

Result<void> LogCompaction::open(Output& out) {
    const std::string path = log().path_of(*out.segment, kLogSuffix) + kCleanedSuffix;
    ODR_TRY(file, means_.files->open(path, io::OpenMode::truncate));
    out.file = std::move(file);
    return {};
}

// From `position` of the source on the cleaned segment is another: what is before it is copied.
Result<void> LogCompaction::diverge(Output& out, const io::File& source, io::FilePos position) {
    out.is_same = false;
    ODR_CHECK(open(out));
    std::vector<std::uint8_t> piece(std::min<io::FilePos>(means_.io_bytes, position));
    while (out.written < position) {
        const std::size_t wanted = std::min<io::FilePos>(piece.size(), position - out.written);
        ODR_CHECK(pace(wanted));
        ODR_TRY(got, source.read_at({piece.data(), wanted}, out.written));
        if (got < wanted)
            return fail(check() ? Error{ErrorCode::corrupt_message, 0, "the file is shorter than the segment"}
                                : kCleaningAborted);
        ODR_CHECK(out.file->write_at(ByteView{piece.data(), wanted}, out.written));
        out.written += wanted;
    }
    return {};
}

namespace {

Result<void> write_out(io::File& file, std::vector<std::uint8_t>& buffer, std::uint64_t& written) {
    ODR_CHECK(file.write_at(ByteView{buffer}, written));
    written += buffer.size();
    buffer.clear();
    return {};
}

}  // namespace

Result<void> LogCompaction::clean_segment(const SegmentPtr& segment, Offset behind, BatchFilter& filter, Output& out) {
    const std::uint64_t size = segment->size.load();
    if (size == 0) return {};
    ODR_TRY(file, log().file_of(segment, SegmentFileKind::log, Access::may_wait));
    const std::int32_t interval = log().config.load()->index_interval_bytes;
    ColdBlocks& cold = cold_[segment->id];
    const CleaningScan::BeforeRead before = [&](io::FilePos from, std::size_t bytes) {
        cold.look(*file, from, from + bytes, size);
        cold.drop_below(*file, from);
        return pace(bytes);
    };
    const CleaningScan::Range range{.start = 0, .end = size, .first = segment->base_offset, .behind = behind};
    CleaningScan scan{*file, range, means_.io_bytes, read_buffer_, before};
    for (;;) {
        const auto batch = scan.next();
        if (!batch) return damaged(segment, scan, batch.error());
        if (!*batch) break;
        figures_.bytes_read += (*batch)->size_in_bytes();
        const auto kept = filter.filter(**batch);
        if (!kept) return damaged(segment, scan, kept.error());
        const bool is_untouched = *kept && (*kept)->bytes.data() == (*batch)->bytes().data();
        if (out.is_same && !is_untouched) ODR_CHECK(diverge(out, *file, scan.position()));
        if (!*kept) continue;
        const ByteView bytes = (*kept)->bytes;
        ODR_TRY(header, record::RecordBatchHeader::parse(bytes));
        if (header.last_offset() - out.segment->base_offset > kRelativeOffsetMax) {
            return damaged(segment, scan, {ErrorCode::invalid_record, 0, "offsets too far apart for one segment"});
        }
        const io::FilePos position = out.is_same ? scan.position() : out.written + out.buffer.size();
        out.segment->index_batch(header.last_offset(), header.max_timestamp(), position, bytes.size(), interval);
        if (out.is_same) continue;
        out.buffer.insert(out.buffer.end(), bytes.begin(), bytes.end());
        if (out.buffer.size() < means_.io_bytes) continue;
        ODR_CHECK(pace(out.buffer.size()));
        ODR_CHECK(write_out(*out.file, out.buffer, out.written));
        if (out.written - out.written_back < kWriteBackBytes) continue;
        out.file->start_write_back(out.written_back, out.written - out.written_back);
        out.written_back = out.written;
    }
    if (out.is_same) {
        ODR_TRY(aborted, log().aborted_of(segment));
        if (aborted != out.aborted) ODR_CHECK(diverge(out, *file, size));
    }
    cold.drop_below(*file, size);
    out.is_cold = out.is_cold && cold.was_mostly_cold();
    return {};
}

Result<void> LogCompaction::finish(Output& out, const std::vector<SegmentPtr>& segments) {
    LogSegment& segment = *out.segment;
    if (!out.buffer.empty()) {
        ODR_CHECK(pace(out.buffer.size()));
        ODR_CHECK(write_out(*out.file, out.buffer, out.written));
    }
    figures_.bytes_written += out.written;
    segment.size = out.written;
    segment.index_max_timestamp();
    segment.max_timestamp_known = true;
    for (const TxnIndexEntry& each : out.aborted) segment.txn_index.append(each);
    // What it replaces was durable.
    const auto write_index = [&](auto& index, const char* suffix) -> Result<void> {
        const std::string path = log().path_of(segment, suffix) + kCleanedSuffix;
        ODR_TRY(file, means_.files->open(path, io::OpenMode::truncate));
        const auto bytes = encode_entries(index.pending());
        if (!bytes.empty()) ODR_CHECK(file->write_at(ByteView{bytes}, 0));
        ODR_CHECK(file->sync(may_block_));
        index.mark_written(index.pending().size());
        index.shrink();
        return {};
    };
    if (!out.aborted.empty()) ODR_CHECK(write_index(segment.txn_index, kTxnIndexSuffix));
    ODR_CHECK(write_index(segment.offset_index, kOffsetIndexSuffix));
    ODR_CHECK(write_index(segment.time_index, kTimeIndexSuffix));
    ODR_CHECK(out.file->sync(may_block_));
    if (out.is_cold && out.written != 0) io::forget_cached(*out.file, 0, out.written);
    (void)means_.files->set_modified_ms(log().path_of(segment, kLogSuffix) + kCleanedSuffix,
                                        modified_ms(log(), *segments.back()));
    return {};
}

}  // namespace odr::storage
