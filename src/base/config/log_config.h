#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "base/config/config_map.h"

namespace odr::config {

class BrokerConfig;

// compression.type of a topic. The numbers are the codec ids in a batch's attributes; producer keeps what came.
enum class CompressionType : std::int8_t { producer = -1, uncompressed = 0, gzip = 1, snappy = 2, lz4 = 3, zstd = 4 };

// message.timestamp.type. The numbers are the bit in a batch's attributes.
enum class TimestampType : std::int8_t { create_time = 0, log_append_time = 1 };

// leader.replication.throttled.replicas and its follower twin: nothing, everything, or partition:broker pairs.
struct ThrottledReplicas {
    struct Replica {
        std::int32_t partition;
        std::int32_t broker;
        friend bool operator==(const Replica&, const Replica&) = default;
    };
    bool all = false;  // the value was "*"
    std::vector<Replica> replicas;
    bool contains(std::int32_t partition, std::int32_t broker) const;
    friend bool operator==(const ThrottledReplicas&, const ThrottledReplicas&) = default;
};

// How one topic's logs are kept: a topic's own settings over the broker's over Kafka's defaults. A plain value: build
// a new one with make_log_config() when either side changes and swap it in.
//
// Units:    in the names; _ms milliseconds, _bytes bytes.
// Kafka:    LogConfig; each field is the topic key of the same name with dots for underscores.
struct LogConfig {
    static constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max();

    std::int32_t segment_bytes = 1 << 30;  // internal.segment.bytes, where set, wins over segment.bytes
    std::int64_t segment_ms = 604'800'000;
    std::int64_t segment_jitter_ms = 0;
    std::int32_t segment_index_bytes = 10 << 20;
    std::int32_t index_interval_bytes = 4096;
    bool preallocate = false;

    std::int64_t flush_messages = kUnlimited;  // kUnlimited: left to the kernel
    std::int64_t flush_ms = kUnlimited;        // the same

    std::int64_t retention_bytes = -1;        // -1: no limit
    std::int64_t retention_ms = 604'800'000;  // -1: no limit
    std::int64_t file_delete_delay_ms = 60'000;

    bool cleanup_delete = true;                     // cleanup.policy contains delete
    bool cleanup_compact = false;                   // cleanup.policy contains compact; both may hold, and neither
    std::int64_t delete_retention_ms = 86'400'000;  // how long tombstones live
    std::int64_t min_compaction_lag_ms = 0;
    std::int64_t max_compaction_lag_ms = kUnlimited;
    double min_cleanable_dirty_ratio = 0.5;

    std::int32_t max_message_bytes = 1'048'588;  // of a whole batch, as stored
    CompressionType compression_type = CompressionType::producer;
    std::int32_t compression_gzip_level = -1;  // -1: zlib's own default
    std::int32_t compression_lz4_level = 9;
    std::int32_t compression_zstd_level = 3;
    TimestampType message_timestamp_type = TimestampType::create_time;
    std::int64_t message_timestamp_before_max_ms = kUnlimited;
    std::int64_t message_timestamp_after_max_ms = 3'600'000;

    std::int32_t min_insync_replicas = 1;
    bool unclean_leader_election_enable = false;
    ThrottledReplicas leader_replication_throttled_replicas;
    ThrottledReplicas follower_replication_throttled_replicas;

    bool remote_storage_enable = false;
    bool remote_log_copy_disable = false;
    bool remote_log_delete_on_disable = false;
    std::int64_t local_retention_ms = -2;     // -2: as retention_ms; see local_retention_ms_effective()
    std::int64_t local_retention_bytes = -2;  // -2: as retention_bytes

    std::int64_t local_retention_ms_effective() const {
        return local_retention_ms == -2 ? retention_ms : local_retention_ms;
    }
    std::int64_t local_retention_bytes_effective() const {
        return local_retention_bytes == -2 ? retention_bytes : local_retention_bytes;
    }
    // How long the active segment may wait for its roll: records of a compacted log must become cleanable in time.
    std::int64_t segment_ms_max() const {
        if (!cleanup_compact || max_compaction_lag_ms <= 0 || max_compaction_lag_ms > segment_ms) return segment_ms;
        return max_compaction_lag_ms;
    }
    // No append may be larger than a whole segment.
    std::int32_t batch_bytes_max() const {
        return max_message_bytes < segment_bytes ? max_message_bytes : segment_bytes;
    }

    friend bool operator==(const LogConfig&, const LogConfig&) = default;
};

// Needs:  values that passed validation (BrokerConfig's, and a topic's as CreateTopics and AlterConfigs admit them). A
//         topic value that does not parse is ignored, as is a key that is none of a topic's: replay of a metadata
//         log never fails on it.
LogConfig make_log_config(const BrokerConfig& broker, const ConfigMap& topic_overrides);

// The same over Kafka's defaults, for tests and tools.
LogConfig make_log_config(const ConfigMap& topic_overrides);

}  // namespace odr::config
