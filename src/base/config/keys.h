#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace odr::config {

// Whose keys. user_quota holds those of client quotas too: the latter are the same without the SCRAM ones.
enum class KeySet : std::uint8_t { broker, broker_quota, topic, group, client_metrics, user_quota, ip_quota };

// The numbers are those of DescribeConfigs' ConfigType.
enum class KeyType : std::int8_t {
    unknown = 0,
    boolean = 1,
    string = 2,
    int32 = 3,
    int16 = 4,
    int64 = 5,
    float64 = 6,
    list = 7,
    class_name = 8,
    password = 9,
};

enum class Importance : std::uint8_t { high, medium, low };

// What a broker key needs in order to change: a restart; one broker's dynamic settings; those, or the cluster's
// default.
enum class UpdateMode : std::uint8_t { read_only, per_broker, cluster_wide };

enum class RuleKind : std::uint8_t {
    any,
    range,
    one_of,
    one_of_any_case,
    list,
    list_not_empty,
    non_empty,
    non_null,
    gzip_level,
    throttled_replicas,
    offset_reset,
    quorum_voters,
    quorum_servers,
};

struct Rule {
    RuleKind kind = RuleKind::any;
    std::optional<double> min = {};  // both ends inclusive
    std::optional<double> max = {};
    std::span<const std::string_view> allowed = {};
};

// One key as Kafka 4.3.0 defines it; the tables are keys/*.keys. Lives for ever.
struct KeyDef {
    std::string_view name;
    KeyType type;
    std::optional<std::string_view> default_value;  // none: null, or no default at all (required)
    bool required;                                  // has no default: the start fails without it
    Rule rule;
    Importance importance;
    UpdateMode update_mode;
    bool internal;                               // accepted, but not shown by DescribeConfigs unless set
    std::span<const std::string_view> synonyms;  // broker keys that stand in for it, strongest first
    std::string_view documentation;

    bool sensitive() const { return type == KeyType::password; }
};

// Sorted by name.
std::span<const KeyDef> keys(KeySet set);
const KeyDef* find_key(KeySet set, std::string_view name);

// `listener.name.<listener>.<rest>` of a broker key, as far as it is one.
struct ListenerKey {
    std::string_view listener;
    std::string_view rest;  // may still begin with a SASL mechanism and a dot
};
std::optional<ListenerKey> split_listener_key(std::string_view name);

// The key that defines a broker setting's type and rule: the key of that name, the dynamic-only quota key, or for a
// listener-scoped name the key behind the prefix. nullptr: unknown.
const KeyDef* find_broker_key(std::string_view name);

// Names under which a broker setting is looked up, strongest first, as DescribeConfigs lists them.
std::vector<std::string_view> broker_synonyms(std::string_view name);

// Keys that may change at runtime only with a listener's prefix (key and trust stores).
bool is_dynamic_security_key(std::string_view name);
// Listener keys that may also be set for the whole cluster.
bool is_cluster_level_listener_key(std::string_view name);

std::string_view type_name(KeyType type);  // "INT", as Kafka's messages spell it

}  // namespace odr::config
