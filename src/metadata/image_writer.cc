#include "metadata/image_writer.h"

#include <algorithm>

#include "protocol/generated/access_control_entry_record.h"
#include "protocol/generated/client_quota_record.h"
#include "protocol/generated/config_record.h"
#include "protocol/generated/delegation_token_record.h"
#include "protocol/generated/feature_level_record.h"
#include "protocol/generated/partition_record.h"
#include "protocol/generated/producer_ids_record.h"
#include "protocol/generated/register_broker_record.h"
#include "protocol/generated/register_controller_record.h"
#include "protocol/generated/topic_record.h"
#include "protocol/generated/user_scram_credential_record.h"
#include "protocol/generated/zk_migration_state_record.h"

namespace odr::metadata {

namespace {

using Sink = std::function<Result<void>(std::span<const ByteView>)>;

// Gathers records and hands them on by the megabyte. After the first error of the sink nothing is handed on any more.
class Out {
public:
    Out(const Sink& sink, MetadataVersion version) : sink_{sink}, version_{version} {}

    MetadataVersion version() const { return version_; }
    template <class Record>
    void write(const Record& record, std::int16_t record_version) {
        records_.add(record, record_version);
        if (records_.size_in_bytes() >= kGroupBytes) flush();
    }
    Result<void> finish() {
        flush();
        return result_;
    }

private:
    static constexpr std::size_t kGroupBytes = std::size_t{1} << 20;
    void flush() {
        if (records_.empty()) return;
        if (result_) result_ = sink_(records_.views());
        records_.clear();
    }

