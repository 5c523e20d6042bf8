// DescribeClientQuotas (key 48), versions 0-1 (KIP-546).
// Way:   image -> response
// Kafka: ClientQuotasImage.describe
#include "server/handlers/describe_client_quotas.h"

#include <fmt/format.h>

#include <algorithm>
#include <expected>
#include <map>
#include <set>

#include "server/handlers/forward.h"

namespace odr::server {
namespace {

using protocol::DescribeClientQuotasRequest;
using protocol::DescribeClientQuotasResponse;
using QuotasAnswer = controller::Answer<DescribeClientQuotasResponse>;

enum class MatchType : std::int8_t { exact = 0, default_name = 1, specified = 2 };

struct Refused {
    ErrorCode code;
    std::string message;
};
std::unexpected<Refused> bad_request(std::string message) {
    return std::unexpected{Refused{ErrorCode::invalid_request, std::move(message)}};
}

// What an entity must have: these parts with these names (none: the default of the type), those with any name.
struct Filter {
    std::map<std::string_view, std::optional<std::string_view>> exact;
    std::set<std::string_view> any;

    bool has(std::string_view type) const { return exact.contains(type) || any.contains(type); }
    bool matches(const metadata::ClientQuotaEntity& entity, bool strict) const {
        if (strict && entity.size() != exact.size() + any.size()) return false;
        for (const auto& [type, name] : exact) {
            const auto part = entity.find(type);
            if (part == entity.end() || part->second != name) return false;
        }
        return std::ranges::all_of(any, [&](std::string_view type) { return entity.contains(type); });
    }
};

using Component = DescribeClientQuotasRequest::ComponentData;

std::expected<void, Refused> add_component(Filter& filter, const Component& component) {
    switch (static_cast<MatchType>(component.match_type)) {
        case MatchType::exact:
            if (!component.match) {
                return bad_request("Request specified MATCH_TYPE_EXACT, but set match string to null.");
            }
            filter.exact.emplace(component.entity_type, component.match);
            return {};
        case MatchType::default_name:
            if (component.match) {
                return bad_request("Request specified MATCH_TYPE_DEFAULT, but also specified a match string.");
            }
            filter.exact.emplace(component.entity_type, std::nullopt);
            return {};
        case MatchType::specified:
            if (component.match) {
                return bad_request("Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.");
            }
            filter.any.insert(component.entity_type);
            return {};
    }
    return bad_request(fmt::format("Unknown match type {}", component.match_type));
}

std::expected<Filter, Refused> filter_of(const DescribeClientQuotasRequest& request) {
    Filter filter;
    for (const Component& component : request.components) {
        const std::string_view type = component.entity_type;
        if (type.empty()) return bad_request("Invalid empty entity type.");
        if (filter.has(type)) {
            return bad_request(fmt::format("Entity type {} cannot appear more than once in the filter.", type));
        }
        if (type != "user" && type != "client-id" && type != "ip") {
            return std::unexpected{
                Refused{ErrorCode::unsupported_version, fmt::format("Unsupported entity type {}", type)}};
        }
        if (auto added = add_component(filter, component); !added) return std::unexpected{added.error()};
    }
    if (filter.has("ip") && (filter.has("user") || filter.has("client-id"))) {
        return bad_request(
            "Invalid entity filter component combination. IP filter component should not be used with "
            "user or clientId filter component.");
    }
    return filter;
}

QuotasAnswer handle_describe_client_quotas(RequestContext& context, const DescribeClientQuotasRequest& request) {
    return answer_describe_client_quotas(request, context.image().client_quotas());
}

}  // namespace

QuotasAnswer answer_describe_client_quotas(const DescribeClientQuotasRequest& request,
                                           const metadata::ClientQuotasImage& quotas) {
    QuotasAnswer answer;
    const std::expected<Filter, Refused> filter = filter_of(request);
    if (!filter) {
        answer.response.error_code = code_of(filter.error().code);
        answer.response.error_message = answer.texts.keep(filter.error().message);
        answer.response.entries = std::nullopt;
        return answer;
    }
    answer.response.error_message = std::nullopt;
    quotas.entities.for_each([&](const metadata::ClientQuotaEntity& entity, const auto& values) {
        if (!filter->matches(entity, request.strict)) return;
        auto& entry = answer.response.entries->emplace_back();
        for (const auto& [type, name] : entity) entry.entity.push_back({.entity_type = type, .entity_name = name});
        for (const auto& [key, value] : *values) entry.values.push_back({.key = key, .value = value});
    });
    return answer;
}

io::Task<void> serve_describe_client_quotas(RequestContext& context) {
    return serve<&handle_describe_client_quotas>(context);
}

}  // namespace odr::server
