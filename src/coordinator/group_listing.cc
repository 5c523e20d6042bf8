#include "coordinator/group_listing.h"

#include <algorithm>

#include "coordinator/offset_store.h"

namespace odr::coordinator {
namespace {

bool equal_ignoring_case(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b,
                              [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

bool passes(const std::vector<std::string_view>& filter, std::string_view value) {
    if (filter.empty()) return true;
    return std::ranges::any_of(filter, [&](std::string_view each) { return equal_ignoring_case(each, value); });
}

}  // namespace

std::string_view to_string(GroupType type) {
    switch (type) {
        case GroupType::unknown:
            return "unknown";
        case GroupType::consumer:
            return "consumer";
        case GroupType::classic:
            return "classic";
        case GroupType::share:
            return "share";
        case GroupType::streams:
            return "streams";
    }
    return "unknown";
}

Result<CoordinatorResult<Owned<protocol::ListGroupsResponse>>> list_groups(GroupShard& shard,
                                                                           const protocol::ListGroupsRequest& request) {
    CoordinatorResult<Owned<protocol::ListGroupsResponse>> result;
    Owned<protocol::ListGroupsResponse>& out = result.response;
    shard.groups().for_each([&](const Group& group) {
        if (!passes(request.states_filter, group.state_name())) return;
        if (!passes(request.types_filter, to_string(group.type()))) return;
        out.message.groups.push_back({.group_id = out.keep(group.id()),
                                      .protocol_type = out.keep(std::string{group.protocol_type()}),
                                      .group_state = out.keep(std::string{group.state_name()}),
                                      .group_type = to_string(group.type())});
    });
    return result;
}

Result<CoordinatorResult<Nothing>> delete_group(GroupShard& shard, std::string_view group_id) {
    const Group* const group = shard.groups().find(group_id);
    if (group == nullptr) return fail(ErrorCode::group_id_not_found);
    ODR_CHECK(group->validate_delete_group());
    CoordinatorResult<Nothing> result;
    shard.offsets().add_tombstones(group_id, result.records);
    group->add_tombstones(result.records);
    return result;
}

}  // namespace odr::coordinator
