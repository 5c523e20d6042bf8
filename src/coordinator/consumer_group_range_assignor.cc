#include <algorithm>
#include <numeric>

#include "coordinator/consumer_group_assignor.h"

namespace odr::coordinator {
namespace {

// Static members first, by instance id, so that their share survives a restart under another member id.
std::vector<std::uint32_t> members_in_order(const GroupSpec& spec) {
    std::vector<std::uint32_t> order(spec.members.size());
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::sort(order, [&](std::uint32_t a, std::uint32_t b) {
        const AssignorMember& left = spec.members[a];
        const AssignorMember& right = spec.members[b];
        if (left.instance_id && right.instance_id) return *left.instance_id < *right.instance_id;
        if (left.instance_id.has_value() != right.instance_id.has_value()) return left.instance_id.has_value();
        return left.member_id < right.member_id;
    });
    return order;
}

struct TopicShare {
    std::int32_t subscribers = 0;
    std::int32_t next = 0;   // the first partition not given yet
    std::int32_t extra = 0;  // members still to get one more than the others
    std::int32_t least = 0;
};

class RangeAssignor final : public ConsumerGroupAssignor {
public:
    std::string_view name() const override { return "range"; }

    GroupAssignment assign(const GroupSpec& spec) const override {
        std::vector<TopicShare> shares(spec.topics.size());
        for (const AssignorMember& member : spec.members) {
            for (const std::uint32_t topic : member.topics) ++shares[topic].subscribers;
        }
        for (std::size_t topic = 0; topic < shares.size(); ++topic) {
            TopicShare& share = shares[topic];
            if (share.subscribers == 0) continue;
            share.least = spec.topics[topic].partition_count / share.subscribers;
            share.extra = spec.topics[topic].partition_count % share.subscribers;
        }
        GroupAssignment assignment(spec.members.size());
        for (const std::uint32_t member : members_in_order(spec)) {
            for (const std::uint32_t topic : spec.members[member].topics) {
                TopicShare& share = shares[topic];
                std::int32_t count = share.least;
                if (share.extra > 0) {
                    ++count;
                    --share.extra;
                }
                if (count == 0) continue;
                std::vector<std::int32_t>& partitions = assignment[member][spec.topics[topic].id];
                partitions.resize(static_cast<std::size_t>(count));
                std::iota(partitions.begin(), partitions.end(), share.next);
                share.next += count;
            }
        }
        return assignment;
    }
};

}  // namespace

const ConsumerGroupAssignor& range_assignor() {
    static const RangeAssignor assignor;
    return assignor;
}

}  // namespace odr::coordinator
