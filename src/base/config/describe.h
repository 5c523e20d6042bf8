#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config/broker_config.h"
#include "base/config/config_map.h"

namespace odr::config {

// The numbers are those of DescribeConfigs.
enum class ConfigSource : std::int8_t {
    unknown = 0,
    topic_config = 1,
    dynamic_broker_config = 2,
    dynamic_default_broker_config = 3,
    static_broker_config = 4,
    default_config = 5,
    dynamic_broker_logger_config = 6,
    client_metrics_config = 7,
    group_config = 8,
};

struct ConfigSynonym {
    std::string name;
    std::optional<std::string> value;  // none: sensitive
    ConfigSource source;
    friend bool operator==(const ConfigSynonym&, const ConfigSynonym&) = default;
};

// One entry of an answer to DescribeConfigs. is_default of version 0 is source == default_config.
struct ConfigEntry {
    std::string name;
    std::optional<std::string> value;  // none: null, or sensitive
    ConfigSource source = ConfigSource::default_config;
    bool read_only = false;
    bool sensitive = false;
    KeyType type = KeyType::unknown;
    std::vector<ConfigSynonym> synonyms;            // strongest first; the answer shows them only if asked to
    std::optional<std::string_view> documentation;  // lives for ever
};

// Everything that decides what is in force on this node: its file, and the settings of the metadata log. `current` is
// `started`.with_dynamic(cluster_default, broker).
struct BrokerSettings {
    const BrokerConfig& started;
    const BrokerConfig& current;
    const ConfigMap& cluster_default;  // of the broker resource with the empty name
    const ConfigMap& broker;           // of this broker's resource
};

// All entries of a resource, sorted by name. Kafka: ConfigHelper.describeConfigs.
std::vector<ConfigEntry> describe_topic(const BrokerSettings& settings, const ConfigMap& topic);
std::vector<ConfigEntry> describe_broker(const BrokerSettings& settings);
std::vector<ConfigEntry> describe_cluster_default(const BrokerSettings& settings);  // the empty broker name
std::vector<ConfigEntry> describe_group(const BrokerSettings& settings, const ConfigMap& group);
std::vector<ConfigEntry> describe_client_metrics(const ConfigMap& subscription);

}  // namespace odr::config
