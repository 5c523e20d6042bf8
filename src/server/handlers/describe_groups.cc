// DescribeGroups (key 15), versions 0-6: classic groups. Others are said not to exist, as Kafka does.
// Way:   each group's shard -> response
// Kafka: KafkaApis.handleDescribeGroupsRequest, GroupCoordinatorService.describeGroups
#include "coordinator/classic_groups.h"
#include "protocol/generated/describe_groups_request.h"
#include "protocol/generated/describe_groups_response.h"
#include "server/handlers/group_requests.h"

namespace odr::server {
namespace {

using protocol::DescribeGroupsRequest;
using protocol::DescribeGroupsResponse;
using Described = coordinator::Owned<DescribeGroupsResponse>;

DescribeGroupsResponse::DescribedGroup refused(std::string_view group_id, ErrorCode code) {
    return {.error_code = code_of(code), .group_id = group_id, .group_state = ""};
}

io::Task<DescribeGroupsResponse> handle_describe_groups(RequestContext& context, DescribeGroupsRequest request) {
    DescribeGroupsResponse response;
    const std::int16_t version = context.version();
    for (const std::string_view group_id : request.groups) {
        Result<Described> described = co_await context.services().groups->write<Described>(
            group_id, [&](coordinator::GroupShard& shard) -> Result<coordinator::CoordinatorResult<Described>> {
                coordinator::CoordinatorResult<Described> result;
                shard.classic_groups().describe(group_id, version, result.response);
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

io::Task<void> serve_describe_groups(RequestContext& context) { return serve<&handle_describe_groups>(context); }

}  // namespace odr::server
