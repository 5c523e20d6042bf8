#include "replication/partition.h"

#include <fmt/format.h>

#include <vector>

#include "base/log.h"
#include "storage/disk.h"

namespace odr::replication {
namespace {

// More than this goes into the log with more than one write, so that no turn takes too long.
constexpr std::size_t kCommitBytesMax = std::size_t{8} << 20;
// The kernel lets a large write sleep several times: what is held back is answered in smaller parts.
constexpr std::size_t kHeldBackBytesMax = std::size_t{256} << 10;

void refuse(QueuedAppend* first, const Error& error) {
    while (first != nullptr) {
        QueuedAppend* const next = first->next;
        first->pending.result = fail(error);
        first->group->complete_one();
        first = next;
    }
}

}  // namespace

Partition::Partition(std::shared_ptr<storage::Log> log, LeaderEpoch leader_epoch, const Clock& clock,
                     io::BlockingPool& pool)
    : log_{std::move(log)}, clock_{clock}, pool_{pool}, leader_epoch_{kNoLeaderEpoch.raw()} {
    log_->set_listener(changes_.get());
    become_leader(leader_epoch);
}

Partition::~Partition() {
    ODR_ASSERT(queue_first_ == nullptr && unflushed_ == nullptr, "appends outlive {}", topic_partition().to_string());
    log_->remove_listener(*changes_);
    changes_->close();
}

void Partition::become_leader(LeaderEpoch epoch) {
    if (epoch <= leader_epoch()) return;  // without the lock, under which a write may wait for the disk
    const storage::AppendLock lock = log_->lock_for_append();
    if (epoch <= leader_epoch()) return;
    if (epoch > log_->latest_epoch()) log_->assign_epoch_start_offset(lock, epoch, log_->log_end_offset());
    leader_epoch_.store(epoch.raw(), std::memory_order_release);
    advance_high_watermark(log_->log_end_offset());  // the only replica: what is written is committed
    changes_->tell({.is_urgent = true});
}

void Partition::close() {
    open_.store(false, std::memory_order_release);
    changes_->close();
}

void Partition::enqueue(QueuedAppend& append) {
    std::lock_guard guard{queue_mutex_};
    append.next = nullptr;
    (queue_first_ == nullptr ? queue_first_ : queue_last_->next) = &append;
    queue_last_ = &append;
    if (planned_ != nullptr || committing_) return;
    planned_ = shared_from_this();
    io::Reactor::current()->at_end_of_turn(
        [](void* self) {
            auto* partition = static_cast<Partition*>(self);
            std::shared_ptr<Partition> keep_alive;
            {
                std::lock_guard planned_guard{partition->queue_mutex_};
                keep_alive = std::move(partition->planned_);
            }
            keep_alive->commit();
        },
        this);
}

// What one write takes: at least one batch. Needs: queue_mutex_ held, queue not empty.
QueuedAppend* Partition::take_queued(storage::AppendDemand& demand, std::size_t bytes_max) {
    const auto segment_bytes = static_cast<std::size_t>(log_->config()->segment_bytes);
    bytes_max = std::min(bytes_max, segment_bytes);
    QueuedAppend* const first = queue_first_;
    QueuedAppend* last = first;
    demand.add(first->pending.batch);
    while (last->next != nullptr && demand.bytes + last->next->pending.batch.size_in_bytes() <= bytes_max) {
        last = last->next;
        demand.add(last->pending.batch);
    }
    queue_first_ = last->next;
    last->next = nullptr;
    return first;
}

// Needs: queue_mutex_ held.
bool Partition::is_queue_small() const {
    std::size_t bytes = 0;
    for (const QueuedAppend* at = queue_first_; at != nullptr; at = at->next) {
        bytes += at->pending.batch.size_in_bytes();
        if (bytes > storage::Disk::kSmallCommitBytes) return false;
    }
    return true;
}

void Partition::put_back(QueuedAppend* first) {
    QueuedAppend* last = first;
    while (last->next != nullptr) last = last->next;
    std::lock_guard guard{queue_mutex_};
    last->next = queue_first_;
    if (queue_first_ == nullptr) queue_last_ = last;
    queue_first_ = first;
}

void Partition::commit() {
    const std::shared_ptr<Partition> keep_alive = shared_from_this();
    do {
        if (must_hold_back()) return hold_back();
    } while (commit_once(kCommitBytesMax));
}

// One write. Gives: false when nothing is left for the caller to do.
bool Partition::commit_once(std::size_t bytes_max) {
    QueuedAppend* first = nullptr;
    storage::AppendDemand demand;
    {
        std::lock_guard guard{queue_mutex_};
        if (committing_ || queue_first_ == nullptr) return false;
        committing_ = true;
        first = take_queued(demand, bytes_max);
    }
    const bool open = is_open();
    storage::AppendSummary summary;
    if (open) {
        const storage::AppendLock lock = log_->lock_for_append();
        if (!log_->ready_to_append(lock, demand, clock_.now())) {
            put_back(first);
            prepare_then_commit(demand);
            return false;
        }
        summary = append_to_log(lock, first);
    }
    {
        std::lock_guard guard{queue_mutex_};
        committing_ = false;
    }
    // From here on the appends may resume their requests, which may append again.
    if (!open) {
        const bool is_offline = log_->is_offline();
        refuse(first, Error{.code = is_offline ? ErrorCode::kafka_storage_error : ErrorCode::not_leader_or_follower,
                            .what = "the partition is being closed"});
    } else if (summary.needs_flush) {
        flush_then_finish(first);
    } else {
        finish(first, summary.log_end_offset);
    }
    return true;
}

bool Partition::must_hold_back() const {
    const storage::Disk* const disk = log_->disk();
    return disk != nullptr && disk->holds_back();
}

// One write on a thread that may wait for the disk, then again in the queue behind the disk's other partitions. Nobody
// commits meanwhile: what arrives goes into the next write. Once the disk keeps up, reactors commit again.
void Partition::hold_back() {
    bool is_small = false;
    {
        std::lock_guard guard{queue_mutex_};
        if (committing_ || queue_first_ == nullptr) return;
        committing_ = true;
        is_small = is_queue_small();
    }
    storage::Disk* const disk = log_->disk();
    io::BlockingPool& pool = disk == nullptr ? pool_ : is_small ? disk->small_commits() : disk->commits();
    // What arrives until then is not for the threads of small writes, if it is more.
    const std::size_t bytes_max = is_small ? storage::Disk::kSmallCommitBytes : kHeldBackBytesMax;
    pool.submit([self = shared_from_this(), bytes_max](io::MayBlock) {
        {
            std::lock_guard guard{self->queue_mutex_};
            self->committing_ = false;
        }
        if (self->commit_once(bytes_max)) self->commit();
    });
}

io::BlockingPool& Partition::waits() const {
    storage::Disk* const disk = log_->disk();
    return disk != nullptr ? disk->waits() : pool_;
}

io::BlockingPool& Partition::reads() const {
    storage::Disk* const disk = log_->disk();
    return disk != nullptr ? disk->reads() : pool_;
}

storage::AppendSummary Partition::append_to_log(const storage::AppendLock& lock, QueuedAppend* first) {
    thread_local std::vector<storage::PendingAppend> batches;
    batches.clear();
    for (const QueuedAppend* at = first; at != nullptr; at = at->next) batches.push_back(at->pending);
    const storage::AppendSummary summary = log_->append(lock, batches, leader_epoch(), clock_.now());
    std::size_t n = 0;
    for (QueuedAppend* at = first; at != nullptr; at = at->next) at->pending.result = batches[n++].result;
    return summary;
}

// Opening and rolling wait for the disk. committing_ stays set, so that appends queue up meanwhile.
void Partition::prepare_then_commit(const storage::AppendDemand& demand) {
    waits().submit([self = shared_from_this(), demand](io::MayBlock may_block) {
        const Result<void> prepared = self->log_->prepare_append(may_block, demand, self->clock_.now());
        QueuedAppend* refused = nullptr;
        {
            std::lock_guard guard{self->queue_mutex_};
            self->committing_ = false;
            if (!prepared) refused = std::exchange(self->queue_first_, nullptr);
        }
        if (!prepared) {
            log::error("{}: cannot prepare the log for an append: {} (errno {})", self->topic_partition().to_string(),
                       prepared.error().what, prepared.error().os_errno);
            return refuse(refused, prepared.error());
        }
        if (self->commit_once(kHeldBackBytesMax)) self->commit();  // the disk may hold back
    });
}

void Partition::flush_then_finish(QueuedAppend* first) {
    {
        std::lock_guard guard{queue_mutex_};
        QueuedAppend** tail = &unflushed_;
        while (*tail != nullptr) tail = &(*tail)->next;
        *tail = first;
        if (std::exchange(flushing_, true)) return;
    }
    waits().submit([self = shared_from_this()](io::MayBlock may_block) { self->flush_those_written(may_block); });
}

// One sync answers all that were written before it began. Those written meanwhile share the next, which stands behind
// the disk's other partitions: a busy one keeps no thread.
void Partition::flush_those_written(io::MayBlock may_block) {
    QueuedAppend* first = nullptr;
    {
        std::lock_guard guard{queue_mutex_};
        first = std::exchange(unflushed_, nullptr);
    }
    const Offset end = log_->log_end_offset();
    const Result<void> flushed = log_->flush(may_block, end);
    if (flushed) {
        finish(first, end);
    } else {
        refuse(first, flushed.error());
    }
    {
        std::lock_guard guard{queue_mutex_};
        flushing_ = unflushed_ != nullptr;
        if (!flushing_) return;
    }
    waits().submit([self = shared_from_this()](io::MayBlock again) { self->flush_those_written(again); });
}

void Partition::finish(QueuedAppend* first, Offset high_watermark) {
    if (high_watermark != kNoOffset) advance_high_watermark(high_watermark);
    while (first != nullptr) {
        QueuedAppend* const next = first->next;  // completing may end the request and free the append
        first->group->complete_one();
        first = next;
    }
}

void Partition::advance_high_watermark(Offset candidate) {
    if (candidate <= log_->high_watermark()) return;
    std::int64_t gained = 0;
    {
        std::lock_guard guard{advance_mutex_};
        if (candidate <= log_->high_watermark()) return;
        ODR_ASSERT(candidate <= log_->log_end_offset(), "candidate={} log_end_offset={}", candidate,
                   log_->log_end_offset());
        const std::uint64_t bytes_before = visible_bytes_;
        visible_bytes_ = log_->size_in_bytes();
        log_->set_high_watermark(candidate);
        gained = visible_bytes_ > bytes_before ? static_cast<std::int64_t>(visible_bytes_ - bytes_before) : 1;
    }
    changes_->tell({.bytes = gained});
}

bool Partition::wait_for_data(FetchWaitEntry& entry, Offset seen) {
    if (log_->high_watermark() > seen || !changes_->add(entry)) return false;
    if (log_->high_watermark() <= seen) return true;  // what moves it from here on is told
    changes_->remove(entry);
    return false;
}

void Partition::stop_waiting(FetchWaitEntry& entry) { changes_->remove(entry); }

}  // namespace odr::replication
