#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace odr::console {

// What a client asks, as far as the console cares. Views into what was received.
struct HttpRequest {
    int refused_with = 0;   // a status of 400 or above; 0: the rest holds
    bool is_head = false;   // HEAD: no body in the answer
    std::string_view path;  // without the query
};

// A request's line and headers together are no longer.
inline constexpr std::size_t kHttpHeadBytesMax = 8192;

// The first request among `received`; what follows it is not looked at.
// Gives:  nullopt: it may become one with more bytes. That is never so for kHttpHeadBytesMax bytes and more.
// Format: RFC 9112, of which only GET and HEAD of HTTP/1.0 and 1.1. A line may end in a bare LF, a header may not be
// folded.
std::optional<HttpRequest> parse_http_request(std::string_view received);

}  // namespace odr::console
