#include "controller/config_changes.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/config/topic_checks.h"
#include "base/config/value.h"
#include "controller/partition_updates.h"
#include "protocol/generated/clear_elr_record.h"
#include "protocol/generated/config_record.h"

namespace odr::controller {
namespace {

using config::ConfigMap;
using metadata::ConfigResource;
using metadata::ConfigResourceType;

constexpr std::string_view kMinIsr = "min.insync.replicas";
constexpr std::string_view kCordoned = "cordoned.log.dirs";
constexpr std::size_t kValueSizeMax = 32'767;

const ConfigMap& settings_of(const State& state, const ConfigResource& resource) {
    return state.image().configs().find(resource.type, resource.name);
}

std::optional<std::int32_t> broker_id(std::string_view name) {
    std::int32_t id = 0;
    const auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), id);
    if (failed != std::errc{} || end != name.data() + name.size()) return std::nullopt;
    return id;
}

ApiError check_change(const State& state, const ConfigResource& resource, const std::string& name,
                      const std::optional<std::string>& value) {
    constexpr ErrorCode kInvalid = ErrorCode::invalid_config;
    const bool is_broker = resource.type == ConfigResourceType::broker;
    if (is_broker && name == kMinIsr && state.is_elr_enabled()) {
        if (!resource.name.empty())
            return refuse(kInvalid, "Broker-level min.insync.replicas cannot be altered while ELR is enabled.");
        if (!value)
            return refuse(kInvalid, "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.");
    }
    if (is_broker && name == kCordoned && !state.metadata_version().is_cordoned_log_dirs_supported())
        return refuse(kInvalid, "The {} configuration is not supported by the current metadata.version.", kCordoned);
    if (value && value->size() > kValueSizeMax)
        return refuse(kInvalid,
                      "The configuration value cannot be added because it exceeds the maximum value size of {} bytes.",
                      kValueSizeMax);
    return {};
}

std::string join(const std::vector<std::string_view>& names) {
    std::string text;
    for (const std::string_view name : names) {
        if (!text.empty()) text += ", ";
        text += name;
    }
    return text;
}

ApiError check_update_modes(const ConfigMap& settings, bool is_default) {
    std::vector<std::string_view> read_only;
    std::vector<std::string_view> wants_listener;
    std::vector<std::string_view> wants_broker;
    for (const auto& [name, value] : settings) {
        const config::KeyDef* key = config::find_broker_key(name);
        if (key == nullptr) continue;  // for plug-ins: any name may be set
        const bool has_listener = config::split_listener_key(name).has_value();
        if (key->update_mode == config::UpdateMode::read_only) read_only.push_back(name);
        if (config::is_dynamic_security_key(name) && !has_listener) wants_listener.push_back(name);
        if (key->update_mode == config::UpdateMode::per_broker ||
            (has_listener && !config::is_cluster_level_listener_key(key->name)))
            wants_broker.push_back(name);
    }
    constexpr ErrorCode kInvalid = ErrorCode::invalid_request;
    if (!read_only.empty())
        return refuse(kInvalid,
                      "Invalid value org.apache.kafka.common.config.ConfigException: Cannot update these configs "
                      "dynamically: Set({}) for configuration Invalid dynamic configuration",
                      join(read_only));
    if (!wants_listener.empty())
        return refuse(kInvalid,
                      "Invalid value org.apache.kafka.common.config.ConfigException: These security configs can be "
                      "dynamically updated only per-listener using the listener prefix: Set({}) for configuration "
                      "Invalid dynamic configuration",
                      join(wants_listener));
    if (is_default && !wants_broker.empty())
        return refuse(kInvalid,
                      "Invalid value org.apache.kafka.common.config.ConfigException: Cannot update these configs at "
                      "default cluster level, broker id must be specified: Set({}) for configuration Invalid dynamic "
                      "configuration",
                      join(wants_broker));
    return {};
}

ApiError check_broker(const State& state, const ConfigResource& resource, const ConfigMap& settings) {
    const std::optional<std::int32_t> id = broker_id(resource.name);
    if (!resource.name.empty()) {
        if (!id) return refuse(ErrorCode::invalid_request, "Unable to parse broker name as a base 10 number.");
        if (*id < 0) return refuse(ErrorCode::invalid_request, "Invalid negative broker ID.");
    }
    if (ApiError error = check_update_modes(settings, resource.name.empty()); error.failed()) return error;
    if (id && *id != state.config().node_id().raw()) return {};  // only that broker knows what else it was given
    const auto& configs = state.image().configs();
    const std::string self = fmt::format("{}", state.config().node_id());
    const ConfigMap& cluster = resource.name.empty() ? settings : configs.find(ConfigResourceType::broker, "");
    const ConfigMap& own = resource.name.empty() ? configs.find(ConfigResourceType::broker, self) : settings;
    const auto checked = state.config().with_dynamic(cluster, own);
    if (!checked) return {ErrorCode::invalid_request, checked.error()};
    return {};
}

