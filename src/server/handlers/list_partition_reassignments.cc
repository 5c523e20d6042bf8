// ListPartitionReassignments (key 46), version 0.
// Way:   controller -> response
// Kafka: ControllerApis.handleListPartitionReassignments
#include "protocol/generated/list_partition_reassignments_request.h"
#include "protocol/generated/list_partition_reassignments_response.h"
#include "server/handlers/forward.h"

namespace odr::server {
namespace {

using protocol::ListPartitionReassignmentsRequest;
using protocol::ListPartitionReassignmentsResponse;

ListPartitionReassignmentsResponse refuse(const ListPartitionReassignmentsRequest& request, const Error& error) {
    ListPartitionReassignmentsResponse response;
    response.error_code = code_of(error.code);
    response.error_message = message_of(error);
    if (!request.topics) return response;
    for (const auto& topic : *request.topics) {
        ListPartitionReassignmentsResponse::OngoingTopicReassignment result{.name = topic.name, .partitions = {}};
        for (const std::int32_t partition : topic.partition_indexes) {
            result.partitions.push_back(
                {.partition_index = partition, .replicas = {}, .adding_replicas = {}, .removing_replicas = {}});
        }
        response.topics.push_back(std::move(result));
    }
    return response;
}

}  // namespace

io::Task<void> serve_list_partition_reassignments(RequestContext& context) { return serve_forwarded<&refuse>(context); }

}  // namespace odr::server
