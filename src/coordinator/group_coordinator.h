#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "coordinator/shard_operation.h"
#include "coordinator/shard_runtime.h"
#include "metadata/image_holder.h"
#include "replication/replica_manager.h"

namespace odr::coordinator {

inline constexpr std::string_view kGroupMetadataTopic = "__consumer_offsets";

// The partition of __consumer_offsets that a group belongs to. Kafka: Utils.abs(groupId.hashCode()) % partitions.
std::int32_t partition_for(std::string_view group_id, std::int32_t partition_count);

// The groups of this broker: finds the shard of a group, and brings requests to it and their answers back.
//
// As a metadata publisher it loads the shards of partitions that this broker starts to lead, and unloads the others;
// add it after the one that opens the partitions.
//
// Owner:   the server; the reactors outlive stop().
// Threads: write(), defer() and read() on any reactor; the updates on the metadata loader's thread.
// Kafka:   GroupCoordinatorService, and what CoordinatorRuntime does for all its shards.
class GroupCoordinator final : public metadata::MetadataPublisher {
public:
    // The settings in force; asked on the metadata loader's thread whenever configs change.
    using ReadSettings = std::move_only_function<GroupSettings()>;

    GroupCoordinator(ShardEnvironment environment, replication::ReplicaManager& replicas,
                     std::vector<io::Reactor*> reactors, BrokerId self, ReadSettings read_settings);
    ~GroupCoordinator() override;

    // const auto answer = co_await groups.write<Response>(group_id, [&](GroupShard& shard) {
    //     return shard.offsets().commit(request, ...); });
    // Gives:  what the operation answers, when its records are committed and everything before it is.
    // Errors: the operation's; not_coordinator, coordinator_load_in_progress, coordinator_not_available; of appends, as
    //         Kafka maps them.
    template <class Response, class Function>
    auto write(std::string_view group_id, Function function) {
        return write_to<Response>(find(group_id), std::move(function));
    }
    // The same for operations that answer later, through a Deferred<Response>.
    template <class Response, class Function>
    auto defer(std::string_view group_id, Function function) {
        Result<std::shared_ptr<ShardRuntime>> found = find(group_id);
        io::Reactor* const reactor = found ? &(*found)->reactor() : nullptr;
        return DeferredAwaiter<Response, Function>{std::move(found), reactor, std::move(function)};
    }
    // A read: Function gives Result<CoordinatorResult<Response>> without records. It sees what was not committed yet,
    // so its answer waits for that.
    template <class Response, class Function>
    auto write_to(Result<std::shared_ptr<ShardRuntime>> shard, Function function) {
        io::Reactor* const reactor = shard ? &(*shard)->reactor() : nullptr;
        return WriteAwaiter<Response, Function>{std::move(shard), reactor, std::move(function)};
    }

    // Errors: coordinator_not_available once stopped; not_coordinator where another broker leads the partition.
    Result<std::shared_ptr<ShardRuntime>> find(std::string_view group_id) const;
    std::vector<std::shared_ptr<ShardRuntime>> shards() const;

    std::string_view name() const override { return "GroupCoordinator"; }
    void on_metadata_update(const metadata::MetadataChanges& changes,
                            const std::shared_ptr<const metadata::MetadataImage>& before,
                            const std::shared_ptr<const metadata::MetadataImage>& after) override;

    // Answers who waits with not_coordinator and returns when no write is under way. Needs: reactors that run.
    void stop();

private:
    using Shards = std::vector<std::shared_ptr<ShardRuntime>>;  // by partition; null: not led here
    void let_go(const Shards& gone);
    void lead(const metadata::TopicImage& topic);
    void tell_shards(const metadata::MetadataChanges& changes);

    const ShardEnvironment environment_;
    replication::ReplicaManager& replicas_;
    const std::vector<io::Reactor*> reactors_;
    const BrokerId self_;
    ReadSettings read_settings_;
    std::shared_ptr<const GroupSettings> settings_;  // the loader's thread
    std::atomic<bool> is_stopped_{false};

    mutable std::mutex mutex_;
    Uuid topic_id_;   // under mutex_
    Shards shards_;   // under mutex_
    Shards leaving_;  // under mutex_: unloaded, and not idle yet
};

}  // namespace odr::coordinator
