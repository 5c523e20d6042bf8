#include <fmt/format.h>
#include <cstring>

#include <algorithm>
#include <cerrno>

#include "base/assert.h"
#include "base/log.h"
#include "storage/log_impl.h"

namespace odr::storage {
namespace {

constexpr std::int64_t kRelativeOffsetMax = std::numeric_limits<std::int32_t>::max();

// What one append collects before its write. Kept by each thread, so that appends do not allocate once it is warm.
struct Staging {
    struct Undo {
        ProducerId producer_id;
        std::optional<ProducerStateEntry> before;
    };
    std::vector<ByteView> pieces;
    std::vector<record::RecordBatchView> views;
    std::vector<Undo> undo;
    std::vector<CompletedTransaction> ended;
    std::vector<std::pair<ProducerId, Offset>> begun;
    std::size_t bytes = 0;

    void clear() {
        pieces.clear();
        views.clear();
        undo.clear();
        ended.clear();
        begun.clear();
        bytes = 0;
    }
    void add(const record::RecordBatchView& batch) {
        pieces.push_back(batch.bytes());
        views.push_back(batch);
        bytes += batch.bytes().size();
    }
};

Staging& staging() {
    thread_local Staging scratch;
    scratch.clear();
    return scratch;
}

// Notes a batch in its producer's state, with what is needed to take it back.
Result<void> note_producer(ProducerStateManager& producers, const record::RecordBatchView& batch,
                           ProducerStateManager::Origin origin, Staging& stage) {
    const ProducerStateEntry* known = producers.find(batch.producer_id());
    std::optional<ProducerStateEntry> before;
    if (known != nullptr) before = *known;
    const bool was_open = before && before->current_txn_first_offset != kNoOffset;
    std::optional<CompletedTransaction> ended;
    ODR_CHECK(producers.append(batch, origin, ended));
    if (ended) stage.ended.push_back(*ended);
    if (!batch.is_control() && batch.is_transactional() && !was_open) {
        stage.begun.emplace_back(batch.producer_id(), batch.base_offset());
    }
    stage.undo.push_back({batch.producer_id(), before});
    return {};
}

void take_back(ProducerStateManager& producers, Staging& stage) {
    for (auto it = stage.undo.rbegin(); it != stage.undo.rend(); ++it) producers.restore(it->producer_id, it->before);
}

AppendInfo answer_duplicate(const BatchMetadata& known, TimestampMs log_append_time, Offset log_start_offset) {
    return {.base_offset = known.first_offset(),
            .last_offset = known.last_offset,
            .log_append_time = log_append_time,
            .log_start_offset = log_start_offset,
            .duplicate = true};
}

}  // namespace

void BatchTail::push(const Batch& batch) {
    if (!batches_) batches_ = std::make_unique<std::array<Batch, kCapacity>>();
    (*batches_)[next_] = batch;
    next_ = (next_ + 1) % kCapacity;
    count_ = std::min(count_ + 1, kCapacity);
}

const BatchTail::Batch& BatchTail::batch_at(Offset offset) const {
    std::size_t low = 0;
    std::size_t high = count_;
    while (high - low > 1) {
        const std::size_t middle = low + (high - low) / 2;
        (oldest(middle).base_offset <= offset ? low : high) = middle;
    }
    return oldest(low);
}

PendingAppend PendingAppend::of(record::ValidatedBatch& validated, AppendOrigin origin) {
    // A validated batch holds its bytes writable, for the very purpose of taking its place in the log.
    const ByteView bytes = validated.bytes();
    auto batch = record::MutableRecordBatch::parse({const_cast<std::uint8_t*>(bytes.data()), bytes.size()});
    ODR_ASSERT(batch.has_value(), "a validated batch parses");
    return {.batch = *batch, .origin = origin, .result = AppendInfo{}};
}

AppendLock Log::lock_for_append() { return AppendLock{std::unique_lock{impl_->append_mutex}}; }

std::optional<AppendLock> Log::try_lock_for_append() {
    std::unique_lock lock{impl_->append_mutex, std::try_to_lock};
    if (!lock.owns_lock()) return std::nullopt;
    return AppendLock{std::move(lock)};
}

namespace {

// Record time counts from the first record of the segment, so that a segment spans segment.ms however it is written.
std::int64_t waited_for_roll(const LogSegment& segment, const AppendDemand& demand, TimestampMs now,
                             const config::LogConfig& settings) {
    if (segment.first_timestamp < TimestampMs{0}) return now.raw() - segment.created.raw();
    const bool append_time = settings.message_timestamp_type == config::TimestampType::log_append_time;
    return (append_time ? now : demand.max_timestamp).raw() - segment.first_timestamp.raw();
}

}  // namespace

bool Log::Impl::should_roll(const AppendDemand& demand, TimestampMs now) const {
    const LogSegment& segment = *active();
    const config::LogConfig* const settings = config.load();
    const std::uint64_t size = segment.size.load(std::memory_order_relaxed);
    const Offset first = demand.first_offset == kNoOffset ? end() : demand.first_offset;
    const std::int64_t last_relative = first - segment.base_offset + std::max<std::int64_t>(demand.records, 1) - 1;
    if (size == 0) return last_relative > kRelativeOffsetMax && first != segment.base_offset;
    if (last_relative > kRelativeOffsetMax) return true;
    if (size + demand.bytes > static_cast<std::uint64_t>(settings->segment_bytes)) return true;
    if (waited_for_roll(segment, demand, now, *settings) > settings->segment_ms_max() - segment.roll_jitter_ms)
        return true;
    const auto index_bytes = static_cast<std::size_t>(settings->segment_index_bytes);
    return segment.offset_index.size() >= index_bytes / OffsetIndexEntry::kBytes ||
           segment.time_index.size() + 1 >= index_bytes / TimeIndexEntry::kBytes;
}

bool Log::ready_to_append(const AppendLock&, const AppendDemand& demand, TimestampMs now) const {
    const Impl& log = *impl_;
    if (log.offline || log.closed) return true;  // append() says why it cannot
    if (log.frozen) return false;
    std::lock_guard state{log.state_mutex};
    return log.active()->file != nullptr && !log.should_roll(demand, now);
}

// Early and evenly, so that the disk works while there is room for more dirty pages. Only whole pages: the last one is
// written to again.
void Log::Impl::write_back_new_pages(LogSegment& segment, std::uint64_t end) {
    constexpr std::uint64_t kPageBytes = 4096;
    if (end < segment.write_back_from + Disk::kWriteBackBytes) return;
    const std::uint64_t whole_pages = end / kPageBytes * kPageBytes;
    disk.load(std::memory_order_acquire)
        ->write_back(segment.file, segment.write_back_from, whole_pages - segment.write_back_from);
    segment.write_back_from = whole_pages;
}

Result<void> Log::Impl::write_batches(const SegmentPtr& segment, std::span<const ByteView> pieces, std::size_t bytes) {
    const std::uint64_t position = segment->size.load(std::memory_order_relaxed);
    if (position + bytes > static_cast<std::uint64_t>(kRelativeOffsetMax)) {
        return fail(ErrorCode::record_list_too_large, "a segment cannot be larger than 2 GiB");
    }
    Disk* const on = disk.load(std::memory_order_acquire);
    const std::int64_t began_ns = on != nullptr ? on->begin_write() : 0;
    const auto written = segment->file->write_at(pieces, position);
    if (on != nullptr) on->end_write(began_ns);
    if (written) {
        if (on != nullptr) write_back_new_pages(*segment, position + bytes);
        if (std::exchange(writes_fail, false)) {
            log::info("{}: writing again", options.topic_partition.to_string());
        }
        return {};
    }
    // A torn tail would hide everything behind it from readers and from recovery.
    if (const auto cut = segment->file->truncate(position); !cut) return go_offline(written.error());
    if (!std::exchange(writes_fail, true)) {  // said once, however many clients try again
        log::error(
            "{}: append of {} bytes at position {} of segment {} failed: {}; nothing of it is in the log, and writes "
            "are refused until one succeeds",
            options.topic_partition.to_string(), bytes, position, segment->base_offset,
            std::strerror(written.error().os_errno));
    }
    // A full disk heals when something is deleted; anything else is a disk that dies.
    if (written.error().os_errno != ENOSPC && written.error().os_errno != EDQUOT) report_disk_failure(written.error());
    return fail(written.error());
}

void Log::Impl::publish(const SegmentPtr& segment, std::span<const record::RecordBatchView> batches,
                        std::span<const CompletedTransaction> ended,
                        std::span<const std::pair<ProducerId, Offset>> begun) {
    const std::int32_t interval = config.load()->index_interval_bytes;
    std::lock_guard state{state_mutex};
    std::uint64_t position = segment->size.load(std::memory_order_relaxed);
    if (position == 0) segment->first_timestamp = batches.front().max_timestamp();
    for (const record::RecordBatchView& batch : batches) {
        const std::size_t size = batch.size_in_bytes();
        segment->index_batch(batch.last_offset(), batch.max_timestamp(), position, size, interval);
        tail.push({batch.base_offset(), static_cast<std::uint32_t>(position), static_cast<std::uint32_t>(size)});
        epochs.assign(batch.partition_leader_epoch(), batch.base_offset());
        position += size;
    }
    for (const auto& [id, first_offset] : begun) producers.begin_transaction(id, first_offset);
    for (const CompletedTransaction& transaction : ended) {
        if (transaction.aborted) {
            segment->txn_index.append({transaction.producer_id.raw(), transaction.first_offset.raw(),
                                       transaction.last_offset.raw(),
                                       producers.last_stable_offset_after(transaction).raw()});
            may_have_aborted = true;
        }
        producers.complete_transaction(transaction);
    }
    if (!begun.empty() || !ended.empty()) refresh_first_unstable();
    segment->size.store(position, std::memory_order_release);
    log_end_offset.store(batches.back().next_offset().raw(), std::memory_order_release);
}

void Log::Impl::refresh_first_unstable() {
    const auto first = producers.first_unstable_offset();
    first_unstable_offset.store(first ? first->raw() : -1, std::memory_order_release);
}

void Log::Impl::note_append(Offset start, TimestampMs now) {
    last_used_ms.store(now.raw(), std::memory_order_relaxed);
    note_change();
    if (start.raw() <= recovery_point.load(std::memory_order_relaxed)) unflushed_since_ms.store(now.raw());
}

bool Log::Impl::flush_due_after_append(Offset end_offset) const {
    const std::int64_t unflushed = end_offset.raw() - recovery_point.load(std::memory_order_relaxed);
    return unflushed >= config.load()->flush_messages;
}

namespace {

// Checks one batch, gives it its place and stages it. `next` moves behind it when it is to be written.
Result<AppendInfo> stage_batch(Log::Impl& log, PendingAppend& pending, LeaderEpoch epoch, TimestampMs now,
                               const config::LogConfig& settings, Staging& stage, Offset& next) {
    record::MutableRecordBatch& batch = pending.batch;
    const Offset log_start{log.log_start_offset.load(std::memory_order_relaxed)};
    if (batch.size_in_bytes() > static_cast<std::size_t>(settings.segment_bytes)) {
        return fail(ErrorCode::record_list_too_large, "the batch is larger than segment.bytes");
    }
    const bool append_time = settings.message_timestamp_type == config::TimestampType::log_append_time;
    if (pending.origin == AppendOrigin::client && batch.has_producer_id()) {
        const ProducerStateEntry* known = log.producers.find(batch.producer_id());
        const BatchMetadata* first = known != nullptr ? known->find_duplicate(batch) : nullptr;
        if (first != nullptr) return answer_duplicate(*first, append_time ? first->timestamp : kNoTimestamp, log_start);
    }
    batch.set_base_offset(next);
    batch.set_partition_leader_epoch(epoch);
    if (append_time && !batch.is_control()) batch.set_max_timestamp(record::TimestampType::log_append_time, now);
    if (batch.has_producer_id()) {
        ODR_CHECK(note_producer(log.producers, batch, ProducerStateManager::origin_of(pending.origin), stage));
    }
    stage.add(batch);
    next = batch.next_offset();
    return AppendInfo{.base_offset = batch.base_offset(),
                      .last_offset = batch.last_offset(),
                      .log_append_time = append_time ? now : kNoTimestamp,
                      .log_start_offset = log_start,
                      .duplicate = false};
}

}  // namespace

AppendSummary Log::append(const AppendLock& lock, std::span<PendingAppend> batches, LeaderEpoch epoch,
                          TimestampMs now) {
    Impl& log = *impl_;
    ODR_ASSERT(lock.held_.mutex() == &log.append_mutex && lock.held_.owns_lock(), "lock of another log");
    const Offset start = log.end();
    AppendSummary summary{.first_offset = kNoOffset, .log_end_offset = start, .bytes = 0, .needs_flush = false};
    if (log.offline || log.closed) {
        for (PendingAppend& pending : batches)
            pending.result = fail(ErrorCode::kafka_storage_error, "the log is offline");
        return summary;
    }
    ODR_ASSERT(!log.frozen, "append without ready_to_append()");
    Staging& stage = staging();
    const config::LogConfig* const settings = log.config.load();
    Offset next = start;
    for (PendingAppend& pending : batches) {
        pending.result = stage_batch(log, pending, epoch, now, *settings, stage, next);
    }
    if (stage.pieces.empty()) return summary;
    std::shared_ptr<LogSegment> segment;
    {
        std::lock_guard state{log.state_mutex};
        segment = log.active();
    }
    ODR_ASSERT(segment->file != nullptr, "append without ready_to_append()");
    if (const auto written = log.write_batches(segment, stage.pieces, stage.bytes); !written) {
        take_back(log.producers, stage);
        for (PendingAppend& pending : batches) {
            // Duplicates of batches of this very call are lost with them.
            if (pending.result && pending.result->base_offset >= start) pending.result = fail(written.error());
        }
        return summary;
    }
    log.publish(segment, stage.views, stage.ended, stage.begun);
    log.note_append(start, now);
    summary.first_offset = start;
    summary.log_end_offset = next;
    summary.bytes = stage.bytes;
    summary.needs_flush = log.flush_due_after_append(next);
    return summary;
}

Result<AppendSummary> Log::append_as_follower(const AppendLock& lock, ByteView batches, TimestampMs now) {
    Impl& log = *impl_;
    ODR_ASSERT(lock.held_.mutex() == &log.append_mutex && lock.held_.owns_lock(), "lock of another log");
    if (log.offline || log.closed) return fail(ErrorCode::kafka_storage_error, "the log is offline");
    ODR_ASSERT(!log.frozen, "append without ready_to_append()");
    Staging& stage = staging();
    Offset next = log.end();
    const auto stage_all = [&]() -> Result<void> {
        record::BatchIterator walk{batches};
        for (;;) {
            ODR_TRY(batch, walk.next());
            if (!batch) break;
            if (batch->base_offset() < next || batch->last_offset() < batch->base_offset()) {
                return fail(ErrorCode::offset_out_of_range, "the batch does not start at or after the log end");
            }
            if (batch->has_producer_id()) {
                ODR_CHECK(note_producer(log.producers, *batch, ProducerStateManager::Origin::replication, stage));
            }
            stage.views.push_back(*batch);
            next = batch->next_offset();
        }
        stage.bytes = walk.position();
        return {};
    };
    std::shared_ptr<LogSegment> segment;
    {
        std::lock_guard state{log.state_mutex};
        segment = log.active();
    }
    auto staged = stage_all();
    if (staged && !stage.views.empty()) {
        ODR_ASSERT(segment->file != nullptr, "append without ready_to_append()");
        if (next - segment->base_offset - 1 > kRelativeOffsetMax) {
            staged = fail(ErrorCode::offset_out_of_range, "the offset is too far from the segment's base");
        } else {
            const ByteView piece = batches.first(stage.bytes);
            staged = log.write_batches(segment, {&piece, 1}, stage.bytes);
        }
    }
    if (!staged) {
        take_back(log.producers, stage);
        return fail(staged.error());
    }
    AppendSummary summary{
        .first_offset = kNoOffset, .log_end_offset = next, .bytes = stage.bytes, .needs_flush = false};
    if (stage.views.empty()) return summary;
    summary.first_offset = stage.views.front().base_offset();
    log.publish(segment, stage.views, stage.ended, stage.begun);
    log.note_append(summary.first_offset, now);
    summary.needs_flush = log.flush_due_after_append(next);
    return summary;
}

}  // namespace odr::storage