ApiError to_error(const std::optional<config::Refusal>& refused) {
    if (!refused) return {};
    return {refused->invalid_request ? ErrorCode::invalid_request : ErrorCode::invalid_config, refused->message};
}

ApiError check_settings(const State& state, const ConfigResource& resource, const ConfigMap& settings) {
    switch (resource.type) {
        case ConfigResourceType::topic: {
            if (resource.name.empty())
                return refuse(ErrorCode::invalid_request, "Default topic resources are not allowed.");
            if (ApiError error = check_topic_name(resource.name); error.failed()) return error;
            return to_error(config::check_topic_config(state.config(), settings_of(state, resource), settings));
        }
        case ConfigResourceType::broker:
            return check_broker(state, resource, settings);
        case ConfigResourceType::group:
            if (resource.name.empty())
                return refuse(ErrorCode::invalid_request, "Default group resources are not allowed.");
            return to_error(config::check_group_config(state.config(), settings));
        case ConfigResourceType::client_metrics:
            if (resource.name.empty()) return refuse(ErrorCode::invalid_request, "Subscription name can't be empty");
            return to_error(config::check_client_metrics_config(settings));
        case ConfigResourceType::broker_logger:
        case ConfigResourceType::unknown:
            break;
    }
    return refuse(ErrorCode::invalid_request, "Unknown resource type {}", static_cast<int>(resource.type));
}

ApiError check_exists(const State& state, const ConfigResource& resource) {
    if (resource.type == ConfigResourceType::topic && state.image().topics().find(resource.name) == nullptr)
        return refuse(ErrorCode::unknown_topic_or_partition, "The topic '{}' does not exist.", resource.name);
    if (resource.type != ConfigResourceType::broker || resource.name.empty()) return {};
    const BrokerId id{broker_id(resource.name).value_or(-1)};
    if (id == state.config().node_id() || state.image().cluster().broker(id) != nullptr) return {};
    return refuse(ErrorCode::broker_id_not_registered, "No node with id {} found.", id);
}

void add_record(metadata::RecordList& records, const ConfigResource& resource, std::string_view name,
                std::optional<std::string_view> value) {
    protocol::ConfigRecord record;
    record.resource_type = static_cast<std::int8_t>(resource.type);
    record.resource_name = resource.name;
    record.name = name;
    record.value = value;
    records.add(record, 0);
}

// ELRs were computed with the old min.insync.replicas.
void clear_elrs(const State& state, metadata::RecordList& records, const ConfigResource& resource) {
    if (!state.is_elr_enabled()) return;
    protocol::ClearElrRecord record;
    if (resource.type == ConfigResourceType::topic) record.topic_name = resource.name;
    records.add(record, 0);
}

}  // namespace

ApiError change_configs(const State& state, const ConfigResource& resource, const ConfigChanges& changes,
                        const ConfigChangeOptions& options, metadata::RecordList& records) {
    const ConfigMap& current = settings_of(state, resource);
    ConfigMap settings = current;
    ConfigChanges real;
    for (const auto& [name, value] : changes) {
        const auto before = current.find(name);
        const bool same = value ? before != current.end() && before->second == *value : before == current.end();
        // Brokers reload key stores when a setting is written again with the same value (KAFKA-14136).
        if (same && resource.type != ConfigResourceType::broker) continue;
        if (ApiError error = check_change(state, resource, name, value); error.failed()) return error;
        if (value) {
            settings.insert_or_assign(name, *value);
        } else {
            settings.erase(name);
        }
        real.emplace_back(name, value);
    }
    if (ApiError error = check_settings(state, resource, settings); error.failed()) return error;
    if (!options.is_new_resource) {
        if (ApiError error = check_exists(state, resource); error.failed()) return error;
    }
    bool changes_min_isr = false;
    for (const auto& [name, value] : real) {
        add_record(records, resource, name, value);
        changes_min_isr = changes_min_isr || name == kMinIsr;
    }
    if (changes_min_isr) clear_elrs(state, records, resource);
    return {};
}

void add_elr_safety_records(const State& state, metadata::RecordList& records) {
    const ConfigResource cluster{ConfigResourceType::broker, ""};
    if (!settings_of(state, cluster).contains(kMinIsr))
        add_record(records, cluster, kMinIsr, fmt::format("{}", state.config().limits().min_insync_replicas));
    state.image().configs().resources.for_each([&](const ConfigResource& resource, const auto& settings) {
        if (resource.type == ConfigResourceType::broker && !resource.name.empty() && settings->contains(kMinIsr))
            add_record(records, resource, kMinIsr, std::nullopt);
    });
}

}  // namespace odr::controller
