// ApiVersions (key 18), versions 0-4; higher ones are answered in version 0 with UNSUPPORTED_VERSION (KIP-511).
// Way:   what is served -> response
// Kafka: KafkaApis.handleApiVersionsRequest, DefaultApiVersionManager, ApiVersionsResponse
#include "server/handlers/api_versions.h"

#include <algorithm>
#include <string>

#include "protocol/generated/api_versions_request.h"
#include "server/handlers/forward.h"
#include "server/handlers/handlers.h"

namespace odr::server {
namespace {

using protocol::ApiInfo;
using protocol::ApiVersionsRequest;
using protocol::ApiVersionsResponse;

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

void add_features(ApiVersionsResponse& response, const metadata::FeaturesImage& features, std::int16_t version) {
    for (const metadata::SupportedFeature& feature : metadata::supported_features()) {
        // Clients before version 4 cannot read a feature that begins at 0 (KAFKA-17492).
        if (version < 4 && feature.min == 0) continue;
        response.supported_features.push_back(
            {.name = feature.name, .min_version = feature.min, .max_version = feature.max});
    }
    const auto add_finalized = [&response](std::string_view name, std::int16_t level) {
        if (level == 0) return;
        response.finalized_features.push_back({.name = name, .max_version_level = level, .min_version_level = level});
    };
    add_finalized(metadata::kMetadataVersionFeature, features.metadata_version.level());
    add_finalized(metadata::kKRaftVersionFeature, features.kraft_version);
    for (const auto& [name, level] : features.finalized) add_finalized(name, level);
}

ApiVersionsResponse handle_api_versions(RequestContext& context, const ApiVersionsRequest& request) {
    ConnectionInfo& connection = context.connection_info();
    if (context.version() >= 3) {
        if (!is_valid_software_name(request.client_software_name) ||
            !is_valid_software_name(request.client_software_version)) {
            return {.error_code = code_of(ErrorCode::invalid_request),
                    .api_keys = {},
                    .supported_features = {},
                    .finalized_features = {}};
        }
        connection.client_software_name = request.client_software_name;
        connection.client_software_version = request.client_software_version;
    }
    return list_api_versions(context.image(), context.version(), connection.is_controller);
}

io::Task<void> serve_unknown_version(RequestContext& context) {
    context.send_as(0, refuse_api_versions());
    co_return;
}

}  // namespace

bool is_valid_software_name(std::string_view text) {
    if (text.empty() || !is_letter_or_digit(text.front()) || !is_letter_or_digit(text.back())) return false;
    return std::ranges::all_of(text, [](char c) { return is_letter_or_digit(c) || c == '.' || c == '-'; });
}

ApiVersionsResponse list_api_versions(const metadata::MetadataImage& image, std::int16_t version,
                                      bool is_controller_listener) {
    ApiVersionsResponse response;
    for (const ApiInfo& api : protocol::all_apis()) {
        if (!is_served(api, is_controller_listener)) continue;
        response.api_keys.push_back({.api_key = static_cast<std::int16_t>(api.key),
                                     .min_version = api.announced_min(),
                                     .max_version = api.stable_max()});
    }
    add_features(response, image.features(), version);
    response.finalized_features_epoch = image.offset().raw();
    return response;
}

ApiVersionsResponse refuse_api_versions() {
    const ApiInfo& api = protocol::api_info(protocol::ApiKey::api_versions);
    ApiVersionsResponse response;
    response.error_code = code_of(ErrorCode::unsupported_version);
    response.api_keys.push_back({.api_key = static_cast<std::int16_t>(api.key),
                                 .min_version = api.announced_min(),
                                 .max_version = api.stable_max()});
    return response;
}

io::Task<void> serve_api_versions(RequestContext& context) {
    const bool is_known = context.header().api->has_version(context.version());
    return is_known ? serve<&handle_api_versions>(context) : serve_unknown_version(context);
}

}  // namespace odr::server
