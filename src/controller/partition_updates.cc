#include "controller/partition_updates.h"

#include <fmt/format.h>

#include <algorithm>

#include "controller/effective_configs.h"

namespace odr::controller {
namespace {

using metadata::BrokerRegistration;
using metadata::PartitionRegistration;
using metadata::TopicImage;

constexpr std::size_t kTopicNameBytesMax = 249;

bool is_legal_in_topic_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
}

}  // namespace

bool is_active(const State& state, BrokerId id) {
    const BrokerRegistration* broker = state.image().cluster().broker(id);
    return broker != nullptr && !broker->fenced && !broker->in_controlled_shutdown;
}

bool has_online_directory(const State& state, BrokerId id, const Uuid& directory) {
    const BrokerRegistration* broker = state.image().cluster().broker(id);
    return broker != nullptr && broker->has_online_directory(directory);
}

Result<void> check_broker_epoch(const State& state, BrokerId id, BrokerEpoch epoch) {
    const BrokerRegistration* broker = state.image().cluster().broker(id);
    if (broker == nullptr) return fail(ErrorCode::stale_broker_epoch, "no registration of this broker");
    if (broker->epoch != epoch) return fail(ErrorCode::stale_broker_epoch, "the broker has registered again");
    return {};
}

Uuid default_directory(const State& state, BrokerId id) {
    const BrokerRegistration* broker = state.image().cluster().broker(id);
    if (broker == nullptr) return metadata::kUnassignedDirectory;
    if (broker->directories.empty()) return metadata::kMigratingDirectory;
    return broker->directories.size() == 1 ? broker->directories.front() : metadata::kUnassignedDirectory;
}

PartitionChangeContext change_context(const State& state, const TopicImage& topic,
                                      const PartitionRegistration& partition) {
    return {
        .is_acceptable_leader =
            [&state, &partition](BrokerId id) {
                return is_active(state, id) && has_online_directory(state, id, partition.directory_of(id));
            },
        .default_directory = [&state](BrokerId id) { return default_directory(state, id); },
        .metadata_version = state.metadata_version(),
        .min_isr = effective_min_isr(state, topic),
        .is_elr_enabled = state.is_elr_enabled(),
    };
}

std::optional<protocol::PartitionChangeRecord> add_change(const State& state, metadata::RecordList& records,
                                                          const TopicImage& topic, PartitionIndex index,
                                                          const PartitionRegistration& partition,
                                                          const PartitionChangeContext& context,
                                                          PartitionTarget target) {
    auto record = change_partition(partition, topic.id, index, context, std::move(target));
    if (record) records.add(*record, state.metadata_version().partition_change_record_version());
    return record;
}

void update_leaders_and_isrs(const State& state, metadata::RecordList& records, const BrokerMove& move,
                             const std::function<bool(const PartitionRegistration&)>& concerns) {
    state.image().topics().for_each([&](const TopicImage& topic) {
        std::optional<PartitionChangeContext> context;  // the same for a whole topic, and made of many lookups
        const PartitionRegistration* at = nullptr;
        Election election = Election::online;
        topic.partitions.for_each([&](PartitionIndex index, const PartitionRegistration& partition) {
            if (!concerns(partition)) return;
            at = &partition;
            if (!context) {
                context = change_context(state, topic, partition);
                if (is_unclean_election_enabled(state, topic.name)) election = Election::unclean;
                context->is_acceptable_leader = [&](BrokerId id) {
                    if (id == move.remove || id == move.unclean_shutdown) return false;
                    return (id == move.add || is_active(state, id)) &&
                           has_online_directory(state, id, at->directory_of(id));
                };
            }
            PartitionTarget target{.election = election};
            target.isr = partition.isr;
            std::erase_if(*target.isr, [&](BrokerId id) { return id == move.remove || id == move.unclean_shutdown; });
            if (move.unclean_shutdown != kNoBroker) target.unclean_shutdown = {move.unclean_shutdown};
            add_change(state, records, topic, index, partition, *context, std::move(target));
        });
    });
}

void add_new_partition(const State& state, metadata::RecordList& records, const Uuid& topic, PartitionIndex index,
                       const std::vector<std::int32_t>& replicas, const std::vector<std::int32_t>& isr) {
    protocol::PartitionRecord record;
    record.partition_id = index.raw();
    record.topic_id = topic;
    record.replicas = replicas;
    record.isr = isr;
    record.leader = isr.front();
    record.leader_epoch = 0;
    record.partition_epoch = 0;
    if (state.metadata_version().is_directory_assignment_supported())
        for (const std::int32_t id : replicas) record.directories.push_back(default_directory(state, BrokerId{id}));
    records.add(record, state.metadata_version().partition_record_version());
}

ApiError check_assignment(const State& state, const std::vector<std::int32_t>& replicas,
                          std::optional<std::size_t> replication_factor) {
    constexpr ErrorCode kInvalid = ErrorCode::invalid_replica_assignment;
    if (replicas.empty()) return refuse(kInvalid, "The manual partition assignment includes an empty replica list.");
    std::vector<std::int32_t> sorted = replicas;
    std::ranges::sort(sorted);
    for (std::size_t i = 0; i < sorted.size(); ++i) {
        if (state.image().cluster().broker(BrokerId{sorted[i]}) == nullptr)
            return refuse(kInvalid,
                          "The manual partition assignment includes broker {}, but no such broker is registered.",
                          sorted[i]);
        if (i > 0 && sorted[i] == sorted[i - 1])
            return refuse(kInvalid, "The manual partition assignment includes the broker {} more than once.",
                          sorted[i]);
    }
    if (replication_factor && sorted.size() != *replication_factor)
        return refuse(kInvalid,
                      "The manual partition assignment includes a partition with {} replica(s), but this is not "
                      "consistent with previous partitions, which have {} replica(s).",
                      sorted.size(), *replication_factor);
    return {};
}

ApiError check_topic_name(std::string_view name) {
    constexpr ErrorCode kInvalid = ErrorCode::invalid_topic_exception;
    if (name.empty()) return refuse(kInvalid, "Topic name is invalid: the empty string is not allowed");
    if (name == "." || name == "..") return refuse(kInvalid, "Topic name is invalid: '{}' is not allowed", name);
    if (name.size() > kTopicNameBytesMax)
        return refuse(kInvalid, "Topic name is invalid: the length of '{}' is longer than the max allowed length {}",
                      name, kTopicNameBytesMax);
    if (!std::ranges::all_of(name, is_legal_in_topic_name))
        return refuse(
            kInvalid,
            "Topic name is invalid: '{}' contains one or more characters other than ASCII alphanumerics, '.', "
            "'_' and '-'",
            name);
    return {};
}

}  // namespace odr::controller
