// ConsumerGroupDescribe (key 69), versions 0-1: groups of the consumer protocol (KIP-848).
// Way:   each group's shard -> response
// Kafka: KafkaApis.handleConsumerGroupDescribe, GroupCoordinatorService.consumerGroupDescribe
#include "coordinator/consumer_groups.h"
#include "protocol/generated/consumer_group_describe_request.h"
#include "protocol/generated/consumer_group_describe_response.h"
#include "server/handlers/group_requests.h"
#include "server/handlers/serve.h"

namespace odr::server {
namespace {

using protocol::ConsumerGroupDescribeRequest;
using protocol::ConsumerGroupDescribeResponse;
using Described = coordinator::Owned<ConsumerGroupDescribeResponse>;

ConsumerGroupDescribeResponse::DescribedGroup refused(std::string_view group_id, ErrorCode code) {
    ConsumerGroupDescribeResponse::DescribedGroup group;
    group.error_code = code_of(code);
    group.group_id = group_id;
    return group;
}

io::Task<ConsumerGroupDescribeResponse> handle_consumer_group_describe(RequestContext& context,
                                                                       ConsumerGroupDescribeRequest request) {
    ConsumerGroupDescribeResponse response;
    for (const std::string_view group_id : request.group_ids) {
        if (group_id.empty()) {
            response.groups.push_back(refused(group_id, ErrorCode::invalid_group_id));
            continue;
        }
        Result<Described> described = co_await context.services().groups->write<Described>(
            group_id, [&](coordinator::GroupShard& shard) -> Result<coordinator::CoordinatorResult<Described>> {
                if (!shard.context().settings().is_consumer_protocol_enabled) {
                    return fail(ErrorCode::unsupported_version);
                }
                coordinator::CoordinatorResult<Described> result;
                shard.consumer_groups().describe(group_id, result.response);
                return result;
            });
        if (!described) {
            response.groups.push_back(refused(group_id, described.error().code));
            continue;
        }
        for (auto& group : described->message.groups) {
            if (request.include_authorized_operations && group.error_code == 0) {
                group.authorized_operations = kGroupOperations;
            }
            response.groups.push_back(std::move(group));
        }
        context.keep_alive(std::make_shared<Described>(std::move(*described)));
    }
    co_return response;
}

}  // namespace

io::Task<void> serve_consumer_group_describe(RequestContext& context) {
    return serve<&handle_consumer_group_describe>(context);
}

}  // namespace odr::server
