#include "server/handlers/handlers.h"

#include <array>

namespace odr::server {

// One file each: handlers/<api>.cc.
#define ODR_SERVED(api) io::Task<void> serve_##api(RequestContext& context);
#include "server/handlers/served.inc"
#undef ODR_SERVED

namespace {

constexpr std::size_t kApiKeys = 93;

// By API key; null: not served.
const std::array<Handler, kApiKeys>& handlers() {
    static const std::array<Handler, kApiKeys> table = [] {
        std::array<Handler, kApiKeys> made{};
#define ODR_SERVED(api) made[static_cast<std::size_t>(protocol::ApiKey::api)] = &serve_##api;
#include "server/handlers/served.inc"
#undef ODR_SERVED
        return made;
    }();
    return table;
}

}  // namespace

bool is_served(const protocol::ApiInfo& api, bool is_controller_listener) {
    const protocol::Listeners wanted =
        is_controller_listener ? protocol::kListenerController : protocol::kListenerBroker;
    return (api.listeners & wanted) != 0 && handlers()[static_cast<std::size_t>(api.key)] != nullptr;
}

Handler find_handler(const RequestContext& context) {
    const protocol::ApiInfo& api = *context.header().api;
    if (!is_served(api, context.connection_info().is_controller)) return nullptr;
    // ApiVersions answers versions that it does not know, so that clients can learn which it does (KIP-511).
    const bool is_version_served = context.version() >= api.min && context.version() <= api.stable_max();
    if (!is_version_served && api.key != protocol::ApiKey::api_versions) return nullptr;
    return handlers()[static_cast<std::size_t>(api.key)];
}

}  // namespace odr::server
