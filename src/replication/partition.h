#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "base/clock.h"
#include "base/result.h"
#include "base/types.h"
#include "base/uuid.h"
#include "io/blocking_pool.h"
#include "replication/append_group.h"
#include "replication/change_feed.h"
#include "replication/fetch_waiter.h"
#include "storage/log.h"

namespace odr::replication {

// One partition that this broker leads: its log, the appends that wait for the next write, the fetches that wait for
// data.
//
// Group commit: enqueue() only queues. At the end of the reactor's turn everything that any reactor queued meanwhile
// goes into the log with one write; then each append's group hears its result. Whoever finds a commit under way leaves
// its batches to it, so no reactor ever waits for another's write.
// While the log's disk does not keep up, that write is made on a thread of the disk's own (storage::Disk), and all that
// is queued meanwhile goes into the next.
//
// Owner:   ReplicaManager; shared with requests in flight.
// Threads: any.
// Kafka:   Partition, and the parts of ReplicaManager that append and delay.
class Partition : public std::enable_shared_from_this<Partition> {
public:
    Partition(std::shared_ptr<storage::Log> log, LeaderEpoch leader_epoch, const Clock& clock, io::BlockingPool& pool);
    ~Partition();
    Partition(const Partition&) = delete;
    Partition& operator=(const Partition&) = delete;

    const storage::TopicPartition& topic_partition() const { return log_->topic_partition(); }
    Uuid topic_id() const { return log_->topic_id(); }
    PartitionIndex index() const { return log_->topic_partition().partition; }
    storage::Log& log() const { return *log_; }
    const std::shared_ptr<storage::Log>& log_pointer() const { return log_; }
    LeaderEpoch leader_epoch() const { return LeaderEpoch{leader_epoch_.load(std::memory_order_acquire)}; }

    // A new leadership of this broker: the epoch starts at the log end. Needs: epoch > leader_epoch() or nothing
    // happens.
    void become_leader(LeaderEpoch epoch);

    // False once the topic is deleted or the broker stops; then nothing is appended any more and waiting fetches wake.
    bool is_open() const { return open_.load(std::memory_order_acquire); }
    void close();

    // Puts a batch into the queue of the next write; its group hears of it. Needs: on a reactor.
    void enqueue(QueuedAppend& append);

    // The first offset that consumers do not see yet.
    Offset high_watermark() const { return log_->high_watermark(); }

    // Hangs a fetch on this partition. Gives: false, hanging nothing, when the high watermark is beyond `seen` already
    // or the partition is closed.
    bool wait_for_data(FetchWaitEntry& entry, Offset seen);
    void stop_waiting(FetchWaitEntry& entry);

    // Tells of everything that a fetch of this partition could tell of.
    const std::shared_ptr<ChangeFeed>& changes() const { return changes_; }

    // Threads that may wait to read from the log's disk.
    io::BlockingPool& reads() const;

private:
    void commit();
    bool commit_once(std::size_t bytes_max);
    bool must_hold_back() const;
    void hold_back();
    io::BlockingPool& waits() const;
    QueuedAppend* take_queued(storage::AppendDemand& demand, std::size_t bytes_max);
    bool is_queue_small() const;
    void put_back(QueuedAppend* first);
    void prepare_then_commit(const storage::AppendDemand& demand);
    storage::AppendSummary append_to_log(const storage::AppendLock& lock, QueuedAppend* first);
    void flush_then_finish(QueuedAppend* first);
    void flush_those_written(io::MayBlock may_block);
    void finish(QueuedAppend* first, Offset high_watermark);
    void advance_high_watermark(Offset candidate);

    const std::shared_ptr<storage::Log> log_;
    const Clock& clock_;
    io::BlockingPool& pool_;
    std::atomic<std::int32_t> leader_epoch_;
    std::atomic<bool> open_{true};

    std::mutex queue_mutex_;
    QueuedAppend* queue_first_ = nullptr;  // under queue_mutex_
    QueuedAppend* queue_last_ = nullptr;   // under queue_mutex_
    bool committing_ = false;              // under queue_mutex_: somebody works the queue off
    QueuedAppend* unflushed_ = nullptr;    // under queue_mutex_: written, and answered once they are durable
    bool flushing_ = false;                // under queue_mutex_: a thread of the pool is at it
    std::shared_ptr<Partition> planned_;   // under queue_mutex_: this, while a reactor will commit at its turn's end

    std::mutex advance_mutex_;         // whoever moves the high watermark
    std::uint64_t visible_bytes_ = 0;  // under advance_mutex_: the log's size when the high watermark last moved
    const std::shared_ptr<ChangeFeed> changes_ = std::make_shared<ChangeFeed>();
};

}  // namespace odr::replication
