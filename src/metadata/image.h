#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/config/config_map.h"
#include "base/types.h"
#include "base/uuid.h"
#include "metadata/features.h"
#include "metadata/partition_registration.h"
#include "metadata/persistent_map.h"

// The cluster's metadata at one offset of __cluster_metadata: values, never changed once they stand in an image.
//
// Owner:    whoever holds a shared_ptr to the image (or to a part); strings and vectors belong to the image, so views
// and
//           pointers out of it live as long as that.
// Threads:  any; nothing here changes.
// Cost:     an image is nine pointers; parts are shared between images. See MetadataDelta for what a change costs.
// Kafka:    org.apache.kafka.image.
namespace odr::metadata {

// Where in the log an image stands.
struct MetadataProvenance {
    Offset last_contained_offset{-1};
    LeaderEpoch last_contained_epoch{-1};
    TimestampMs last_contained_log_timestamp{-1};
    bool is_offset_batch_aligned = true;  // a batch ends at the offset: a snapshot may be made there
    friend bool operator==(const MetadataProvenance&, const MetadataProvenance&) = default;
};

// --- features

struct FeaturesImage {
    MetadataVersion metadata_version;                            // 7 until the first record says otherwise
    std::map<std::string, std::int16_t, std::less<>> finalized;  // without metadata.version and kraft.version; no zeros
    std::int16_t kraft_version = 0;                              // as the raft log's control records say
    std::int8_t zk_migration_state = 0;                          // kept as it came: 0 none, 3 post migration
    // Gives: the finalized level of any feature, metadata.version and kraft.version too; 0: off.
    std::int16_t level(std::string_view feature) const;
    bool is_elr_enabled() const { return level(kElrVersionFeature) >= 1; }
    friend bool operator==(const FeaturesImage&, const FeaturesImage&) = default;
};

// --- cluster

struct Endpoint {
    std::string listener;  // its name, such as "PLAINTEXT"
    std::string host;
    std::uint16_t port = 0;
    std::int16_t security_protocol = 0;  // 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL
    friend bool operator==(const Endpoint&, const Endpoint&) = default;
};
struct VersionRange {
    std::int16_t min = 0;
    std::int16_t max = 0;
    friend bool operator==(const VersionRange&, const VersionRange&) = default;
};
using SupportedVersions = std::map<std::string, VersionRange, std::less<>>;

struct BrokerRegistration {
    BrokerId id = kNoBroker;
    BrokerEpoch epoch{-1};
    Uuid incarnation_id;
    std::vector<Endpoint> listeners;  // in the order of the record
    SupportedVersions supported_features;
    std::optional<std::string> rack;
    bool fenced = true;
    bool in_controlled_shutdown = false;
    bool is_migrating_zk_broker = false;
    std::vector<Uuid> directories;                          // online log directories, sorted
    std::optional<std::vector<Uuid>> cordoned_directories;  // KIP-1066; nullopt: the broker never said

    const Endpoint* listener(std::string_view name) const;
    bool has_online_directory(const Uuid& directory) const;
    friend bool operator==(const BrokerRegistration&, const BrokerRegistration&) = default;
};

struct ControllerRegistration {
    BrokerId id = kNoBroker;
    Uuid incarnation_id;
    bool zk_migration_ready = false;
    std::vector<Endpoint> listeners;
    SupportedVersions supported_features;
    const Endpoint* listener(std::string_view name) const;
    friend bool operator==(const ControllerRegistration&, const ControllerRegistration&) = default;
};

struct ClusterImage {
    std::map<BrokerId, std::shared_ptr<const BrokerRegistration>> brokers;
    std::map<BrokerId, std::shared_ptr<const ControllerRegistration>> controllers;
    const BrokerRegistration* broker(BrokerId id) const;  // nullptr: not registered
    const ControllerRegistration* controller(BrokerId id) const;
    bool is_active(BrokerId id) const {  // registered and unfenced
        const BrokerRegistration* found = broker(id);
        return found != nullptr && !found->fenced;
    }
};

// --- topics

struct TopicImage {
    std::string name;
    Uuid id;
    PartitionMap partitions;
    const PartitionRegistration* partition(PartitionIndex index) const { return partitions.find(index); }
};

struct TopicsImage {
    PersistentMap<std::string, std::shared_ptr<const TopicImage>, TextHash> by_name;
    PersistentMap<Uuid, std::shared_ptr<const TopicImage>> by_id;
    std::int64_t partition_count = 0;  // of all topics

