// ConsumerGroupHeartbeat (key 68), versions 0-1: joining, staying in and leaving a group of the consumer protocol
// (KIP-848).
// Way:   the group's shard -> response, when what it changed is committed
// Kafka: KafkaApis.handleConsumerGroupHeartbeat, GroupCoordinatorService.consumerGroupHeartbeat
#include "coordinator/consumer_groups.h"
#include "protocol/generated/consumer_group_heartbeat_request.h"
#include "protocol/generated/consumer_group_heartbeat_response.h"
#include "server/handlers/group_requests.h"
#include "server/handlers/serve.h"

namespace odr::server {
namespace {

using protocol::ConsumerGroupHeartbeatRequest;
using protocol::ConsumerGroupHeartbeatResponse;
using Answer = coordinator::Owned<ConsumerGroupHeartbeatResponse>;

ConsumerGroupHeartbeatResponse refuse(const Error& error) {
    ConsumerGroupHeartbeatResponse response;
    response.error_code = code_of(error.code);
    if (!error.what.empty()) response.error_message = error.what;
    return response;
}

io::Task<ConsumerGroupHeartbeatResponse> handle_consumer_group_heartbeat(RequestContext& context,
                                                                         ConsumerGroupHeartbeatRequest request) {
    const std::string host = "/" + context.connection_info().peer_address;
    const coordinator::Requester requester{
        .client_id = context.client_id(), .client_host = host, .api_version = context.version()};
    Result<Answer> answer = co_await context.services().groups->write<Answer>(
        request.group_id, [&](coordinator::GroupShard& shard) -> Result<coordinator::CoordinatorResult<Answer>> {
            if (!shard.context().settings().is_consumer_protocol_enabled) {
                return fail(ErrorCode::unsupported_version);
            }
            return shard.consumer_groups().heartbeat(requester, request);
        });
    if (!answer) co_return refuse(answer.error());
    ConsumerGroupHeartbeatResponse response = std::move(answer->message);
    context.keep_alive(std::make_shared<Answer>(std::move(*answer)));
    co_return response;
}

}  // namespace

io::Task<void> serve_consumer_group_heartbeat(RequestContext& context) {
    return serve<&handle_consumer_group_heartbeat>(context);
}

}  // namespace odr::server
