// ConsumerGroupDescribe of one group.
#include <fmt/format.h>

#include "coordinator/consumer_groups.h"

namespace odr::coordinator {
namespace {

using protocol::ConsumerGroupDescribeResponse;
using DescribedAssignment = ConsumerGroupDescribeResponse::Assignment;

constexpr std::int8_t kClassicMember = 0;
constexpr std::int8_t kConsumerMember = 1;

class Describer {
public:
    Describer(Owned<ConsumerGroupDescribeResponse>& response, const metadata::TopicsImage& topics)
        : response_{response}, topics_{topics} {}

    ConsumerGroupDescribeResponse::Member describe(const ConsumerGroup& group, const ConsumerGroupMember& member) {
        ConsumerGroupDescribeResponse::Member out;
        out.member_id = keep(member.member_id);
        if (member.instance_id) out.instance_id = keep(*member.instance_id);
        if (member.rack_id) out.rack_id = keep(*member.rack_id);
        out.member_epoch = member.member_epoch;
        out.client_id = keep(member.client_id);
        out.client_host = keep(member.client_host);
        for (const std::string& name : member.subscribed_topic_names) out.subscribed_topic_names.push_back(keep(name));
        if (member.subscribed_topic_regex) out.subscribed_topic_regex = keep(*member.subscribed_topic_regex);
        // What it still has to give up is its own until then.
        std::map<Uuid, std::vector<std::int32_t>> held;
        for (const HeldAssignment* part : {&member.assigned, &member.pending_revocation}) {
            for (const auto& [topic, partitions] : *part) {
                for (const HeldPartition& partition : partitions) held[topic].push_back(partition.partition);
            }
        }
        out.assignment = describe(held);
        out.target_assignment = describe(group.target_of(member.member_id));
        out.member_type = member.uses_classic_protocol() ? kClassicMember : kConsumerMember;
        return out;
    }

private:
    std::string_view keep(const std::string& text) { return response_.keep(text); }
    DescribedAssignment describe(const TopicAssignment& assignment) {
        DescribedAssignment out;
        for (const auto& [id, partitions] : assignment) {
            const metadata::TopicImage* topic = topics_.find(id);
            if (topic == nullptr) continue;
            out.topic_partitions.push_back({.topic_id = id, .topic_name = keep(topic->name), .partitions = partitions});
        }
        return out;
    }

    Owned<ConsumerGroupDescribeResponse>& response_;
    const metadata::TopicsImage& topics_;
};

}  // namespace

void ConsumerGroups::describe(std::string_view group_id, Owned<ConsumerGroupDescribeResponse>& response) const {
    ConsumerGroupDescribeResponse::DescribedGroup out;
    out.group_id = response.keep(std::string{group_id});
    const auto found = existing(group_id);
    if (!found) {
        out.error_code = static_cast<std::int16_t>(found.error().code);
        out.error_message = response.keep(found.error().message);
        response.message.groups.push_back(std::move(out));
        return;
    }
    const ConsumerGroup& group = **found;
    out.group_state = group.state_name();
    out.group_epoch = group.group_epoch();
    out.assignment_epoch = group.assignment_epoch();
    out.assignor_name = response.keep(group.preferred_assignor().value_or(default_assignor()));
    Describer describer{response, context_.image().topics()};
    for (const auto& [member_id, member] : group.members()) out.members.push_back(describer.describe(group, member));
    response.message.groups.push_back(std::move(out));
}

}  // namespace odr::coordinator
