#pragma once

#include "coordinator/group_shard.h"
#include "protocol/generated/list_groups_request.h"
#include "protocol/generated/list_groups_response.h"

// What admins ask of a shard, whatever kinds its groups are of.
namespace odr::coordinator {

// Filters are taken without regard to case; an empty one lets everything through. Kafka:
// GroupMetadataManager.listGroups.
Result<CoordinatorResult<Owned<protocol::ListGroupsResponse>>> list_groups(GroupShard& shard,
                                                                           const protocol::ListGroupsRequest& request);

// Tombstones for the group and all its offsets. Errors: group_id_not_found, non_empty_group.
Result<CoordinatorResult<Nothing>> delete_group(GroupShard& shard, std::string_view group_id);

}  // namespace odr::coordinator
