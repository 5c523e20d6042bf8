#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace odr::config {

enum class SecurityProtocol : std::int16_t { plaintext = 0, ssl = 1, sasl_plaintext = 2, sasl_ssl = 3 };
std::string_view protocol_name(SecurityProtocol protocol);
std::optional<SecurityProtocol> parse_protocol(std::string_view name);  // in any case

struct HostPort {
    std::string host;  // an IPv6 address without its brackets
    std::uint16_t port;
    friend bool operator==(const HostPort&, const HostPort&) = default;
};
// "host:port", "[::1]:port", and either behind "something://".
std::optional<HostPort> parse_host_port(std::string_view text);

// One of controller.quorum.voters.
struct Voter {
    std::int32_t id;
    HostPort address;
    friend bool operator==(const Voter&, const Voter&) = default;
};
std::optional<Voter> parse_voter(std::string_view text);

// One of listeners or advertised.listeners.
struct Listener {
    std::string name;  // in upper case
    SecurityProtocol protocol;
    std::string host;    // empty: all interfaces; an IPv6 address without its brackets
    std::uint16_t port;  // 0: whichever is free
    friend bool operator==(const Listener&, const Listener&) = default;
};

using ProtocolMap = std::map<std::string, SecurityProtocol, std::less<>>;

// Errors: why the entry is none, for the end of a line that names the key.
std::expected<Listener, std::string> parse_listener(std::string_view text, const ProtocolMap& protocols);

std::optional<std::string> listener_name(std::string_view text);  // what stands before "://", in upper case
std::string to_upper(std::string_view text);
std::string to_string(const Listener& listener);  // NAME://host:port
bool is_ipv4(std::string_view host);
bool is_ipv6(std::string_view host);

}  // namespace odr::config
