// CreateTopics (key 19), versions 2-7.
// Way:   controller -> response
// Kafka: ControllerApis.createTopics
#include "protocol/generated/create_topics_request.h"
#include "protocol/generated/create_topics_response.h"
#include "server/handlers/forward.h"

namespace odr::server {
namespace {

using protocol::CreateTopicsRequest;
using protocol::CreateTopicsResponse;

CreateTopicsResponse refuse(const CreateTopicsRequest& request, const Error& error) {
    CreateTopicsResponse response;
    for (const auto& topic : request.topics) {
        response.topics.push_back({.name = topic.name,
                                   .error_code = code_of(error.code),
                                   .error_message = message_of(error),
                                   .configs = std::vector<CreateTopicsResponse::CreatableTopicConfigs>{}});
    }
    return response;
}

}  // namespace

io::Task<void> serve_create_topics(RequestContext& context) { return serve_forwarded<&refuse>(context); }

}  // namespace odr::server
