#pragma once

#include <memory>
#include <string_view>

#include "server/request_context.h"

namespace odr::server {

// A topic as a request names it: by id from the versions that have ids on, else by name.
struct RequestedTopic {
    std::string_view name;
    Uuid id;
    bool by_id = false;
};

// Gives: the topic of the current image. Errors: unknown_topic_id, unknown_topic_or_partition.
Result<const metadata::TopicImage*> find_topic(const RequestContext& context, const RequestedTopic& wanted);

// Gives:  the partition, which this broker leads.
// Errors: unknown_topic_or_partition; not_leader_or_follower; kafka_storage_error when its log directory is offline.
Result<std::shared_ptr<replication::Partition>> find_partition(const RequestContext& context,
                                                               const metadata::TopicImage& topic, PartitionIndex index);

// Whether the epoch that a client believes in is the partition's; -1 asks nothing (KIP-320).
// Errors: fenced_leader_epoch, unknown_leader_epoch.
Result<void> check_leader_epoch(const replication::Partition& partition, std::int32_t current_leader_epoch);

// Topics that Kafka keeps for itself.
bool is_internal_topic(std::string_view name);

}  // namespace odr::server
