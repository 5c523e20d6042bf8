#include "raft/metadata_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "base/log.h"
#include "raft/metadata_log_impl.h"

namespace odr::raft {

MetadataLog::MetadataLog(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
MetadataLog::~MetadataLog() = default;

std::optional<OffsetAndEpoch> MetadataLog::Impl::newest_snapshot() const {
    const std::lock_guard guard{state_mutex};
    if (snapshots.empty()) return std::nullopt;
    return snapshots.rbegin()->first;
}

// --- delivery

Result<void> MetadataLog::Impl::deliver(io::MayBlock may_block, ByteView bytes,
                                        std::span<MetadataLogListener* const> to) const {
    ODR_TRY(batch, record::RecordBatchView::parse(bytes));
    std::vector<std::uint8_t> plain;
    std::vector<ByteView> values;
    if (!batch.is_control()) {
        ByteView payload = batch.payload();
        if (batch.is_compressed()) {
            ODR_CHECK(record::decompress(batch.compression(), payload, kBatchBytesMax * 16, plain));
            payload = plain;
        }
        record::RecordIterator records{payload, batch.record_count()};
        for (;;) {
            ODR_TRY(each, records.next());
            if (!each) break;
            if (!each->value) return fail(ErrorCode::corrupt_message, "metadata log: a record has no value");
            values.push_back(*each->value);
        }
    }
    const CommittedBatch committed_batch{
        .base_offset = batch.base_offset(),
        .last_offset = batch.last_offset(),
        .epoch = batch.partition_leader_epoch(),
        .append_timestamp = batch.max_timestamp(),
        .size_in_bytes = batch.size_in_bytes(),
        .is_control = batch.is_control(),
        .records = values,
    };
    for (MetadataLogListener* listener : to) ODR_CHECK(listener->handle_commit(may_block, committed_batch));
    return {};
}

Result<void> MetadataLog::register_listener(io::MayBlock may_block, MetadataLogListener& listener) {
    Impl& impl = *impl_;
    ODR_ASSERT(!impl.is_leader, "listeners come before the epoch starts");
    Offset from = impl.log->log_start_offset();
    if (const auto id = impl.newest_snapshot()) {
        ODR_TRY(reader, SnapshotReader::open(may_block, impl.files, impl.snapshot_path(*id), *id));
        ODR_CHECK(listener.handle_load_snapshot(may_block, *reader));
        from = std::max(from, id->offset);
    }
    MetadataLogListener* const only[] = {&listener};
    ODR_CHECK(impl.for_each_batch(may_block, from, [&](const record::RecordBatchView& batch) {
        return impl.deliver(may_block, batch.bytes(), only);
    }));
    impl.listeners.push_back(&listener);
    return {};
}

// --- leading

std::vector<std::uint8_t> MetadataLog::Impl::start_of_epoch_batch(TimestampMs now) {
    record::RecordBatchBuilder::Options batch_options;
    batch_options.is_control = true;
    batch_options.partition_leader_epoch = epoch;
    record::RecordBatchBuilder batch{batch_options};
    append_leader_change(batch, now, options.self.id, *quorum.voters);
    if (quorum.kraft_version >= 1) {
        // As a leader of Kafka does: the voters go into the log once, and again when this node's endpoints changed.
        VoterSet updated = *quorum.voters;
        VoterNode& own = updated.front();
        if (!options.local_endpoints.empty()) own.endpoints = options.local_endpoints;
        own.kraft_version_min = 0;
        own.kraft_version_max = 1;
        if (quorum.voters_offset.raw() < 0 || updated != *quorum.voters) {
            append_voters(batch, now, quorum.kraft_version, updated);
            quorum.voters = std::move(updated);
            quorum.voters_offset = log->log_end_offset() + 2;
        }
    }
    auto bytes = batch.build();
    ODR_ASSERT(bytes.has_value(), "a few control records fit in a batch");
    return std::move(*bytes);
}

Result<void> MetadataLog::become_leader(io::MayBlock may_block) {
    Impl& impl = *impl_;
    std::vector<std::uint8_t> batch;
    {
        const std::lock_guard guard{impl.state_mutex};
        ODR_ASSERT(!impl.is_leader, "a log leads once");
        impl.epoch = LeaderEpoch{impl.epoch.raw() + 1};
        batch = impl.start_of_epoch_batch(impl.clock.now());
    }
    QuorumState state{
        .leader_id = impl.options.self.id, .leader_epoch = impl.epoch, .voted_directory_id = {}, .current_voters = {}};
    for (const VoterNode& voter : *impl.quorum.voters) state.current_voters.push_back(voter.key.id);
    ODR_CHECK(write_quorum_state(may_block, impl.files, impl.log_directory + "/quorum-state", state,
                                 impl.quorum.kraft_version >= 1 ? 1 : 0));
    {
        const auto lock = impl.log->lock_for_append();
        impl.log->assign_epoch_start_offset(lock, impl.epoch, impl.log->log_end_offset());
    }
    {
        const std::lock_guard guard{impl.state_mutex};
        impl.is_leader = true;
        impl.became_leader_at = impl.clock.now();
    }
    ODR_TRY(last, impl.append_batch(may_block, std::move(batch)));
    ODR_CHECK(commit(may_block, last));
    const LeaderAndEpoch leader = leader_and_epoch();
    for (MetadataLogListener* listener : impl.listeners) listener->handle_leader_change(leader, kraft_version());
    log::info("node {} leads the metadata quorum in epoch {}, log end offset {}", impl.options.self.id, impl.epoch,
              log_end_offset());
    return {};
}

// --- append

Result<Offset> MetadataLog::Impl::append_batch(io::MayBlock may_block, std::vector<std::uint8_t> bytes) {
    const std::lock_guard guard{append_mutex};
    ODR_TRY(batch, record::MutableRecordBatch::parse(bytes));
    storage::AppendDemand demand;
    demand.add(batch);
    const TimestampMs now = clock.now();
    for (;;) {
        {
            const auto lock = log->lock_for_append();
            if (log->ready_to_append(lock, demand, now)) {
                storage::PendingAppend pending{.batch = batch, .origin = storage::AppendOrigin::raft_leader};
                log->append(lock, {&pending, 1}, epoch, now);
                if (!pending.result) return fail(pending.result.error());
                const Offset last = pending.result->last_offset;
                uncommitted.push_back({pending.result->base_offset, last, std::move(bytes)});
                return last;
            }
        }
        ODR_CHECK(log->prepare_append(may_block, demand, now));
    }
}

Result<Offset> MetadataLog::append_unflushed(io::MayBlock may_block, LeaderEpoch epoch,
                                             std::span<const ByteView> records) {
    Impl& impl = *impl_;
    ODR_ASSERT(!records.empty(), "an append has records");
    {
        const std::lock_guard guard{impl.state_mutex};
        if (!impl.is_leader || impl.epoch != epoch)
            return fail(ErrorCode::not_leader_or_follower, "not the leader of this epoch");
    }
    {
        const std::lock_guard guard{impl.commit_mutex};
        if (impl.failure) return fail(*impl.failure);
    }
    record::RecordBatchBuilder::Options options;
    options.partition_leader_epoch = epoch;
    record::RecordBatchBuilder batch{options};
    const TimestampMs now = impl.clock.now();
    for (const ByteView record : records) {
        batch.append(now, {}, record);
        if (batch.uncompressed_size() > kBatchBytesMax)
            return fail(ErrorCode::record_list_too_large, "more records than fit in one batch of the metadata log");
    }
    ODR_TRY(bytes, batch.build());
    auto last = impl.append_batch(may_block, std::move(bytes));
    if (!last) (void)impl.fail_for_good(last.error());
    return last;
}

Result<void> MetadataLog::Impl::fail_for_good(const Error& error) {
    const std::lock_guard guard{commit_mutex};
    if (!failure) {
        failure = error;
        log::error("the metadata log takes no more: {} (errno {})", error.what, error.os_errno);
    }
    return fail(*failure);
}

Result<Offset> MetadataLog::append(io::MayBlock may_block, LeaderEpoch epoch, std::span<const ByteView> records) {
    ODR_TRY(last, append_unflushed(may_block, epoch, records));
    ODR_CHECK(commit(may_block, last));
    return last;
}

// --- commit

Result<void> MetadataLog::commit(io::MayBlock may_block, Offset offset) {
    Impl& impl = *impl_;
    std::unique_lock lock{impl.commit_mutex};
    for (;;) {
        if (impl.failure) return fail(*impl.failure);
        if (impl.high_watermark.load() > offset.raw()) return {};
        if (impl.committing) {
            impl.committed.wait(lock);
            continue;
        }
        impl.committing = true;
        lock.unlock();
        const Result<void> done = impl.flush_and_deliver(may_block);
        if (!done) (void)impl.fail_for_good(done.error());
        lock.lock();
        impl.committing = false;
        impl.committed.notify_all();
    }
}

// One at a time, as `committing` says.
Result<void> MetadataLog::Impl::flush_and_deliver(io::MayBlock may_block) {
    std::deque<Batch> batches;
    Offset end{0};
    {
        const std::lock_guard guard{append_mutex};
        end = log->log_end_offset();
        batches.swap(uncommitted);
    }
    ODR_CHECK(log->flush(may_block, end));
    log->set_high_watermark(end);
    for (const Batch& batch : batches) ODR_CHECK(deliver(may_block, batch.bytes, listeners));
    high_watermark = end.raw();
    return {};
}

// --- facts

LeaderAndEpoch MetadataLog::leader_and_epoch() const {
    const std::lock_guard guard{impl_->state_mutex};
    return {impl_->is_leader ? std::optional{impl_->options.self.id} : std::nullopt, impl_->epoch};
}
Offset MetadataLog::log_start_offset() const { return impl_->log->log_start_offset(); }
Offset MetadataLog::log_end_offset() const { return impl_->log->log_end_offset(); }
Offset MetadataLog::high_watermark() const { return Offset{impl_->high_watermark.load()}; }
std::string MetadataLog::log_directory() const { return impl_->log_directory; }
std::optional<OffsetAndEpoch> MetadataLog::latest_snapshot() const { return impl_->newest_snapshot(); }

std::int16_t MetadataLog::kraft_version() const {
    const std::lock_guard guard{impl_->state_mutex};
    return impl_->quorum.kraft_version;
}
VoterSet MetadataLog::voters() const {
    const std::lock_guard guard{impl_->state_mutex};
    return *impl_->quorum.voters;
}

QuorumInfo MetadataLog::describe_quorum() const {
    const Offset end = log_end_offset();
    const TimestampMs now = impl_->clock.now();
    const std::lock_guard guard{impl_->state_mutex};
    QuorumInfo info;
    if (impl_->is_leader) info.leader = impl_->options.self.id;
    info.leader_epoch = impl_->epoch;
    info.high_watermark = high_watermark();
    info.kraft_version = impl_->quorum.kraft_version;
    info.voters = *impl_->quorum.voters;
    for (const VoterNode& voter : info.voters) {
        QuorumInfo::Replica replica{.key = voter.key};
        // The leader has, by definition, just fetched and caught up.
        if (voter.key.id == impl_->options.self.id) {
            replica.log_end_offset = end;
            replica.last_fetch_timestamp = now;
            replica.last_caught_up_timestamp = now;
        }
        info.current_voters.push_back(std::move(replica));
    }
    return info;
}

Result<void> MetadataLog::close(io::MayBlock may_block) {
    Impl& impl = *impl_;
    {
        const std::lock_guard guard{impl.state_mutex};
        impl.is_leader = false;
    }
    {
        const std::lock_guard guard{impl.commit_mutex};
        if (!impl.failure)
            impl.failure = {.code = ErrorCode::kafka_storage_error, .what = "the metadata log is closed"};
    }
    return impl.log->close(may_block);
}

}  // namespace odr::raft
