// CreateAcls (key 30), versions 1-3. This broker has no authorizer, and says so as Kafka without one does.
// Way:   request -> response
// Kafka: AclApis.handleCreateAcls
#include "protocol/generated/create_acls_request.h"
#include "protocol/generated/create_acls_response.h"
#include "server/handlers/forward.h"

namespace odr::server {
namespace {

using protocol::CreateAclsRequest;
using protocol::CreateAclsResponse;

CreateAclsResponse handle_create_acls(RequestContext&, const CreateAclsRequest& request) {
    CreateAclsResponse response;
    response.results.assign(request.creations.size(), {.error_code = code_of(ErrorCode::security_disabled),
                                                       .error_message = "No Authorizer is configured."});
    return response;
}

}  // namespace

io::Task<void> serve_create_acls(RequestContext& context) { return serve<&handle_create_acls>(context); }

}  // namespace odr::server
