// The part of BrokerConfig that reads listeners and the quorum.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/config/broker_config.h"

namespace odr::config {
namespace {

bool is_secure_name(std::string_view listener) {
    const auto protocol = parse_protocol(listener);
    return protocol && *protocol != SecurityProtocol::plaintext;
}

// Two listeners may share a port only where one is IPv4 and the other IPv6.
bool may_share_port(const std::vector<const Listener*>& same_port) {
    if (same_port.size() != 2) return same_port.size() < 2;
    const std::string& a = same_port[0]->host;
    const std::string& b = same_port[1]->host;
    return (is_ipv4(a) && is_ipv6(b)) || (is_ipv6(a) && is_ipv4(b));
}

std::expected<std::vector<Listener>, std::string> parse_listeners(const std::vector<std::string>& entries,
                                                                  const ProtocolMap& protocols, bool distinct_ports) {
    std::vector<Listener> out;
    std::set<std::string> names;
    for (const std::string& entry : entries) {
        auto listener = parse_listener(entry, protocols);
        if (!listener) return std::unexpected{listener.error()};
        if (!names.insert(listener->name).second) {
            return std::unexpected{
                fmt::format("each listener needs a name of its own, but {} stands twice", listener->name)};
        }
        out.push_back(std::move(*listener));
    }
    if (!distinct_ports) return out;
    std::map<std::uint16_t, std::vector<const Listener*>> by_port;
    for (const Listener& listener : out) {
        if (listener.port != 0) by_port[listener.port].push_back(&listener);
    }
    for (const auto& [port, sharing] : by_port) {
        if (!may_share_port(sharing)) {
            return std::unexpected{fmt::format(
                "each listener needs a port of its own, unless one is IPv4 and the other IPv6, but {} stands twice",
                port)};
        }
    }
    return out;
}

}  // namespace

BrokerConfig::Broken BrokerConfig::read_protocol_map() {
    constexpr std::string_view kKey = "listener.security.protocol.map";
    const std::string& raw = get_string(kKey);
    for (const std::string& entry : split_list(raw)) {
        const std::size_t colon = entry.rfind(':');
        const auto protocol =
            colon == std::string::npos ? std::nullopt : parse_protocol(trim(std::string_view{entry}.substr(colon + 1)));
        if (!protocol) {
            return fmt::format("{}={}: '{}' is not NAME:PROTOCOL with PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL", kKey,
                               raw, entry);
        }
        protocols_.insert_or_assign(to_upper(trim(std::string_view{entry}.substr(0, colon))), *protocol);
    }
    for (const std::string& name : get_list("controller.listener.names")) controller_names_.push_back(to_upper(name));
    if (is_set(kKey)) return std::nullopt;
    const bool secure = std::ranges::any_of(controller_names_, is_secure_name) ||
                        std::ranges::any_of(get_list("listeners"), [](const std::string& entry) {
                            const auto name = listener_name(entry);
                            return name && is_secure_name(*name);
                        });
    if (secure) return std::nullopt;
    for (const std::string& name : controller_names_) protocols_.emplace(name, SecurityProtocol::plaintext);
    return std::nullopt;
}

BrokerConfig::Broken BrokerConfig::read_listeners() {
    auto bound = parse_listeners(get_list("listeners"), protocols_, true);
    if (!bound) return fmt::format("listeners={}: {}", to_text(get("listeners")), bound.error());
    listeners_ = std::move(*bound);
    std::vector<Listener> advertised = listeners_;
    if (is_set("advertised.listeners")) {
        auto parsed = parse_listeners(get_list("advertised.listeners"), protocols_, false);
        if (!parsed)
            return fmt::format("advertised.listeners={}: {}", to_text(get("advertised.listeners")), parsed.error());
        advertised = std::move(*parsed);
    }
    const auto is_controller_name = [&](const Listener& l) {
        return std::ranges::find(controller_names_, l.name) != controller_names_.end();
    };
    std::ranges::copy_if(advertised, std::back_inserter(advertised_), std::not_fn(is_controller_name));
    for (const std::string& name : controller_names_) {
        auto found = std::ranges::find(advertised, name, &Listener::name);
        if (found != advertised.end()) {
            advertised_controllers_.push_back(*found);
            continue;
        }
        found = std::ranges::find(listeners_, name, &Listener::name);
        if (found != listeners_.end()) advertised_controllers_.push_back(*found);
    }
    return std::nullopt;
}

BrokerConfig::Broken BrokerConfig::read_inter_broker_listener() {
    const std::string& name = get_string("inter.broker.listener.name");
    const std::string& protocol = get_string("security.inter.broker.protocol");
    if (name.empty()) {
        inter_broker_name_ = protocol;
        inter_broker_protocol_ = *parse_protocol(protocol);  // the key's rule admits protocols only
        return std::nullopt;
    }
    if (is_set("security.inter.broker.protocol")) {
        return fmt::format(
            "inter.broker.listener.name={}: only one of it and security.inter.broker.protocol may be set", name);
    }
    inter_broker_name_ = to_upper(name);
    const auto found = protocols_.find(inter_broker_name_);
    if (found == protocols_.end()) {
        return fmt::format("inter.broker.listener.name={}: no such listener in listener.security.protocol.map", name);
    }
    inter_broker_protocol_ = found->second;
    return std::nullopt;
}

// A controller that binds every interface is reached as the quorum's voters name it.
void BrokerConfig::name_controller_hosts() {
    const auto self = std::ranges::find(voters_, get_int("node.id"), &Voter::id);
    const auto& explicitly = get_list("advertised.listeners");
    for (Listener& listener : advertised_controllers_) {
        const bool advertised = std::ranges::any_of(
            explicitly, [&](const std::string& entry) { return listener_name(entry) == listener.name; });
        if (advertised || !(listener.host.empty() || listener.host == "0.0.0.0")) continue;
        listener.host = self == voters_.end() ? std::string{} : self->address.host;
    }
}

BrokerConfig::Broken BrokerConfig::read_quorum() {
    for (const std::string& entry : get_list("controller.quorum.voters")) {
        Voter voter = *parse_voter(entry);  // the key's rule admits voters only
        std::erase_if(voters_, [&](const Voter& earlier) { return earlier.id == voter.id; });
        voters_.push_back(std::move(voter));
    }
    for (const std::string& entry : get_list("controller.quorum.bootstrap.servers")) {
        bootstrap_servers_.push_back(*parse_host_port(entry));
    }
    name_controller_hosts();
    return std::nullopt;
}

std::vector<Listener> BrokerConfig::broker_listeners() const {
    std::vector<Listener> out;
    std::ranges::copy_if(listeners_, std::back_inserter(out), [&](const Listener& l) {
        return std::ranges::find(controller_names_, l.name) == controller_names_.end();
    });
    return out;
}

std::vector<Listener> BrokerConfig::controller_listeners() const {
    std::vector<Listener> out;
    std::ranges::copy_if(listeners_, std::back_inserter(out), [&](const Listener& l) {
        return std::ranges::find(controller_names_, l.name) != controller_names_.end();
    });
    return out;
}

}  // namespace odr::config