    const TopicImage* find(std::string_view name) const {
        const auto* topic = by_name.find(name);
        return topic == nullptr ? nullptr : topic->get();
    }
    const TopicImage* find(const Uuid& id) const {
        const auto* topic = by_id.find(id);
        return topic == nullptr ? nullptr : topic->get();
    }
    const PartitionRegistration* partition(std::string_view topic, PartitionIndex index) const {
        const TopicImage* found = find(topic);
        return found == nullptr ? nullptr : found->partition(index);
    }
    std::size_t size() const { return by_id.size(); }
    // visit(const TopicImage&), in no order.
    template <class Visit>
    void for_each(Visit&& visit) const {
        by_id.for_each([&](const Uuid&, const std::shared_ptr<const TopicImage>& topic) { visit(*topic); });
    }
};

// --- configs

// The numbers of ConfigResource.Type on the wire and in records.
enum class ConfigResourceType : std::int8_t {
    unknown = 0,
    topic = 2,
    broker = 4,
    broker_logger = 8,
    client_metrics = 16,
    group = 32,
};
struct ConfigResource {
    ConfigResourceType type = ConfigResourceType::unknown;
    std::string name;  // a broker's is its id; empty: the default of all brokers
    friend auto operator<=>(const ConfigResource&, const ConfigResource&) = default;
};
struct ConfigResourceView {
    ConfigResourceType type;
    std::string_view name;
    friend bool operator==(const ConfigResource& a, const ConfigResourceView& b) {
        return a.type == b.type && a.name == b.name;
    }
};
struct ConfigResourceHash {
    std::size_t operator()(const ConfigResourceView& resource) const noexcept {
        return TextHash{}(resource.name) * 31 + static_cast<std::size_t>(resource.type);
    }
    std::size_t operator()(const ConfigResource& resource) const noexcept {
        return (*this)(ConfigResourceView{resource.type, resource.name});
    }
};

struct ConfigurationsImage {
    PersistentMap<ConfigResource, std::shared_ptr<const config::ConfigMap>, ConfigResourceHash> resources;
    // Gives: what is set on the resource itself, without defaults; an empty map where nothing is.
    const config::ConfigMap& find(ConfigResourceType type, std::string_view name) const;
    // As find(), to keep: nullptr where nothing is set.
    std::shared_ptr<const config::ConfigMap> share(ConfigResourceType type, std::string_view name) const;
};

// --- client quotas

// Parts of a quota's subject, sorted by type: "user", "client-id", "ip"; a name of nullopt is the default of its type.
using ClientQuotaEntity = std::map<std::string, std::optional<std::string>, std::less<>>;
struct ClientQuotaEntityHash {
    std::size_t operator()(const ClientQuotaEntity& entity) const noexcept;
};
using ClientQuotas = std::map<std::string, double, std::less<>>;  // such as "producer_byte_rate"

struct ClientQuotasImage {
    PersistentMap<ClientQuotaEntity, std::shared_ptr<const ClientQuotas>, ClientQuotaEntityHash> entities;
};

// --- producer ids

struct ProducerIdsImage {
    std::int64_t next_producer_id = 0;  // the first of the next block to give out; 0: none was given out yet
};

// --- ACLs

// Enumerations as numbers on the wire: ResourceType, PatternType, AclOperation, AclPermissionType of Kafka's clients.
struct StandardAcl {
    std::int8_t resource_type = 0;
    std::string resource_name;
    std::int8_t pattern_type = 0;
    std::string principal;
    std::string host;
    std::int8_t operation = 0;
    std::int8_t permission_type = 0;
    friend auto operator<=>(const StandardAcl&, const StandardAcl&) = default;
};
struct AclsImage {
    PersistentMap<Uuid, std::shared_ptr<const StandardAcl>> acls;  // by id
};

// --- SCRAM

enum class ScramMechanism : std::int8_t { unknown = 0, scram_sha_256 = 1, scram_sha_512 = 2 };
struct ScramCredentialData {
    std::vector<std::uint8_t> salt;
    std::vector<std::uint8_t> stored_key;
    std::vector<std::uint8_t> server_key;
    std::int32_t iterations = 0;
    friend bool operator==(const ScramCredentialData&, const ScramCredentialData&) = default;
};
struct ScramImage {
    using Users = PersistentMap<std::string, std::shared_ptr<const ScramCredentialData>, TextHash>;
    Users scram_sha_256;
    Users scram_sha_512;
    const Users* users(ScramMechanism mechanism) const;  // nullptr for unknown
    const ScramCredentialData* find(ScramMechanism mechanism, std::string_view user) const;
};

// --- delegation tokens

struct DelegationTokenData {
    std::string token_id;
    std::string owner;  // principals as "User:alice"
    std::string requester;
    std::vector<std::string> renewers;
    TimestampMs issue_timestamp{0};
    TimestampMs max_timestamp{0};
    TimestampMs expiration_timestamp{0};
    friend bool operator==(const DelegationTokenData&, const DelegationTokenData&) = default;
};
struct DelegationTokensImage {
    PersistentMap<std::string, std::shared_ptr<const DelegationTokenData>, TextHash> tokens;  // by id
};

// --- all of it

class MetadataImage {
public:
    MetadataImage();  // empty, as before the first record

    const MetadataProvenance& provenance() const { return provenance_; }
    Offset offset() const { return provenance_.last_contained_offset; }
    const FeaturesImage& features() const { return *features_; }
    const ClusterImage& cluster() const { return *cluster_; }
    const TopicsImage& topics() const { return *topics_; }
    const ConfigurationsImage& configs() const { return *configs_; }
    const ClientQuotasImage& client_quotas() const { return *client_quotas_; }
    const ProducerIdsImage& producer_ids() const { return *producer_ids_; }
    const AclsImage& acls() const { return *acls_; }
    const ScramImage& scram() const { return *scram_; }
    const DelegationTokensImage& delegation_tokens() const { return *delegation_tokens_; }

    static const std::shared_ptr<const MetadataImage>& empty();

private:
    friend class MetadataDelta;
    MetadataProvenance provenance_;
    std::shared_ptr<const FeaturesImage> features_;
    std::shared_ptr<const ClusterImage> cluster_;
    std::shared_ptr<const TopicsImage> topics_;
    std::shared_ptr<const ConfigurationsImage> configs_;
    std::shared_ptr<const ClientQuotasImage> client_quotas_;
    std::shared_ptr<const ProducerIdsImage> producer_ids_;
    std::shared_ptr<const AclsImage> acls_;
    std::shared_ptr<const ScramImage> scram_;
    std::shared_ptr<const DelegationTokensImage> delegation_tokens_;
};

}  // namespace odr::metadata
