#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/config/describe.h"
#include "controller/answer.h"
#include "protocol/generated/alter_configs_request.h"
#include "protocol/generated/incremental_alter_configs_request.h"
#include "server/handlers/forward.h"

// What AlterConfigs and IncrementalAlterConfigs share: each broker checks changes to its own settings and logger before
// the controller sees the rest. Kafka: ConfigAdminManager.
namespace odr::server {

// What became of one resource of the request.
struct ConfigVerdict {
    ErrorCode code = ErrorCode::none;
    std::string message;
};
// One for each resource, in the order of the request; nullopt: for the controller to decide.
using ConfigVerdicts = std::vector<std::optional<ConfigVerdict>>;

ConfigVerdicts check_config_changes(const protocol::IncrementalAlterConfigsRequest& request,
                                    const config::BrokerSettings& settings, BrokerId self);
ConfigVerdicts check_config_changes(const protocol::AlterConfigsRequest& request,
                                    const config::BrokerSettings& settings, BrokerId self);

// The request without the resources that have a verdict.
template <class Request>
Request without_decided(const Request& request, const ConfigVerdicts& verdicts) {
    Request rest = request;
    rest.resources.clear();
    for (std::size_t i = 0; i < verdicts.size(); ++i) {
        if (!verdicts[i]) rest.resources.push_back(request.resources[i]);
    }
    return rest;
}

// Puts in what the controller answered for the rest.
template <class Response, class Request>
void take_verdicts(const Request& request, const Result<controller::Answer<Response>>& answer,
                   ConfigVerdicts& verdicts) {
    for (std::size_t i = 0; i < verdicts.size(); ++i) {
        if (verdicts[i]) continue;
        if (!answer) {
            verdicts[i] = {answer.error().code, std::string{message_of(answer.error())}};
            continue;
        }
        const auto& resource = request.resources[i];
        for (const auto& result : answer->response.responses) {
            if (result.resource_type != resource.resource_type || result.resource_name != resource.resource_name) {
                continue;
            }
            verdicts[i] = {ErrorCode{result.error_code}, std::string{result.error_message.value_or("")}};
            break;
        }
        if (!verdicts[i]) verdicts[i] = {ErrorCode::unknown_server_error, "The controller gave no answer for it."};
    }
}

template <class Response, class Request>
controller::Answer<Response> to_response(const Request& request, const ConfigVerdicts& verdicts) {
    controller::Answer<Response> answer;
    for (std::size_t i = 0; i < verdicts.size(); ++i) {
        std::optional<std::string_view> message;
        if (!verdicts[i]->message.empty()) message = answer.texts.keep(verdicts[i]->message);
        answer.response.responses.push_back({.error_code = code_of(verdicts[i]->code),
                                             .error_message = message,
                                             .resource_type = request.resources[i].resource_type,
                                             .resource_name = request.resources[i].resource_name});
    }
    return answer;
}

}  // namespace odr::server
