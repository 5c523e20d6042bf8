#include "replication/replica_manager.h"

#include <mutex>

namespace odr::replication {

Result<std::shared_ptr<Partition>> ReplicaManager::become_leader(io::MayBlock may_block,
                                                                 const LeaderAssignment& assignment) {
    const TopicIdPartition key{assignment.topic_id, assignment.topic_partition.partition};
    if (auto known = find(key)) {
        if (known->log().is_offline()) {
            return fail(ErrorCode::kafka_storage_error, "the partition's log directory is offline");
        }
        known->become_leader(assignment.leader_epoch);
        return known;
    }
    ODR_TRY(log, logs_.get_or_create(may_block, assignment.topic_partition, assignment.topic_id, assignment.config,
                                     assignment.directory_id));
    auto made = std::make_shared<Partition>(log, assignment.leader_epoch, clock_, pool_);
    Shard& shard = shard_of(key);
    std::unique_lock guard{shard.mutex};
    shard.partitions.emplace(key, made);
    return made;
}

Result<void> ReplicaManager::remove(io::MayBlock may_block, const TopicIdPartition& key, bool delete_log) {
    std::shared_ptr<Partition> gone;
    {
        Shard& shard = shard_of(key);
        std::unique_lock guard{shard.mutex};
        const auto found = shard.partitions.find(key);
        if (found == shard.partitions.end()) return {};
        gone = std::move(found->second);
        shard.partitions.erase(found);
    }
    gone->close();
    removals_.fetch_add(1, std::memory_order_release);
    if (!delete_log) return {};
    return logs_.delete_log(may_block, gone->topic_partition());
}

std::shared_ptr<Partition> ReplicaManager::find(const TopicIdPartition& key) const {
    const Shard& shard = shard_of(key);
    std::shared_lock guard{shard.mutex};
    const auto found = shard.partitions.find(key);
    return found == shard.partitions.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<Partition>> ReplicaManager::all() const {
    std::vector<std::shared_ptr<Partition>> out;
    for (const Shard& shard : shards_) {
        std::shared_lock guard{shard.mutex};
        for (const auto& [key, partition] : shard.partitions) out.push_back(partition);
    }
    return out;
}

void ReplicaManager::close_offline() {
    for (const std::shared_ptr<Partition>& partition : all()) {
        if (!partition->log().is_offline() || !partition->is_open()) continue;
        partition->close();
        removals_.fetch_add(1, std::memory_order_release);
    }
}

void ReplicaManager::close_all() {
    for (const std::shared_ptr<Partition>& partition : all()) partition->close();
}

const std::shared_ptr<Partition>& PartitionCache::find(const TopicIdPartition& key) {
    static const std::shared_ptr<Partition> kNone;
    if (const std::uint64_t removals = replicas_.removals(); removals != removals_seen_) [[unlikely]] {
        removals_seen_ = removals;
        std::erase_if(known_, [](const auto& each) { return !each.second->is_open(); });
    }
    const auto found = known_.find(key);
    if (found != known_.end()) {
        if (found->second->is_open()) return found->second;
        known_.erase(found);
    }
    std::shared_ptr<Partition> partition = replicas_.find(key);
    if (partition == nullptr || !partition->is_open()) return kNone;
    return known_.emplace(key, std::move(partition)).first->second;
}

}  // namespace odr::replication
