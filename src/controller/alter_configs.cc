#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/config/value.h"
#include "controller/config_changes.h"
#include "controller/operation.h"
#include "protocol/generated/alter_configs_request.h"
#include "protocol/generated/alter_configs_response.h"
#include "protocol/generated/incremental_alter_configs_request.h"
#include "protocol/generated/incremental_alter_configs_response.h"

// AlterConfigs (key 33), versions 0-2, and IncrementalAlterConfigs (key 44), versions 0-1. BROKER_LOGGER resources are
// the broker's affair: a handler takes them out.
// Kafka: ControllerApis, ConfigAdminManager.preprocess, ConfigurationControlManager
namespace odr::controller {
namespace {

using metadata::ConfigResource;
using metadata::ConfigResourceType;
using protocol::AlterConfigsRequest;
using protocol::IncrementalAlterConfigsRequest;

enum Operation : std::int8_t { kSet = 0, kDelete = 1, kAppend = 2, kSubtract = 3 };

bool is_known_type(std::int8_t type) {
    switch (static_cast<ConfigResourceType>(type)) {
        case ConfigResourceType::topic:
        case ConfigResourceType::broker:
        case ConfigResourceType::broker_logger:
        case ConfigResourceType::client_metrics:
        case ConfigResourceType::group:
            return true;
        case ConfigResourceType::unknown:
            return false;
    }
    return false;
}

template <class Configs>
ApiError check_names(const Configs& configs) {
    std::set<std::string_view> seen;
    for (const auto& config : configs)
        if (!seen.insert(config.name).second)
            return refuse(ErrorCode::invalid_request, "Error due to duplicate config keys");
    return {};
}

const config::KeyDef* find_key(ConfigResourceType type, std::string_view name) {
    switch (type) {
        case ConfigResourceType::topic:
            return config::find_key(config::KeySet::topic, name);
        case ConfigResourceType::broker:
            return config::find_broker_key(name);
        case ConfigResourceType::group:
            return config::find_key(config::KeySet::group, name);
        case ConfigResourceType::client_metrics:
            return config::find_key(config::KeySet::client_metrics, name);
        case ConfigResourceType::broker_logger:
        case ConfigResourceType::unknown:
            break;
    }
    return nullptr;
}

std::vector<std::string> parts_of(std::string_view text) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at <= text.size();) {
        const std::size_t comma = std::min(text.find(',', at), text.size());
        if (comma > at) parts.emplace_back(text.substr(at, comma - at));
        at = comma + 1;
    }
    return parts;
}

std::string join(const std::vector<std::string>& parts) {
    std::string text;
    for (const std::string& part : parts) text += (text.empty() ? "" : ",") + part;
    return text;
}

// The list that a setting becomes when elements are added or taken away.
ApiError change_list(const State& state, const ConfigResource& resource,
                     const IncrementalAlterConfigsRequest::AlterableConfig& change, std::string& result) {
    const config::KeyDef* key = find_key(resource.type, change.name);
    if (key == nullptr || key->type != config::KeyType::list)
        return refuse(ErrorCode::invalid_config, "Can't {} to key {} because its type is not LIST.",
                      change.config_operation == kAppend ? "APPEND" : "SUBTRACT", change.name);
    const config::ConfigMap& current = state.image().configs().find(resource.type, resource.name);
    const auto own = current.find(change.name);
    std::vector<std::string> parts =
        parts_of(own != current.end() ? std::string_view{own->second} : key->default_value.value_or(""));
    for (const std::string& part : parts_of(*change.value)) {
        const auto found = std::ranges::find(parts, part);
        if (change.config_operation == kAppend && found == parts.end()) parts.push_back(part);
        if (change.config_operation == kSubtract && found != parts.end()) parts.erase(found);
    }
    result = join(parts);
    return {};
}

