// DescribeProducers (key 61), version 0 (KIP-664).
// Way:   partition's log -> response
// Kafka: KafkaApis.handleDescribeProducersRequest, ReplicaManager.activeProducerState
#include "protocol/generated/describe_producers_request.h"
#include "protocol/generated/describe_producers_response.h"
#include "server/handlers/forward.h"
#include "server/handlers/partition_lookup.h"
#include "server/handlers/topic_names.h"

namespace odr::server {
namespace {

using protocol::DescribeProducersRequest;
using protocol::DescribeProducersResponse;
using Partition = DescribeProducersResponse::PartitionResponse;

Result<std::vector<storage::ActiveProducer>> find_producers(const RequestContext& context, std::string_view topic_name,
                                                            std::int32_t index) {
    if (invalid_topic_name(topic_name)) return fail(ErrorCode::invalid_topic_exception, "The topic name is invalid.");
    ODR_TRY(topic, find_topic(context, {.name = topic_name, .id = {}}));
    ODR_TRY(partition, find_partition(context, *topic, PartitionIndex{index}));
    return partition->log().active_producers();
}

Partition describe(const RequestContext& context, std::string_view topic, std::int32_t index) {
    Partition out;
    out.partition_index = index;
    const auto producers = find_producers(context, topic, index);
    if (!producers) {
        out.error_code = code_of(producers.error().code);
        out.error_message = message_of(producers.error());
        return out;
    }
    for (const storage::ActiveProducer& producer : *producers) {
        out.active_producers.push_back({.producer_id = producer.producer_id.raw(),
                                        .producer_epoch = producer.producer_epoch.raw(),
                                        .last_sequence = producer.last_sequence,
                                        .last_timestamp = producer.last_timestamp.raw(),
                                        .coordinator_epoch = producer.coordinator_epoch,
                                        .current_txn_start_offset = producer.current_txn_start_offset.raw()});
    }
    return out;
}

DescribeProducersResponse handle_describe_producers(RequestContext& context, const DescribeProducersRequest& request) {
    DescribeProducersResponse response;
    for (const auto& topic : request.topics) {
        auto& result = response.topics.emplace_back();
        result.name = topic.name;
        for (const std::int32_t index : topic.partition_indexes) {
            result.partitions.push_back(describe(context, topic.name, index));
        }
    }
    return response;
}

}  // namespace

io::Task<void> serve_describe_producers(RequestContext& context) { return serve<&handle_describe_producers>(context); }

}  // namespace odr::server
