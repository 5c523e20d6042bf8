// DeleteTopics (key 20), versions 1-6.
// Way:   controller -> response
// Kafka: ControllerApis.deleteTopics
#include "protocol/generated/delete_topics_request.h"
#include "protocol/generated/delete_topics_response.h"
#include "server/handlers/forward.h"

namespace odr::server {
namespace {

using protocol::DeleteTopicsRequest;
using protocol::DeleteTopicsResponse;

DeleteTopicsResponse refuse(const DeleteTopicsRequest& request, const Error& error) {
    DeleteTopicsResponse response;
    const auto add = [&](std::optional<std::string_view> name, const Uuid& id) {
        response.responses.push_back(
            {.name = name, .topic_id = id, .error_code = code_of(error.code), .error_message = message_of(error)});
    };
    for (const std::string_view name : request.topic_names) add(name, {});
    for (const auto& topic : request.topics) add(topic.name, topic.topic_id);
    return response;
}

}  // namespace

io::Task<void> serve_delete_topics(RequestContext& context) { return serve_forwarded<&refuse>(context); }

}  // namespace odr::server
