#pragma once

#include <optional>
#include <string>

namespace odr::config {

class BrokerConfig;

// What must hold between keys before the broker may run on them. Kafka: KafkaConfig.validateValues.
class ConfigChecks {
public:
    // Needs:  every key parsed, listeners and quorum read.
    // Gives:  the first breach, as one line.
    static std::optional<std::string> first_breach(const BrokerConfig& config);

private:
    using Broken = std::optional<std::string>;
    static Broken check_identity(const BrokerConfig& config);
    static Broken check_logs(const BrokerConfig& config);
    static Broken check_replication(const BrokerConfig& config);
    static Broken check_groups(const BrokerConfig& config);
    static Broken check_quorum(const BrokerConfig& config);
    static Broken check_controller_listeners(const BrokerConfig& config);
    static Broken check_broker_listeners(const BrokerConfig& config);
    static Broken check_addresses(const BrokerConfig& config);
    static Broken check_connections(const BrokerConfig& config);
    static Broken check_protocols(const BrokerConfig& config);
};

}  // namespace odr::config
