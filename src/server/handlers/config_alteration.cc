#include "server/handlers/config_alteration.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "base/config/alter.h"
#include "server/handlers/broker_settings.h"

namespace odr::server {
namespace {

using config::AlterOp;
using config::ConfigMap;
using metadata::ConfigResourceType;
using protocol::AlterConfigsRequest;
using protocol::IncrementalAlterConfigsRequest;
using Verdict = std::optional<ConfigVerdict>;

ConfigVerdict bad_request(std::string message) { return {ErrorCode::invalid_request, std::move(message)}; }
ConfigVerdict bad_config(std::string message) { return {ErrorCode::invalid_config, std::move(message)}; }

std::optional<AlterOp> op_of(std::int8_t number) {
    if (number < 0 || number > static_cast<std::int8_t>(AlterOp::subtract)) return std::nullopt;
    return static_cast<AlterOp>(number);
}

// The configs of either request. Legacy ones are all to be set.
AlterOp op_of(const IncrementalAlterConfigsRequest::AlterableConfig& config) {
    return op_of(config.config_operation).value_or(AlterOp::set);
}
AlterOp op_of(const AlterConfigsRequest::AlterableConfig&) { return AlterOp::set; }

template <class Resource>
Verdict check_form(const Resource& resource) {
    std::set<std::string_view> names;
    std::vector<std::string_view> nulls;
    for (const auto& config : resource.configs) {
        if (!names.insert(config.name).second) return bad_request("Error due to duplicate config keys");
        if (op_of(config) != AlterOp::remove && !config.value) nulls.push_back(config.name);
    }
    if (nulls.empty()) return std::nullopt;
    return bad_request(fmt::format("Null value not supported for : {}", fmt::join(nulls, ", ")));
}

Verdict check_node(std::string_view name, BrokerId self) {
    const std::optional<std::int32_t> id = broker_id_of(name);
    if (!id) return bad_request(fmt::format("Node id must be an integer, but it is: {}", name));
    if (*id == self.raw()) return std::nullopt;
    return bad_request(fmt::format("Unexpected broker id, expected {}, but received {}", self, name));
}

std::expected<ConfigMap, ConfigVerdict> settings_after(
    const IncrementalAlterConfigsRequest::AlterConfigsResource& resource, const ConfigMap& before) {
    std::vector<config::Alteration> alterations;
    for (const auto& config : resource.configs) {
        const std::optional<AlterOp> op = op_of(config.config_operation);
        if (!op)
            return std::unexpected{bad_request(fmt::format("Unknown operations type {}", config.config_operation))};
        std::optional<std::string> value;
        if (config.value) value = std::string{*config.value};
        alterations.push_back({.name = std::string{config.name}, .op = *op, .value = std::move(value)});
    }
    auto after = config::apply_alterations(config::KeySet::broker, before, alterations);
    if (after) return std::move(*after);
    config::Refusal& refusal = after.error();
    return std::unexpected{refusal.invalid_request ? bad_request(std::move(refusal.message))
                                                   : bad_config(std::move(refusal.message))};
}

std::expected<ConfigMap, ConfigVerdict> settings_after(const AlterConfigsRequest::AlterConfigsResource& resource,
                                                       const ConfigMap&) {
    ConfigMap after;
    for (const auto& config : resource.configs) after.insert_or_assign(std::string{config.name}, *config.value);
    return after;
}

template <class Resource>
Verdict check_broker(const Resource& resource, const config::BrokerSettings& settings, BrokerId self) {
    const bool per_broker = !resource.resource_name.empty();
    if (per_broker) {
        if (Verdict wrong_node = check_node(resource.resource_name, self)) return wrong_node;
    }
    auto after = settings_after(resource, per_broker ? settings.broker : settings.cluster_default);
    if (!after) return std::move(after.error());
    const ConfigMap& cluster_default = per_broker ? settings.cluster_default : *after;
    const ConfigMap& broker = per_broker ? *after : settings.broker;
    auto refusal =
        config::check_broker_settings(settings.started, settings.current, cluster_default, broker, per_broker);
    if (refusal) return bad_request(std::move(refusal->message));
    return std::nullopt;
}

Verdict check_logger_change(const IncrementalAlterConfigsRequest::AlterableConfig& config) {
    constexpr std::string_view kLevels = "DEBUG, ERROR, FATAL, INFO, TRACE, WARN";
    const std::optional<AlterOp> op = op_of(config.config_operation);
    if (!op) {
        return bad_request(fmt::format("Unknown operation type {} is not allowed for the BROKER_LOGGER resource",
                                       config.config_operation));
    }
    if (*op == AlterOp::append || *op == AlterOp::subtract) {
        return bad_request(fmt::format("{} operation is not allowed for the BROKER_LOGGER resource",
                                       *op == AlterOp::append ? "APPEND" : "SUBTRACT"));
    }
    if (config.name != kRootLogger) return bad_config(fmt::format("Logger {} does not exist!", config.name));
    if (*op == AlterOp::remove) return bad_request("Removing the log level of the root logger is not allowed");
    if (!parse_log_level(*config.value)) {
        return bad_config(fmt::format(
            "Cannot set the log level of {} to {} as it is not a supported log level. Valid log levels are {}",
            config.name, *config.value, kLevels));
    }
    return std::nullopt;
}

// Never for the controller: log levels live in this process alone.
Verdict check_logger(const IncrementalAlterConfigsRequest::AlterConfigsResource& resource, BrokerId self) {
    if (Verdict wrong_node = check_node(resource.resource_name, self)) return wrong_node;
    for (const auto& config : resource.configs) {
        if (Verdict wrong = check_logger_change(config)) return wrong;
    }
    return ConfigVerdict{};
}
// The old request cannot change log levels.
Verdict check_logger(const AlterConfigsRequest::AlterConfigsResource& resource, BrokerId) {
    return bad_request(fmt::format("Unknown resource type {}", resource.resource_type));
}

template <class Resource>
Verdict check_resource(const Resource& resource, const config::BrokerSettings& settings, BrokerId self) {
    if (Verdict malformed = check_form(resource)) return malformed;
    switch (static_cast<ConfigResourceType>(resource.resource_type)) {
        case ConfigResourceType::broker_logger:
            return check_logger(resource, self);
        case ConfigResourceType::broker:
            return check_broker(resource, settings, self);
        case ConfigResourceType::topic:
        case ConfigResourceType::client_metrics:
        case ConfigResourceType::group:
            return std::nullopt;
        case ConfigResourceType::unknown:
            break;
    }
    return bad_request(fmt::format("Unknown resource type {}", resource.resource_type));
}

template <class Request>
ConfigVerdicts check_all(const Request& request, const config::BrokerSettings& settings, BrokerId self) {
    std::map<std::pair<std::int8_t, std::string_view>, int> counts;
    for (const auto& resource : request.resources) ++counts[{resource.resource_type, resource.resource_name}];
    ConfigVerdicts verdicts;
    for (const auto& resource : request.resources) {
        if (counts[{resource.resource_type, resource.resource_name}] > 1) {
            verdicts.push_back(bad_request("Each resource must appear at most once."));
        } else {
            verdicts.push_back(check_resource(resource, settings, self));
        }
    }
    return verdicts;
}

}  // namespace

ConfigVerdicts check_config_changes(const IncrementalAlterConfigsRequest& request,
                                    const config::BrokerSettings& settings, BrokerId self) {
    return check_all(request, settings, self);
}
ConfigVerdicts check_config_changes(const AlterConfigsRequest& request, const config::BrokerSettings& settings,
                                    BrokerId self) {
    return check_all(request, settings, self);
}

}  // namespace odr::server
