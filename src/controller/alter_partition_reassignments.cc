#include <fmt/format.h>

#include <algorithm>

#include "controller/effective_configs.h"
#include "controller/operation.h"
#include "controller/partition_updates.h"
#include "protocol/generated/alter_partition_reassignments_request.h"
#include "protocol/generated/alter_partition_reassignments_response.h"
#include "protocol/generated/list_partition_reassignments_request.h"
#include "protocol/generated/list_partition_reassignments_response.h"

// AlterPartitionReassignments (key 45), versions 0-1, and ListPartitionReassignments (key 46), version 0.
// Kafka: ReplicationControlManager.alterPartitionReassignments, listPartitionReassignments
namespace odr::controller {
namespace {

using metadata::PartitionRegistration;
using metadata::TopicImage;
using protocol::AlterPartitionReassignmentsRequest;
using protocol::AlterPartitionReassignmentsResponse;
using protocol::ListPartitionReassignmentsRequest;
using protocol::ListPartitionReassignmentsResponse;
using Target = AlterPartitionReassignmentsRequest::ReassignablePartition;

ApiError cancel(const State& state, const TopicImage& topic, PartitionIndex index,
                const PartitionRegistration& partition, metadata::RecordList& records) {
    if (!is_reassigning(partition)) return {ErrorCode::no_reassignment_in_progress};
    auto revert = revert_reassignment(partition);
    if (!revert)
        return refuse(ErrorCode::invalid_replica_assignment,
                      "Invalid replica assignment: addingReplicas contains all replicas.");
    const bool unclean_allowed = is_unclean_election_enabled(state, topic.name);
    if (revert->unclean && !unclean_allowed)
        return refuse(ErrorCode::invalid_replica_assignment,
                      "Unable to revert partition assignment for {}:{} because it would require an unclean leader "
                      "election.",
                      topic.name, index);
    PartitionTarget target{.election = unclean_allowed ? Election::unclean : Election::online};
    target.isr = std::move(revert->isr);
    target.replicas = std::move(revert->replicas);
    target.removing.emplace();
    target.adding.emplace();
    add_change(state, records, topic, index, partition, change_context(state, topic, partition), std::move(target));
    return {};
}

// With a reassignment under way, what the partition will have once that is done counts.
std::size_t settled_replicas(const PartitionRegistration& partition) {
    return partition.replicas.size() - partition.removing_replicas.size();
}

ApiError change(const State& state, const TopicImage& topic, PartitionIndex index,
                const PartitionRegistration& partition, const std::vector<std::int32_t>& replicas,
                bool allow_other_factor, metadata::RecordList& records) {
    if (!allow_other_factor && settled_replicas(partition) != replicas.size())
        return refuse(ErrorCode::invalid_replication_factor, "The replication factor is changed from {} to {}",
                      settled_replicas(partition), replicas.size());
    if (ApiError error = check_assignment(state, replicas, std::nullopt); error.failed()) return error;
    const std::vector<BrokerId> wanted = metadata::broker_ids(replicas);
    std::vector<BrokerId> removing;
    std::vector<BrokerId> adding;
    for (const BrokerId id : partition.replicas)
        if (std::ranges::find(wanted, id) == wanted.end()) removing.push_back(id);
    for (const BrokerId id : wanted)
        if (!partition.has_replica(id)) adding.push_back(id);
    std::ranges::sort(removing);
    std::ranges::sort(adding);
    PartitionTarget target;
    target.replicas = wanted;
    target.replicas->insert(target.replicas->end(), removing.begin(), removing.end());
    if (!removing.empty()) target.removing = std::move(removing);
    if (!adding.empty()) target.adding = std::move(adding);
    add_change(state, records, topic, index, partition, change_context(state, topic, partition), std::move(target));
    return {};
}

ApiError reassign(const State& state, std::string_view name, const Target& target, bool allow_other_factor,
                  metadata::RecordList& records) {
    const TopicImage* topic = state.image().topics().find(name);
    if (topic == nullptr)
        return refuse(ErrorCode::unknown_topic_or_partition, "Unable to find a topic named {}.", name);
    const PartitionIndex index{target.partition_index};
    const PartitionRegistration* partition = topic->partition(index);
    if (partition == nullptr)
        return refuse(ErrorCode::unknown_topic_or_partition, "Unable to find partition {}:{}.", name, index);
    if (!target.replicas) return cancel(state, *topic, index, *partition, records);
    return change(state, *topic, index, *partition, *target.replicas, allow_other_factor, records);
}

void list_topic(ListPartitionReassignmentsResponse& response, Texts& texts, const TopicImage& topic,
                const std::vector<std::int32_t>* wanted) {
    ListPartitionReassignmentsResponse::OngoingTopicReassignment ongoing;
    const auto list = [&](PartitionIndex index, const PartitionRegistration& partition) {
        if (!is_reassigning(partition)) return;
        auto& entry = ongoing.partitions.emplace_back();
        entry.partition_index = index.raw();
        entry.replicas = metadata::raw_ids(partition.replicas);
        entry.adding_replicas = metadata::raw_ids(partition.adding_replicas);
        entry.removing_replicas = metadata::raw_ids(partition.removing_replicas);
    };
    if (wanted == nullptr) {
        topic.partitions.for_each(list);
    } else {
        for (const std::int32_t index : *wanted)
            if (const auto* partition = topic.partition(PartitionIndex{index})) list(PartitionIndex{index}, *partition);
    }
    if (ongoing.partitions.empty()) return;
    ongoing.name = texts.keep(topic.name);
    response.topics.push_back(std::move(ongoing));
}

}  // namespace

Result<Outcome<AlterPartitionReassignmentsResponse>> perform(State& state, const RequestContext&,
                                                             const AlterPartitionReassignmentsRequest& request) {
    Outcome<AlterPartitionReassignmentsResponse> outcome;
    auto& [response, texts] = outcome.answer;
    response.error_message = std::nullopt;
    response.allow_replication_factor_change = request.allow_replication_factor_change;
    for (const auto& topic : request.topics) {
        auto& results = response.responses.emplace_back();
        results.name = topic.name;
        for (const Target& target : topic.partitions) {
            auto& result = results.partitions.emplace_back();
            result.partition_index = target.partition_index;
            set_error(result, texts,
                      reassign(state, topic.name, target, request.allow_replication_factor_change, outcome.records));
        }
    }
    return outcome;
}

Result<Outcome<ListPartitionReassignmentsResponse>> perform(State& state, const RequestContext&,
                                                            const ListPartitionReassignmentsRequest& request) {
    Outcome<ListPartitionReassignmentsResponse> outcome;
    auto& [response, texts] = outcome.answer;
    response.error_message = std::nullopt;
    if (!request.topics) {
        state.image().topics().for_each([&](const TopicImage& topic) { list_topic(response, texts, topic, nullptr); });
        return outcome;
    }
    for (const auto& wanted : *request.topics)
        if (const TopicImage* topic = state.image().topics().find(wanted.name))
            list_topic(response, texts, *topic, &wanted.partition_indexes);
    return outcome;
}

}  // namespace odr::controller
