// DescribeQuorum (key 55), versions 0-2.
// Way:   metadata log, on the blocking pool -> response
// Kafka: KafkaRaftClient.handleDescribeQuorumRequest
#include "server/handlers/describe_quorum.h"

#include "base/config/broker_config.h"
#include "server/handlers/forward.h"
#include "server/handlers/topic_names.h"

namespace odr::server {
namespace {

using protocol::DescribeQuorumRequest;
using protocol::DescribeQuorumResponse;

bool asks_for_the_metadata_log(const DescribeQuorumRequest& request) {
    return request.topics.size() == 1 && request.topics[0].topic_name == kClusterMetadataTopic &&
           request.topics[0].partitions.size() == 1 && request.topics[0].partitions[0].partition_index == 0;
}

DescribeQuorumResponse unknown_partitions(const DescribeQuorumRequest& request) {
    DescribeQuorumResponse response;
    for (const auto& topic : request.topics) {
        auto& result = response.topics.emplace_back();
        result.topic_name = topic.topic_name;
        for (const auto& partition : topic.partitions) {
            auto& unknown = result.partitions.emplace_back();
            unknown.partition_index = partition.partition_index;
            unknown.error_code = code_of(ErrorCode::unknown_topic_or_partition);
            unknown.error_message = "Only the quorum of __cluster_metadata-0 can be described.";
        }
    }
    return response;
}

std::vector<DescribeQuorumResponse::ReplicaState> states_of(const std::vector<raft::QuorumInfo::Replica>& replicas) {
    std::vector<DescribeQuorumResponse::ReplicaState> out;
    for (const raft::QuorumInfo::Replica& replica : replicas) {
        out.push_back({.replica_id = replica.key.id.raw(),
                       .replica_directory_id = replica.key.directory_id,
                       .log_end_offset = replica.log_end_offset.raw(),
                       .last_fetch_timestamp = replica.last_fetch_timestamp.raw(),
                       .last_caught_up_timestamp = replica.last_caught_up_timestamp.raw()});
    }
    return out;
}

void add_nodes(DescribeQuorumResponse& response, const raft::VoterSet& voters) {
    for (const raft::VoterNode& voter : voters) {
        auto& node = response.nodes.emplace_back();
        node.node_id = voter.key.id.raw();
        for (const raft::VoterEndpoint& endpoint : voter.endpoints) {
            node.listeners.push_back({.name = endpoint.listener, .host = endpoint.host, .port = endpoint.port});
        }
    }
}

}  // namespace

DescribeQuorumResponse answer_describe_quorum(const DescribeQuorumRequest& request, const raft::QuorumInfo& quorum,
                                              BrokerId self) {
    if (!asks_for_the_metadata_log(request)) return unknown_partitions(request);
    DescribeQuorumResponse response;
    auto& topic = response.topics.emplace_back();
    topic.topic_name = kClusterMetadataTopic;
    auto& partition = topic.partitions.emplace_back();
    if (quorum.leader != self) {
        partition.error_code = code_of(ErrorCode::not_leader_or_follower);
        partition.error_message = "Another node leads the metadata log.";
        return response;
    }
    partition.leader_id = quorum.leader.raw();
    partition.leader_epoch = quorum.leader_epoch.raw();
    partition.high_watermark = quorum.high_watermark.raw();
    partition.current_voters = states_of(quorum.current_voters);
    partition.observers = states_of(quorum.observers);
    add_nodes(response, quorum.voters);
    return response;
}

io::Task<void> serve_describe_quorum(RequestContext& context) {
    Result<DescribeQuorumRequest> request =
        protocol::decode_message<DescribeQuorumRequest>(context.body(), context.version());
    if (!request) {
        context.close_connection(request.error().what);
        co_return;
    }
    const raft::MetadataLog* const log = context.services().metadata_log;
    const raft::QuorumInfo quorum =
        co_await context.services().pool->run([log](io::MayBlock) { return log->describe_quorum(); });
    context.send(answer_describe_quorum(*request, quorum, context.services().config->node_id()));
}

}  // namespace odr::server
