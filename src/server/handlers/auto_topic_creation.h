#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/config/broker_config.h"
#include "server/services.h"

namespace odr::server {

// A topic as auto.create.topics.enable makes it.
struct AutomaticTopic {
    std::string name;
    std::int32_t partitions = 1;
    std::int16_t replication_factor = 1;
    std::vector<std::pair<std::string, std::string>> configs;
};
// The broker's defaults, or for a coordinator's topic what that coordinator needs.
// Kafka: DefaultAutoTopicCreationManager.creatableTopic.
AutomaticTopic automatic_topic(const config::BrokerConfig& config, std::string_view name);

// Asks the controller for the topics and does not wait. A refusal is logged; clients see it in that the topic stays
// unknown. Needs: valid names.
void create_topics_automatically(const Services& services, const config::BrokerConfig& config,
                                 std::span<const std::string_view> names);

}  // namespace odr::server
