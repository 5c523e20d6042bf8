#include "controller/effective_configs.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/assert.h"
#include "base/config/value.h"

namespace odr::controller {
namespace {

using config::ConfigMap;
using config::KeyDef;
using config::KeySet;
using metadata::ConfigResourceType;

std::int64_t to_number(std::string_view text, std::int64_t otherwise) {
    const std::string_view trimmed = config::trim(text);
    std::int64_t number = otherwise;
    std::from_chars(trimmed.data(), trimmed.data() + trimmed.size(), number);
    return number;
}

// log.retention.hours stands in for retention.ms: its value comes in hours.
std::string converted(const KeyDef& key, std::string_view synonym, const std::string& value) {
    if (!key.name.ends_with(".ms")) return value;
    std::int64_t factor = 1;
    if (synonym.ends_with(".hours")) factor = 3'600'000;
    if (synonym.ends_with(".minutes")) factor = 60'000;
    return factor == 1 ? value : fmt::format("{}", to_number(value, 0) * factor);
}

std::optional<std::string> find_synonym(const KeyDef& key, const ConfigMap& settings) {
    for (const std::string_view synonym : key.synonyms) {
        const auto found = settings.find(synonym);
        if (found != settings.end()) return converted(key, synonym, found->second);
    }
    return std::nullopt;
}

const ConfigMap& topic_settings(const State& state, std::string_view topic) {
    return state.image().configs().find(ConfigResourceType::topic, topic);
}

std::string topic_value(const State& state, std::string_view topic, std::string_view name) {
    const KeyDef* key = config::find_key(KeySet::topic, name);
    ODR_ASSERT(key != nullptr, "key={}", name);
    return effective_topic_config(state, *key, topic_settings(state, topic)).value.value_or(std::string{});
}

}  // namespace

EffectiveConfig effective_topic_config(const State& state, const KeyDef& key, const ConfigMap& topic) {
    if (const auto own = topic.find(key.name); own != topic.end()) return {&key, own->second, ConfigSource::topic};
    const auto& configs = state.image().configs();
    const std::string node = fmt::format("{}", state.config().node_id());
    if (auto value = find_synonym(key, configs.find(ConfigResourceType::broker, node)))
        return {&key, std::move(value), ConfigSource::dynamic_broker};
    if (auto value = find_synonym(key, configs.find(ConfigResourceType::broker, "")))
        return {&key, std::move(value), ConfigSource::dynamic_default_broker};
    if (auto value = find_synonym(key, state.config().originals()))
        return {&key, std::move(value), ConfigSource::static_broker};
    const config::Value fallback = config::default_value(key);
    if (std::holds_alternative<std::monostate>(fallback)) return {&key, std::nullopt, ConfigSource::default_value};
    return {&key, config::to_text(fallback), ConfigSource::default_value};
}

std::vector<EffectiveConfig> effective_topic_configs(const State& state, const ConfigMap& topic) {
    std::vector<EffectiveConfig> all;
    for (const KeyDef& key : config::keys(KeySet::topic)) {
        if (key.internal && !topic.contains(key.name)) continue;
        all.push_back(effective_topic_config(state, key, topic));
    }
    return all;
}

bool is_unclean_election_enabled(const State& state, std::string_view topic) {
    const std::string value = topic_value(state, topic, "unclean.leader.election.enable");
    return std::ranges::equal(config::trim(value), std::string_view{"true"},
                              [](char a, char b) { return (a | 0x20) == b; });
}

std::int32_t effective_min_isr(const State& state, const metadata::TopicImage& topic) {
    const std::int64_t wanted = to_number(topic_value(state, topic.name, "min.insync.replicas"), 1);
    const auto* first = topic.partition(PartitionIndex{0});
    const std::int64_t replicas = first == nullptr ? 1 : static_cast<std::int64_t>(first->replicas.size());
    return static_cast<std::int32_t>(std::min(wanted, replicas));
}

}  // namespace odr::controller
