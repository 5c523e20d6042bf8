// JoinGroup (key 11), versions 0-9.
// Way:   the group's shard, where it waits for the other members -> response
// Kafka: KafkaApis.handleJoinGroupRequest, GroupCoordinatorService.joinGroup
#include "coordinator/classic_groups.h"
#include "protocol/generated/join_group_request.h"
#include "protocol/generated/join_group_response.h"
#include "server/handlers/group_requests.h"
#include "server/handlers/serve.h"

namespace odr::server {
namespace {

using protocol::JoinGroupRequest;
using protocol::JoinGroupResponse;
using Answer = coordinator::Owned<JoinGroupResponse>;

constexpr std::int16_t kProtocolNameNullableFrom = 7;

JoinGroupResponse refuse(std::string_view member_id, ErrorCode code) {
    JoinGroupResponse response;
    response.error_code = code_of(code);
    response.member_id = member_id;
    return response;
}

io::Task<JoinGroupResponse> handle_join_group(RequestContext& context, JoinGroupRequest request) {
    if (request.group_id.empty()) co_return refuse(request.member_id, ErrorCode::invalid_group_id);
    const std::string host = "/" + context.connection_info().peer_address;
    const coordinator::Requester requester{
        .client_id = context.client_id(), .client_host = host, .api_version = context.version()};
    Result<Answer> answer = co_await context.services().groups->defer<Answer>(
        request.group_id,
        [&](coordinator::GroupShard& shard,
            coordinator::JoinAnswer deferred) -> Result<coordinator::CoordinatorResult<coordinator::Nothing>> {
            return shard.classic_groups().join(requester, request, std::move(deferred));
        });
    if (!answer) co_return refuse("", answer.error().code);
    JoinGroupResponse response = std::move(answer->message);
    if (context.version() < kProtocolNameNullableFrom && !response.protocol_name) response.protocol_name = "";
    context.keep_alive(std::make_shared<Answer>(std::move(*answer)));
    co_return response;
}

}  // namespace

io::Task<void> serve_join_group(RequestContext& context) { return serve<&handle_join_group>(context); }

}  // namespace odr::server
