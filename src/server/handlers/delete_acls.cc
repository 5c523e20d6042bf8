// DeleteAcls (key 31), versions 1-3. This broker has no authorizer, and says so as Kafka without one does.
// Way:   request -> response
// Kafka: AclApis.handleDeleteAcls
#include "protocol/generated/delete_acls_request.h"
#include "protocol/generated/delete_acls_response.h"
#include "server/handlers/forward.h"

namespace odr::server {
namespace {

using protocol::DeleteAclsRequest;
using protocol::DeleteAclsResponse;

DeleteAclsResponse handle_delete_acls(RequestContext&, const DeleteAclsRequest& request) {
    DeleteAclsResponse response;
    response.filter_results.assign(request.filters.size(), {.error_code = code_of(ErrorCode::security_disabled),
                                                            .error_message = "No Authorizer is configured.",
                                                            .matching_acls = {}});
    return response;
}

}  // namespace

io::Task<void> serve_delete_acls(RequestContext& context) { return serve<&handle_delete_acls>(context); }

}  // namespace odr::server
