// OffsetForLeaderEpoch (key 23), versions 2-4.
// Kafka: KafkaApis.handleOffsetForLeaderEpochRequest, Partition.lastOffsetForLeaderEpoch (KIP-101, KIP-320).
#include "protocol/generated/offset_for_leader_epoch_request.h"
#include "protocol/generated/offset_for_leader_epoch_response.h"
#include "server/handlers/partition_lookup.h"
#include "server/handlers/serve.h"

namespace odr::server {
namespace {

using protocol::OffsetForLeaderEpochRequest;
using protocol::OffsetForLeaderEpochResponse;

Result<storage::EpochEndOffset> end_of_epoch(const RequestContext& context, std::string_view topic_name,
                                             const OffsetForLeaderEpochRequest::OffsetForLeaderPartition& wanted) {
    ODR_TRY(topic, find_topic(context, {.name = topic_name, .id = {}}));
    ODR_TRY(partition, find_partition(context, *topic, PartitionIndex{wanted.partition}));
    ODR_CHECK(check_leader_epoch(*partition, wanted.current_leader_epoch));
    return partition->log().end_offset_for(LeaderEpoch{wanted.leader_epoch});
}

OffsetForLeaderEpochResponse handle_offset_for_leader_epoch(RequestContext& context,
                                                            const OffsetForLeaderEpochRequest& request) {
    OffsetForLeaderEpochResponse response;
    for (const auto& topic : request.topics) {
        auto& topic_answer = response.topics.emplace_back();
        topic_answer.topic = topic.topic;
        for (const auto& wanted : topic.partitions) {
            auto& answer = topic_answer.partitions.emplace_back();
            answer.partition = wanted.partition;
            const auto end = end_of_epoch(context, topic.topic, wanted);
            if (!end) {
                answer.error_code = static_cast<std::int16_t>(end.error().code);
                continue;
            }
            answer.leader_epoch = end->leader_epoch.raw();
            answer.end_offset = end->end_offset.raw();
        }
    }
    return response;
}

}  // namespace

io::Task<void> serve_offset_for_leader_epoch(RequestContext& context) {
    return serve<&handle_offset_for_leader_epoch>(context);
}

}  // namespace odr::server
