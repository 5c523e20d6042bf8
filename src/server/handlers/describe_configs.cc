// DescribeConfigs (key 32), versions 1-4: topics, this broker, the default of all brokers, its logger, subscriptions to
// client metrics, groups.
// Way:   image, settings -> entries -> response
// Kafka: ConfigHelper.handleDescribeConfigsRequest
#include "server/handlers/describe_configs.h"

#include <fmt/format.h>

#include <algorithm>
#include <expected>

#include "server/handlers/broker_settings.h"
#include "server/handlers/forward.h"
#include "server/handlers/topic_names.h"

namespace odr::server {
namespace {

using config::ConfigEntry;
using config::ConfigSource;
using metadata::ConfigResourceType;
using protocol::DescribeConfigsRequest;
using protocol::DescribeConfigsResponse;
using Resource = DescribeConfigsRequest::DescribeConfigsResource;
using Entry = DescribeConfigsResponse::DescribeConfigsResourceResult;

struct Refused {
    ErrorCode code;
    std::string message;
};
using Entries = std::expected<std::vector<ConfigEntry>, Refused>;

Entries bad_request(std::string message) {
    return std::unexpected{Refused{ErrorCode::invalid_request, std::move(message)}};
}

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

Entries describe_topic(std::string_view name, const ConfigsQuery& query) {
    if (auto why = invalid_topic_name(name)) {
        return std::unexpected{Refused{ErrorCode::invalid_topic_exception, std::move(*why)}};
    }
    if (query.image.topics().find(name) == nullptr) {
        return std::unexpected{Refused{ErrorCode::unknown_topic_or_partition, ""}};
    }
    return config::describe_topic(query.settings, query.image.configs().find(ConfigResourceType::topic, name));
}

Entries describe_broker(std::string_view name, const ConfigsQuery& query) {
    if (name.empty()) return config::describe_cluster_default(query.settings);
    const std::optional<std::int32_t> id = broker_id_of(name);
    if (!id) return bad_request(fmt::format("Broker id must be an integer, but it is: {}", name));
    if (*id != query.self.raw()) {
        return bad_request(
            fmt::format("Unexpected broker id, expected {} or empty string, but received {}", query.self, name));
    }
    return config::describe_broker(query.settings);
}

Entries describe_logger(std::string_view name, const ConfigsQuery& query) {
    if (name.empty()) return bad_request("Broker id must not be empty");
    const std::optional<std::int32_t> id = broker_id_of(name);
    if (!id) return bad_request(fmt::format("Broker id must be an integer, but it is: {}", name));
    if (*id != query.self.raw()) {
        return bad_request(fmt::format("Unexpected broker id, expected {} but received {}", query.self, name));
    }
    ConfigEntry entry;
    entry.name = kRootLogger;
    entry.value = query.log_level;
    entry.source = ConfigSource::dynamic_broker_logger_config;
    std::vector<ConfigEntry> out;
    out.push_back(std::move(entry));
    return out;
}

Entries describe(const Resource& resource, const ConfigsQuery& query) {
    const auto type = static_cast<ConfigResourceType>(resource.resource_type);
    const std::string_view name = resource.resource_name;
    switch (type) {
        case ConfigResourceType::topic:
            return describe_topic(name, query);
        case ConfigResourceType::broker:
            return describe_broker(name, query);
        case ConfigResourceType::broker_logger:
            return describe_logger(name, query);
        case ConfigResourceType::client_metrics:
            if (name.empty()) return bad_request("Client metrics subscription name must not be empty");
            return config::describe_client_metrics(query.image.configs().find(type, name));
        case ConfigResourceType::group:
            if (name.empty()) return bad_request("Group name must not be empty");
            return config::describe_group(query.settings, query.image.configs().find(type, name));
        case ConfigResourceType::unknown:
            break;
    }
    return bad_request(fmt::format("Unsupported resource type: {}", resource.resource_type));
}

std::optional<std::string_view> keep(controller::Texts& texts, std::optional<std::string> text) {
    if (!text) return std::nullopt;
    return texts.keep(std::move(*text));
}

Entry to_response(ConfigEntry entry, const DescribeConfigsRequest& request, controller::Texts& texts) {
    Entry out{.name = texts.keep(std::move(entry.name)),
              .value = keep(texts, std::move(entry.value)),
              .read_only = entry.read_only,
              .config_source = static_cast<std::int8_t>(entry.source),
              .is_sensitive = entry.sensitive,
              .synonyms = {},
              .config_type = static_cast<std::int8_t>(entry.type),
              .documentation = std::nullopt};
    if (request.include_documentation) out.documentation = entry.documentation;
    if (!request.include_synonyms) return out;
    for (config::ConfigSynonym& synonym : entry.synonyms) {
        out.synonyms.push_back({.name = texts.keep(std::move(synonym.name)),
                                .value = keep(texts, std::move(synonym.value)),
                                .source = static_cast<std::int8_t>(synonym.source)});
    }
    return out;
}

bool is_asked_for(const Resource& resource, std::string_view key) {
    const auto& keys = resource.configuration_keys;
    return !keys || keys->empty() || std::ranges::find(*keys, key) != keys->end();
}

controller::Answer<DescribeConfigsResponse> handle_describe_configs(RequestContext& context,
                                                                    const DescribeConfigsRequest& request) {
    const metadata::MetadataImage& image = context.image();
    const BrokerState state = broker_state(context.services(), image);
    return answer_describe_configs(
        request, {.image = image, .settings = state.settings, .self = state.self, .log_level = current_log_level()});
}

}  // namespace

controller::Answer<DescribeConfigsResponse> answer_describe_configs(const DescribeConfigsRequest& request,
                                                                    const ConfigsQuery& query) {
    controller::Answer<DescribeConfigsResponse> answer;
    // A type that nobody knows makes the whole request invalid, as in Kafka.
    const auto unknown = std::ranges::find_if_not(request.resources, is_known_type, &Resource::resource_type);
    for (const Resource& resource : request.resources) {
        DescribeConfigsResponse::DescribeConfigsResult result{
            .resource_type = resource.resource_type, .resource_name = resource.resource_name, .configs = {}};
        Entries entries =
            unknown == request.resources.end()
                ? describe(resource, query)
                : bad_request(fmt::format("Unexpected resource type UNKNOWN for resource {}", unknown->resource_name));
        if (entries) {
            for (ConfigEntry& entry : *entries) {
                if (!is_asked_for(resource, entry.name)) continue;
                result.configs.push_back(to_response(std::move(entry), request, answer.texts));
            }
        } else {
            result.error_code = code_of(entries.error().code);
            result.error_message = answer.texts.keep(std::move(entries.error().message));
        }
        answer.response.results.push_back(std::move(result));
    }
    return answer;
}

io::Task<void> serve_describe_configs(RequestContext& context) { return serve<&handle_describe_configs>(context); }

}  // namespace odr::server
