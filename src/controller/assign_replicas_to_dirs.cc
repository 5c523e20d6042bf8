#include <set>

#include "controller/effective_configs.h"
#include "controller/operation.h"
#include "controller/partition_updates.h"
#include "protocol/generated/assign_replicas_to_dirs_request.h"
#include "protocol/generated/assign_replicas_to_dirs_response.h"

// AssignReplicasToDirs (key 73), version 0: a broker tells in which log directory it keeps its replicas (KIP-858).
// Kafka: ReplicationControlManager.handleAssignReplicasToDirs
namespace odr::controller {

using metadata::PartitionRegistration;
using metadata::TopicImage;
using protocol::AssignReplicasToDirsRequest;
using protocol::AssignReplicasToDirsResponse;

namespace {

ErrorCode assign(const State& state, BrokerId broker, const Uuid& directory, const TopicImage* topic,
                 PartitionIndex index, metadata::RecordList& records) {
    if (topic == nullptr) return ErrorCode::unknown_topic_id;
    const PartitionRegistration* partition = topic->partition(index);
    if (partition == nullptr) return ErrorCode::unknown_topic_or_partition;
    if (!partition->has_replica(broker)) return ErrorCode::not_leader_or_follower;
    PartitionTarget target;
    target.directories[broker] = directory;
    auto context = change_context(state, *topic, *partition);
    if (!has_online_directory(state, broker, directory)) {
        // Gone meanwhile: the replica leaves the ISR with the same record.
        target.isr = partition->isr;
        std::erase(*target.isr, broker);
        if (is_unclean_election_enabled(state, topic->name)) target.election = Election::unclean;
        context.is_acceptable_leader = [accept = context.is_acceptable_leader, broker](BrokerId id) {
            return id != broker && accept(id);
        };
    }
    add_change(state, records, *topic, index, *partition, context, std::move(target));
    return ErrorCode::none;
}

}  // namespace

Result<Outcome<AssignReplicasToDirsResponse>> perform(State& state, const RequestContext&,
                                                      const AssignReplicasToDirsRequest& request) {
    if (!state.metadata_version().is_directory_assignment_supported())
        return fail(ErrorCode::unsupported_version, "Directory assignment is not supported yet.");
    const BrokerId broker{request.broker_id};
    ODR_CHECK(check_broker_epoch(state, broker, BrokerEpoch{request.broker_epoch}));
    Outcome<AssignReplicasToDirsResponse> outcome{.atomic = false};
    for (const auto& directory : request.directories) {
        auto& directory_result = outcome.answer.response.directories.emplace_back();
        directory_result.id = directory.id;
        for (const auto& topic : directory.topics) {
            auto& topic_result = directory_result.topics.emplace_back();
            topic_result.topic_id = topic.topic_id;
            const TopicImage* image = state.image().topics().find(topic.topic_id);
            for (const auto& partition : topic.partitions) {
                auto& result = topic_result.partitions.emplace_back();
                result.partition_index = partition.partition_index;
                result.error_code = static_cast<std::int16_t>(assign(
                    state, broker, directory.id, image, PartitionIndex{partition.partition_index}, outcome.records));
            }
        }
    }
    return outcome;
}

}  // namespace odr::controller
