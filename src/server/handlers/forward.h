#pragma once

#include <optional>
#include <string_view>
#include <utility>

#include "controller/answer.h"
#include "controller/controller.h"
#include "protocol/reader.h"
#include "server/handlers/serve.h"
#include "server/request_context.h"

namespace odr::server {

// What an error message field says where the error brought no text of its own.
inline std::string_view message_of(const Error& error) {
    return error.what.empty() ? to_string(error.code) : error.what;
}
inline std::int16_t code_of(ErrorCode code) { return static_cast<std::int16_t>(code); }

inline constexpr Error kNoController{.code = ErrorCode::not_controller, .what = "This node runs no controller."};

inline controller::RequestContext controller_context(const RequestContext& context) {
    return {.api_version = context.version()};
}

template <class Function>
struct RefusalTraits;
template <class Response_, class Request_>
struct RefusalTraits<Response_ (*)(const Request_&, const Error&)> {
    using Request = Request_;
};

// Serves a request that the controller alone answers. `refuse` makes the response that stands for an error of the
// whole request, as Kafka's getErrorResponse():  Response refuse_x(const Request&, const Error&).
template <auto refuse>
io::Task<void> serve_forwarded(RequestContext& context) {
    using Request = typename RefusalTraits<decltype(refuse)>::Request;
    Result<Request> request = protocol::decode_message<Request>(context.body(), context.version());
    if (!request) {
        context.close_connection(request.error().what);
        co_return;
    }
    controller::Controller* const controller = context.services().controller;
    if (controller == nullptr) {
        context.send(refuse(*request, kNoController));
        co_return;
    }
    const auto answer = co_await controller->call(controller_context(context), Request{*request});
    if (answer) {
        context.send(answer->response);
    } else {
        context.send(refuse(*request, answer.error()));
    }
}

}  // namespace odr::server
