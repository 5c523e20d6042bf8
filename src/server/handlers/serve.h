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

// Around a handler: decodes the request, calls it, encodes the answer. A handler is a function
//   Response handle_x(RequestContext&, const Request&)                     that never waits, or
//   io::Task<Response> handle_x(RequestContext& context, Request request)  that may.
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
        context.send(response);
    } else {
        const auto response = handle(context, *request);
        context.send(response);
    }
}

}  // namespace odr::server
