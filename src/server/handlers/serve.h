#pragma once

#include <type_traits>

#include "protocol/reader.h"
#include "server/request_context.h"

namespace odr::server {

template <class Function>
struct HandlerTraits;
template <class Result_, class Request>
struct HandlerTraits<Result_ (*)(RequestContext&, Request)> {
    using RequestType = std::remove_cvref_t<Request>;
};

// The response in what a handler gives: itself, or that of an Answer, which owns the texts that it points at.
template <class Given>
const auto& response_of(const Given& given) {
    if constexpr (requires { given.texts; }) {
        return given.response;
    } else {
        return given;
    }
}

// Around a handler: decodes the request, calls it, encodes the answer. A handler is a function
//   Response handle_x(RequestContext&, const Request&)                     that never waits, or
//   io::Task<Response> handle_x(RequestContext& context, Request request)  that may,
// where the Response may stand in a controller::Answer.
// A request that cannot be decoded closes the connection, as in Kafka.
template <auto handle>
io::Task<void> serve(RequestContext& context) {
    using Request = typename HandlerTraits<decltype(handle)>::RequestType;
    Result<Request> request = protocol::decode_message<Request>(context.body(), context.version());
    if (!request) {
        context.close_connection(request.error().what);
        co_return;
    }
    if constexpr (requires { handle(context, *request).start(nullptr, nullptr); }) {
        const auto response = co_await handle(context, std::move(*request));
        context.send(response_of(response));
    } else {
        const auto response = handle(context, *request);
        context.send(response_of(response));
    }
}

}  // namespace odr::server
