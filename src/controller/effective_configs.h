#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config/config_map.h"
#include "base/config/keys.h"
#include "controller/operation.h"

namespace odr::controller {

// The numbers of DescribeConfigs' ConfigSource.
enum class ConfigSource : std::int8_t {
    topic = 1,
    dynamic_broker = 2,
    dynamic_default_broker = 3,
    static_broker = 4,
    default_value = 5,
};

struct EffectiveConfig {
    const config::KeyDef* key = nullptr;
    std::optional<std::string> value;  // none: null
    ConfigSource source = ConfigSource::default_value;
};

// What a topic key is worth on this node: the topic's own value, else that of a broker key that stands in for it (this
// node's, the cluster's default, server.properties), else Kafka's default. Units of the stand-in are converted.
// Kafka: KafkaConfigSchema.resolveEffectiveTopicConfig.
EffectiveConfig effective_topic_config(const State& state, const config::KeyDef& key, const config::ConfigMap& topic);
// All keys of a topic that clients may see, by name.
std::vector<EffectiveConfig> effective_topic_configs(const State& state, const config::ConfigMap& topic);

bool is_unclean_election_enabled(const State& state, std::string_view topic);
// min.insync.replicas, as far as there are replicas.
std::int32_t effective_min_isr(const State& state, const metadata::TopicImage& topic);

}  // namespace odr::controller
