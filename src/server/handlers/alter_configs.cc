// AlterConfigs (key 33), versions 0-2: a resource's settings as a whole.
// Way:   check what is this broker's -> controller -> response
// Kafka: KafkaApis.handleAlterConfigsRequest, ConfigAdminManager
#include "protocol/generated/alter_configs_request.h"

#include "protocol/generated/alter_configs_response.h"
#include "server/handlers/broker_settings.h"
#include "server/handlers/config_alteration.h"
#include "server/handlers/forward.h"

namespace odr::server {
namespace {

using protocol::AlterConfigsRequest;
using protocol::AlterConfigsResponse;
using ControllerAnswer = Result<controller::Answer<AlterConfigsResponse>>;

ConfigVerdicts check(const RequestContext& context, const AlterConfigsRequest& request) {
    const BrokerState state = broker_state(context.services(), context.image());
    return check_config_changes(request, state.settings, state.self);
}

io::Task<controller::Answer<AlterConfigsResponse>> handle_alter_configs(RequestContext& context,
                                                                        AlterConfigsRequest request) {
    ConfigVerdicts verdicts = check(context, request);
    AlterConfigsRequest rest = without_decided(request, verdicts);
    controller::Controller* const controller = context.services().controller;
    if (!rest.resources.empty() && controller == nullptr) {
        take_verdicts(request, ControllerAnswer{std::unexpected{kNoController}}, verdicts);
    } else if (!rest.resources.empty()) {
        const ControllerAnswer answer = co_await controller->call(controller_context(context), std::move(rest));
        take_verdicts(request, answer, verdicts);
    }
    co_return to_response<AlterConfigsResponse>(request, verdicts);
}

}  // namespace

io::Task<void> serve_alter_configs(RequestContext& context) { return serve<&handle_alter_configs>(context); }

}  // namespace odr::server
