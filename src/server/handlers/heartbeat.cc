// Heartbeat (key 12), versions 0-4.
// Way:   the group's shard -> response
// Kafka: KafkaApis.handleHeartbeatRequest, GroupCoordinatorService.heartbeat
#include "coordinator/classic_groups.h"
#include "protocol/generated/heartbeat_request.h"
#include "protocol/generated/heartbeat_response.h"
#include "server/handlers/group_requests.h"
#include "server/handlers/serve.h"

namespace odr::server {
namespace {

using protocol::HeartbeatRequest;
using protocol::HeartbeatResponse;

HeartbeatResponse refuse(ErrorCode code) {
    HeartbeatResponse response;
    response.error_code = code_of(code);
    return response;
}

io::Task<HeartbeatResponse> handle_heartbeat(RequestContext& context, HeartbeatRequest request) {
    if (request.group_id.empty()) co_return refuse(ErrorCode::invalid_group_id);
    const coordinator::Requester requester{.client_id = context.client_id(), .api_version = context.version()};
    const Result<HeartbeatResponse> answer = co_await context.services().groups->write<HeartbeatResponse>(
        request.group_id,
        [&](coordinator::GroupShard& shard) { return shard.classic_groups().heartbeat(requester, request); });
    if (answer) co_return *answer;
    // Whose group is still being loaded is not to leave it: its session starts when the load is done.
    const ErrorCode code = answer.error().code;
    co_return refuse(code == ErrorCode::coordinator_load_in_progress ? ErrorCode::none : code);
}

}  // namespace

io::Task<void> serve_heartbeat(RequestContext& context) { return serve<&handle_heartbeat>(context); }

}  // namespace odr::server
