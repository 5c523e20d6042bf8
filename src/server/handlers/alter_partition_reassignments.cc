// AlterPartitionReassignments (key 45), versions 0-1.
// Way:   controller -> response
// Kafka: ControllerApis.handleAlterPartitionReassignments
#include "protocol/generated/alter_partition_reassignments_request.h"
#include "protocol/generated/alter_partition_reassignments_response.h"
#include "server/handlers/forward.h"

namespace odr::server {
namespace {

using protocol::AlterPartitionReassignmentsRequest;
using protocol::AlterPartitionReassignmentsResponse;

AlterPartitionReassignmentsResponse refuse(const AlterPartitionReassignmentsRequest& request, const Error& error) {
    AlterPartitionReassignmentsResponse response;
    response.error_code = code_of(error.code);
    response.error_message = message_of(error);
    for (const auto& topic : request.topics) {
        AlterPartitionReassignmentsResponse::ReassignableTopicResponse result{.name = topic.name, .partitions = {}};
        for (const auto& partition : topic.partitions) {
            result.partitions.push_back({.partition_index = partition.partition_index,
                                         .error_code = code_of(error.code),
                                         .error_message = message_of(error)});
        }
        response.responses.push_back(std::move(result));
    }
    return response;
}

}  // namespace

io::Task<void> serve_alter_partition_reassignments(RequestContext& context) {
    return serve_forwarded<&refuse>(context);
}

}  // namespace odr::server
