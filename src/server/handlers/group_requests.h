#pragma once

#include "coordinator/group_coordinator.h"
#include "coordinator/group_part.h"
#include "server/handlers/forward.h"
#include "server/request_context.h"

// What the handlers of groups share.
namespace odr::server {

// Bits of AclOperation: READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS. Kafka: AclEntry.supportedOperations.
inline constexpr std::int32_t kGroupOperations = (1 << 3) | (1 << 6) | (1 << 8) | (1 << 10) | (1 << 11);

// Errors: unknown_topic_id, unknown_topic_or_partition. Gives: the topic, by id if the request names none.
inline Result<const metadata::TopicImage*> find_committed_topic(const metadata::MetadataImage& image,
                                                                std::string_view name, const Uuid& id, bool by_id) {
    const metadata::TopicImage* const topic = by_id ? image.topics().find(id) : image.topics().find(name);
    if (topic != nullptr) return topic;
    return fail(by_id ? ErrorCode::unknown_topic_id : ErrorCode::unknown_topic_or_partition);
}

}  // namespace odr::server
