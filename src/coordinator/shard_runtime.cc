#include "coordinator/shard_runtime.h"

#include "base/log.h"
#include "coordinator/offset_store.h"
#include "coordinator/shard_loader.h"

namespace odr::coordinator {
namespace {

constexpr Error kNotCoordinator{.code = ErrorCode::not_coordinator,
                                .what = "this broker does not coordinate that group"};

record::RecordBatchBuilder::Options batch_options(const GroupSettings& settings) {
    const auto codec = static_cast<record::CompressionType>(settings.offsets_topic_compression_codec);
    return {.compression = record::Compression::of(codec)};
}

}  // namespace

ErrorCode coordinator_error_of(ErrorCode append_error) {
    switch (append_error) {
        case ErrorCode::unknown_topic_or_partition:
        case ErrorCode::not_enough_replicas:
        case ErrorCode::request_timed_out:
            return ErrorCode::coordinator_not_available;
        case ErrorCode::not_leader_or_follower:
        case ErrorCode::kafka_storage_error:
            return ErrorCode::not_coordinator;
        case ErrorCode::message_too_large:
        case ErrorCode::record_list_too_large:
        case ErrorCode::invalid_fetch_size:
            return ErrorCode::unknown_server_error;
        default:
            return append_error;
    }
}

void submit_to_shard(PendingOperation& operation) { operation.shard->submit(operation); }

Result<OperationRecords> DetachedOperation::run(GroupShard& at) {
    Result<CoordinatorResult<Nothing>> result = run_(at);
    if (!result) return fail(result.error());
    return records_of(*result);
}

void DetachedOperation::finish(Result<void> outcome) {
    if (!outcome && outcome.error().code != ErrorCode::not_coordinator) {
        log::warn("{}: {} failed: {} ({})", shard->name(), what_, outcome.error().what,
                  to_string(outcome.error().code));
    }
    delete this;
}

ShardRuntime::ShardRuntime(const ShardEnvironment& environment, std::shared_ptr<replication::Partition> partition,
                           io::Reactor& reactor, std::shared_ptr<const GroupSettings> settings)
    : environment_{environment},
      partition_{std::move(partition)},
      reactor_{reactor},
      name_{partition_->topic_partition().to_string()},
      image_cache_{*environment.images},
      settings_{std::move(settings)} {}

ShardRuntime::~ShardRuntime() {
    ODR_ASSERT(batches_.empty() && timers_.empty(), "{} is destroyed while it works", name_);
}

// --- loading and unloading

void ShardRuntime::load() {
    reactor_.post([self = shared_from_this()] {
        if (self->state_ == State::initial || self->state_ == State::failed) self->start_load();
    });
}

void ShardRuntime::start_load() {
    state_ = State::loading;
    is_reading_log_ = true;
    image_ = image_cache_.shared();
    if (next_settings_ != nullptr) settings_ = std::move(next_settings_);
    shard_ = std::make_unique<GroupShard>(*this);
    environment_.pool->submit([self = shared_from_this()](io::MayBlock may_block) mutable {
        const std::int64_t start_ms = self->environment_.clock->monotonic_ms();
        const Result<LoadedLog> loaded =
            load_log(may_block, self->partition_->log(), *self->shard_, self->is_load_cancelled_);
        if (loaded && (loaded->records > 0 || loaded->skipped > 0)) {
            log::info("{}: {} records loaded in {} ms, {} left out", self->name_, loaded->records,
                      self->environment_.clock->monotonic_ms() - start_ms, loaded->skipped);
        }
        const Result<Offset> outcome = loaded ? Result<Offset>{loaded->next_offset} : fail(loaded.error());
        // The state goes back to the reactor with the last word about it, so nothing here may touch it afterwards.
        io::Reactor& reactor = self->reactor_;
        reactor.post([back = std::move(self), outcome] { back->finish_load(outcome); });
    });
}

void ShardRuntime::finish_load(Result<Offset> loaded) {
    is_reading_log_ = false;
    if (state_ != State::loading) {  // unloaded meanwhile
        drop_state();
        return settle_if_idle();
    }
    if (!loaded) {
        log::error("{}: cannot be loaded, its groups have no coordinator: {} ({})", name_, loaded.error().what,
                   to_string(loaded.error().code));
        state_ = State::failed;
        return drop_state();
    }
    next_offset_ = *loaded;
    state_ = State::active;
    refresh();
    for (const auto& [name, timer] : timers_) arm(*timer);
    shard_->on_loaded();
}

void ShardRuntime::unload(std::move_only_function<void()> done) {
    is_load_cancelled_ = true;
    reactor_.post(
        [self = shared_from_this(), on_done = std::move(done)]() mutable { self->unload_now(std::move(on_done)); });
}

void ShardRuntime::unload_now(std::move_only_function<void()> done) {
    when_idle_.push_back(std::move(done));
    state_ = State::unloaded;
    if (!is_reading_log_) {
        fail_all(ErrorCode::not_coordinator);
        drop_state();
    }
    settle_if_idle();
}

void ShardRuntime::settle_if_idle() {
    if (state_ != State::unloaded || is_reading_log_ || is_writing_) return;
    for (auto& done : std::exchange(when_idle_, {})) done();
}

// Answers who waits inside the groups, then forgets them.
void ShardRuntime::drop_state() {
    const std::unique_ptr<GroupShard> gone = std::move(shard_);
    if (gone != nullptr) gone->on_unloaded();
    timers_.clear();
}

// What was decided on a state that the log does not have is undone by reading the log again.
void ShardRuntime::reload(ErrorCode why) {
    if (state_ == State::active) {
        state_ = State::loading;  // first, so that whoever is answered now and comes back finds no state
        loads_after_write_ = true;
    }
    fail_all(why);
    drop_state();
    if (!is_writing_) load_after_write();
}

// The log is read when the last write has ended, or it would miss that.
void ShardRuntime::load_after_write() {
    if (std::exchange(loads_after_write_, false) && state_ == State::loading) start_load();
}

void ShardRuntime::fail_all(ErrorCode why) {
    const Error error{.code = coordinator_error_of(why), .what = "the group's records could not be written"};
    std::deque<Batch> batches;
    for (Batch& batch : batches_) {
        Batch& gone = batches.emplace_back(record::RecordBatchBuilder::Options{});
        gone.waiting = std::move(batch.waiting);
        batch.waiting.clear();
    }
    // The batch under way keeps its bytes until the log has let go of them.
    while (!batches_.empty() && !batches_.back().is_under_way) batches_.pop_back();
    for (Batch& batch : batches) {
        for (Waiting& each : batch.waiting) {
            if (each.on_appended) each.on_appended(why);
        }
        for (Waiting& each : batch.waiting) each.operation->finish(fail(error));
    }
}

// --- operations

void ShardRuntime::submit(PendingOperation& operation) {
    if (io::Reactor::current() == &reactor_) return run(operation);
    Outbox::send(
        reactor_,
        [](void* at) {
            auto& sent = *static_cast<PendingOperation*>(at);
            sent.shard->run(sent);
        },
        &operation);
}

void ShardRuntime::refresh() {
    image_ = image_cache_.shared();
    if (next_settings_ != nullptr) settings_ = std::move(next_settings_);
}

void ShardRuntime::run(PendingOperation& operation) {
    const std::shared_ptr<ShardRuntime> keep_alive = shared_from_this();
    switch (state_) {
        case State::active:
            break;
        case State::initial:
        case State::loading:
            return operation.finish(
                fail(ErrorCode::coordinator_load_in_progress, "the groups are being read from the log"));
        case State::failed:
        case State::unloaded:
            return operation.finish(fail(kNotCoordinator));
    }
    refresh();
    Result<OperationRecords> wanted = operation.run(*shard_);
    if (!wanted) return operation.finish(fail(wanted.error()));
    accept(operation, std::move(*wanted));
}

void ShardRuntime::accept(PendingOperation& operation, OperationRecords wanted) {
    if (wanted.records.empty()) {
        if (batches_.empty()) {
            if (wanted.on_appended) wanted.on_appended(ErrorCode::none);
            return operation.finish({});
        }
        batches_.back().waiting.push_back({&operation, std::move(wanted.on_appended)});
        return;
    }
    Result<void> appended = check_size(wanted);
    const bool is_refused = !appended;
    if (!is_refused) appended = append(wanted);
    if (appended) {
        batches_.back().waiting.push_back({&operation, std::move(wanted.on_appended)});
        return plan_write();
    }
    if (wanted.on_appended) wanted.on_appended(appended.error().code);
    operation.finish(fail(Error{.code = coordinator_error_of(appended.error().code), .what = appended.error().what}));
    if (!is_refused) reload(appended.error().code);
}

// Nothing is applied of what would never fit.
Result<void> ShardRuntime::check_size(const OperationRecords& wanted) const {
    const auto bytes_max = static_cast<std::size_t>(partition_->log().config()->max_message_bytes);
    std::size_t bytes = record::kRecordBatchOverhead;
    for (const CoordinatorRecord& each : wanted.records) {
        const auto value = each.value ? std::optional<ByteView>{*each.value} : std::nullopt;
        const std::size_t one = record::RecordBatchBuilder::size_upper_bound(ByteView{each.key}, value, {});
        bytes = (wanted.is_atomic ? bytes : record::kRecordBatchOverhead) + one;
        if (bytes > bytes_max)
            return fail(ErrorCode::record_list_too_large, "the group's records exceed max.message.bytes");
    }
    return {};
}

ShardRuntime::Batch& ShardRuntime::batch_for(std::size_t bytes) {
    const auto bytes_max = static_cast<std::size_t>(partition_->log().config()->max_message_bytes);
    if (batches_.empty() || batches_.back().is_under_way ||
        batches_.back().builder.uncompressed_size() + bytes > bytes_max) {
        batches_.emplace_back(batch_options(*settings_)).base_offset = next_offset_;
    }
    return batches_.back();
}

Result<void> ShardRuntime::append(const OperationRecords& wanted) {
    const TimestampMs timestamp = now();
    const auto size_of = [](const CoordinatorRecord& each) {
        const auto value = each.value ? std::optional<ByteView>{*each.value} : std::nullopt;
        return record::RecordBatchBuilder::size_upper_bound(ByteView{each.key}, value, {});
    };
    std::size_t all = 0;
    if (wanted.is_atomic) {
        for (const CoordinatorRecord& each : wanted.records) all += size_of(each);
        batch_for(all);
    }
    for (const CoordinatorRecord& each : wanted.records) {
        Batch& batch = wanted.is_atomic ? batches_.back() : batch_for(size_of(each));
        if (wanted.replay) {
            ODR_CHECK(replay(each, next_offset_, timestamp));
        }
        const auto value = each.value ? std::optional<ByteView>{*each.value} : std::nullopt;
        batch.builder.append(timestamp, ByteView{each.key}, value);
        next_offset_ = next_offset_ + 1;
    }
    return {};
}

Result<void> ShardRuntime::replay(const CoordinatorRecord& record, Offset offset, TimestampMs timestamp) {
    const auto value = record.value ? std::optional<ByteView>{*record.value} : std::nullopt;
    ODR_TRY(parsed, parse_record(ByteView{record.key}, value));
    parsed.offset = offset;
    parsed.timestamp = timestamp;
    return shard_->replay(parsed);
}

// --- writing

void ShardRuntime::plan_write() {
    if (is_writing_ || planned_ != nullptr) return;
    planned_ = shared_from_this();
    reactor_.at_end_of_turn(
        [](void* at) {
            const std::shared_ptr<ShardRuntime> self = std::move(static_cast<ShardRuntime*>(at)->planned_);
            if (!self->is_writing_ && !self->batches_.empty()) io::spawn(write_batches(self));
        },
        this);
}

io::Task<void> ShardRuntime::write_batches(std::shared_ptr<ShardRuntime> self) {
    self->is_writing_ = true;
    while (!self->batches_.empty()) {
        self->batches_.front().is_under_way = true;
        Result<std::vector<std::uint8_t>> bytes = self->batches_.front().builder.build();
        Result<void> outcome;
        Offset written_at = kNoOffset;
        if (!bytes) {
            outcome = fail(bytes.error());
        } else if (auto batch = record::MutableRecordBatch::parse(*bytes); !batch) {
            outcome = fail(batch.error());
        } else {
            replication::AppendGroup group;
            self->partition_->enqueue(group.add({.batch = *batch, .origin = storage::AppendOrigin::coordinator}));
            co_await group.done();
            const Result<storage::AppendInfo>& result = group.at(0).pending.result;
            if (result) {
                written_at = result->base_offset;
            } else {
                outcome = fail(result.error());
            }
        }
        Batch done = std::move(self->batches_.front());
        self->batches_.pop_front();
        if (outcome && self->state_ == State::active && written_at != done.base_offset) {
            // The state has offsets that the log has not, so it is not what a replay would give.
            outcome = fail(ErrorCode::unknown_server_error, "somebody else appended to the partition");
        }
        if (outcome) {
            self->committed(std::move(done));
            continue;
        }
        log::error("{}: {} records could not be written, the groups are loaded again: {} ({})", self->name_,
                   done.builder.record_count(), outcome.error().what, to_string(outcome.error().code));
        self->batches_.push_front(std::move(done));
        self->batches_.front().is_under_way = false;
        self->reload(outcome.error().code);
    }
    self->is_writing_ = false;
    self->load_after_write();
    self->settle_if_idle();
}

void ShardRuntime::committed(Batch batch) {
    for (Waiting& each : batch.waiting) {
        if (each.on_appended) each.on_appended(ErrorCode::none);
        each.operation->finish({});
    }
}

// --- timers

void ShardRuntime::schedule(std::string_view timer, std::int64_t delay_ms, TimerOperation operation) {
    auto& slot = timers_[std::string{timer}];
    slot = std::make_unique<NamedTimer>();
    slot->owner = this;
    slot->name = timer;
    slot->delay_ms = delay_ms;
    slot->operation = std::move(operation);
    if (state_ == State::active) arm(*slot);  // else when the load is done
}

void ShardRuntime::cancel(std::string_view timer) {
    if (const auto found = timers_.find(timer); found != timers_.end()) timers_.erase(found);
}

void ShardRuntime::arm(NamedTimer& timer) {
    reactor_.arm(
        timer.timer, timer.delay_ms,
        [](void* at) {
            auto* due = static_cast<NamedTimer*>(at);
            due->owner->fire(*due);
        },
        &timer);
}

void ShardRuntime::fire(NamedTimer& timer) {
    const std::shared_ptr<ShardRuntime> keep_alive = shared_from_this();
    auto due = timers_.extract(timer.name);  // so that the operation may set it again
    auto& operation = DetachedOperation::make(
        due.key(), [run = std::move(due.mapped()->operation)](GroupShard&) mutable { return run(); });
    operation.shard = keep_alive;
    this->run(operation);
}

// --- metadata

void ShardRuntime::update(std::shared_ptr<const metadata::MetadataChanges> changes,
                          std::shared_ptr<const GroupSettings> settings) {
    reactor_.post([self = shared_from_this(), changed = std::move(changes), next = std::move(settings)]() mutable {
        self->next_settings_ = std::move(next);
        if (self->state_ != State::active) return;
        self->refresh();
        self->shard_->on_new_image(*changed);
        if (changed->deleted_topics.empty()) return;
        auto& operation = DetachedOperation::make(
            "deleting the offsets of deleted topics",
            [changed](GroupShard& shard) { return shard.offsets().topics_deleted(changed->deleted_topics); });
        operation.shard = self;
        self->run(operation);
    });
}

}  // namespace odr::coordinator
