#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "metadata/image.h"

namespace odr::protocol {
struct RegisterBrokerRecord;
struct UnregisterBrokerRecord;
struct TopicRecord;
struct PartitionRecord;
struct ConfigRecord;
struct PartitionChangeRecord;
struct FenceBrokerRecord;
struct UnfenceBrokerRecord;
struct RemoveTopicRecord;
struct DelegationTokenRecord;
struct UserScramCredentialRecord;
struct FeatureLevelRecord;
struct ClientQuotaRecord;
struct ProducerIdsRecord;
struct BrokerRegistrationChangeRecord;
struct AccessControlEntryRecord;
struct RemoveAccessControlEntryRecord;
struct RemoveUserScramCredentialRecord;
struct RemoveDelegationTokenRecord;
struct ZkMigrationStateRecord;
struct RegisterControllerRecord;
struct ClearElrRecord;
}  // namespace odr::protocol

namespace odr::metadata {

// What records changed between two images, so that a listener looks at just that. A thing that was made and removed
// again leaves no trace; a thing named here may be equal in both images.
struct MetadataChanges {
    bool features = false;
    std::set<BrokerId> brokers;  // registered, changed or gone
    std::set<BrokerId> controllers;
    std::unordered_set<Uuid> changed_topics;  // there afterwards: new ones, and those with a changed partition
    std::unordered_set<Uuid> created_topics;  // a subset of changed_topics
    std::unordered_map<Uuid, std::string> deleted_topics;  // there before, gone afterwards, with their names
    std::set<ConfigResource> configs;
    std::set<ClientQuotaEntity> client_quotas;
    bool producer_ids = false;
    std::unordered_set<Uuid> acls;
    std::set<std::pair<ScramMechanism, std::string>> scram;
    std::set<std::string> delegation_tokens;
    bool is_snapshot = false;  // a whole state was loaded over the one before

    bool empty() const;
};

// What changed on one broker's replicas. Kafka: LocalReplicaChanges.
struct LocalReplicaChanges {
    struct Replica {
        const TopicImage* topic;  // of the image after; of the one before in `deletes`
        PartitionIndex index;
        const PartitionRegistration* partition;
    };
    std::vector<Replica> deletes;    // not a replica any more; `topic` may be gone
    std::vector<Replica> leaders;    // leads it, and something of the partition changed
    std::vector<Replica> elected;    // of `leaders`: with a new leader epoch
    std::vector<Replica> followers;  // follows, and something of the partition changed
};

// Applies records to an image: a copy of `base` that becomes the next image.
//
// Cost:    what the records touch. A partition: its chunk of 64 pointers, its topic's list of chunks, a path of about 1
// KiB in
//          each of two maps; the same topic again within one delta: the chunk at most. A broker or a feature: a copy of
//          that map of pointers. See README.md for figures.
// Threads: one. `base` stays as it is.
// Errors:  of replay(): unknown types, versions of the future and records that do not fit the state (a partition of
//          no topic, a wrong broker epoch) are an error as in Kafka: invalid_record. The delta is then of no use.
// Kafka:   MetadataDelta and the deltas below it.
class MetadataDelta {
public:
    explicit MetadataDelta(std::shared_ptr<const MetadataImage> base);
    ~MetadataDelta();
    MetadataDelta(MetadataDelta&&) noexcept;
    MetadataDelta& operator=(MetadataDelta&&) noexcept;

    const MetadataImage& base() const { return *base_; }
    const std::shared_ptr<const MetadataImage>& base_ptr() const { return base_; }
    // The state with everything replayed so far; it moves on with the next replay().
    const MetadataImage& current() const { return next_; }
    const MetadataChanges& changes() const { return changes_; }

    // One framed record, as in the log. BeginTransaction, EndTransaction, AbortTransaction and NoOp change nothing
    // here: transactions are the loader's affair.
    Result<void> replay(ByteView record);

    Result<void> replay(const protocol::RegisterBrokerRecord& record);
    Result<void> replay(const protocol::UnregisterBrokerRecord& record);
    Result<void> replay(const protocol::TopicRecord& record);
    Result<void> replay(const protocol::PartitionRecord& record);
    Result<void> replay(const protocol::ConfigRecord& record);
    Result<void> replay(const protocol::PartitionChangeRecord& record);
    Result<void> replay(const protocol::FenceBrokerRecord& record);
    Result<void> replay(const protocol::UnfenceBrokerRecord& record);
    Result<void> replay(const protocol::RemoveTopicRecord& record);
    Result<void> replay(const protocol::DelegationTokenRecord& record);
    Result<void> replay(const protocol::UserScramCredentialRecord& record);
    Result<void> replay(const protocol::FeatureLevelRecord& record);
    Result<void> replay(const protocol::ClientQuotaRecord& record);
    Result<void> replay(const protocol::ProducerIdsRecord& record);
    Result<void> replay(const protocol::BrokerRegistrationChangeRecord& record);
    Result<void> replay(const protocol::AccessControlEntryRecord& record);
    Result<void> replay(const protocol::RemoveAccessControlEntryRecord& record);
    Result<void> replay(const protocol::RemoveUserScramCredentialRecord& record);
    Result<void> replay(const protocol::RemoveDelegationTokenRecord& record);
    Result<void> replay(const protocol::ZkMigrationStateRecord& record);
    Result<void> replay(const protocol::RegisterControllerRecord& record);
    Result<void> replay(const protocol::ClearElrRecord& record);
    void set_kraft_version(std::int16_t version);  // from the raft log's control records

    // Before the records of a snapshot: everything of the base is forgotten, and changes() will say what differs.
    void begin_snapshot();
    void finish_snapshot();

    // What current().provenance() says until apply().
    void set_provenance(const MetadataProvenance& provenance);
    // Gives: the next image. The delta keeps its changes(); no replay() afterwards.
    std::shared_ptr<const MetadataImage> apply(const MetadataProvenance& provenance);

private:
    FeaturesImage& features();
    ClusterImage& cluster();
    TopicsImage& topics();
    Result<TopicImage*> topic_to_change(const Uuid& id);
    Result<BrokerRegistration*> broker_to_change(BrokerId id, BrokerEpoch epoch);

    std::shared_ptr<const MetadataImage> base_;
    MetadataImage next_;
    MetadataChanges changes_;
    // Parts that are ours to change, made on the first change.
    std::shared_ptr<FeaturesImage> features_;
    std::shared_ptr<ClusterImage> cluster_;
    std::shared_ptr<TopicsImage> topics_;
    std::shared_ptr<ConfigurationsImage> configs_;
    std::shared_ptr<ClientQuotasImage> client_quotas_;
    std::shared_ptr<ProducerIdsImage> producer_ids_;
    std::shared_ptr<AclsImage> acls_;
    std::shared_ptr<ScramImage> scram_;
    std::shared_ptr<DelegationTokensImage> delegation_tokens_;
    std::unordered_map<Uuid, std::shared_ptr<TopicImage>> open_topics_;  // ours to change, already in topics_
};

// `before` and `after` are the images around `changes`; the pointers live as long as those.
LocalReplicaChanges local_changes(const MetadataChanges& changes, const MetadataImage& before,
                                  const MetadataImage& after, BrokerId broker);

}  // namespace odr::metadata
