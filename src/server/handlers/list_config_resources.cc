// ListConfigResources (key 74), versions 0-1: what can have settings (KIP-1142); version 0, once called
// ListClientMetricsResources, knows subscriptions to client metrics alone (KIP-714).
// Way:   image -> response
// Kafka: KafkaApis.handleListConfigResources
#include "server/handlers/list_config_resources.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "server/handlers/cluster_view.h"
#include "server/handlers/forward.h"

namespace odr::server {
namespace {

using metadata::ConfigResourceType;
using protocol::ListConfigResourcesRequest;
using protocol::ListConfigResourcesResponse;
using ListAnswer = controller::Answer<ListConfigResourcesResponse>;

// In the order of the answer.
constexpr std::array kTypes{ConfigResourceType::group, ConfigResourceType::client_metrics,
                            ConfigResourceType::broker_logger, ConfigResourceType::broker, ConfigResourceType::topic};

bool is_supported(std::int8_t type, std::int16_t version) {
    if (version == 0) return type == static_cast<std::int8_t>(ConfigResourceType::client_metrics);
    return std::ranges::find(kTypes, static_cast<ConfigResourceType>(type)) != kTypes.end();
}

void add(ListAnswer& answer, ConfigResourceType type, std::string_view name) {
    answer.response.config_resources.push_back(
        {.resource_name = name, .resource_type = static_cast<std::int8_t>(type)});
}

void add_all(ListAnswer& answer, ConfigResourceType type, const metadata::MetadataImage& image,
             std::string_view listener) {
    switch (type) {
        case ConfigResourceType::group:
        case ConfigResourceType::client_metrics:
            // They are whatever somebody has given settings to.
            image.configs().resources.for_each([&](const metadata::ConfigResource& resource, const auto&) {
                if (resource.type == type) add(answer, type, resource.name);
            });
            return;
        case ConfigResourceType::broker:
        case ConfigResourceType::broker_logger:
            for (const auto& [broker, endpoint] : brokers_on(image.cluster(), listener, true)) {
                add(answer, type, answer.texts.keep(fmt::to_string(broker->id.raw())));
            }
            return;
        case ConfigResourceType::topic:
            image.topics().for_each([&](const metadata::TopicImage& topic) { add(answer, type, topic.name); });
            return;
        case ConfigResourceType::unknown:
            return;
    }
}

ListAnswer handle_list_config_resources(RequestContext& context, const ListConfigResourcesRequest& request) {
    return answer_list_config_resources(request, context.image(), context.version(),
                                        context.connection_info().listener);
}

}  // namespace

ListAnswer answer_list_config_resources(const ListConfigResourcesRequest& request, const metadata::MetadataImage& image,
                                        std::int16_t version, std::string_view listener) {
    ListAnswer answer;
    const std::vector<std::int8_t>& wanted = request.resource_types;
    if (!std::ranges::all_of(wanted, [version](std::int8_t type) { return is_supported(type, version); })) {
        answer.response.error_code = code_of(ErrorCode::unsupported_version);
        return answer;
    }
    for (const ConfigResourceType type : kTypes) {
        const auto number = static_cast<std::int8_t>(type);
        const bool is_wanted =
            wanted.empty() ? is_supported(number, version) : std::ranges::find(wanted, number) != wanted.end();
        if (is_wanted) add_all(answer, type, image, listener);
    }
    return answer;
}

io::Task<void> serve_list_config_resources(RequestContext& context) {
    return serve<&handle_list_config_resources>(context);
}

}  // namespace odr::server
