#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace odr::server {

inline constexpr std::string_view kGroupMetadataTopic = "__consumer_offsets";
inline constexpr std::string_view kTransactionStateTopic = "__transaction_state";
inline constexpr std::string_view kShareGroupStateTopic = "__share_group_state";
inline constexpr std::string_view kClusterMetadataTopic = "__cluster_metadata";

// Gives: why no topic can have this name, as an Apache Kafka broker words it; nothing for a name that is fine.
// Kafka: Topic.validate.
std::optional<std::string> invalid_topic_name(std::string_view name);

}  // namespace odr::server
