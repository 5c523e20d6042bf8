// DescribeTopicPartitions (key 75), version 0 (KIP-966): topics in pages.
// Way:   image -> response
// Kafka: DescribeTopicPartitionsRequestHandler, KRaftMetadataCache.describeTopicResponse
#include "server/handlers/describe_topic_partitions.h"

#include <algorithm>
#include <set>

#include "server/dynamic_config.h"
#include "server/handlers/cluster_view.h"
#include "server/handlers/forward.h"
#include "server/handlers/partition_lookup.h"
#include "server/handlers/topic_names.h"

namespace odr::server {
namespace {

using metadata::PartitionRegistration;
using metadata::TopicImage;
using protocol::DescribeTopicPartitionsRequest;
using protocol::DescribeTopicPartitionsResponse;
using Topic = DescribeTopicPartitionsResponse::DescribeTopicPartitionsResponseTopic;
using Partition = DescribeTopicPartitionsResponse::DescribeTopicPartitionsResponsePartition;
using Names = std::set<std::string_view>;

DescribeTopicPartitionsResponse refuse(const DescribeTopicPartitionsRequest& request) {
    DescribeTopicPartitionsResponse response;
    for (const auto& topic : request.topics) {
        response.topics.push_back(
            {.error_code = code_of(ErrorCode::invalid_request), .name = topic.name, .partitions = {}});
    }
    return response;
}

Names names_from(std::string_view first, const DescribeTopicPartitionsRequest& request,
                 const metadata::MetadataImage& image) {
    Names names;
    const auto add = [&](std::string_view name) {
        if (name >= first) names.insert(name);
    };
    for (const auto& topic : request.topics) add(topic.name);
    if (request.topics.empty()) image.topics().for_each([&](const TopicImage& topic) { add(topic.name); });
    return names;
}

Partition describe(PartitionIndex index, const PartitionRegistration& partition, const metadata::ClusterImage& cluster,
                   std::string_view listener) {
    const bool is_reachable = endpoint_of(cluster, partition.leader, listener) != nullptr;
    return {.partition_index = index.raw(),
            .leader_id = is_reachable ? partition.leader.raw() : -1,
            .leader_epoch = partition.leader_epoch.raw(),
            .replica_nodes = metadata::raw_ids(partition.replicas),
            .isr_nodes = metadata::raw_ids(partition.isr),
            .eligible_leader_replicas = metadata::raw_ids(partition.elr),
            .last_known_elr = metadata::raw_ids(partition.last_known_elr),
            .offline_replicas = offline_replicas(cluster, partition, listener)};
}

Topic missing(std::string_view name) {
    const ErrorCode code =
        invalid_topic_name(name) ? ErrorCode::invalid_topic_exception : ErrorCode::unknown_topic_or_partition;
    return {.error_code = code_of(code),
            .name = name,
            .is_internal = is_internal_topic(name),
            .partitions = {},
            .topic_authorized_operations = kTopicOperations};
}

DescribeTopicPartitionsResponse handle_describe_topic_partitions(RequestContext& context,
                                                                 const DescribeTopicPartitionsRequest& request) {
    const auto config = context.services().dynamic_config->current();
    return answer_describe_topic_partitions(request, context.image(), context.connection_info().listener,
                                            config->get_int("max.request.partition.size.limit"));
}

}  // namespace

DescribeTopicPartitionsResponse answer_describe_topic_partitions(const DescribeTopicPartitionsRequest& request,
                                                                 const metadata::MetadataImage& image,
                                                                 std::string_view listener,
                                                                 std::int32_t partitions_max) {
    const std::string_view first = request.cursor ? request.cursor->topic_name : std::string_view{};
    const Names names = names_from(first, request, image);
    const bool is_cursor_listed = request.topics.empty() || !request.cursor || names.contains(first);
    if (!is_cursor_listed || (request.cursor && request.cursor->partition_index < 0)) return refuse(request);

    DescribeTopicPartitionsResponse response;
    std::int32_t room = std::max(std::min(partitions_max, request.response_partition_limit), 1);
    for (const std::string_view name : names) {
        if (room == 0) {
            response.next_cursor = {.topic_name = name, .partition_index = 0};
            break;
        }
        const TopicImage* topic = image.topics().find(name);
        if (topic == nullptr) {
            if (!request.topics.empty()) response.topics.push_back(missing(name));
            continue;
        }
        const std::int32_t begin = request.cursor && name == first ? request.cursor->partition_index : 0;
        const auto count = static_cast<std::int32_t>(topic->partitions.size());
        const std::int32_t end = begin >= count ? begin : begin + std::min(room, count - begin);
        Topic out{.name = topic->name,
                  .topic_id = topic->id,
                  .is_internal = is_internal_topic(name),
                  .partitions = {},
                  .topic_authorized_operations = kTopicOperations};
        for (std::int32_t i = begin; i < end; ++i) {
            const PartitionRegistration* partition = topic->partition(PartitionIndex{i});
            if (partition != nullptr)
                out.partitions.push_back(describe(PartitionIndex{i}, *partition, image.cluster(), listener));
        }
        room -= static_cast<std::int32_t>(out.partitions.size());
        response.topics.push_back(std::move(out));
        if (end < count) {
            response.next_cursor = {.topic_name = topic->name, .partition_index = end};
            break;
        }
    }
    return response;
}

io::Task<void> serve_describe_topic_partitions(RequestContext& context) {
    return serve<&handle_describe_topic_partitions>(context);
}

}  // namespace odr::server
