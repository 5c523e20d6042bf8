#include "base/config/describe.h"

#include <algorithm>

#include "base/config/log_config.h"

namespace odr::config {
namespace {

using Text = std::optional<std::string>;

Text printed(const Value& value) {
    if (std::holds_alternative<std::monostate>(value)) return std::nullopt;
    return to_text(value);
}

void add_found(std::vector<ConfigSynonym>& out, const ConfigMap& map, std::string_view name, bool sensitive,
               ConfigSource source) {
    const auto found = map.find(name);
    if (found == map.end()) return;
    out.push_back({.name = std::string{name}, .value = sensitive ? Text{} : Text{found->second}, .source = source});
}

// Where a broker setting's value comes from, strongest first. What stands before the first mention of `name` itself is
// dropped, as in Kafka: a listener's own setting does not override the plain key when that one is described.
std::vector<ConfigSynonym> broker_sources(const BrokerSettings& settings, std::string_view name, bool sensitive) {
    const auto names = broker_synonyms(name);
    std::vector<ConfigSynonym> out;
    for (const auto n : names) add_found(out, settings.broker, n, sensitive, ConfigSource::dynamic_broker_config);
    for (const auto n : names)
        add_found(out, settings.cluster_default, n, sensitive, ConfigSource::dynamic_default_broker_config);
    for (const auto n : names)
        add_found(out, settings.started.originals(), n, sensitive, ConfigSource::static_broker_config);
    for (const auto n : names) {
        const KeyDef* key = find_key(KeySet::broker, n);
        const Text value = key == nullptr ? Text{} : printed(default_value(*key));
        if (value) out.push_back({std::string{n}, sensitive ? Text{} : value, ConfigSource::default_config});
    }
    out.erase(out.begin(), std::ranges::find(out, name, &ConfigSynonym::name));
    return out;
}

void finish(ConfigEntry& entry) {
    entry.source = entry.synonyms.empty() ? ConfigSource::default_config : entry.synonyms.front().source;
}

// What a topic or group key is worth while only the broker decides it.
Value broker_default(const BrokerSettings& settings, const KeyDef& key) {
    if (key.synonyms.empty()) return default_value(key);
    if (key.name == "segment.ms") return settings.current.log_roll_ms();
    if (key.name == "segment.jitter.ms") return settings.current.log_roll_jitter_ms();
    if (key.name == "retention.ms") return settings.current.log_retention_ms();
    if (key.name == "flush.ms") return settings.current.log_flush_interval_ms();
    return settings.current.get(key.synonyms.front());
}

Value own_or(const KeyDef& key, const ConfigMap& own, Value fallback) {
    if (const auto found = own.find(key.name); found != own.end()) {
        if (auto value = check_value(key, found->second)) return std::move(*value);
    }
    return fallback;
}

ConfigEntry entry_of(const KeyDef& key, const Value& value) {
    return {.name = std::string{key.name},
            .value = key.sensitive() ? Text{} : printed(value),
            .sensitive = key.sensitive(),
            .type = key.type,
            .synonyms = {},
            .documentation = key.documentation};
}

void put_own_first(ConfigEntry& entry, const ConfigMap& own, ConfigSource source) {
    if (!own.contains(entry.name)) return;
    entry.synonyms.insert(entry.synonyms.begin(), {.name = entry.name, .value = entry.value, .source = source});
}

// A broker entry by name: a known key, a listener-scoped one, a quota that only exists dynamically, or an unknown name.
ConfigEntry broker_entry(const BrokerSettings& settings, std::string_view name, Text value) {
    const KeyDef* defined = find_broker_key(name);
    const KeyDef* exact = find_key(KeySet::broker, name);
    ConfigEntry entry;
    entry.name = std::string{name};
    entry.sensitive = defined == nullptr || defined->sensitive();  // what nobody knows may be a secret
    entry.value = entry.sensitive ? Text{} : std::move(value);
    entry.type = defined == nullptr ? KeyType::unknown : defined->type;
    const bool quota = find_key(KeySet::broker_quota, name) != nullptr;
    entry.read_only = !quota && (exact == nullptr || exact->update_mode == UpdateMode::read_only);
    if (exact != nullptr) entry.documentation = exact->documentation;
    entry.synonyms = broker_sources(settings, name, entry.sensitive);
    return entry;
}

}  // namespace

std::vector<ConfigEntry> describe_topic(const BrokerSettings& settings, const ConfigMap& topic) {
    std::vector<ConfigEntry> out;
    for (const KeyDef& key : keys(KeySet::topic)) {
        if (key.internal && !topic.contains(key.name)) continue;
        ConfigEntry entry = entry_of(key, own_or(key, topic, broker_default(settings, key)));
        if (!key.synonyms.empty()) entry.synonyms = broker_sources(settings, key.synonyms.front(), entry.sensitive);
        put_own_first(entry, topic, ConfigSource::topic_config);
        finish(entry);
        out.push_back(std::move(entry));
    }
    return out;
}

std::vector<ConfigEntry> describe_broker(const BrokerSettings& settings) {
    std::vector<ConfigEntry> out;
    for (const KeyDef& key : keys(KeySet::broker)) {
        if (key.internal && !settings.current.is_set(key.name)) continue;
        out.push_back(broker_entry(settings, key.name, printed(settings.current.get(key.name))));
    }
    for (const auto& [name, value] : settings.current.originals()) {
        if (find_key(KeySet::broker, name) == nullptr) out.push_back(broker_entry(settings, name, value));
    }
    for (ConfigEntry& entry : out) finish(entry);
    std::ranges::sort(out, {}, &ConfigEntry::name);
    return out;
}

std::vector<ConfigEntry> describe_cluster_default(const BrokerSettings& settings) {
    std::vector<ConfigEntry> out;
    for (const auto& [name, value] : settings.cluster_default) {
        ConfigEntry entry = broker_entry(settings, name, value);
        std::erase_if(entry.synonyms, [](const ConfigSynonym& synonym) {
            return synonym.source != ConfigSource::dynamic_default_broker_config;
        });
        finish(entry);
        out.push_back(std::move(entry));
    }
    return out;
}

std::vector<ConfigEntry> describe_group(const BrokerSettings& settings, const ConfigMap& group) {
    std::vector<ConfigEntry> out;
    for (const KeyDef& key : keys(KeySet::group)) {
        ConfigEntry entry = entry_of(key, own_or(key, group, broker_default(settings, key)));
        if (!key.synonyms.empty()) {
            entry.synonyms = broker_sources(settings, key.synonyms.front(), entry.sensitive);
        } else if (const Text value = printed(default_value(key))) {
            entry.synonyms.push_back({std::string{key.name}, value, ConfigSource::default_config});
        }
        put_own_first(entry, group, ConfigSource::group_config);
        finish(entry);
        out.push_back(std::move(entry));
    }
    return out;
}

std::vector<ConfigEntry> describe_client_metrics(const ConfigMap& subscription) {
    std::vector<ConfigEntry> out;
    for (const KeyDef& key : keys(KeySet::client_metrics)) {
        ConfigEntry entry = entry_of(key, own_or(key, subscription, default_value(key)));
        put_own_first(entry, subscription, ConfigSource::client_metrics_config);
        finish(entry);
        out.push_back(std::move(entry));
    }
    return out;
}

}  // namespace odr::config
