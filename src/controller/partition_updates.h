#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "controller/operation.h"
#include "controller/partition_change.h"
#include "protocol/generated/partition_record.h"

// What operations on topics, partitions and brokers share.
namespace odr::controller {

// Registered, not fenced, not shutting down.
bool is_active(const State& state, BrokerId id);
bool has_online_directory(const State& state, BrokerId id, const Uuid& directory);
// Errors: stale_broker_epoch unless `epoch` is that of the broker's registration.
Result<void> check_broker_epoch(const State& state, BrokerId id, BrokerEpoch epoch);
// Where a broker would put a new replica: its only directory, or unassigned until the broker has chosen.
Uuid default_directory(const State& state, BrokerId id);

// The context in which one topic's partitions change; `partition` and `state` outlive it.
PartitionChangeContext change_context(const State& state, const metadata::TopicImage& topic,
                                      const metadata::PartitionRegistration& partition);

// Adds what change_partition() gives. Gives: the record.
std::optional<protocol::PartitionChangeRecord> add_change(const State& state, metadata::RecordList& records,
                                                          const metadata::TopicImage& topic, PartitionIndex index,
                                                          const metadata::PartitionRegistration& partition,
                                                          const PartitionChangeContext& context,
                                                          PartitionTarget target);

// A broker comes or goes.
struct BrokerMove {
    BrokerId remove = kNoBroker;            // leaves ISRs and leaderships
    BrokerId add = kNoBroker;               // may lead, though it is still fenced in the state
    BrokerId unclean_shutdown = kNoBroker;  // leaves ISRs, ELRs and leaderships: its last records may be lost
};
// For every partition that `concerns`: the change of leader, ISR and ELR that follows.
// Cost: a walk over all partitions. Kafka: generateLeaderAndIsrUpdates.
void update_leaders_and_isrs(const State& state, metadata::RecordList& records, const BrokerMove& move,
                             const std::function<bool(const metadata::PartitionRegistration&)>& concerns);

// The record of a new partition: led by the first of its live replicas.
// Needs: isr not empty.
void add_new_partition(const State& state, metadata::RecordList& records, const Uuid& topic, PartitionIndex index,
                       const std::vector<std::int32_t>& replicas, const std::vector<std::int32_t>& isr);

// Replicas given by hand: known brokers, none twice, as many as the partitions before.
ApiError check_assignment(const State& state, const std::vector<std::int32_t>& replicas,
                          std::optional<std::size_t> replication_factor);

// Kafka: Topic.validate.
ApiError check_topic_name(std::string_view name);

}  // namespace odr::controller
