// IncrementalAlterConfigs (key 44), versions 0-1: single settings of a resource (KIP-339), and log levels (KIP-412).
// Way:   check what is this broker's -> controller -> response
// Kafka: KafkaApis.handleIncrementalAlterConfigsRequest, ConfigAdminManager, RuntimeLoggerManager
#include "protocol/generated/incremental_alter_configs_request.h"

#include "protocol/generated/incremental_alter_configs_response.h"
#include "server/handlers/broker_settings.h"
#include "server/handlers/config_alteration.h"
#include "server/handlers/forward.h"

namespace odr::server {
namespace {

using protocol::IncrementalAlterConfigsRequest;
using protocol::IncrementalAlterConfigsResponse;
using ControllerAnswer = Result<controller::Answer<IncrementalAlterConfigsResponse>>;

ConfigVerdicts check(const RequestContext& context, const IncrementalAlterConfigsRequest& request) {
    const BrokerState state = broker_state(context.services(), context.image());
    return check_config_changes(request, state.settings, state.self);
}

// Log levels are of this process and forgotten with it, so they take effect here.
void set_log_levels(const IncrementalAlterConfigsRequest& request, const ConfigVerdicts& verdicts) {
    if (request.validate_only) return;
    constexpr auto kLogger = static_cast<std::int8_t>(metadata::ConfigResourceType::broker_logger);
    for (std::size_t i = 0; i < verdicts.size(); ++i) {
        if (request.resources[i].resource_type != kLogger || verdicts[i]->code != ErrorCode::none) continue;
        for (const auto& config : request.resources[i].configs) {
            if (const auto level = parse_log_level(config.value.value_or(""))) log::set_level(*level);
            log::warn("the log level of {} is {} now", config.name, current_log_level());
        }
    }
}

io::Task<controller::Answer<IncrementalAlterConfigsResponse>> handle_incremental_alter_configs(
    RequestContext& context, IncrementalAlterConfigsRequest request) {
    ConfigVerdicts verdicts = check(context, request);
    IncrementalAlterConfigsRequest rest = without_decided(request, verdicts);
    controller::Controller* const controller = context.services().controller;
    if (!rest.resources.empty() && controller == nullptr) {
        take_verdicts(request, ControllerAnswer{std::unexpected{kNoController}}, verdicts);
    } else if (!rest.resources.empty()) {
        const ControllerAnswer answer = co_await controller->call(controller_context(context), std::move(rest));
        take_verdicts(request, answer, verdicts);
    }
    set_log_levels(request, verdicts);
    co_return to_response<IncrementalAlterConfigsResponse>(request, verdicts);
}

}  // namespace

io::Task<void> serve_incremental_alter_configs(RequestContext& context) {
    return serve<&handle_incremental_alter_configs>(context);
}

}  // namespace odr::server
