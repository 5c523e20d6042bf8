// CreatePartitions (key 37), versions 0-3.
// Way:   controller -> response
// Kafka: ControllerApis.createPartitions
#include "protocol/generated/create_partitions_request.h"
#include "protocol/generated/create_partitions_response.h"
#include "server/handlers/forward.h"

namespace odr::server {
namespace {

using protocol::CreatePartitionsRequest;
using protocol::CreatePartitionsResponse;

CreatePartitionsResponse refuse(const CreatePartitionsRequest& request, const Error& error) {
    CreatePartitionsResponse response;
    for (const auto& topic : request.topics) {
        response.results.push_back(
            {.name = topic.name, .error_code = code_of(error.code), .error_message = message_of(error)});
    }
    return response;
}

}  // namespace

io::Task<void> serve_create_partitions(RequestContext& context) { return serve_forwarded<&refuse>(context); }

}  // namespace odr::server
