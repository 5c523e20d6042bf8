#include "server/handlers/broker_settings.h"

#include <fmt/format.h>

#include <charconv>

#include "server/dynamic_config.h"

namespace odr::server {

BrokerState broker_state(const Services& services, const metadata::MetadataImage& image) {
    using metadata::ConfigResourceType;
    std::shared_ptr<const config::BrokerConfig> current = services.dynamic_config->current();
    const BrokerId self = services.config->node_id();
    const config::BrokerSettings settings{
        .started = *services.config,
        .current = *current,
        .cluster_default = image.configs().find(ConfigResourceType::broker, ""),
        .broker = image.configs().find(ConfigResourceType::broker, fmt::to_string(self.raw()))};
    return {.current = std::move(current), .settings = settings, .self = self};
}

std::optional<std::int32_t> broker_id_of(std::string_view resource_name) {
    std::int32_t id = 0;
    const char* const end = resource_name.data() + resource_name.size();
    const auto parsed = std::from_chars(resource_name.data(), end, id);
    if (parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
    return id;
}

std::optional<log::Level> parse_log_level(std::string_view text) {
    if (text == "TRACE" || text == "DEBUG") return log::Level::debug;
    if (text == "INFO") return log::Level::info;
    if (text == "WARN") return log::Level::warn;
    if (text == "ERROR" || text == "FATAL") return log::Level::error;
    return std::nullopt;
}

std::string_view current_log_level() {
    if (log::enabled(log::Level::debug)) return "DEBUG";
    if (log::enabled(log::Level::info)) return "INFO";
    if (log::enabled(log::Level::warn)) return "WARN";
    return "ERROR";
}

}  // namespace odr::server
