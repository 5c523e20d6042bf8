// DeleteGroups (key 42), versions 0-2.
// Way:   each group's shard, which writes tombstones -> response
// Kafka: KafkaApis.handleDeleteGroupsRequest, GroupCoordinatorService.deleteGroups
#include <unordered_set>

#include "coordinator/group_listing.h"
#include "protocol/generated/delete_groups_request.h"
#include "protocol/generated/delete_groups_response.h"
#include "server/handlers/group_requests.h"

namespace odr::server {
namespace {

using protocol::DeleteGroupsRequest;
using protocol::DeleteGroupsResponse;

io::Task<DeleteGroupsResponse> handle_delete_groups(RequestContext& context, DeleteGroupsRequest request) {
    DeleteGroupsResponse response;
    std::unordered_set<std::string_view> seen;
    for (const std::string_view group_id : request.groups_names) {
        if (!seen.insert(group_id).second) continue;
        const Result<coordinator::Nothing> deleted = co_await context.services().groups->write<coordinator::Nothing>(
            group_id, [&](coordinator::GroupShard& shard) { return coordinator::delete_group(shard, group_id); });
        const ErrorCode code = deleted ? ErrorCode::none : deleted.error().code;
        response.results.push_back({.group_id = group_id, .error_code = code_of(code)});
    }
    co_return response;
}

}  // namespace

io::Task<void> serve_delete_groups(RequestContext& context) { return serve<&handle_delete_groups>(context); }

}  // namespace odr::server
