#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

#include "replication/partition.h"
#include "storage/log_manager.h"

namespace odr::replication {

// A partition as requests name it.
struct TopicIdPartition {
    Uuid topic_id;
    PartitionIndex partition{0};
    friend bool operator==(const TopicIdPartition&, const TopicIdPartition&) = default;
};

}  // namespace odr::replication

template <>
struct std::hash<odr::replication::TopicIdPartition> {
    std::size_t operator()(const odr::replication::TopicIdPartition& key) const noexcept {
        return std::hash<odr::Uuid>{}(key.topic_id) ^
               (std::hash<odr::PartitionIndex>{}(key.partition) * 0x9e3779b97f4a7c15ULL);
    }
};

namespace odr::replication {

// A partition that this broker shall lead from now on.
struct LeaderAssignment {
    storage::TopicPartition topic_partition;
    Uuid topic_id;
    LeaderEpoch leader_epoch{0};
    std::shared_ptr<const config::LogConfig> config;
    std::optional<Uuid> directory_id;  // where the metadata say that the replica is
};

// The partitions of this broker, found by topic id and index.
//
// Owner:   the server.
// Threads: find() from any, with a lock over one of many shards; requests go through a PartitionCache, which needs
// none.
//          become_leader() and remove() from one thread at a time, that which applies metadata.
// Kafka:   ReplicaManager.
class ReplicaManager {
public:
    ReplicaManager(storage::LogManager& logs, const Clock& clock, io::BlockingPool& pool)
        : logs_{logs}, clock_{clock}, pool_{pool} {}

    // Opens or makes the log and leads it. Errors: as LogManager::get_or_create; the partition then answers
    // kafka_storage_error to requests, as find() gives null for it.
    Result<std::shared_ptr<Partition>> become_leader(io::MayBlock, const LeaderAssignment& assignment);
    // Closes the partition; requests in flight end first. With `delete_log` its folder goes as well.
    Result<void> remove(io::MayBlock, const TopicIdPartition& key, bool delete_log);

    std::shared_ptr<Partition> find(const TopicIdPartition& key) const;
    std::vector<std::shared_ptr<Partition>> all() const;
    // Grows with each partition that remove() took away.
    std::uint64_t removals() const { return removals_.load(std::memory_order_acquire); }
    // Closes the partitions whose log went offline with its directory. They stay, so that their requests hear
    // kafka_storage_error, and are not led again before a restart.
    void close_offline();
    // Before the broker stops: nothing is appended any more, waiting fetches are answered.
    void close_all();
    storage::LogManager& logs() const { return logs_; }

private:
    static constexpr std::size_t kShards = 64;
    struct Shard {
        mutable std::shared_mutex mutex;
        std::unordered_map<TopicIdPartition, std::shared_ptr<Partition>> partitions;  // under mutex
    };
    Shard& shard_of(const TopicIdPartition& key) const { return shards_[std::hash<TopicIdPartition>{}(key) % kShards]; }

    storage::LogManager& logs_;
    const Clock& clock_;
    io::BlockingPool& pool_;
    mutable std::array<Shard, kShards> shards_;
    std::atomic<std::uint64_t> removals_{0};
};

// One reactor's memory of partitions it has used: a look-up without locks.
// Its first look-up after a partition was removed lets go of those that are closed, and so of their files.
//
// Threads: one.
class PartitionCache {
public:
    explicit PartitionCache(const ReplicaManager& replicas) : replicas_{replicas} {}
    // Gives: an open partition, or null. The pointer is good until this reactor's next suspension; copy it to keep it.
    const std::shared_ptr<Partition>& find(const TopicIdPartition& key);

private:
    const ReplicaManager& replicas_;
    std::unordered_map<TopicIdPartition, std::shared_ptr<Partition>> known_;
    std::uint64_t removals_seen_ = 0;
};

}  // namespace odr::replication
