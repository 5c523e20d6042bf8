#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "metadata/image.h"

// The cluster as clients on one listener may see it. Kafka: KRaftMetadataCache.
namespace odr::server {

// Bits of AclOperation that stand for everything that can be done to a resource: what a client gets where nothing is
// denied to it. Kafka: AclEntry.supportedOperations.
inline constexpr std::int32_t kTopicOperations = 0b1101'1111'1000;      // READ..DESCRIBE, DESCRIBE_ and ALTER_CONFIGS
inline constexpr std::int32_t kClusterOperations = 0b1'1111'1010'0000;  // CREATE, ALTER, DESCRIBE, CLUSTER_ACTION, ...
static_assert(kTopicOperations == 3576 && kClusterOperations == 8096, "as Apache Kafka's clients know them");

struct BrokerOnListener {
    const metadata::BrokerRegistration* broker;
    const metadata::Endpoint* endpoint;
};
// Brokers that have the listener, by id. Fenced ones only if asked for.
std::vector<BrokerOnListener> brokers_on(const metadata::ClusterImage& cluster, std::string_view listener,
                                         bool with_fenced);

// Gives: where clients reach the broker, or nullptr. A fenced broker counts, as in Kafka: the controller takes
// leaderships away from it, and until then it is the leader.
const metadata::Endpoint* endpoint_of(const metadata::ClusterImage& cluster, BrokerId id, std::string_view listener);

// Replicas on brokers that are gone, fenced or without the listener, or in a directory that is offline.
std::vector<std::int32_t> offline_replicas(const metadata::ClusterImage& cluster,
                                           const metadata::PartitionRegistration& partition, std::string_view listener);

// Which broker to name as the controller: clients send there what the controller must do, and any broker passes it on.
// Gives: `self` if it is alive, else the first that is; -1: none.
std::int32_t controller_for_clients(const metadata::ClusterImage& cluster, BrokerId self);

}  // namespace odr::server
