#include "server/handlers/cluster_view.h"

#include <algorithm>

namespace odr::server {

using metadata::BrokerRegistration;
using metadata::ClusterImage;
using metadata::Endpoint;

std::vector<BrokerOnListener> brokers_on(const ClusterImage& cluster, std::string_view listener, bool with_fenced) {
    std::vector<BrokerOnListener> out;
    for (const auto& [id, broker] : cluster.brokers) {
        if (broker->fenced && !with_fenced) continue;
        if (const Endpoint* endpoint = broker->listener(listener)) out.push_back({broker.get(), endpoint});
    }
    return out;
}

const Endpoint* endpoint_of(const ClusterImage& cluster, BrokerId id, std::string_view listener) {
    const BrokerRegistration* broker = cluster.broker(id);
    return broker == nullptr ? nullptr : broker->listener(listener);
}

std::vector<std::int32_t> offline_replicas(const ClusterImage& cluster,
                                           const metadata::PartitionRegistration& partition,
                                           std::string_view listener) {
    std::vector<std::int32_t> out;
    for (const BrokerId id : partition.replicas) {
        const BrokerRegistration* broker = cluster.broker(id);
        const bool is_online = broker != nullptr && !broker->fenced && broker->listener(listener) != nullptr &&
                               broker->has_online_directory(partition.directory_of(id));
        if (!is_online) out.push_back(id.raw());
    }
    return out;
}

std::int32_t controller_for_clients(const ClusterImage& cluster, BrokerId self) {
    if (cluster.is_active(self)) return self.raw();
    const auto alive = std::ranges::find_if(cluster.brokers, [](const auto& entry) { return !entry.second->fenced; });
    return alive == cluster.brokers.end() ? -1 : alive->first.raw();
}

}  // namespace odr::server
