// AlterClientQuotas (key 49), versions 0-1.
// Way:   controller -> response
// Kafka: ControllerApis.handleAlterClientQuotas
#include "protocol/generated/alter_client_quotas_request.h"
#include "protocol/generated/alter_client_quotas_response.h"
#include "server/handlers/forward.h"

namespace odr::server {
namespace {

using protocol::AlterClientQuotasRequest;
using protocol::AlterClientQuotasResponse;

AlterClientQuotasResponse refuse(const AlterClientQuotasRequest& request, const Error& error) {
    AlterClientQuotasResponse response;
    for (const auto& entry : request.entries) {
        AlterClientQuotasResponse::EntryData result{
            .error_code = code_of(error.code), .error_message = message_of(error), .entity = {}};
        for (const auto& part : entry.entity) {
            result.entity.push_back({.entity_type = part.entity_type, .entity_name = part.entity_name});
        }
        response.entries.push_back(std::move(result));
    }
    return response;
}

}  // namespace

io::Task<void> serve_alter_client_quotas(RequestContext& context) { return serve_forwarded<&refuse>(context); }

}  // namespace odr::server
