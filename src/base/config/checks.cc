#include "base/config/checks.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/config/broker_config.h"
#include "base/config/topic_checks.h"

namespace odr::config {
namespace {

std::string line(const BrokerConfig& config, std::string_view key, std::string_view why) {
    return fmt::format("{}={}: {}", key, to_text(config.get(key)), why);
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
    return std::ranges::find(names, name) != names.end();
}

bool names_listener(const std::vector<Listener>& listeners, std::string_view name) {
    return std::ranges::find(listeners, name, &Listener::name) != listeners.end();
}

std::string names_of(const std::vector<Listener>& listeners) {
    std::string out;
    for (const Listener& listener : listeners) out += (out.empty() ? "" : ",") + listener.name;
    return out;
}

}  // namespace

std::optional<std::string> ConfigChecks::first_breach(const BrokerConfig& config) {
    using Check = Broken (*)(const BrokerConfig&);
    for (const Check check :
         {check_identity, check_logs, check_replication, check_groups, check_quorum, check_controller_listeners,
          check_broker_listeners, check_addresses, check_connections, check_protocols}) {
        if (auto broken = check(config)) return broken;
    }
    return std::nullopt;
}

ConfigChecks::Broken ConfigChecks::check_identity(const BrokerConfig& config) {
    if (config.get_int("node.id") != config.get_int("broker.id")) {
        return line(config, "broker.id", "must be the same as node.id; set one of them only");
    }
    return std::nullopt;
}

ConfigChecks::Broken ConfigChecks::check_logs(const BrokerConfig& config) {
    if (config.log_roll_ms() < 1) return line(config, "log.roll.ms", "must be at least 1");
    if (config.log_roll_jitter_ms() < 0) return line(config, "log.roll.jitter.ms", "must be at least 0");
    if (config.log_retention_ms() == 0) {
        return line(config,
                    config.is_set("log.retention.ms")        ? "log.retention.ms"
                    : config.is_set("log.retention.minutes") ? "log.retention.minutes"
                                                             : "log.retention.hours",
                    "must be -1 (unlimited) or at least 1");
    }
    constexpr std::int64_t kBytesPerCleanerMin = 1 << 20;
    const std::int64_t cleaners = config.get_long("log.cleaner.threads");
    if (cleaners == 0) return line(config, "log.cleaner.threads", "must be at least 1");
    if (config.get_long("log.cleaner.dedupe.buffer.size") / cleaners <= kBytesPerCleanerMin) {
        return line(config, "log.cleaner.dedupe.buffer.size",
                    "must be more than 1 MiB for each of log.cleaner.threads");
    }
    const auto& cordoned = config.get_list("cordoned.log.dirs");
    if (contains(cordoned, "*") && cordoned.size() > 1) {
        return line(config, "cordoned.log.dirs", "* stands for all and must stand alone");
    }
    for (const std::string& dir : cordoned) {
        if (dir != "*" && !contains(config.log_dirs(), dir)) {
            return line(config, "cordoned.log.dirs", fmt::format("'{}' is none of log.dirs", dir));
        }
    }
    return broken_broker_log_config(config);
}

ConfigChecks::Broken ConfigChecks::check_replication(const BrokerConfig& config) {
    const std::int64_t wait = config.get_long("replica.fetch.wait.max.ms");
    if (wait > config.get_long("replica.socket.timeout.ms")) {
        return line(config, "replica.fetch.wait.max.ms",
                    "must not exceed replica.socket.timeout.ms, or sockets time out needlessly");
    }
    if (wait > config.get_long("replica.lag.time.max.ms")) {
        return line(config, "replica.fetch.wait.max.ms",
                    "must not exceed replica.lag.time.max.ms, or the ISR never rests");
    }
    return std::nullopt;
}

ConfigChecks::Broken ConfigChecks::check_groups(const BrokerConfig& config) {
    constexpr std::int64_t kCodecMax = 4;  // zstd
    for (const std::string_view key :
         {"offsets.topic.compression.codec", "share.coordinator.state.topic.compression.codec"}) {
        const std::int64_t codec = config.get_long(key);
        if (codec < 0 || codec > kCodecMax)
            return line(config, key, "must be 0 (none), 1 (gzip), 2 (snappy), 3 (lz4) or 4 (zstd)");
    }
    if (!contains(config.get_list("group.coordinator.rebalance.protocols"), "classic")) {
        return line(config, "group.coordinator.rebalance.protocols", "must include classic");
    }
    constexpr std::string_view kPackage = "org.apache.kafka.coordinator.group.assignor.";
    for (const std::string& assignor : config.get_list("group.consumer.assignors")) {
        if (assignor == "uniform" || assignor == "range") continue;
        const bool stock = assignor.starts_with(kPackage) &&
                           (assignor.ends_with(".UniformAssignor") || assignor.ends_with(".RangeAssignor"));
        if (!stock)
            return line(config, "group.consumer.assignors", fmt::format("{} is neither uniform nor range", assignor));
    }
    const auto& share = config.get_list("group.share.assignors");
    if (share.size() != 1) return line(config, "group.share.assignors", "must name exactly one assignor");
    if (share.front() != "simple" && share.front() != fmt::format("{}SimpleAssignor", kPackage)) {
        return line(config, "group.share.assignors", "only simple is there");
    }
    return broken_group_defaults(config);
}

ConfigChecks::Broken ConfigChecks::check_quorum(const BrokerConfig& config) {
    const auto& voters = config.controller_quorum_voters();
    if (voters.empty() && config.controller_quorum_bootstrap_servers().empty()) {
        return "controller.quorum.bootstrap.servers is missing: it (or controller.quorum.voters) must say where the "
               "controllers are";
    }
    if (!config.is_controller_ && config.get_bool("controller.quorum.auto.join.enable")) {
        return line(config, "controller.quorum.auto.join.enable", "needs the controller role in process.roles");
    }
    const bool is_voter = std::ranges::find(voters, config.node_id().raw(), &Voter::id) != voters.end();
    if (config.is_controller_ && !voters.empty() && !is_voter) {
        return line(config, "controller.quorum.voters",
                    fmt::format("must include node {}, which is a controller", config.node_id()));
    }
    if (!config.is_controller_ && is_voter) {
        return line(config, "controller.quorum.voters",
                    fmt::format("must not include node {}, which is only a broker", config.node_id()));
    }
    return std::nullopt;
}

ConfigChecks::Broken ConfigChecks::check_controller_listeners(const BrokerConfig& config) {
    constexpr std::string_view kKey = "controller.listener.names";
    if (!config.is_controller_) {
        for (const std::string& name : config.controller_names_) {
            if (names_listener(config.listeners_, name)) {
                return line(config, kKey,
                            fmt::format("a node that is only a broker must not have {} in listeners", name));
            }
            if (!config.protocols_.contains(name)) {
                return line(config, kKey, fmt::format("{} has no entry in listener.security.protocol.map", name));
            }
        }
        return std::nullopt;
    }
    for (const std::string& name : config.controller_names_) {
        if (!names_listener(config.listeners_, name)) {
            return line(config, kKey, fmt::format("a controller needs {} in listeners", name));
        }
    }
    if (config.is_broker_) return std::nullopt;
    if (config.advertised_controllers_.size() != config.listeners_.size()) {
        return line(config, "listeners",
                    "must name only those of controller.listener.names when process.roles=controller");
    }
    if (config.is_set("inter.broker.listener.name")) {
        return line(config, "inter.broker.listener.name", "is not for a node with process.roles=controller");
    }
    return std::nullopt;
}

ConfigChecks::Broken ConfigChecks::check_broker_listeners(const BrokerConfig& config) {
    if (!config.is_broker_) return std::nullopt;
    const std::string_view key = config.is_set("advertised.listeners") ? "advertised.listeners" : "listeners";
    if (config.advertised_.empty()) {
        return line(config, key, "a broker must advertise a listener that is none of controller.listener.names");
    }
    if (!names_listener(config.advertised_, config.inter_broker_name_)) {
        const bool by_name = config.is_set("inter.broker.listener.name");
        return line(
            config, by_name ? "inter.broker.listener.name" : "security.inter.broker.protocol",
            fmt::format("the listener between brokers must be advertised; set inter.broker.listener.name to one of {}",
                        names_of(config.advertised_)));
    }
    for (const Listener& listener : config.advertised_) {
        if (!names_listener(config.listeners_, listener.name)) {
            return line(config, "advertised.listeners", fmt::format("{} is none of listeners", listener.name));
        }
    }
    return std::nullopt;
}

ConfigChecks::Broken ConfigChecks::check_addresses(const BrokerConfig& config) {
    for (const std::string& name : config.get_list("early.start.listeners")) {
        const std::string upper = to_upper(name);
        if (!names_listener(config.listeners_, upper) && !contains(config.controller_names_, upper)) {
            return line(config, "early.start.listeners", fmt::format("{} is none of listeners", name));
        }
    }
    for (const auto* advertised : {&config.advertised_, &config.advertised_controllers_}) {
        for (const Listener& listener : *advertised) {
            if (listener.host != "0.0.0.0") continue;
            return line(
                config, config.is_set("advertised.listeners") ? "advertised.listeners" : "listeners",
                fmt::format("nobody can connect to {}; advertise an address that others reach", to_string(listener)));
        }
    }
    const std::string& metrics = config.get_string("odradek.metrics.listener");
    if (!metrics.empty() && (metrics.find('/') != std::string::npos || !parse_host_port(metrics))) {
        return line(config, "odradek.metrics.listener", "must be host:port, such as 127.0.0.1:9404, or empty");
    }
    return std::nullopt;
}

ConfigChecks::Broken ConfigChecks::check_connections(const BrokerConfig& config) {
    const std::int64_t queued = config.get_long("queued.max.request.bytes");
    if (queued > 0 && queued < config.get_long("socket.request.max.bytes")) {
        return line(config, "queued.max.request.bytes", "must be -1 or at least socket.request.max.bytes");
    }
    if (config.get_int("max.connections.per.ip") == 0 && config.connection_overrides_.empty()) {
        return line(config, "max.connections.per.ip", "may be 0 only with max.connections.per.ip.overrides");
    }
    const std::int64_t idle = config.get_long("connections.max.idle.ms");
    if (idle >= 0 && config.get_long("connection.failed.authentication.delay.ms") >= idle) {
        return line(config, "connection.failed.authentication.delay.ms", "must be less than connections.max.idle.ms");
    }
    return std::nullopt;
}

ConfigChecks::Broken ConfigChecks::check_protocols(const BrokerConfig& config) {
    for (const Listener& listener : config.listeners_) {
        if (listener.protocol == SecurityProtocol::plaintext) continue;
        return line(config, "listeners",
                    fmt::format("{} is mapped to {}, but only PLAINTEXT is served so far", listener.name,
                                protocol_name(listener.protocol)));
    }
    for (const std::string& name : config.controller_names_) {
        const auto found = config.protocols_.find(name);
        if (found == config.protocols_.end() || found->second == SecurityProtocol::plaintext) continue;
        return line(
            config, "controller.listener.names",
            fmt::format("{} is mapped to {}, but only PLAINTEXT is served so far", name, protocol_name(found->second)));
    }
    return std::nullopt;
}

}  // namespace odr::config
