#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "base/config/broker_config.h"
#include "base/config/config_map.h"
#include "base/config/keys.h"
#include "base/config/topic_checks.h"

namespace odr::config {

// The numbers are those of IncrementalAlterConfigs.
enum class AlterOp : std::int8_t { set = 0, remove = 1, append = 2, subtract = 3 };

struct Alteration {
    std::string name;
    AlterOp op;
    std::optional<std::string> value;  // none only for remove
};

// What a resource's own settings are after a request. Pure: `current` is not touched.
// Needs:  set is broker, topic, group or client_metrics.
// Errors: a refusal for a key named twice, a missing value (both INVALID_REQUEST), APPEND or SUBTRACT on what is no
//         list (INVALID_CONFIG). Values are not checked here: see check_topic_config() and its kin.
std::expected<ConfigMap, Refusal> apply_alterations(KeySet set, const ConfigMap& current,
                                                    const std::vector<Alteration>& alterations);

// Whether a broker resource may hold these settings: `per_broker` for one broker's, else the cluster's default.
// Needs:  `current` is what is in force before the change; both maps are as they would be after it.
// Gives:  the refusal, always INVALID_REQUEST, as an Apache Kafka broker words it; nothing if they may be applied.
std::optional<Refusal> check_broker_settings(const BrokerConfig& started, const BrokerConfig& current,
                                             const ConfigMap& cluster_default, const ConfigMap& broker,
                                             bool per_broker);

}  // namespace odr::config
