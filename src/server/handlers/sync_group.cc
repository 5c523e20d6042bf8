// SyncGroup (key 14), versions 0-5.
// Way:   the group's shard, where it waits for the leader's assignment -> response
// Kafka: KafkaApis.handleSyncGroupRequest, GroupCoordinatorService.syncGroup
#include "coordinator/classic_groups.h"
#include "protocol/generated/sync_group_request.h"
#include "protocol/generated/sync_group_response.h"
#include "server/handlers/group_requests.h"
#include "server/handlers/serve.h"

namespace odr::server {
namespace {

using protocol::SyncGroupRequest;
using protocol::SyncGroupResponse;
using Answer = coordinator::Owned<SyncGroupResponse>;

constexpr std::int16_t kProtocolMandatoryFrom = 5;

SyncGroupResponse refuse(ErrorCode code) {
    SyncGroupResponse response;
    response.error_code = code_of(code);
    return response;
}

io::Task<SyncGroupResponse> handle_sync_group(RequestContext& context, SyncGroupRequest request) {
    if (context.version() >= kProtocolMandatoryFrom && (!request.protocol_type || !request.protocol_name)) {
        co_return refuse(ErrorCode::inconsistent_group_protocol);
    }
    if (request.group_id.empty()) co_return refuse(ErrorCode::invalid_group_id);
    const coordinator::Requester requester{.client_id = context.client_id(), .api_version = context.version()};
    Result<Answer> answer = co_await context.services().groups->defer<Answer>(
        request.group_id,
        [&](coordinator::GroupShard& shard,
            coordinator::SyncAnswer deferred) -> Result<coordinator::CoordinatorResult<coordinator::Nothing>> {
            return shard.classic_groups().sync(requester, request, std::move(deferred));
        });
    if (!answer) co_return refuse(answer.error().code);
    SyncGroupResponse response = std::move(answer->message);
    context.keep_alive(std::make_shared<Answer>(std::move(*answer)));
    co_return response;
}

}  // namespace

io::Task<void> serve_sync_group(RequestContext& context) { return serve<&handle_sync_group>(context); }

}  // namespace odr::server
