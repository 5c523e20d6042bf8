#include "metadata/delta.h"
#include "metadata/delta_parts.h"

// A snapshot over an existing image: what it does not name is gone, what it names alike has not changed.
namespace odr::metadata {

void MetadataDelta::begin_snapshot() {
    next_ = MetadataImage{};
    changes_ = {};
    changes_.is_snapshot = true;
    features_.reset();
    cluster_.reset();
    topics_.reset();
    configs_.reset();
    client_quotas_.reset();
    producer_ids_.reset();
    acls_.reset();
    scram_.reset();
    delegation_tokens_.reset();
    open_topics_.clear();
}

static bool same_partitions(const PartitionMap& a, const PartitionMap& b) {
    bool same = a.size() == b.size() && a.end() == b.end();
    a.for_each_change(b, [&](PartitionIndex, const PartitionRegistration* before, const PartitionRegistration* after) {
        same = same && before != nullptr && after != nullptr && *before == *after;
    });
    return same;
}

static void find_topic_changes(MetadataChanges& changes, const TopicsImage& before, const TopicsImage& after) {
    changes.changed_topics.clear();
    changes.created_topics.clear();
    changes.deleted_topics.clear();
    before.for_each([&](const TopicImage& topic) {
        if (after.find(topic.id) == nullptr) changes.deleted_topics.emplace(topic.id, topic.name);
    });
    after.for_each([&](const TopicImage& topic) {
        const TopicImage* old_one = before.find(topic.id);
        if (old_one == nullptr) changes.created_topics.insert(topic.id);
        if (old_one == nullptr || !same_partitions(topic.partitions, old_one->partitions))
            changes.changed_topics.insert(topic.id);
    });
}

// Calls report(key) for each key whose value is not the same in both.
template <class Map, class Report>
static void find_differences(const Map& before, const Map& after, Report&& report) {
    before.for_each([&](const auto& key, const auto&) {
        if (!after.contains(key)) report(key);
    });
    after.for_each([&](const auto& key, const auto& value) {
        const auto* old_one = before.find(key);
        if (old_one == nullptr || !(**old_one == *value)) report(key);
    });
}

template <class Registrations>
static void find_node_changes(std::set<BrokerId>& changed, const Registrations& before, const Registrations& after) {
    changed.clear();
    for (const auto& [id, registration] : before)
        if (!after.contains(id)) changed.insert(id);
    for (const auto& [id, registration] : after) {
        const auto old_one = before.find(id);
        if (old_one == before.end() || !(*old_one->second == *registration)) changed.insert(id);
    }
}

void MetadataDelta::finish_snapshot() {
    const MetadataImage& before = *base_;
    changes_.features = !(before.features() == next_.features());
    find_node_changes(changes_.brokers, before.cluster().brokers, next_.cluster().brokers);
    find_node_changes(changes_.controllers, before.cluster().controllers, next_.cluster().controllers);
    find_topic_changes(changes_, before.topics(), next_.topics());
    changes_.configs.clear();
    find_differences(before.configs().resources, next_.configs().resources,
                     [&](const ConfigResource& resource) { changes_.configs.insert(resource); });
    changes_.client_quotas.clear();
    find_differences(before.client_quotas().entities, next_.client_quotas().entities,
                     [&](const ClientQuotaEntity& entity) { changes_.client_quotas.insert(entity); });
    changes_.producer_ids = before.producer_ids().next_producer_id != next_.producer_ids().next_producer_id;
    changes_.acls.clear();
    find_differences(before.acls().acls, next_.acls().acls, [&](const Uuid& id) { changes_.acls.insert(id); });
    changes_.scram.clear();
    for (const auto mechanism : {ScramMechanism::scram_sha_256, ScramMechanism::scram_sha_512})
        find_differences(*before.scram().users(mechanism), *next_.scram().users(mechanism),
                         [&](const std::string& user) { changes_.scram.emplace(mechanism, user); });
    changes_.delegation_tokens.clear();
    find_differences(before.delegation_tokens().tokens, next_.delegation_tokens().tokens,
                     [&](const std::string& id) { changes_.delegation_tokens.insert(id); });
}

namespace {

void add_local_change(LocalReplicaChanges& changes, BrokerId broker, const TopicImage& topic, PartitionIndex index,
                      const PartitionRegistration* before, const PartitionRegistration* after) {
    if (after == nullptr || !after->has_replica(broker)) {
        if (before != nullptr && before->has_replica(broker)) changes.deletes.push_back({&topic, index, before});
        return;
    }
    if (before != nullptr && before->partition_epoch == after->partition_epoch &&
        before->leader_epoch == after->leader_epoch)
        return;
    const LocalReplicaChanges::Replica replica{&topic, index, after};
    if (after->leader != broker) return changes.followers.push_back(replica);
    changes.leaders.push_back(replica);
    if (before == nullptr || before->leader_epoch != after->leader_epoch) changes.elected.push_back(replica);
}

}  // namespace

LocalReplicaChanges local_changes(const MetadataChanges& changes, const MetadataImage& before,
                                  const MetadataImage& after, BrokerId broker) {
    static const PartitionMap kNone;
    LocalReplicaChanges local;
    for (const auto& [id, name] : changes.deleted_topics) {
        const TopicImage* topic = before.topics().find(id);
        if (topic == nullptr) continue;
        topic->partitions.for_each([&](PartitionIndex index, const PartitionRegistration& partition) {
            add_local_change(local, broker, *topic, index, &partition, nullptr);
        });
    }
    for (const Uuid& id : changes.changed_topics) {
        const TopicImage* topic = after.topics().find(id);
        if (topic == nullptr) continue;
        const TopicImage* old_one = before.topics().find(id);
        topic->partitions.for_each_change(
            old_one == nullptr ? kNone : old_one->partitions,
            [&](PartitionIndex index, const PartitionRegistration* was, const PartitionRegistration* is) {
                add_local_change(local, broker, *topic, index, was, is);
            });
    }
    return local;
}

}  // namespace odr::metadata
