#pragma once

#include <optional>
#include <string>

#include "base/config/broker_config.h"
#include "base/config/config_map.h"

namespace odr::config {

// Why a resource's settings are refused, as an Apache Kafka broker words it. The error code is INVALID_CONFIG unless
// invalid_request says INVALID_REQUEST.
struct Refusal {
    std::string message;
    bool invalid_request = false;
};

// The whole set of a topic's own settings, as CreateTopics or AlterConfigs would leave it; `existing` is what it was.
std::optional<Refusal> check_topic_config(const BrokerConfig& broker, const ConfigMap& existing,
                                          const ConfigMap& settings);

// The same for a group, and for a client metrics subscription.
std::optional<Refusal> check_group_config(const BrokerConfig& broker, const ConfigMap& settings);
std::optional<Refusal> check_client_metrics_config(const ConfigMap& settings);

// What the broker's own defaults for topics must keep to.
std::optional<std::string> broken_broker_log_config(const BrokerConfig& broker);
// What the broker's own defaults for groups must keep to, and the bounds that it sets for groups.
std::optional<std::string> broken_group_defaults(const BrokerConfig& broker);

}  // namespace odr::config
