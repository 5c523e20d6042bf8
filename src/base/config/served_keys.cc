#include "base/config/served_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/config/keys.h"
#include "base/config/value.h"

namespace odr::config {
namespace {

constexpr auto kServedKeys = std::to_array<std::string_view>({
    "advertised.listeners",
    "auto.create.topics.enable",
    "auto.leader.rebalance.enable",
    "background.threads",
    "broker.heartbeat.interval.ms",
    "broker.id",
    "broker.rack",
    "broker.session.timeout.ms",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "config.providers",
    "connections.max.idle.ms",
    "controller.listener.names",
    "controller.quorum.bootstrap.servers",
    "controller.quorum.voters",
    "cordoned.log.dirs",
    "default.replication.factor",
    "delete.topic.enable",
    "fetch.max.bytes",
    "group.consumer.assignors",
    "group.consumer.heartbeat.interval.ms",
    "group.consumer.max.heartbeat.interval.ms",
    "group.consumer.max.session.timeout.ms",
    "group.consumer.max.size",
    "group.consumer.min.heartbeat.interval.ms",
    "group.consumer.min.session.timeout.ms",
    "group.consumer.session.timeout.ms",
    "group.coordinator.rebalance.protocols",
    "group.initial.rebalance.delay.ms",
    "group.max.session.timeout.ms",
    "group.max.size",
    "group.min.session.timeout.ms",
    "inter.broker.listener.name",
    "listener.security.protocol.map",
    "listeners",
    "log.cleaner.backoff.ms",
    "log.cleaner.dedupe.buffer.size",
    "log.cleaner.delete.retention.ms",
    "log.cleaner.enable",
    "log.cleaner.io.buffer.load.factor",
    "log.cleaner.io.buffer.size",
    "log.cleaner.io.max.bytes.per.second",
    "log.cleaner.max.compaction.lag.ms",
    "log.cleaner.min.cleanable.ratio",
    "log.cleaner.min.compaction.lag.ms",
    "log.cleaner.threads",
    "log.cleanup.policy",
    "log.dir",
    "log.dir.failure.timeout.ms",
    "log.dirs",
    "log.flush.interval.messages",
    "log.flush.interval.ms",
    "log.flush.offset.checkpoint.interval.ms",
    "log.flush.scheduler.interval.ms",
    "log.flush.start.offset.checkpoint.interval.ms",
    "log.index.interval.bytes",
    "log.index.size.max.bytes",
    "log.initial.task.delay.ms",
    "log.message.timestamp.after.max.ms",
    "log.message.timestamp.before.max.ms",
    "log.message.timestamp.type",
    "log.preallocate",
    "log.retention.bytes",
    "log.retention.check.interval.ms",
    "log.retention.hours",
    "log.retention.minutes",
    "log.retention.ms",
    "log.roll.hours",
    "log.roll.jitter.hours",
    "log.roll.jitter.ms",
    "log.roll.ms",
    "log.segment.bytes",
    "log.segment.delete.delay.ms",
    "max.connections",
    "max.connections.per.ip",
    "max.connections.per.ip.overrides",
    "max.incremental.fetch.session.cache.slots",
    "max.request.partition.size.limit",
    "message.max.bytes",
    "metadata.log.dir",
    "min.insync.replicas",
    "node.id",
    "num.io.threads",
    "num.network.threads",
    "num.partitions",
    "num.recovery.threads.per.data.dir",
    "odradek.log.scrub.interval.ms",
    "odradek.log.scrub.io.max.bytes.per.second",
    "odradek.metrics.listener",
    "offset.metadata.max.bytes",
    "offsets.commit.timeout.ms",
    "offsets.retention.check.interval.ms",
    "offsets.retention.minutes",
    "offsets.topic.num.partitions",
    "offsets.topic.replication.factor",
    "offsets.topic.segment.bytes",
    "process.roles",
    "producer.id.expiration.ms",
    "queued.max.request.bytes",
    "replica.alter.log.dirs.io.max.bytes.per.second",
    "replica.high.watermark.checkpoint.interval.ms",
    "replica.lag.time.max.ms",
    "security.inter.broker.protocol",
    "socket.listen.backlog.size",
    "socket.receive.buffer.bytes",
    "socket.request.max.bytes",
    "socket.send.buffer.bytes",
    // A stock server.properties sets these three; transactions and share groups follow.
    "share.coordinator.state.topic.min.isr",
    "share.coordinator.state.topic.replication.factor",
    "transaction.state.log.min.isr",
    "transaction.state.log.replication.factor",
    "unclean.leader.election.enable",
});

// Levenshtein, cut off where it can no longer matter.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t swap_cost = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, swap_cost});
        }
    }
    return row[b.size()];
}

std::string prefix_of(const ConfigMap& properties, std::string_view key, std::string_view fallback) {
    const auto found = properties.find(key);
    return std::string{found == properties.end() ? fallback : trim(found->second)};
}

}  // namespace

bool is_served(std::string_view broker_key) { return std::ranges::find(kServedKeys, broker_key) != kServedKeys.end(); }

std::optional<std::string_view> did_you_mean(std::string_view unknown) {
    constexpr std::size_t kLongestName = 128;
    if (unknown.size() > kLongestName) return std::nullopt;
    std::optional<std::string_view> best;
    std::size_t best_distance = std::max<std::size_t>(2, unknown.size() / 5) + 1;
    for (const KeyDef& key : keys(KeySet::broker)) {
        if (key.internal) continue;
        const std::size_t distance = edit_distance(unknown, key.name);
        if (distance < best_distance) {
            best_distance = distance;
            best = key.name;
        }
    }
    return best;
}

std::vector<std::string> key_warnings(const ConfigMap& properties) {
    const std::string storage_prefix = prefix_of(properties, "remote.log.storage.manager.impl.prefix", "rsm.config.");
    const std::string metadata_prefix =
        prefix_of(properties, "remote.log.metadata.manager.impl.prefix", "rlmm.config.");
    std::vector<std::string> out;
    for (const auto& [name, value] : properties) {
        const KeyDef* key = find_broker_key(name);
        if (key != nullptr) {
            if (!is_served(key->name))
                out.push_back(fmt::format("{} is set but not served yet: it has no effect", name));
            continue;
        }
        const bool for_plugins = name.starts_with(storage_prefix) || name.starts_with(metadata_prefix) ||
                                 name.starts_with("config.providers.");
        if (for_plugins) continue;
        const auto meant = did_you_mean(name);
        out.push_back(meant ? fmt::format("{} is no known key; did you mean {}?", name, *meant)
                            : fmt::format("{} is no known key", name));
    }
    return out;
}

}  // namespace odr::config
