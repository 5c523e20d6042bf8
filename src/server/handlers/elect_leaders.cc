// ElectLeaders (key 43), versions 0-2.
// Way:   controller -> response
// Kafka: ControllerApis.handleElectLeaders
#include "protocol/generated/elect_leaders_request.h"
#include "protocol/generated/elect_leaders_response.h"
#include "server/handlers/forward.h"

namespace odr::server {
namespace {

using protocol::ElectLeadersRequest;
using protocol::ElectLeadersResponse;

ElectLeadersResponse refuse(const ElectLeadersRequest& request, const Error& error) {
    ElectLeadersResponse response;
    response.error_code = code_of(error.code);
    if (!request.topic_partitions) return response;
    for (const auto& topic : *request.topic_partitions) {
        ElectLeadersResponse::ReplicaElectionResult result{.topic = topic.topic, .partition_result = {}};
        for (const std::int32_t partition : topic.partitions) {
            result.partition_result.push_back(
                {.partition_id = partition, .error_code = code_of(error.code), .error_message = message_of(error)});
        }
        response.replica_election_results.push_back(std::move(result));
    }
    return response;
}

}  // namespace

io::Task<void> serve_elect_leaders(RequestContext& context) { return serve_forwarded<&refuse>(context); }

}  // namespace odr::server
