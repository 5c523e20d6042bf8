#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "base/config/describe.h"
#include "base/log.h"
#include "metadata/image.h"
#include "server/services.h"

// What the handlers of configs share: the settings of this broker, and its one logger.
namespace odr::server {

// All that decides what is in force on this node, kept together for as long as a request needs it. `image` must outlive
// it.
struct BrokerState {
    std::shared_ptr<const config::BrokerConfig> current;
    config::BrokerSettings settings;
    BrokerId self;
};
BrokerState broker_state(const Services& services, const metadata::MetadataImage& image);

// Gives: nothing unless the name of a broker resource is a number.
std::optional<std::int32_t> broker_id_of(std::string_view resource_name);

// The one logger of this process, under the name that Kafka gives the root of all.
inline constexpr std::string_view kRootLogger = "root";
// TRACE counts as DEBUG and FATAL as ERROR, for want of levels beyond. nullopt: no level of Kafka's.
std::optional<log::Level> parse_log_level(std::string_view text);
std::string_view current_log_level();

}  // namespace odr::server