    const Sink& sink_;
    MetadataVersion version_;
    RecordList records_;
    Result<void> result_;
};

void write_features(Out& out, const FeaturesImage& features) {
    protocol::FeatureLevelRecord record;
    record.name = kMetadataVersionFeature;
    record.feature_level = features.metadata_version.level();
    out.write(record, 0);
    for (const auto& [name, level] : features.finalized) {
        record.name = name;
        record.feature_level = level;
        out.write(record, 0);
    }
    // Kafka 4 writes this only where a cluster came from ZooKeeper once.
    if (features.zk_migration_state == 0 || !out.version().is_migration_supported()) return;
    protocol::ZkMigrationStateRecord state;
    state.zk_migration_state = features.zk_migration_state;
    out.write(state, 0);
}

template <class Record, class RecordEndpoint, class RecordFeature>
void fill_node(Record& record, const std::vector<Endpoint>& listeners, const SupportedVersions& features) {
    for (const Endpoint& endpoint : listeners) {
        RecordEndpoint each;
        each.name = endpoint.listener;
        each.host = endpoint.host;
        each.port = endpoint.port;
        each.security_protocol = endpoint.security_protocol;
        record.end_points.push_back(each);
    }
    for (const auto& [name, range] : features) {
        RecordFeature each;
        each.name = name;
        each.min_supported_version = range.min;
        each.max_supported_version = range.max;
        record.features.push_back(each);
    }
}

void write_cluster(Out& out, const ClusterImage& cluster) {
    using Broker = protocol::RegisterBrokerRecord;
    for (const auto& [id, broker] : cluster.brokers) {
        Broker record;
        record.broker_id = id.raw();
        record.is_migrating_zk_broker = broker->is_migrating_zk_broker;
        record.incarnation_id = broker->incarnation_id;
        record.broker_epoch = broker->epoch.raw();
        record.rack = broker->rack;
        record.fenced = broker->fenced;
        record.in_controlled_shutdown = broker->in_controlled_shutdown;
        if (out.version().is_directory_assignment_supported()) record.log_dirs = broker->directories;
        if (out.version().is_cordoned_log_dirs_supported()) record.cordoned_log_dirs = broker->cordoned_directories;
        fill_node<Broker, Broker::BrokerEndpoint, Broker::BrokerFeature>(record, broker->listeners,
                                                                         broker->supported_features);
        out.write(record, out.version().register_broker_record_version());
    }
    using Controller = protocol::RegisterControllerRecord;
    if (!out.version().is_controller_registration_supported()) return;
    for (const auto& [id, controller] : cluster.controllers) {
        Controller record;
        record.controller_id = id.raw();
        record.incarnation_id = controller->incarnation_id;
        record.zk_migration_ready = controller->zk_migration_ready;
        fill_node<Controller, Controller::ControllerEndpoint, Controller::ControllerFeature>(
            record, controller->listeners, controller->supported_features);
        out.write(record, 0);
    }
}

void write_topic(Out& out, const TopicImage& topic) {
    protocol::TopicRecord record;
    record.name = topic.name;
    record.topic_id = topic.id;
    out.write(record, 0);
    topic.partitions.for_each([&](PartitionIndex index, const PartitionRegistration& partition) {
        out.write(partition_record(topic.id, index, partition, out.version()),
                  out.version().partition_record_version());
    });
}

void write_configs(Out& out, const ConfigurationsImage& configs) {
    configs.resources.for_each([&](const ConfigResource& resource, const auto& settings) {
        protocol::ConfigRecord record;
        record.resource_type = static_cast<std::int8_t>(resource.type);
        record.resource_name = resource.name;
        for (const auto& [name, value] : *settings) {
            record.name = name;
            record.value = value;
            out.write(record, 0);
        }
    });
}

void write_client_quotas(Out& out, const ClientQuotasImage& quotas) {
    quotas.entities.for_each([&](const ClientQuotaEntity& entity, const auto& values) {
        protocol::ClientQuotaRecord record;
        for (const auto& [type, name] : entity) {
            protocol::ClientQuotaRecord::EntityData part;
            part.entity_type = type;
            part.entity_name = name;
            record.entity.push_back(part);
        }
        for (const auto& [key, value] : *values) {
            record.key = key;
            record.value = value;
            out.write(record, 0);
        }
    });
}

void write_producer_ids(Out& out, const ProducerIdsImage& ids) {
    if (ids.next_producer_id <= 0) return;
    protocol::ProducerIdsRecord record;
    record.broker_id = -1;
    record.broker_epoch = -1;
    record.next_producer_id = ids.next_producer_id;
    out.write(record, 0);
}

void write_acls(Out& out, const AclsImage& acls) {
    acls.acls.for_each([&](const Uuid& id, const std::shared_ptr<const StandardAcl>& acl) {
        protocol::AccessControlEntryRecord record;
        record.id = id;
        record.resource_type = acl->resource_type;
        record.resource_name = acl->resource_name;
        record.pattern_type = acl->pattern_type;
        record.principal = acl->principal;
        record.host = acl->host;
        record.operation = acl->operation;
        record.permission_type = acl->permission_type;
        out.write(record, 0);
    });
}

void write_scram(Out& out, const ScramImage& scram) {
    if (!out.version().is_scram_supported()) return;
    for (const auto mechanism : {ScramMechanism::scram_sha_256, ScramMechanism::scram_sha_512}) {
        scram.users(mechanism)->for_each([&](const std::string& user, const auto& credential) {
            protocol::UserScramCredentialRecord record;
            record.name = user;
            record.mechanism = static_cast<std::int8_t>(mechanism);
            record.salt = credential->salt;
            record.stored_key = credential->stored_key;
            record.server_key = credential->server_key;
            record.iterations = credential->iterations;
            out.write(record, 0);
        });
    }
}

void write_delegation_tokens(Out& out, const DelegationTokensImage& tokens) {
    if (!out.version().is_delegation_token_supported()) return;
    tokens.tokens.for_each([&](const std::string& id, const std::shared_ptr<const DelegationTokenData>& token) {
        protocol::DelegationTokenRecord record;
        record.token_id = id;
        record.owner = token->owner;
        record.requester = token->requester;
        record.renewers.assign(token->renewers.begin(), token->renewers.end());
        record.issue_timestamp = token->issue_timestamp.raw();
        record.max_timestamp = token->max_timestamp.raw();
        record.expiration_timestamp = token->expiration_timestamp.raw();
        out.write(record, 0);
    });
}

}  // namespace

protocol::PartitionRecord partition_record(const Uuid& topic, PartitionIndex index,
                                           const PartitionRegistration& partition, MetadataVersion version) {
    protocol::PartitionRecord record;
    record.partition_id = index.raw();
    record.topic_id = topic;
    record.replicas = raw_ids(partition.replicas);
    record.isr = raw_ids(partition.isr);
    record.removing_replicas = raw_ids(partition.removing_replicas);
    record.adding_replicas = raw_ids(partition.adding_replicas);
    record.leader = partition.leader.raw();
    record.leader_recovery_state = static_cast<std::int8_t>(partition.leader_recovery_state);
    record.leader_epoch = partition.leader_epoch.raw();
    record.partition_epoch = partition.partition_epoch;
    if (version.is_directory_assignment_supported()) record.directories = partition.directories;
    if (version.is_elr_supported()) {
        if (!partition.elr.empty()) record.eligible_leader_replicas = raw_ids(partition.elr);
        if (!partition.last_known_elr.empty()) record.last_known_elr = raw_ids(partition.last_known_elr);
    }
    return record;
}

Result<void> write_image(const MetadataImage& image, const Sink& sink) {
    Out out{sink, image.features().metadata_version};
    write_features(out, image.features());
    write_cluster(out, image.cluster());
    image.topics().for_each([&](const TopicImage& topic) { write_topic(out, topic); });
    write_configs(out, image.configs());
    write_client_quotas(out, image.client_quotas());
    write_producer_ids(out, image.producer_ids());
    write_acls(out, image.acls());
    write_scram(out, image.scram());
    write_delegation_tokens(out, image.delegation_tokens());
    return out.finish();
}

Result<RecordList> image_records(const MetadataImage& image) {
    RecordList all;
    ODR_CHECK(write_image(image, [&](std::span<const ByteView> records) -> Result<void> {
        for (const ByteView record : records) all.add_framed(record);
        return {};
    }));
    return all;
}

}  // namespace odr::metadata
