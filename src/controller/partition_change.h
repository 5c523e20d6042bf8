#pragma once

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "base/types.h"
#include "base/uuid.h"
#include "metadata/features.h"
#include "metadata/partition_registration.h"
#include "protocol/generated/partition_change_record.h"

namespace odr::controller {

enum class Election {
    preferred,  // the first replica if it is eligible, else any that is
    online,     // the leader stays while it is eligible, else the first replica that is
    unclean,    // as online, then the first live replica, which may have lost records
};

// The facts a change of a partition depends on.
struct PartitionChangeContext {
    std::function<bool(BrokerId)> is_acceptable_leader;  // alive, and with the replica's directory online
    std::function<Uuid(BrokerId)> default_directory;     // of a replica that is new
    metadata::MetadataVersion metadata_version;
    std::int32_t min_isr = 1;  // min.insync.replicas, at most the replication factor
    bool is_elr_enabled = false;
};

// Where a partition should go; what is not set stays.
struct PartitionTarget {
    Election election = Election::online;
    std::optional<std::vector<BrokerId>> isr = {};
    std::optional<std::vector<BrokerId>> replicas = {};
    std::optional<std::vector<BrokerId>> removing = {};
    std::optional<std::vector<BrokerId>> adding = {};
    std::vector<BrokerId> unclean_shutdown = {};  // replicas that may have lost records: not eligible any more
    std::optional<metadata::LeaderRecoveryState> leader_recovery_state = {};
    std::map<BrokerId, Uuid> directories = {};
};

// Computes the record that takes a partition to a target: completes a reassignment where the ISR allows it, elects a
// leader, keeps the eligible leader replicas (KIP-966).
// Gives: nothing when the partition is there already.
// Kafka: PartitionChangeBuilder.
std::optional<protocol::PartitionChangeRecord> change_partition(const metadata::PartitionRegistration& partition,
                                                                const Uuid& topic, PartitionIndex index,
                                                                const PartitionChangeContext& context,
                                                                PartitionTarget target);

// Where a reassignment that is cancelled goes back to. Kafka: PartitionReassignmentRevert.
struct ReassignmentRevert {
    std::vector<BrokerId> replicas;
    std::vector<BrokerId> isr;
    bool unclean = false;  // none of the old replicas is in sync
};
// Gives: nullopt where no old replica is left.
std::optional<ReassignmentRevert> revert_reassignment(const metadata::PartitionRegistration& partition);

inline bool is_reassigning(const metadata::PartitionRegistration& partition) {
    return !partition.adding_replicas.empty() || !partition.removing_replicas.empty();
}

}  // namespace odr::controller