ApiError read_changes(const State& state, const ConfigResource& resource,
                      const IncrementalAlterConfigsRequest::AlterConfigsResource& wanted, ConfigChanges& changes) {
    if (ApiError error = check_names(wanted.configs); error.failed()) return error;
    std::string nulls;
    for (const auto& config : wanted.configs)
        if (!config.value && config.config_operation != kDelete)
            nulls += (nulls.empty() ? "" : ",") + std::string{config.name};
    if (!nulls.empty()) return refuse(ErrorCode::invalid_request, "Null value not supported for : {}", nulls);
    for (const auto& config : wanted.configs) {
        std::optional<std::string> value;
        switch (config.config_operation) {
            case kSet:
                value = std::string{*config.value};
                break;
            case kDelete:
                break;
            case kAppend:
            case kSubtract: {
                if (ApiError error = change_list(state, resource, config, value.emplace()); error.failed())
                    return error;
                break;
            }
            default:
                return refuse(ErrorCode::invalid_request, "Unknown operations type {}", config.config_operation);
        }
        changes.emplace_back(std::string{config.name}, std::move(value));
    }
    return {};
}

// Everything the request does not name goes.
ApiError read_changes(const State& state, const ConfigResource& resource,
                      const AlterConfigsRequest::AlterConfigsResource& wanted, ConfigChanges& changes) {
    if (ApiError error = check_names(wanted.configs); error.failed()) return error;
    std::string nulls;
    for (const auto& config : wanted.configs)
        if (!config.value) nulls += (nulls.empty() ? "" : ",") + std::string{config.name};
    if (!nulls.empty()) return refuse(ErrorCode::invalid_request, "Null value not supported for : {}", nulls);
    std::set<std::string_view> named;
    for (const auto& config : wanted.configs) {
        named.insert(config.name);
        changes.emplace_back(std::string{config.name}, std::string{*config.value});
    }
    for (const auto& [name, value] : state.image().configs().find(resource.type, resource.name))
        if (!named.contains(name)) changes.emplace_back(name, std::nullopt);
    return {};
}

template <class Request>
Outcome<ResponseOf<Request>> alter(const State& state, const Request& request) {
    Outcome<ResponseOf<Request>> outcome;
    std::map<std::pair<std::int8_t, std::string_view>, int> seen;
    for (const auto& wanted : request.resources) ++seen[{wanted.resource_type, wanted.resource_name}];
    std::set<std::pair<std::int8_t, std::string_view>> answered;
    for (const auto& wanted : request.resources) {
        const std::pair<std::int8_t, std::string_view> id{wanted.resource_type, wanted.resource_name};
        if (!answered.insert(id).second) continue;
        auto& result = outcome.answer.response.responses.emplace_back();
        result.resource_type = wanted.resource_type;
        result.resource_name = wanted.resource_name;
        ApiError error;
        if (!is_known_type(wanted.resource_type)) {
            error = refuse(ErrorCode::unsupported_version, "Unknown resource type {}.", wanted.resource_type);
        } else if (seen[id] > 1) {
            error = refuse(ErrorCode::invalid_request, "Each resource must appear at most once.");
        } else {
            const ConfigResource resource{static_cast<ConfigResourceType>(wanted.resource_type),
                                          std::string{wanted.resource_name}};
            ConfigChanges changes;
            error = read_changes(state, resource, wanted, changes);
            if (!error.failed()) error = change_configs(state, resource, changes, {}, outcome.records);
        }
        set_error(result, outcome.answer.texts, error);
    }
    if (request.validate_only) outcome.records.clear();
    return outcome;
}

}  // namespace

Result<Outcome<protocol::AlterConfigsResponse>> perform(State& state, const RequestContext&,
                                                        const AlterConfigsRequest& request) {
    return alter(state, request);
}

Result<Outcome<protocol::IncrementalAlterConfigsResponse>> perform(State& state, const RequestContext&,
                                                                   const IncrementalAlterConfigsRequest& request) {
    return alter(state, request);
}

}  // namespace odr::controller
