// DescribeAcls (key 29), versions 1-3. This broker has no authorizer, and says so as Kafka without one does.
// Way:   request -> response
// Kafka: AclApis.handleDescribeAcls
#include "protocol/generated/describe_acls_request.h"
#include "protocol/generated/describe_acls_response.h"
#include "server/handlers/forward.h"

namespace odr::server {
namespace {

using protocol::DescribeAclsRequest;
using protocol::DescribeAclsResponse;

DescribeAclsResponse handle_describe_acls(RequestContext&, const DescribeAclsRequest&) {
    return {.error_code = code_of(ErrorCode::security_disabled),
            .error_message = "No Authorizer is configured on the broker",
            .resources = {}};
}

}  // namespace

io::Task<void> serve_describe_acls(RequestContext& context) { return serve<&handle_describe_acls>(context); }

}  // namespace odr::server
