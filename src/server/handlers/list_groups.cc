// ListGroups (key 16), versions 0-5: states from version 4, types from 5 on.
// Way:   every shard of this broker -> response
// Kafka: KafkaApis.handleListGroupsRequest, GroupCoordinatorService.listGroups
#include "coordinator/group_listing.h"
#include "protocol/generated/list_groups_request.h"
#include "protocol/generated/list_groups_response.h"
#include "server/handlers/group_requests.h"

namespace odr::server {
namespace {

using protocol::ListGroupsRequest;
using protocol::ListGroupsResponse;
using Listed = coordinator::Owned<ListGroupsResponse>;

io::Task<ListGroupsResponse> handle_list_groups(RequestContext& context, ListGroupsRequest request) {
    ListGroupsResponse response;
    coordinator::GroupCoordinator& groups = *context.services().groups;
    const std::vector<std::shared_ptr<coordinator::ShardRuntime>> shards = groups.shards();
    for (const auto& shard : shards) {
        Result<Listed> listed = co_await groups.write_to<Listed>(
            shard, [&](coordinator::GroupShard& at) { return coordinator::list_groups(at, request); });
        if (!listed && listed.error().code == ErrorCode::not_coordinator) continue;  // it moved away
        if (!listed) {
            response.groups.clear();
            response.error_code = code_of(listed.error().code);
            co_return response;
        }
        const auto& found = listed->message.groups;
        response.groups.insert(response.groups.end(), found.begin(), found.end());
        context.keep_alive(std::make_shared<Listed>(std::move(*listed)));
    }
    co_return response;
}

}  // namespace

io::Task<void> serve_list_groups(RequestContext& context) { return serve<&handle_list_groups>(context); }

}  // namespace odr::server
