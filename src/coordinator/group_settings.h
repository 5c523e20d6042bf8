#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace odr::config {
class BrokerConfig;
}

namespace odr::coordinator {

// Kafka: ConsumerGroupMigrationPolicy.
enum class MigrationPolicy : std::uint8_t { disabled, downgrade, upgrade, bidirectional };

// The broker's settings for groups, as plain numbers; each is named like its key. Milliseconds and bytes.
struct GroupSettings {
    // classic groups
    std::int32_t group_min_session_timeout_ms = 6'000;
    std::int32_t group_max_session_timeout_ms = 1'800'000;
    std::int32_t group_initial_rebalance_delay_ms = 3'000;
    std::int32_t group_max_size = std::numeric_limits<std::int32_t>::max();

    // consumer groups (KIP-848); a group's own settings stand over session_timeout, heartbeat_interval and
    // assignment_interval
    bool is_consumer_protocol_enabled = true;  // group.coordinator.rebalance.protocols
    std::int32_t group_consumer_session_timeout_ms = 45'000;
    std::int32_t group_consumer_min_session_timeout_ms = 45'000;
    std::int32_t group_consumer_max_session_timeout_ms = 60'000;
    std::int32_t group_consumer_heartbeat_interval_ms = 5'000;
    std::int32_t group_consumer_min_heartbeat_interval_ms = 5'000;
    std::int32_t group_consumer_max_heartbeat_interval_ms = 15'000;
    std::int32_t group_consumer_assignment_interval_ms = 1'000;
    std::int32_t group_consumer_min_assignment_interval_ms = 0;
    std::int32_t group_consumer_max_assignment_interval_ms = 15'000;
    std::int32_t group_consumer_max_size = std::numeric_limits<std::int32_t>::max();
    std::int32_t group_consumer_regex_refresh_interval_ms = 600'000;
    std::vector<std::string> group_consumer_assignors = {"uniform", "range"};  // the first is the default
    MigrationPolicy group_consumer_migration_policy = MigrationPolicy::bidirectional;

    // offsets
    std::int32_t offset_metadata_max_bytes = 4'096;
    std::int64_t offsets_retention_ms = 7LL * 24 * 60 * 60 * 1000;  // offsets.retention.minutes
    std::int64_t offsets_retention_check_interval_ms = 600'000;
    std::int32_t offsets_commit_timeout_ms = 5'000;
    std::int32_t offsets_topic_compression_codec = 0;  // Kafka's codec number

    static GroupSettings from(const config::BrokerConfig& config);
};

}  // namespace odr::coordinator
