#include "server/handlers/partition_lookup.h"

#include "base/config/broker_config.h"

namespace odr::server {

Result<const metadata::TopicImage*> find_topic(const RequestContext& context, const RequestedTopic& wanted) {
    const metadata::TopicsImage& topics = context.image().topics();
    if (wanted.by_id) {
        if (const auto* topic = topics.find(wanted.id)) return topic;
        return fail(ErrorCode::unknown_topic_id, "no topic has this id");
    }
    if (const auto* topic = topics.find(wanted.name)) return topic;
    return fail(ErrorCode::unknown_topic_or_partition, "no topic has this name");
}

Result<std::shared_ptr<replication::Partition>> find_partition(const RequestContext& context,
                                                               const metadata::TopicImage& topic,
                                                               PartitionIndex index) {
    const auto& known = context.partitions().find({topic.id, index});
    if (known != nullptr) {
        if (known->log().is_offline()) return fail(ErrorCode::kafka_storage_error, "the partition's log is offline");
        return known;
    }
    const metadata::PartitionRegistration* registered = topic.partition(index);
    if (registered == nullptr) return fail(ErrorCode::unknown_topic_or_partition, "the topic has no such partition");
    const auto closed = context.services().replicas->find({topic.id, index});
    if (closed != nullptr && closed->log().is_offline()) {
        return fail(ErrorCode::kafka_storage_error, "the partition's log directory is offline");
    }
    if (registered->leader != context.services().config->node_id()) {
        return fail(ErrorCode::not_leader_or_follower, "another broker leads the partition");
    }
    if (context.services().logs->has_offline_directory()) {
        return fail(ErrorCode::kafka_storage_error, "the partition's log directory is offline");
    }
    return fail(ErrorCode::not_leader_or_follower, "the partition is not open yet");
}

Result<void> check_leader_epoch(const replication::Partition& partition, std::int32_t current_leader_epoch) {
    if (current_leader_epoch < 0) return {};
    const LeaderEpoch wanted{current_leader_epoch};
    if (wanted < partition.leader_epoch()) return fail(ErrorCode::fenced_leader_epoch, "the leader epoch is over");
    if (wanted > partition.leader_epoch()) {
        return fail(ErrorCode::unknown_leader_epoch, "this broker does not know that leader epoch yet");
    }
    return {};
}

bool is_internal_topic(std::string_view name) {
    return name == "__consumer_offsets" || name == "__transaction_state" || name == "__share_group_state";
}

}  // namespace odr::server
