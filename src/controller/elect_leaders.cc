#include <fmt/format.h>

#include "controller/effective_configs.h"
#include "controller/operation.h"
#include "controller/partition_updates.h"
#include "protocol/generated/elect_leaders_request.h"
#include "protocol/generated/elect_leaders_response.h"

// ElectLeaders (key 43), versions 0-2.
// Kafka: ReplicationControlManager.electLeaders
namespace odr::controller {
namespace {

using protocol::ElectLeadersRequest;
using protocol::ElectLeadersResponse;

ApiError elect_leader(const State& state, std::string_view name, PartitionIndex index, Election election,
                      metadata::RecordList& records) {
    const metadata::TopicImage* topic = state.image().topics().find(name);
    if (topic == nullptr) return refuse(ErrorCode::unknown_topic_or_partition, "No such topic as {}", name);
    const metadata::PartitionRegistration* partition = topic->partition(index);
    if (partition == nullptr)
        return refuse(ErrorCode::unknown_topic_or_partition, "No such partition as {}-{}", name, index);
    const bool has_wanted_leader =
        election == Election::preferred ? partition->leader == partition->preferred_leader() : partition->has_leader();
    if (has_wanted_leader) return {ErrorCode::election_not_needed};
    const auto context = change_context(state, *topic, *partition);
    if (add_change(state, records, *topic, index, *partition, context, {.election = election})) return {};
    return {election == Election::preferred ? ErrorCode::preferred_leader_not_available
                                            : ErrorCode::eligible_leaders_not_available};
}

void add_result(ElectLeadersResponse::ReplicaElectionResult& topic, Texts& texts, std::int32_t index,
                const ApiError& error) {
    auto& result = topic.partition_result.emplace_back();
    result.partition_id = index;
    set_error(result, texts, error);
}

}  // namespace

Result<Outcome<ElectLeadersResponse>> perform(State& state, const RequestContext&, const ElectLeadersRequest& request) {
    if (request.election_type != 0 && request.election_type != 1)
        return fail(ErrorCode::invalid_request, "Unknown election type");
    const Election election = request.election_type == 0 ? Election::preferred : Election::unclean;
    Outcome<ElectLeadersResponse> outcome{.atomic = false};
    auto& [response, texts] = outcome.answer;
    if (request.topic_partitions) {
        for (const auto& topic : *request.topic_partitions) {
            auto& results = response.replica_election_results.emplace_back();
            results.topic = topic.topic;
            for (const std::int32_t index : topic.partitions)
                add_result(results, texts, index,
                           elect_leader(state, topic.topic, PartitionIndex{index}, election, outcome.records));
        }
        return outcome;
    }
    state.image().topics().for_each([&](const metadata::TopicImage& topic) {
        auto& results = response.replica_election_results.emplace_back();
        results.topic = texts.keep(topic.name);
        topic.partitions.for_each([&](PartitionIndex index, const metadata::PartitionRegistration&) {
            const ApiError error = elect_leader(state, topic.name, index, election, outcome.records);
            // With all partitions asked for, those that are as they should be are not worth a line.
            if (error.code != ErrorCode::election_not_needed) add_result(results, texts, index.raw(), error);
        });
    });
    return outcome;
}

}  // namespace odr::controller
