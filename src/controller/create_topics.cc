#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "controller/config_changes.h"
#include "controller/effective_configs.h"
#include "controller/operation.h"
#include "controller/partition_updates.h"
#include "controller/replica_placer.h"
#include "protocol/generated/config_record.h"
#include "protocol/generated/create_topics_request.h"
#include "protocol/generated/create_topics_response.h"
#include "protocol/generated/topic_record.h"

// CreateTopics (key 19), versions 2-7.
// Kafka: ControllerApis.createTopics, ReplicationControlManager.createTopics
namespace odr::controller {
namespace {

using config::ConfigMap;
using protocol::CreateTopicsRequest;
using protocol::CreateTopicsResponse;
using Topic = CreateTopicsRequest::CreatableTopic;
using TopicResult = CreateTopicsResponse::CreatableTopicResult;

struct NewPartition {
    std::vector<std::int32_t> replicas;
    std::vector<std::int32_t> isr;
};

std::vector<std::int32_t> active_of(const State& state, const std::vector<std::int32_t>& replicas) {
    std::vector<std::int32_t> active;
    std::ranges::copy_if(replicas, std::back_inserter(active),
                         [&](std::int32_t id) { return is_active(state, BrokerId{id}); });
    return active;
}

std::int64_t count_partitions(const State& state, const CreateTopicsRequest& request) {
    std::int64_t total = 0;
    for (const Topic& topic : request.topics) {
        if (!topic.assignments.empty()) {
            total += static_cast<std::int64_t>(topic.assignments.size());
        } else if (topic.num_partitions == -1) {
            total += state.config().limits().num_partitions;
        } else if (topic.num_partitions > 0) {
            total += topic.num_partitions;
        }
    }
    return total;
}

ApiError check_name(const State& state, std::string_view name) {
    if (ApiError error = check_topic_name(name); error.failed()) return error;
    // The state is asked before the collisions: a topic collides with itself, too.
    if (state.image().topics().find(name) != nullptr)
        return refuse(ErrorCode::topic_already_exists, "Topic '{}' already exists.", name);
    if (const std::string* other = state.colliding_names.find(name))
        return refuse(ErrorCode::invalid_topic_exception, "Topic '{}' collides with existing topic: {}", name, *other);
    return {};
}

ApiError read_configs(const Topic& topic, ConfigMap& settings) {
    std::string nulls;
    for (const auto& entry : topic.configs) {
        if (entry.value) {
            settings.insert_or_assign(std::string{entry.name}, std::string{*entry.value});
        } else {
            nulls += (nulls.empty() ? "" : ",") + std::string{entry.name};
        }
    }
    if (nulls.empty()) return {};
    return refuse(ErrorCode::invalid_config, "Null value not supported for topic configs: {}", nulls);
}

ApiError assign_by_hand(const State& state, const Topic& topic, std::vector<NewPartition>& partitions) {
    constexpr ErrorCode kInvalid = ErrorCode::invalid_replica_assignment;
    if (topic.replication_factor != -1)
        return refuse(ErrorCode::invalid_request,
                      "A manual partition assignment was specified, but replication factor was not set to -1.");
    if (topic.num_partitions != -1)
        return refuse(ErrorCode::invalid_request,
                      "A manual partition assignment was specified, but numPartitions was not set to -1.");
    std::map<std::int32_t, NewPartition> by_index;
    std::optional<std::size_t> replication_factor;
    for (const auto& assignment : topic.assignments) {
        if (by_index.contains(assignment.partition_index))
            return refuse(kInvalid, "Found multiple manual partition assignments for partition {}",
                          assignment.partition_index);
        if (ApiError error = check_assignment(state, assignment.broker_ids, replication_factor); error.failed())
            return error;
        replication_factor = assignment.broker_ids.size();
        NewPartition partition{assignment.broker_ids, active_of(state, assignment.broker_ids)};
        if (partition.isr.empty())
            return refuse(kInvalid,
                          "All brokers specified in the manual partition assignment for partition {} are fenced or in "
                          "controlled shutdown.",
                          assignment.partition_index);
        by_index.emplace(assignment.partition_index, std::move(partition));
    }
    if (by_index.begin()->first != 0 ||
        std::prev(by_index.end())->first != static_cast<std::int32_t>(by_index.size()) - 1)
        return refuse(kInvalid, "partitions should be a consecutive 0-based integer sequence");
    for (auto& [index, partition] : by_index) partitions.push_back(std::move(partition));
    return {};
}

ApiError assign_by_placer(State& state, const Topic& topic, std::vector<NewPartition>& partitions) {
    constexpr ErrorCode kInvalid = ErrorCode::invalid_replication_factor;
    if (topic.replication_factor < -1 || topic.replication_factor == 0)
        return refuse(kInvalid, "Replication factor must be larger than 0, or -1 to use the default value.");
    if (topic.num_partitions < -1 || topic.num_partitions == 0)
        return refuse(ErrorCode::invalid_partitions, "Number of partitions was set to an invalid non-positive value.");
    const config::BrokerLimits limits = state.config().limits();
    const std::int32_t count = topic.num_partitions == -1 ? limits.num_partitions : topic.num_partitions;
    const std::int32_t factor =
        topic.replication_factor == -1 ? limits.default_replication_factor : topic.replication_factor;
    auto placed = place_replicas(state, count, factor);
    if (!placed) return refuse(kInvalid, "Unable to replicate the partition {} time(s): {}", factor, placed.error());
    for (auto& replicas : *placed) {
        std::vector<std::int32_t> isr = active_of(state, replicas);
        if (isr.empty())
            return refuse(kInvalid,
                          "Unable to replicate the partition {} time(s): All brokers are currently fenced or in "
                          "controlled shutdown.",
                          factor);
        partitions.push_back({std::move(replicas), std::move(isr)});
    }
    return {};
}

void describe(const State& state, const ConfigMap& settings, const std::vector<NewPartition>& partitions,
              TopicResult& result, Texts& texts) {
    result.num_partitions = static_cast<std::int32_t>(partitions.size());
    result.replication_factor = static_cast<std::int16_t>(partitions.front().replicas.size());
    for (const EffectiveConfig& effective : effective_topic_configs(state, settings)) {
        auto& entry = result.configs->emplace_back();
        entry.name = effective.key->name;
        entry.value = std::nullopt;
        entry.is_sensitive = effective.key->sensitive();
        entry.config_source = static_cast<std::int8_t>(effective.source);
        if (effective.value && !entry.is_sensitive) entry.value = texts.keep(*effective.value);
    }
}

ApiError create_topic(State& state, const Topic& topic, metadata::RecordList& records, TopicResult& result,
                      Texts& texts) {
    if (ApiError error = check_name(state, topic.name); error.failed()) return error;
    ConfigMap settings;
    if (ApiError error = read_configs(topic, settings); error.failed()) return error;
    const metadata::ConfigResource resource{metadata::ConfigResourceType::topic, std::string{topic.name}};
    metadata::RecordList config_records;
    if (!settings.empty()) {
        ConfigChanges changes;
        for (const auto& [name, value] : settings) changes.emplace_back(name, value);
        ApiError error = change_configs(state, resource, changes, {.is_new_resource = true}, config_records);
        if (error.failed()) return error;
    }
    std::vector<NewPartition> partitions;
    ApiError error = topic.assignments.empty() ? assign_by_placer(state, topic, partitions)
                                               : assign_by_hand(state, topic, partitions);
    if (error.failed()) return error;

    result.topic_id = state.random.uuid();
    describe(state, settings, partitions, result, texts);
    records.add(protocol::TopicRecord{.name = topic.name, .topic_id = result.topic_id}, 0);
    for (std::size_t i = 0; i < config_records.size(); ++i) records.add_framed(config_records[i]);
    for (std::size_t i = 0; i < partitions.size(); ++i)
        add_new_partition(state, records, result.topic_id, PartitionIndex{static_cast<std::int32_t>(i)},
                          partitions[i].replicas, partitions[i].isr);
    return {};
}

}  // namespace

Result<Outcome<CreateTopicsResponse>> perform(State& state, const RequestContext&, const CreateTopicsRequest& request) {
    if (count_partitions(state, request) > kPartitionsPerRequestMax)
        return fail(ErrorCode::policy_violation, "Excessively large number of partitions per request.");
    Outcome<CreateTopicsResponse> outcome;
    Texts& texts = outcome.answer.texts;
    std::unordered_map<std::string_view, int> seen;
    for (const Topic& topic : request.topics) ++seen[topic.name];
    std::unordered_set<std::string_view> answered;
    for (const Topic& topic : request.topics) {
        if (!answered.insert(topic.name).second) continue;
        TopicResult& result = outcome.answer.response.topics.emplace_back();
        result.name = topic.name;
        ApiError error;
        if (seen[topic.name] > 1) {
            error = refuse(ErrorCode::invalid_request, "Duplicate topic name.");
        } else if (topic.name == "__cluster_metadata") {
            error = refuse(ErrorCode::invalid_request, "Creation of internal topic __cluster_metadata is prohibited.");
        } else {
            error = create_topic(state, topic, outcome.records, result, texts);
        }
        set_error(result, texts, error);
    }
    if (request.validate_only) outcome.records.clear();
    return outcome;
}

}  // namespace odr::controller
