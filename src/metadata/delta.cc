#include "metadata/delta.h"

#include <algorithm>

#include "metadata/delta_parts.h"
#include "protocol/generated/clear_elr_record.h"
#include "protocol/generated/partition_change_record.h"
#include "protocol/generated/partition_record.h"
#include "protocol/generated/remove_topic_record.h"
#include "protocol/generated/topic_record.h"

namespace odr::metadata {

bool MetadataChanges::empty() const {
    return !features && brokers.empty() && controllers.empty() && changed_topics.empty() && deleted_topics.empty() &&
           configs.empty() && client_quotas.empty() && !producer_ids && acls.empty() && scram.empty() &&
           delegation_tokens.empty();
}

MetadataDelta::MetadataDelta(std::shared_ptr<const MetadataImage> base) : base_{std::move(base)}, next_{*base_} {}
MetadataDelta::~MetadataDelta() = default;
MetadataDelta::MetadataDelta(MetadataDelta&&) noexcept = default;
MetadataDelta& MetadataDelta::operator=(MetadataDelta&&) noexcept = default;

TopicsImage& MetadataDelta::topics() { return open_part(topics_, next_.topics_); }

Result<TopicImage*> MetadataDelta::topic_to_change(const Uuid& id) {
    changes_.changed_topics.insert(id);
    if (const auto open = open_topics_.find(id); open != open_topics_.end()) return open->second.get();
    const TopicImage* now = topics().find(id);
    if (now == nullptr) return fail(ErrorCode::invalid_record, "record of a partition whose topic is not there");
    auto copy = std::make_shared<TopicImage>(*now);
    TopicImage* topic = copy.get();
    topics().by_id.set(id, copy);
    topics().by_name.set(copy->name, copy);
    open_topics_.emplace(id, std::move(copy));
    return topic;
}

Result<void> MetadataDelta::replay(const protocol::TopicRecord& record) {
    if (topics().find(record.topic_id) != nullptr)
        return fail(ErrorCode::invalid_record, "TopicRecord for a topic id that is there already");
    auto topic = std::make_shared<TopicImage>(TopicImage{std::string{record.name}, record.topic_id, {}});
    topics().by_id.set(record.topic_id, topic);
    topics().by_name.set(topic->name, topic);
    open_topics_.insert_or_assign(record.topic_id, std::move(topic));
    changes_.changed_topics.insert(record.topic_id);
    changes_.created_topics.insert(record.topic_id);
    changes_.deleted_topics.erase(record.topic_id);
    return {};
}

static Result<LeaderRecoveryState> recovery_state(std::int8_t value) {
    if (value != 0 && value != 1) return fail(ErrorCode::invalid_record, "unknown leader recovery state");
    return static_cast<LeaderRecoveryState>(value);
}

// Kafka: a log from before directories, or a partition of which no broker has said one yet, counts as migrating.
static void default_to_migrating(PartitionRegistration& partition) {
    const bool all = std::ranges::all_of(partition.directories, [](const Uuid& id) { return id.is_zero(); });
    if (all) partition.directories.assign(partition.replicas.size(), kMigratingDirectory);
}

static Result<void> check_index(std::int32_t index) {
    if (index < 0 || index > PartitionMap::kIndexMax)
        return fail(ErrorCode::invalid_record, "partition index out of range");
    return {};
}

Result<void> MetadataDelta::replay(const protocol::PartitionRecord& record) {
    ODR_CHECK(check_index(record.partition_id));
    ODR_TRY(state, recovery_state(record.leader_recovery_state));
    if (!record.directories.empty() && record.directories.size() != record.replicas.size())
        return fail(ErrorCode::invalid_record, "PartitionRecord: not one directory for each replica");
    ODR_TRY(topic, topic_to_change(record.topic_id));
    PartitionRegistration partition;
    partition.replicas = broker_ids(record.replicas);
    partition.directories = record.directories;
    partition.isr = broker_ids(record.isr);
    partition.removing_replicas = broker_ids(record.removing_replicas);
    partition.adding_replicas = broker_ids(record.adding_replicas);
    if (record.eligible_leader_replicas) partition.elr = broker_ids(*record.eligible_leader_replicas);
    if (record.last_known_elr) partition.last_known_elr = broker_ids(*record.last_known_elr);
    partition.leader = BrokerId{record.leader};
    partition.leader_recovery_state = state;
    partition.leader_epoch = LeaderEpoch{record.leader_epoch};
    partition.partition_epoch = record.partition_epoch;
    default_to_migrating(partition);
    if (topic->partitions.set(PartitionIndex{record.partition_id}, std::move(partition))) ++topics().partition_count;
    return {};
}

Result<void> MetadataDelta::replay(const protocol::PartitionChangeRecord& record) {
    constexpr std::int32_t kLeaderUnchanged = -2;
    constexpr std::int8_t kRecoveryUnchanged = -1;
    ODR_CHECK(check_index(record.partition_id));
    ODR_TRY(topic, topic_to_change(record.topic_id));
    const PartitionIndex index{record.partition_id};
    const PartitionRegistration* now = topic->partitions.find(index);
    if (now == nullptr)
        return fail(ErrorCode::invalid_record, "PartitionChangeRecord for a partition that is not there");
    PartitionRegistration next = *now;
    const auto assign = [](std::vector<BrokerId>& ids, const std::optional<std::vector<std::int32_t>>& change) {
        if (change) ids = broker_ids(*change);
    };
    assign(next.isr, record.isr);
    assign(next.replicas, record.replicas);
    assign(next.removing_replicas, record.removing_replicas);
    assign(next.adding_replicas, record.adding_replicas);
    assign(next.elr, record.eligible_leader_replicas);
    assign(next.last_known_elr, record.last_known_elr);
    if (record.directories) next.directories = *record.directories;
    default_to_migrating(next);
    if (next.directories.size() != next.replicas.size())
        return fail(ErrorCode::invalid_record, "PartitionChangeRecord: not one directory for each replica");
    if (record.leader != kLeaderUnchanged) {
        next.leader = BrokerId{record.leader};
        next.leader_epoch = LeaderEpoch{next.leader_epoch.raw() + 1};
    }
    if (record.leader_recovery_state != kRecoveryUnchanged) {
        ODR_TRY(state, recovery_state(record.leader_recovery_state));
        next.leader_recovery_state = state;
    }
    ++next.partition_epoch;
    topic->partitions.set(index, std::move(next));
    return {};
}

Result<void> MetadataDelta::replay(const protocol::RemoveTopicRecord& record) {
    const auto* found = topics().by_id.find(record.topic_id);
    if (found == nullptr) return fail(ErrorCode::invalid_record, "RemoveTopicRecord for a topic that is not there");
    const std::shared_ptr<const TopicImage> topic = *found;
    topics().by_id.erase(record.topic_id);
    if (const TopicImage* named = topics().find(topic->name); named == topic.get()) topics().by_name.erase(topic->name);
    topics().partition_count -= static_cast<std::int64_t>(topic->partitions.size());
    open_topics_.erase(record.topic_id);
    changes_.changed_topics.erase(record.topic_id);
    changes_.created_topics.erase(record.topic_id);
    if (base_->topics().find(record.topic_id) != nullptr)
        changes_.deleted_topics.insert_or_assign(record.topic_id, topic->name);

    const ConfigResource resource{ConfigResourceType::topic, topic->name};
    if (open_part(configs_, next_.configs_).resources.erase(resource)) changes_.configs.insert(resource);
    return {};
}

// KIP-966: forgets eligible and last known leaders, of one topic or (empty name) of all.
Result<void> MetadataDelta::replay(const protocol::ClearElrRecord& record) {
    std::vector<Uuid> ids;
    if (record.topic_name.empty()) {
        topics().for_each([&](const TopicImage& topic) { ids.push_back(topic.id); });
    } else {
        const TopicImage* topic = topics().find(record.topic_name);
        if (topic == nullptr) return fail(ErrorCode::invalid_record, "ClearElrRecord for a topic that is not there");
        ids.push_back(topic->id);
    }
    for (const Uuid& id : ids) {
        std::vector<std::pair<PartitionIndex, PartitionRegistration>> cleared;
        topics().find(id)->partitions.for_each([&](PartitionIndex index, const PartitionRegistration& partition) {
            if (partition.elr.empty() && partition.last_known_elr.empty()) return;
            cleared.emplace_back(index, partition);
            cleared.back().second.elr.clear();
            cleared.back().second.last_known_elr.clear();
            ++cleared.back().second.partition_epoch;
        });
        if (cleared.empty()) continue;
        ODR_TRY(topic, topic_to_change(id));
        for (auto& [index, partition] : cleared) topic->partitions.set(index, std::move(partition));
    }
    return {};
}

void MetadataDelta::set_provenance(const MetadataProvenance& provenance) { next_.provenance_ = provenance; }

std::shared_ptr<const MetadataImage> MetadataDelta::apply(const MetadataProvenance& provenance) {
    next_.provenance_ = provenance;
    open_topics_.clear();
    return std::make_shared<const MetadataImage>(next_);
}

}  // namespace odr::metadata
