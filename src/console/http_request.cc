#include "console/http_request.h"

#include <algorithm>

namespace odr::console {
namespace {

constexpr int kBadRequest = 400, kMethodNotAllowed = 405, kHeadersTooLarge = 431, kVersionNotSupported = 505;

HttpRequest refused(int status) { return {.refused_with = status, .path = {}}; }

bool is_token(std::string_view text) {
    constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::ranges::all_of(text, [&](char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
               kOthers.find(c) != std::string_view::npos;
    });
}

bool is_visible(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

// What no request has anywhere; so a TLS handshake is told at once that it came to the wrong door.
bool has_control_bytes(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '\r' && i + 1 < text.size() && text[i + 1] != '\n') return true;
        if ((static_cast<unsigned char>(c) < ' ' && c != '\t' && c != '\r' && c != '\n') || c == '\x7f') return true;
    }
    return false;
}

// Up to and with the blank line after the headers, or all where that has not come. Without blank lines before the
// request, which do no harm.
std::string_view head_of(std::string_view text) {
    while (text.starts_with("\r\n") || text.starts_with('\n')) text.remove_prefix(text.front() == '\n' ? 1 : 2);
    for (std::size_t line = text.find('\n'); line != std::string_view::npos; line = text.find('\n', line + 1)) {
        for (const std::string_view blank : {"\n", "\r\n"}) {
            if (text.substr(line + 1).starts_with(blank)) return text.substr(0, line + 1 + blank.size());
        }
    }
    return text;
}

// Takes a line off the front, without its end. nullopt: it has not ended yet.
std::optional<std::string_view> take_line(std::string_view& text) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    text.remove_prefix(end + 1);
    return line;
}

bool equals_ignoring_case(std::string_view text, std::string_view lower) {
    return std::ranges::equal(text, lower,
                              [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
}

// "/metrics?x=1" and "http://host/metrics" -> "/metrics". Empty: neither form.
std::string_view path_of(std::string_view target) {
    constexpr std::string_view kScheme = "http://";
    if (target.size() > kScheme.size() && equals_ignoring_case(target.substr(0, kScheme.size()), kScheme)) {
        const std::size_t slash = target.find('/', kScheme.size());
        target = slash == std::string_view::npos ? "/" : target.substr(slash);
    }
    if (!target.starts_with('/')) return {};
    return target.substr(0, target.find('?'));
}

HttpRequest parse_request_line(std::string_view line, bool& is_1_1) {
    const std::size_t first = line.find(' ');
    const std::size_t last = line.rfind(' ');
    if (first == std::string_view::npos || first == last) return refused(kBadRequest);
    const std::string_view method = line.substr(0, first), target = line.substr(first + 1, last - first - 1),
                           version = line.substr(last + 1);
    if (!is_token(method) || !is_visible(target) || version.size() != 8 || !version.starts_with("HTTP/") ||
        version[6] != '.') {
        return refused(kBadRequest);
    }
    if (version != "HTTP/1.0" && version != "HTTP/1.1") return refused(kVersionNotSupported);
    is_1_1 = version == "HTTP/1.1";
    if (method != "GET" && method != "HEAD") return refused(kMethodNotAllowed);
    const std::string_view path = path_of(target);
    if (path.empty()) return refused(kBadRequest);
    return {.is_head = method == "HEAD", .path = path};
}

}  // namespace

std::optional<HttpRequest> parse_http_request(std::string_view received) {
    std::string_view rest = head_of(received.substr(0, kHttpHeadBytesMax));
    if (has_control_bytes(rest)) return refused(kBadRequest);
    const std::optional<std::string_view> first = take_line(rest);
    bool is_1_1 = false, is_well_formed = true;
    const HttpRequest request = first ? parse_request_line(*first, is_1_1) : HttpRequest{};
    int hosts = 0;
    std::optional<std::string_view> header = take_line(rest);
    for (; header && !header->empty(); header = take_line(rest)) {
        const std::size_t colon = header->find(':');
        is_well_formed = is_well_formed && colon != std::string_view::npos && is_token(header->substr(0, colon));
        if (equals_ignoring_case(header->substr(0, colon), "host")) ++hosts;
    }
    if (!header) {  // the blank line that ends it all has not come
        return received.size() >= kHttpHeadBytesMax ? std::optional{refused(kHeadersTooLarge)} : std::nullopt;
    }
    if (request.refused_with != 0) return request;
    if (!is_well_formed || hosts > 1 || (is_1_1 && hosts == 0)) return refused(kBadRequest);
    return request;
}

}  // namespace odr::console
