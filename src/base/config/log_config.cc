#include "base/config/log_config.h"

#include <algorithm>
#include <charconv>

#include "base/config/broker_config.h"
#include "base/config/value.h"

namespace odr::config {
namespace {

CompressionType compression_type(std::string_view name) {
    if (name == "uncompressed") return CompressionType::uncompressed;
    if (name == "gzip") return CompressionType::gzip;
    if (name == "snappy") return CompressionType::snappy;
    if (name == "lz4") return CompressionType::lz4;
    if (name == "zstd") return CompressionType::zstd;
    return CompressionType::producer;
}

ThrottledReplicas throttled_replicas(const std::vector<std::string>& list) {
    ThrottledReplicas out;
    for (const std::string& entry : list) {
        if (entry == "*") {
            out.all = true;
            continue;
        }
        ThrottledReplicas::Replica replica{};
        const char* const end = entry.data() + entry.size();
        const auto [colon, partition_error] = std::from_chars(entry.data(), end, replica.partition);
        if (partition_error != std::errc{} || colon == end) continue;
        if (std::from_chars(colon + 1, end, replica.broker).ec != std::errc{}) continue;
        out.replicas.push_back(replica);
    }
    return out;
}

// Hands a topic's effective values to the fields, one key at a time.
class Filler {
public:
    Filler(const BrokerConfig* broker, const ConfigMap& overrides) : broker_{broker}, overrides_{overrides} {}

    void operator()(std::string_view name, std::int64_t& field) const { take<std::int64_t>(name, field); }
    void operator()(std::string_view name, double& field) const { take<double>(name, field); }
    void operator()(std::string_view name, bool& field) const { take<bool>(name, field); }
    void operator()(std::string_view name, std::int32_t& field) const {
        std::int64_t wide = field;
        take<std::int64_t>(name, wide);
        field = static_cast<std::int32_t>(wide);
    }
    std::string text(std::string_view name) const { return get<std::string>(name); }
    std::vector<std::string> list(std::string_view name) const { return get<std::vector<std::string>>(name); }

private:
    // The override if it is good, else what the broker says, else Kafka's default.
    Value value(std::string_view name) const {
        const KeyDef* key = find_key(KeySet::topic, name);
        if (const auto own = overrides_.find(name); own != overrides_.end()) {
            if (auto checked = check_value(*key, own->second)) return std::move(*checked);
        }
        if (broker_ == nullptr || key->synonyms.empty()) return default_value(*key);
        if (name == "segment.ms") return broker_->log_roll_ms();
        if (name == "segment.jitter.ms") return broker_->log_roll_jitter_ms();
        if (name == "retention.ms") return broker_->log_retention_ms();
        if (name == "flush.ms") return broker_->log_flush_interval_ms();
        return broker_->get(key->synonyms.front());
    }
    template <class T>
    void take(std::string_view name, T& field) const {
        const Value found = value(name);
        if (const T* held = std::get_if<T>(&found)) field = *held;
    }
    template <class T>
    T get(std::string_view name) const {
        T out{};
        take<T>(name, out);
        return out;
    }

    const BrokerConfig* broker_;
    const ConfigMap& overrides_;
};

void fill_retention(const Filler& fill, LogConfig& out) {
    fill("segment.bytes", out.segment_bytes);
    fill("internal.segment.bytes", out.segment_bytes);
    fill("segment.ms", out.segment_ms);
    fill("segment.jitter.ms", out.segment_jitter_ms);
    fill("segment.index.bytes", out.segment_index_bytes);
    fill("index.interval.bytes", out.index_interval_bytes);
    fill("preallocate", out.preallocate);
    fill("flush.messages", out.flush_messages);
    fill("flush.ms", out.flush_ms);
    fill("retention.bytes", out.retention_bytes);
    fill("retention.ms", out.retention_ms);
    fill("file.delete.delay.ms", out.file_delete_delay_ms);
    const auto policy = fill.list("cleanup.policy");
    out.cleanup_delete = std::ranges::find(policy, "delete") != policy.end();
    out.cleanup_compact = std::ranges::find(policy, "compact") != policy.end();
    fill("delete.retention.ms", out.delete_retention_ms);
    fill("min.compaction.lag.ms", out.min_compaction_lag_ms);
    fill("max.compaction.lag.ms", out.max_compaction_lag_ms);
    fill("min.cleanable.dirty.ratio", out.min_cleanable_dirty_ratio);
}

void fill_records(const Filler& fill, LogConfig& out) {
    fill("max.message.bytes", out.max_message_bytes);
    out.compression_type = compression_type(fill.text("compression.type"));
    fill("compression.gzip.level", out.compression_gzip_level);
    fill("compression.lz4.level", out.compression_lz4_level);
    fill("compression.zstd.level", out.compression_zstd_level);
    const bool append_time = fill.text("message.timestamp.type") == "LogAppendTime";
    out.message_timestamp_type = append_time ? TimestampType::log_append_time : TimestampType::create_time;
    fill("message.timestamp.before.max.ms", out.message_timestamp_before_max_ms);
    fill("message.timestamp.after.max.ms", out.message_timestamp_after_max_ms);
}

void fill_replication(const Filler& fill, LogConfig& out) {
    fill("min.insync.replicas", out.min_insync_replicas);
    fill("unclean.leader.election.enable", out.unclean_leader_election_enable);
    out.leader_replication_throttled_replicas = throttled_replicas(fill.list("leader.replication.throttled.replicas"));
    out.follower_replication_throttled_replicas =
        throttled_replicas(fill.list("follower.replication.throttled.replicas"));
    fill("remote.storage.enable", out.remote_storage_enable);
    fill("remote.log.copy.disable", out.remote_log_copy_disable);
    fill("remote.log.delete.on.disable", out.remote_log_delete_on_disable);
    fill("local.retention.ms", out.local_retention_ms);
    fill("local.retention.bytes", out.local_retention_bytes);
}

LogConfig filled(const Filler& fill) {
    LogConfig out;
    fill_retention(fill, out);
    fill_records(fill, out);
    fill_replication(fill, out);
    return out;
}

}  // namespace

bool ThrottledReplicas::contains(std::int32_t partition, std::int32_t broker) const {
    return all || std::ranges::find(replicas, Replica{partition, broker}) != replicas.end();
}

LogConfig make_log_config(const BrokerConfig& broker, const ConfigMap& topic_overrides) {
    return filled(Filler{&broker, topic_overrides});
}
LogConfig make_log_config(const ConfigMap& topic_overrides) { return filled(Filler{nullptr, topic_overrides}); }

}  // namespace odr::config
