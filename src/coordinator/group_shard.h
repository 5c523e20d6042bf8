#pragma once

#include <memory>

#include "coordinator/group.h"
#include "coordinator/group_part.h"
#include "coordinator/shard_context.h"

namespace odr::coordinator {

class ClassicGroups;
class ConsumerGroups;
class OffsetStore;

// Everything of the groups that hash to one partition of __consumer_offsets. A pure state machine: it reads the world
// through its ShardContext, and what it wants written it gives to the runtime as records.
//
// Its parts, each with a file of its own:
//   classic_groups.h   ClassicGroups(ShardContext&, GroupRegistry&)                    JoinGroup, SyncGroup, ...
//   consumer_groups.h  ConsumerGroups(ShardContext&, GroupRegistry&, ClassicGroups&)   KIP-848
//   offset_store.h     OffsetStore(ShardContext&, GroupRegistry&, maker of groups)     committed offsets
// ClassicGroups also makes the empty group that stands for offsets without members.
//
// Operations on the parts are of two shapes; handlers call them through GroupCoordinator (group_coordinator.h):
//   Result<CoordinatorResult<Response>> op(arguments...)                        answers when its records are committed
//   CoordinatorResult<Nothing> op(arguments..., Deferred<Owned<Response>>)      answers when it sees fit
//
// Owner:   ShardRuntime. Threads: one reactor's.
// Kafka:   GroupCoordinatorShard.
class GroupShard {
public:
    explicit GroupShard(ShardContext& context);
    ~GroupShard();
    GroupShard(const GroupShard&) = delete;
    GroupShard& operator=(const GroupShard&) = delete;

    ShardContext& context() { return context_; }
    GroupRegistry& groups() { return groups_; }
    ClassicGroups& classic_groups() { return *classic_groups_; }
    ConsumerGroups& consumer_groups() { return *consumer_groups_; }
    OffsetStore& offsets() { return *offsets_; }

    // Errors: invalid_record; unsupported_version for a type no part knows.
    Result<void> replay(const ReplayedRecord& record);
    void replay_end_transaction(ProducerId producer_id, bool is_commit);
    void on_loaded();
    void on_unloaded();
    void on_new_image(const metadata::MetadataChanges& changes);

private:
    template <class Visit>
    void for_each_part(Visit&& visit);

    ShardContext& context_;
    GroupRegistry groups_;
    std::unique_ptr<ClassicGroups> classic_groups_;
    std::unique_ptr<ConsumerGroups> consumer_groups_;
    std::unique_ptr<OffsetStore> offsets_;
};

}  // namespace odr::coordinator
