// DescribeProducers (key 61), version 0 (KIP-664).
// Way:   each partition's log, on a thread of its disk -> response
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

// One partition on its way from the request to the answer.
struct Slot {
    Partition* answer;
    std::shared_ptr<replication::Partition> partition;
};

Result<std::shared_ptr<replication::Partition>> find(const RequestContext& context, std::string_view topic_name,
                                                     std::int32_t index) {
    if (invalid_topic_name(topic_name)) return fail(ErrorCode::invalid_topic_exception, "The topic name is invalid.");
    ODR_TRY(topic, find_topic(context, {.name = topic_name, .id = {}}));
    return find_partition(context, *topic, PartitionIndex{index});
}

void describe(io::MayBlock may_block, const Slot& slot) {
    for (const storage::ActiveProducer& producer : slot.partition->log().active_producers(may_block)) {
        slot.answer->active_producers.push_back({.producer_id = producer.producer_id.raw(),
                                                 .producer_epoch = producer.producer_epoch.raw(),
                                                 .last_sequence = producer.last_sequence,
                                                 .last_timestamp = producer.last_timestamp.raw(),
                                                 .coordinator_epoch = producer.coordinator_epoch,
                                                 .current_txn_start_offset = producer.current_txn_start_offset.raw()});
    }
}

std::vector<Slot> find_all(const RequestContext& context, const DescribeProducersRequest& request,
                           DescribeProducersResponse& response) {
    std::vector<Slot> found;
    response.topics.resize(request.topics.size());
    for (std::size_t i = 0; i < request.topics.size(); ++i) {
        const auto& topic = request.topics[i];
        auto& result = response.topics[i];
        result.name = topic.name;
        result.partitions.resize(topic.partition_indexes.size());
        for (std::size_t j = 0; j < topic.partition_indexes.size(); ++j) {
            Partition& answer = result.partitions[j];
            answer.partition_index = topic.partition_indexes[j];
            auto partition = find(context, topic.name, answer.partition_index);
            if (partition) {
                found.push_back({&answer, std::move(*partition)});
            } else {
                answer.error_code = code_of(partition.error().code);
                answer.error_message = message_of(partition.error());
            }
        }
    }
    return found;
}

io::Task<DescribeProducersResponse> handle_describe_producers(RequestContext& context,
                                                              DescribeProducersRequest request) {
    DescribeProducersResponse response;
    const std::vector<Slot> found = find_all(context, request, response);
    if (found.empty()) co_return response;
    // What a log knows of producers stands under the lock of its appends, and one of them may wait for the disk.
    for (const Slot& slot : found) {
        const Result<void> done = co_await slot.partition->reads().run([&slot](io::MayBlock may_block) -> Result<void> {
            describe(may_block, slot);
            return {};
        });
        (void)done;
    }
    co_return response;
}

}  // namespace

io::Task<void> serve_describe_producers(RequestContext& context) { return serve<&handle_describe_producers>(context); }

}  // namespace odr::server
