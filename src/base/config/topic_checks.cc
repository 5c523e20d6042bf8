#include "base/config/topic_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <regex>

#include "base/config/log_config.h"

namespace odr::config {
namespace {

using Refused = std::optional<Refusal>;

Refused refuse(std::string message) { return Refusal{.message = std::move(message)}; }

// Every name known, every value of its type and within its rule.
Refused check_each(KeySet set, std::string_view unknown_words, const ConfigMap& settings) {
    for (const auto& [name, value] : settings) {
        if (find_key(set, name) == nullptr) return refuse(fmt::format("{}: {}", unknown_words, name));
    }
    for (const auto& [name, value] : settings) {
        if (const auto checked = check_value(*find_key(set, name), value); !checked) return refuse(checked.error());
    }
    return std::nullopt;
}

std::optional<std::string> broken_compaction_lag(const LogConfig& config) {
    if (config.min_compaction_lag_ms <= config.max_compaction_lag_ms) return std::nullopt;
    return fmt::format("conflict topic config setting min.compaction.lag.ms ({}) > max.compaction.lag.ms ({})",
                       config.min_compaction_lag_ms, config.max_compaction_lag_ms);
}

std::optional<std::string> broken_local_retention(std::string_view what, std::int64_t total, std::int64_t local) {
    if (total <= -1 || local == -2) return std::nullopt;
    if (local == -1) {
        return fmt::format(
            "Invalid value -1 for configuration local.{}: Value must not be -1 as {} value is set as {}.", what, what,
            total);
    }
    if (local <= total) return std::nullopt;
    return fmt::format("Invalid value {} for configuration local.{}: Value must not be more than {} property value: {}",
                       local, what, what, total);
}

std::optional<std::string> broken_tiers(const LogConfig& config) {
    if (auto broken = broken_local_retention("retention.bytes", config.retention_bytes, config.local_retention_bytes)) {
        return broken;
    }
    return broken_local_retention("retention.ms", config.retention_ms, config.local_retention_ms);
}

Refused check_remote_topic(const BrokerConfig& broker, const LogConfig& config) {
    if (!broker.get_bool("remote.log.storage.system.enable")) {
        return refuse(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log "
            "storage.");
    }
    if (config.cleanup_compact) {
        return refuse(
            "Remote log storage only supports topics with cleanup.policy=delete or cleanup.policy being an empty "
            "list.");
    }
    if (auto broken = broken_tiers(config)) return refuse(std::move(*broken));
    if (!config.remote_log_copy_disable) return std::nullopt;
    const auto differs = [](std::int64_t local, std::int64_t total) { return local != -2 && local != total; };
    constexpr std::string_view kWords =
        "When `remote.log.copy.disable` is set to true, the `local.{0}` and `{0}` must be set to the identical value "
        "because "
        "there will be no more logs copied to the remote storage.";
    if (differs(config.local_retention_bytes, config.retention_bytes)) {
        return refuse(fmt::format(kWords, "retention.bytes"));
    }
    if (differs(config.local_retention_ms, config.retention_ms)) return refuse(fmt::format(kWords, "retention.ms"));
    return std::nullopt;
}

Refused check_turning_off_remote(const LogConfig& before, const LogConfig& after) {
    if (!before.remote_storage_enable || after.remote_log_delete_on_disable) return std::nullopt;
    return refuse(
        "It is invalid to disable remote storage without deleting remote data. If you want to keep the remote data and "
        "turn "
        "to read only, please set `remote.storage.enable=true,remote.log.copy.disable=true`. If you want to disable "
        "remote "
        "storage and delete all remote data, please set "
        "`remote.storage.enable=false,remote.log.delete.on.disable=true`.");
}

// What a group would run with: its own value, or the broker's.
std::int64_t group_value(const BrokerConfig& broker, const ConfigMap& settings, std::string_view name) {
    const KeyDef* key = find_key(KeySet::group, name);
    if (const auto own = settings.find(name); own != settings.end()) {
        return std::get<std::int64_t>(*check_value(*key, own->second));
    }
    return broker.get_long(key->synonyms.front());
}

struct GroupBound {
    std::string_view key;
    std::string_view min;  // broker keys; empty: no such bound
    std::string_view max;
};
constexpr auto kGroupBounds = std::to_array<GroupBound>({
    {"consumer.heartbeat.interval.ms", "group.consumer.min.heartbeat.interval.ms",
     "group.consumer.max.heartbeat.interval.ms"},
    {"consumer.session.timeout.ms", "group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms"},
    {"consumer.assignment.interval.ms", "group.consumer.min.assignment.interval.ms",
     "group.consumer.max.assignment.interval.ms"},
    {"share.heartbeat.interval.ms", "group.share.min.heartbeat.interval.ms", "group.share.max.heartbeat.interval.ms"},
    {"share.session.timeout.ms", "group.share.min.session.timeout.ms", "group.share.max.session.timeout.ms"},
    {"share.record.lock.duration.ms", "group.share.min.record.lock.duration.ms",
     "group.share.max.record.lock.duration.ms"},
    {"share.delivery.count.limit", "group.share.min.delivery.count.limit", "group.share.max.delivery.count.limit"},
    {"share.partition.max.record.locks", "group.share.min.partition.max.record.locks",
     "group.share.max.partition.max.record.locks"},
    {"share.assignment.interval.ms", "group.share.min.assignment.interval.ms",
     "group.share.max.assignment.interval.ms"},
    {"streams.heartbeat.interval.ms", "group.streams.min.heartbeat.interval.ms",
     "group.streams.max.heartbeat.interval.ms"},
    {"streams.session.timeout.ms", "group.streams.min.session.timeout.ms", "group.streams.max.session.timeout.ms"},
    {"streams.num.standby.replicas", "", "group.streams.max.standby.replicas"},
    {"streams.assignment.interval.ms", "group.streams.min.assignment.interval.ms",
     "group.streams.max.assignment.interval.ms"},
});

constexpr auto kMatchNames =
    std::to_array<std::string_view>({"client_instance_id", "client_id", "client_software_name",
                                     "client_software_version", "client_source_address", "client_source_port"});

bool is_match(const std::string& pattern) {
    const std::size_t equals = pattern.find('=');
    if (equals == std::string::npos || equals + 1 == pattern.size()) return false;
    if (pattern.find('=', equals + 1) != std::string::npos) return false;
    if (std::ranges::find(kMatchNames, trim(std::string_view{pattern}.substr(0, equals))) == kMatchNames.end())
        return false;
    try {
        const std::regex compiled{std::string{trim(std::string_view{pattern}.substr(equals + 1))}};
    } catch (const std::regex_error&) {
        return false;
    }
    return true;
}

}  // namespace

std::optional<Refusal> check_topic_config(const BrokerConfig& broker, const ConfigMap& existing,
                                          const ConfigMap& settings) {
    if (auto refused = check_each(KeySet::topic, "Unknown topic config name", settings)) return refused;
    const LogConfig before = make_log_config(broker, existing);
    const LogConfig after = make_log_config(broker, settings);
    if (auto broken = broken_compaction_lag(after)) return refuse(std::move(*broken));
    return after.remote_storage_enable ? check_remote_topic(broker, after) : check_turning_off_remote(before, after);
}

std::optional<Refusal> check_group_config(const BrokerConfig& broker, const ConfigMap& settings) {
    if (auto refused = check_each(KeySet::group, "Unknown group config name", settings)) return refused;
    for (const GroupBound& bound : kGroupBounds) {
        const std::int64_t value = group_value(broker, settings, bound.key);
        if (!bound.min.empty() && value < broker.get_long(bound.min)) {
            return refuse(fmt::format("{} must be greater than or equal to {}", bound.key, bound.min));
        }
        if (value > broker.get_long(bound.max)) {
            return refuse(fmt::format("{} must be less than or equal to {}", bound.key, bound.max));
        }
    }
    for (const std::string_view kind : {"consumer", "share", "streams"}) {
        const std::string session = fmt::format("{}.session.timeout.ms", kind);
        const std::string heartbeat = fmt::format("{}.heartbeat.interval.ms", kind);
        if (group_value(broker, settings, session) <= group_value(broker, settings, heartbeat)) {
            return refuse(fmt::format("{} must be greater than {}", session, heartbeat));
        }
    }
    return std::nullopt;
}

std::optional<Refusal> check_client_metrics_config(const ConfigMap& settings) {
    if (auto refused = check_each(KeySet::client_metrics, "Unknown client metrics configuration", settings)) {
        refused->invalid_request = refused->message.starts_with("Unknown");
        return refused;
    }
    if (const auto interval = settings.find("interval.ms"); interval != settings.end()) {
        constexpr std::int64_t kMin = 100;
        constexpr std::int64_t kMax = 3'600'000;
        const std::int64_t ms = std::get<std::int64_t>(*parse_value(KeyType::int32, interval->second));
        if (ms < kMin || ms > kMax) {
            return Refusal{
                .message = fmt::format(
                    "Invalid value {} for interval.ms, interval must be between 100 and 3600000 (1 hour)", ms),
                .invalid_request = true};
        }
    }
    if (const auto match = settings.find("match"); match != settings.end()) {
        for (const std::string& pattern : split_list(match->second)) {
            if (!is_match(pattern)) return refuse(fmt::format("Illegal client matching pattern: {}", pattern));
        }
    }
    return std::nullopt;
}

std::optional<std::string> broken_group_defaults(const BrokerConfig& broker) {
    const auto line = [&](std::string_view key, std::string_view relation, std::string_view other) {
        return fmt::format("{}={}: must be {} {} ({})", key, broker.get_long(key), relation, other,
                           broker.get_long(other));
    };
    for (const GroupBound& bound : kGroupBounds) {
        const std::string_view key = find_key(KeySet::group, bound.key)->synonyms.front();
        const std::int64_t value = broker.get_long(key);
        if (!bound.min.empty() && broker.get_long(bound.max) < broker.get_long(bound.min)) {
            return line(bound.max, "at least", bound.min);
        }
        if (!bound.min.empty() && value < broker.get_long(bound.min)) return line(key, "at least", bound.min);
        if (value > broker.get_long(bound.max)) return line(key, "at most", bound.max);
    }
    for (const std::string_view kind : {"consumer", "share", "streams"}) {
        const std::string session = fmt::format("group.{}.session.timeout.ms", kind);
        const std::string heartbeat = fmt::format("group.{}.heartbeat.interval.ms", kind);
        if (broker.get_long(heartbeat) >= broker.get_long(session)) return line(heartbeat, "less than", session);
    }
    return std::nullopt;
}

std::optional<std::string> broken_broker_log_config(const BrokerConfig& broker) {
    const LogConfig config = make_log_config(broker, {});
    if (config.min_compaction_lag_ms > config.max_compaction_lag_ms) {
        return fmt::format(
            "log.cleaner.min.compaction.lag.ms={}: must not exceed log.cleaner.max.compaction.lag.ms ({})",
            config.min_compaction_lag_ms, config.max_compaction_lag_ms);
    }
    if (!broker.get_bool("remote.log.storage.system.enable")) return std::nullopt;
    if (const auto broken = broken_tiers(config)) return fmt::format("log.local.retention: {}", *broken);
    return std::nullopt;
}

}  // namespace odr::config
