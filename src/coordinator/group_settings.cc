#include "coordinator/group_settings.h"

#include <algorithm>

#include "base/config/broker_config.h"

namespace odr::coordinator {
namespace {

MigrationPolicy policy_named(std::string name) {
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (name == "disabled") return MigrationPolicy::disabled;
    if (name == "upgrade") return MigrationPolicy::upgrade;
    if (name == "downgrade") return MigrationPolicy::downgrade;
    return MigrationPolicy::bidirectional;
}

}  // namespace

GroupSettings GroupSettings::from(const config::BrokerConfig& config) {
    GroupSettings out;
    const auto consumer = [&config](std::string_view key) {
        return config.get_int("group.consumer." + std::string{key});
    };
    out.group_min_session_timeout_ms = config.get_int("group.min.session.timeout.ms");
    out.group_max_session_timeout_ms = config.get_int("group.max.session.timeout.ms");
    out.group_initial_rebalance_delay_ms = config.get_int("group.initial.rebalance.delay.ms");
    out.group_max_size = config.get_int("group.max.size");
    const std::vector<std::string>& protocols = config.get_list("group.coordinator.rebalance.protocols");
    out.is_consumer_protocol_enabled = std::ranges::find(protocols, "consumer") != protocols.end();
    out.group_consumer_session_timeout_ms = consumer("session.timeout.ms");
    out.group_consumer_min_session_timeout_ms = consumer("min.session.timeout.ms");
    out.group_consumer_max_session_timeout_ms = consumer("max.session.timeout.ms");
    out.group_consumer_heartbeat_interval_ms = consumer("heartbeat.interval.ms");
    out.group_consumer_min_heartbeat_interval_ms = consumer("min.heartbeat.interval.ms");
    out.group_consumer_max_heartbeat_interval_ms = consumer("max.heartbeat.interval.ms");
    out.group_consumer_assignment_interval_ms = consumer("assignment.interval.ms");
    out.group_consumer_min_assignment_interval_ms = consumer("min.assignment.interval.ms");
    out.group_consumer_max_assignment_interval_ms = consumer("max.assignment.interval.ms");
    out.group_consumer_max_size = consumer("max.size");
    out.group_consumer_regex_refresh_interval_ms = consumer("regex.refresh.interval.ms");
    out.group_consumer_assignors = config.get_list("group.consumer.assignors");
    out.group_consumer_migration_policy = policy_named(config.get_string("group.consumer.migration.policy"));
    out.offset_metadata_max_bytes = config.get_int("offset.metadata.max.bytes");
    out.offsets_retention_ms = std::int64_t{config.get_int("offsets.retention.minutes")} * 60'000;
    out.offsets_retention_check_interval_ms = config.get_long("offsets.retention.check.interval.ms");
    out.offsets_commit_timeout_ms = config.get_int("offsets.commit.timeout.ms");
    out.offsets_topic_compression_codec = config.get_int("offsets.topic.compression.codec");
    return out;
}

}  // namespace odr::coordinator
