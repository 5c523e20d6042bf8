#include "base/config/keys.h"

#include <algorithm>
#include <array>

namespace odr::config {
namespace {

constexpr std::string_view kListenerPrefix = "listener.name.";

// May stand behind listener.name.<listener>.<mechanism>. as well.
constexpr std::array<std::string_view, 5> kMechanismKeys{"sasl.jaas.config", "sasl.login.callback.handler.class",
                                                         "sasl.login.class", "sasl.server.callback.handler.class",
                                                         "connections.max.reauth.ms"};

constexpr std::array<std::string_view, 3> kClusterLevelListenerKeys{"max.connections", "max.connection.creation.rate",
                                                                    "num.network.threads"};

constexpr std::array<std::string_view, 10> kDynamicSecurityKeys{"ssl.key.password",
                                                                "ssl.keystore.certificate.chain",
                                                                "ssl.keystore.key",
                                                                "ssl.keystore.location",
                                                                "ssl.keystore.password",
                                                                "ssl.keystore.type",
                                                                "ssl.truststore.certificates",
                                                                "ssl.truststore.location",
                                                                "ssl.truststore.password",
                                                                "ssl.truststore.type"};

template <std::size_t n>
bool contains(const std::array<std::string_view, n>& names, std::string_view name) {
    return std::ranges::find(names, name) != names.end();
}

std::string_view base_name(const ListenerKey& key) {
    for (const std::string_view mechanism_key : kMechanismKeys) {
        if (key.rest.ends_with(mechanism_key)) return mechanism_key;
    }
    return key.rest;
}

}  // namespace

const KeyDef* find_key(KeySet set, std::string_view name) {
    const auto all = keys(set);
    const auto found = std::ranges::lower_bound(all, name, {}, &KeyDef::name);
    return found != all.end() && found->name == name ? &*found : nullptr;
}

std::optional<ListenerKey> split_listener_key(std::string_view name) {
    if (!name.starts_with(kListenerPrefix)) return std::nullopt;
    const std::string_view tail = name.substr(kListenerPrefix.size());
    const std::size_t dot = tail.find('.');
    if (dot == std::string_view::npos) return std::nullopt;
    return ListenerKey{.listener = tail.substr(0, dot), .rest = tail.substr(dot + 1)};
}

const KeyDef* find_broker_key(std::string_view name) {
    if (const KeyDef* key = find_key(KeySet::broker, name)) return key;
    if (const KeyDef* key = find_key(KeySet::broker_quota, name)) return key;
    if (const auto scoped = split_listener_key(name)) return find_key(KeySet::broker, base_name(*scoped));
    return nullptr;
}

std::vector<std::string_view> broker_synonyms(std::string_view name) {
    if (const KeyDef* key = find_key(KeySet::broker, name); key != nullptr && !key->synonyms.empty()) {
        return {key->synonyms.begin(), key->synonyms.end()};
    }
    if (const auto scoped = split_listener_key(name)) return {name, base_name(*scoped)};
    return {name};
}

bool is_dynamic_security_key(std::string_view name) { return contains(kDynamicSecurityKeys, name); }
bool is_cluster_level_listener_key(std::string_view name) { return contains(kClusterLevelListenerKeys, name); }

std::string_view type_name(KeyType type) {
    switch (type) {
        case KeyType::boolean:
            return "BOOLEAN";
        case KeyType::string:
            return "STRING";
        case KeyType::int32:
            return "INT";
        case KeyType::int16:
            return "SHORT";
        case KeyType::int64:
            return "LONG";
        case KeyType::float64:
            return "DOUBLE";
        case KeyType::list:
            return "LIST";
        case KeyType::class_name:
            return "CLASS";
        case KeyType::password:
            return "PASSWORD";
        case KeyType::unknown:
            break;
    }
    return "UNKNOWN";
}

}  // namespace odr::config
