#include "metadata/image.h"

#include <algorithm>

namespace odr::metadata {

std::int16_t FeaturesImage::level(std::string_view feature) const {
    if (feature == kMetadataVersionFeature) return metadata_version.level();
    if (feature == kKRaftVersionFeature) return kraft_version;
    const auto found = finalized.find(feature);
    return found == finalized.end() ? std::int16_t{0} : found->second;
}

static const Endpoint* find_listener(const std::vector<Endpoint>& listeners, std::string_view name) {
    const auto found = std::ranges::find(listeners, name, &Endpoint::listener);
    return found == listeners.end() ? nullptr : &*found;
}
const Endpoint* BrokerRegistration::listener(std::string_view name) const { return find_listener(listeners, name); }
const Endpoint* ControllerRegistration::listener(std::string_view name) const { return find_listener(listeners, name); }

bool BrokerRegistration::has_online_directory(const Uuid& directory) const {
    // KIP-858: a broker that names no directories, and a replica that names none yet, count as online.
    if (directory == kLostDirectory) return false;
    if (directory == kUnassignedDirectory || directory == kMigratingDirectory || directories.empty()) return true;
    return std::ranges::binary_search(directories, directory);
}

const BrokerRegistration* ClusterImage::broker(BrokerId id) const {
    const auto found = brokers.find(id);
    return found == brokers.end() ? nullptr : found->second.get();
}
const ControllerRegistration* ClusterImage::controller(BrokerId id) const {
    const auto found = controllers.find(id);
    return found == controllers.end() ? nullptr : found->second.get();
}

const config::ConfigMap& ConfigurationsImage::find(ConfigResourceType type, std::string_view name) const {
    static const config::ConfigMap kNothing;
    const auto* found = resources.find(ConfigResourceView{type, name});
    return found == nullptr ? kNothing : **found;
}
std::shared_ptr<const config::ConfigMap> ConfigurationsImage::share(ConfigResourceType type,
                                                                    std::string_view name) const {
    const auto* found = resources.find(ConfigResourceView{type, name});
    return found == nullptr ? nullptr : *found;
}

std::size_t ClientQuotaEntityHash::operator()(const ClientQuotaEntity& entity) const noexcept {
    std::size_t hash = entity.size();
    for (const auto& [type, name] : entity) hash = (hash * 31 + TextHash{}(type)) * 31 + (name ? TextHash{}(*name) : 1);
    return hash;
}

const ScramImage::Users* ScramImage::users(ScramMechanism mechanism) const {
    switch (mechanism) {
        case ScramMechanism::scram_sha_256:
            return &scram_sha_256;
        case ScramMechanism::scram_sha_512:
            return &scram_sha_512;
        case ScramMechanism::unknown:
            break;
    }
    return nullptr;
}
const ScramCredentialData* ScramImage::find(ScramMechanism mechanism, std::string_view user) const {
    const Users* all = users(mechanism);
    const auto* found = all == nullptr ? nullptr : all->find(user);
    return found == nullptr ? nullptr : found->get();
}

MetadataImage::MetadataImage()
    : features_{std::make_shared<const FeaturesImage>()},
      cluster_{std::make_shared<const ClusterImage>()},
      topics_{std::make_shared<const TopicsImage>()},
      configs_{std::make_shared<const ConfigurationsImage>()},
      client_quotas_{std::make_shared<const ClientQuotasImage>()},
      producer_ids_{std::make_shared<const ProducerIdsImage>()},
      acls_{std::make_shared<const AclsImage>()},
      scram_{std::make_shared<const ScramImage>()},
      delegation_tokens_{std::make_shared<const DelegationTokensImage>()} {}

const std::shared_ptr<const MetadataImage>& MetadataImage::empty() {
    static const std::shared_ptr<const MetadataImage> kEmpty = std::make_shared<const MetadataImage>();
    return kEmpty;
}

}  // namespace odr::metadata
