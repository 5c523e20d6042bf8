// UpdateFeatures (key 57), versions 0-2.
// Way:   controller -> response
// Kafka: ControllerApis.handleUpdateFeatures
#include "protocol/generated/update_features_request.h"
#include "protocol/generated/update_features_response.h"
#include "server/handlers/forward.h"

namespace odr::server {
namespace {

using protocol::UpdateFeaturesRequest;
using protocol::UpdateFeaturesResponse;

UpdateFeaturesResponse refuse(const UpdateFeaturesRequest&, const Error& error) {
    return {.error_code = code_of(error.code), .error_message = message_of(error), .results = {}};
}

}  // namespace

io::Task<void> serve_update_features(RequestContext& context) { return serve_forwarded<&refuse>(context); }

}  // namespace odr::server
