// LeaveGroup (key 13), versions 0-5. Before version 3 one member leaves, and its error is that of the response.
// Way:   the group's shard -> response
// Kafka: KafkaApis.handleLeaveGroupRequest, GroupCoordinatorService.leaveGroup
#include "coordinator/classic_groups.h"
#include "protocol/generated/leave_group_request.h"
#include "protocol/generated/leave_group_response.h"
#include "server/handlers/group_requests.h"
#include "server/handlers/serve.h"

namespace odr::server {
namespace {

using protocol::LeaveGroupRequest;
using protocol::LeaveGroupResponse;
using Answer = coordinator::Owned<LeaveGroupResponse>;

constexpr std::int16_t kManyMembersFrom = 3;

LeaveGroupResponse refuse(ErrorCode code) {
    LeaveGroupResponse response;
    response.error_code = code_of(code);
    return response;
}

io::Task<LeaveGroupResponse> handle_leave_group(RequestContext& context, LeaveGroupRequest request) {
    if (request.group_id.empty()) co_return refuse(ErrorCode::invalid_group_id);
    if (context.version() < kManyMembersFrom) request.members = {{.member_id = request.member_id}};
    const coordinator::Requester requester{.client_id = context.client_id(), .api_version = context.version()};
    Result<Answer> answer = co_await context.services().groups->write<Answer>(
        request.group_id,
        [&](coordinator::GroupShard& shard) { return shard.classic_groups().leave(requester, request); });
    if (!answer) co_return refuse(answer.error().code);
    LeaveGroupResponse response = std::move(answer->message);
    if (context.version() < kManyMembersFrom) {
        if (response.error_code == 0 && !response.members.empty()) {
            response.error_code = response.members.front().error_code;
        }
        response.members.clear();
    }
    context.keep_alive(std::make_shared<Answer>(std::move(*answer)));
    co_return response;
}

}  // namespace

io::Task<void> serve_leave_group(RequestContext& context) { return serve<&handle_leave_group>(context); }

}  // namespace odr::server
