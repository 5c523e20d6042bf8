#pragma once

#include <initializer_list>
#include <string_view>

#include "metadata/delta.h"
#include "metadata/record_list.h"
#include "protocol/generated/broker_registration_change_record.h"
#include "protocol/generated/config_record.h"
#include "protocol/generated/partition_change_record.h"
#include "protocol/generated/partition_record.h"
#include "protocol/generated/register_broker_record.h"
#include "protocol/generated/remove_topic_record.h"
#include "protocol/generated/topic_record.h"

// Records for tests, short to write.
namespace odr::metadata::testing_records {

inline Uuid id(std::uint8_t n) { return Uuid{{n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, n}}; }

inline protocol::TopicRecord topic(std::string_view name, const Uuid& topic_id) {
    protocol::TopicRecord record;
    record.name = name;
    record.topic_id = topic_id;
    return record;
}
inline protocol::PartitionRecord partition(const Uuid& topic_id, std::int32_t index,
                                           std::initializer_list<std::int32_t> replicas, std::int32_t leader) {
    protocol::PartitionRecord record;
    record.topic_id = topic_id;
    record.partition_id = index;
    record.replicas = replicas;
    record.isr = replicas;
    record.leader = leader;
    record.leader_epoch = 0;
    record.partition_epoch = 0;
    record.directories.assign(replicas.size(), id(77));
    return record;
}
inline protocol::PartitionChangeRecord change(const Uuid& topic_id, std::int32_t index) {
    protocol::PartitionChangeRecord record;
    record.topic_id = topic_id;
    record.partition_id = index;
    return record;
}
inline protocol::RemoveTopicRecord remove(const Uuid& topic_id) {
    protocol::RemoveTopicRecord record;
    record.topic_id = topic_id;
    return record;
}
inline protocol::ConfigRecord config(ConfigResourceType type, std::string_view resource, std::string_view name,
                                     std::optional<std::string_view> value) {
    protocol::ConfigRecord record;
    record.resource_type = static_cast<std::int8_t>(type);
    record.resource_name = resource;
    record.name = name;
    record.value = value;
    return record;
}
inline protocol::RegisterBrokerRecord broker(std::int32_t broker_id, std::int64_t epoch) {
    protocol::RegisterBrokerRecord record;
    record.broker_id = broker_id;
    record.broker_epoch = epoch;
    record.incarnation_id = id(42);
    record.rack = "r1";
    record.end_points.push_back({"PLAINTEXT", "host", 9092, 0});
    record.features.push_back({"metadata.version", 7, 30});
    record.log_dirs = {id(9), id(8)};
    return record;
}

}  // namespace odr::metadata::testing_records
