#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "controller/operation.h"
#include "controller/partition_updates.h"
#include "controller/replica_placer.h"
#include "protocol/generated/create_partitions_request.h"
#include "protocol/generated/create_partitions_response.h"

// CreatePartitions (key 37), versions 0-3.
// Kafka: ControllerApis.createPartitions, ReplicationControlManager.createPartitions
namespace odr::controller {
namespace {

using protocol::CreatePartitionsRequest;
using protocol::CreatePartitionsResponse;
using Topic = CreatePartitionsRequest::CreatePartitionsTopic;
using Replicas = std::vector<std::vector<std::int32_t>>;

ApiError check_count(const Topic& wanted, const metadata::TopicImage& topic) {
    const auto count = static_cast<std::int32_t>(topic.partitions.size());
    if (wanted.count == count)
        return refuse(ErrorCode::invalid_partitions, "Topic already has {} partition(s).", count);
    if (wanted.count < count)
        return refuse(ErrorCode::invalid_partitions,
                      "The topic {} currently has {} partition(s); {} would not be an increase.", wanted.name, count,
                      wanted.count);
    const auto additional = static_cast<std::size_t>(wanted.count - count);
    if (wanted.assignments && wanted.assignments->size() != additional)
        return refuse(ErrorCode::invalid_replica_assignment,
                      "Attempted to add {} additional partition(s), but only {} assignment(s) were specified.",
                      additional, wanted.assignments->size());
    return {};
}

ApiError find_replicas(State& state, const Topic& wanted, const metadata::TopicImage& topic, Replicas& all) {
    const auto* first = topic.partition(PartitionIndex{0});
    if (first == nullptr)
        return refuse(ErrorCode::unknown_server_error, "Invalid state: topic {} appears to have no partitions.",
                      wanted.name);
    const std::size_t factor = first->replicas.size();
    const auto count = static_cast<std::int32_t>(topic.partitions.size());
    if (wanted.assignments) {
        for (const auto& assignment : *wanted.assignments) {
            if (ApiError error = check_assignment(state, assignment.broker_ids, factor); error.failed()) return error;
            all.push_back(assignment.broker_ids);
        }
        return {};
    }
    auto placed = place_replicas(state, wanted.count - count, static_cast<std::int32_t>(factor));
    if (!placed) return {ErrorCode::invalid_replication_factor, std::move(placed.error())};
    all = std::move(*placed);
    return {};
}

ApiError create_partitions(State& state, const Topic& wanted, std::int64_t& total, metadata::RecordList& records) {
    const metadata::TopicImage* topic = state.image().topics().find(wanted.name);
    if (topic == nullptr) return {ErrorCode::unknown_topic_or_partition};
    if (ApiError error = check_count(wanted, *topic); error.failed()) return error;
    const auto count = static_cast<std::int32_t>(topic->partitions.size());
    total += wanted.count - count;
    if (total > kPartitionsPerRequestMax)
        return refuse(ErrorCode::policy_violation, "Excessively large number of partitions per request.");
    Replicas all;
    if (ApiError error = find_replicas(state, wanted, *topic, all); error.failed()) return error;
    metadata::RecordList added;
    for (std::size_t i = 0; i < all.size(); ++i) {
        const PartitionIndex index{count + static_cast<std::int32_t>(i)};
        std::vector<std::int32_t> isr = all[i];
        std::erase_if(isr, [&](std::int32_t id) { return !is_active(state, BrokerId{id}); });
        if (isr.empty() && wanted.assignments)
            return refuse(ErrorCode::invalid_replica_assignment,
                          "All brokers specified in the manual partition assignment for partition {} are fenced or in "
                          "controlled shutdown.",
                          index);
        if (isr.empty())
            return refuse(ErrorCode::invalid_replication_factor,
                          "Unable to replicate the partition {} time(s): All brokers are currently fenced or in "
                          "controlled shutdown.",
                          all[i].size());
        add_new_partition(state, added, topic->id, index, all[i], isr);
    }
    for (std::size_t i = 0; i < added.size(); ++i) records.add_framed(added[i]);
    return {};
}

}  // namespace

Result<Outcome<CreatePartitionsResponse>> perform(State& state, const RequestContext&,
                                                  const CreatePartitionsRequest& request) {
    Outcome<CreatePartitionsResponse> outcome;
    std::unordered_map<std::string_view, int> seen;
    for (const Topic& topic : request.topics) ++seen[topic.name];
    std::unordered_set<std::string_view> answered;
    std::int64_t total = 0;
    for (const Topic& topic : request.topics) {
        if (!answered.insert(topic.name).second) continue;
        auto& result = outcome.answer.response.results.emplace_back();
        result.name = topic.name;
        const ApiError error = seen[topic.name] > 1 ? refuse(ErrorCode::invalid_request, "Duplicate topic name.")
                                                    : create_partitions(state, topic, total, outcome.records);
        set_error(result, outcome.answer.texts, error);
    }
    if (request.validate_only) outcome.records.clear();
    return outcome;
}

}  // namespace odr::controller
