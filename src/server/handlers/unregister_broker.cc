// UnregisterBroker (key 64), version 0.
// Way:   controller -> response
// Kafka: ControllerApis.handleUnregisterBroker
#include "protocol/generated/unregister_broker_request.h"
#include "protocol/generated/unregister_broker_response.h"
#include "server/handlers/forward.h"

namespace odr::server {
namespace {

using protocol::UnregisterBrokerRequest;
using protocol::UnregisterBrokerResponse;

UnregisterBrokerResponse refuse(const UnregisterBrokerRequest&, const Error& error) {
    return {.error_code = code_of(error.code), .error_message = message_of(error)};
}

}  // namespace

io::Task<void> serve_unregister_broker(RequestContext& context) { return serve_forwarded<&refuse>(context); }

}  // namespace odr::server
