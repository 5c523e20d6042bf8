#include "base/config/endpoint.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace odr::config {
namespace {

constexpr std::string_view kSchemeEnd = "://";

template <class Int>
std::optional<Int> number(std::string_view text) {
    Int value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
    return value;
}

bool is_host_character(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view{"-%._:"}.contains(c);
}

// "host:port" with the host possibly empty or in brackets.
std::optional<HostPort> split_host_port(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    std::string_view host = text.substr(0, colon);
    const auto port = number<std::uint16_t>(text.substr(colon + 1));
    if (!port) return std::nullopt;
    const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    if (!std::ranges::all_of(host, is_host_character)) return std::nullopt;
    return HostPort{.host = std::string{host}, .port = *port};
}

}  // namespace

std::string_view protocol_name(SecurityProtocol protocol) {
    switch (protocol) {
        case SecurityProtocol::plaintext:
            return "PLAINTEXT";
        case SecurityProtocol::ssl:
            return "SSL";
        case SecurityProtocol::sasl_plaintext:
            return "SASL_PLAINTEXT";
        case SecurityProtocol::sasl_ssl:
            return "SASL_SSL";
    }
    return "";
}

std::optional<SecurityProtocol> parse_protocol(std::string_view name) {
    const std::string upper = to_upper(name);
    for (const auto protocol : {SecurityProtocol::plaintext, SecurityProtocol::ssl, SecurityProtocol::sasl_plaintext,
                                SecurityProtocol::sasl_ssl}) {
        if (upper == protocol_name(protocol)) return protocol;
    }
    return std::nullopt;
}

std::optional<HostPort> parse_host_port(std::string_view text) {
    if (const std::size_t scheme = text.find(kSchemeEnd); scheme != std::string_view::npos) {
        text.remove_prefix(scheme + kSchemeEnd.size());
    }
    auto parsed = split_host_port(text);
    if (!parsed || parsed->host.empty()) return std::nullopt;
    return parsed;
}

std::optional<Voter> parse_voter(std::string_view text) {
    const std::size_t at = text.find('@');
    if (at == std::string_view::npos) return std::nullopt;
    const auto id = number<std::int32_t>(text.substr(0, at));
    auto address = parse_host_port(text.substr(at + 1));
    if (!id || !address) return std::nullopt;
    return Voter{.id = *id, .address = std::move(*address)};
}

std::optional<std::string> listener_name(std::string_view text) {
    const std::size_t scheme = text.find(kSchemeEnd);
    if (scheme == std::string_view::npos || scheme == 0) return std::nullopt;
    return to_upper(text.substr(0, scheme));
}

std::expected<Listener, std::string> parse_listener(std::string_view text, const ProtocolMap& protocols) {
    const auto name = listener_name(text);
    if (!name) return std::unexpected{fmt::format("'{}' is not NAME://host:port", text)};
    auto address = split_host_port(text.substr(text.find(kSchemeEnd) + kSchemeEnd.size()));
    if (!address) return std::unexpected{fmt::format("'{}' is not NAME://host:port with a port up to 65535", text)};
    const auto protocol = protocols.find(*name);
    if (protocol == protocols.end()) {
        return std::unexpected{
            fmt::format("listener {} has no security protocol; add {}:PLAINTEXT (or another protocol) to "
                        "listener.security.protocol.map",
                        *name, *name)};
    }
    return Listener{
        .name = *name, .protocol = protocol->second, .host = std::move(address->host), .port = address->port};
}

std::string to_upper(std::string_view text) {
    std::string out{text};
    std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return out;
}

std::string to_string(const Listener& listener) {
    const bool brackets = listener.host.find(':') != std::string::npos;
    return fmt::format("{}://{}{}{}:{}", listener.name, brackets ? "[" : "", listener.host, brackets ? "]" : "",
                       listener.port);
}

bool is_ipv4(std::string_view host) {
    in_addr address{};
    return inet_pton(AF_INET, std::string{host}.c_str(), &address) == 1;
}

bool is_ipv6(std::string_view host) {
    in6_addr address{};
    const std::string_view without_zone = host.substr(0, host.find('%'));
    return inet_pton(AF_INET6, std::string{without_zone}.c_str(), &address) == 1;
}

}  // namespace odr::config
