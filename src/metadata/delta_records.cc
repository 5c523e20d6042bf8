#include <algorithm>

#include "metadata/delta.h"
#include "metadata/delta_parts.h"
#include "protocol/generated/access_control_entry_record.h"
#include "protocol/generated/broker_registration_change_record.h"
#include "protocol/generated/client_quota_record.h"
#include "protocol/generated/config_record.h"
#include "protocol/generated/delegation_token_record.h"
#include "protocol/generated/feature_level_record.h"
#include "protocol/generated/fence_broker_record.h"
#include "protocol/generated/producer_ids_record.h"
#include "protocol/generated/register_broker_record.h"
#include "protocol/generated/register_controller_record.h"
#include "protocol/generated/remove_access_control_entry_record.h"
#include "protocol/generated/remove_delegation_token_record.h"
#include "protocol/generated/remove_user_scram_credential_record.h"
#include "protocol/generated/unfence_broker_record.h"
#include "protocol/generated/unregister_broker_record.h"
#include "protocol/generated/user_scram_credential_record.h"
#include "protocol/generated/zk_migration_state_record.h"

// What each record other than those of topics does to the image.
namespace odr::metadata {

FeaturesImage& MetadataDelta::features() {
    changes_.features = true;
    return open_part(features_, next_.features_);
}
ClusterImage& MetadataDelta::cluster() { return open_part(cluster_, next_.cluster_); }

// --- features

Result<void> MetadataDelta::replay(const protocol::FeatureLevelRecord& record) {
    if (record.name == kMetadataVersionFeature) {
        const MetadataVersion version{record.feature_level};
        if (!version.is_known()) return fail(ErrorCode::unsupported_version, "unknown metadata.version in the log");
        features().metadata_version = version;
        return {};
    }
    if (record.feature_level == 0) {
        auto& finalized = features().finalized;
        if (const auto found = finalized.find(record.name); found != finalized.end()) finalized.erase(found);
    } else {
        features().finalized.insert_or_assign(std::string{record.name}, record.feature_level);
    }
    return {};
}

Result<void> MetadataDelta::replay(const protocol::ZkMigrationStateRecord& record) {
    features().zk_migration_state = record.zk_migration_state;
    return {};
}

void MetadataDelta::set_kraft_version(std::int16_t version) {
    if (next_.features().kraft_version != version) features().kraft_version = version;
}

// --- cluster

template <class RecordEndpoint>
static std::vector<Endpoint> endpoints_of(const std::vector<RecordEndpoint>& from) {
    std::vector<Endpoint> endpoints;
    endpoints.reserve(from.size());
    for (const auto& each : from)
        endpoints.push_back({std::string{each.name}, std::string{each.host}, each.port, each.security_protocol});
    return endpoints;
}
template <class RecordFeature>
static SupportedVersions versions_of(const std::vector<RecordFeature>& from) {
    SupportedVersions versions;
    for (const auto& each : from)
        versions.insert_or_assign(std::string{each.name},
                                  VersionRange{each.min_supported_version, each.max_supported_version});
    return versions;
}

Result<void> MetadataDelta::replay(const protocol::RegisterBrokerRecord& record) {
    auto broker = std::make_shared<BrokerRegistration>();
    broker->id = BrokerId{record.broker_id};
    broker->epoch = BrokerEpoch{record.broker_epoch};
    broker->incarnation_id = record.incarnation_id;
    broker->listeners = endpoints_of(record.end_points);
    broker->supported_features = versions_of(record.features);
    if (record.rack) broker->rack = std::string{*record.rack};
    broker->fenced = record.fenced;
    broker->in_controlled_shutdown = record.in_controlled_shutdown;
    broker->is_migrating_zk_broker = record.is_migrating_zk_broker;
    broker->directories = record.log_dirs;
    std::ranges::sort(broker->directories);
    broker->cordoned_directories = record.cordoned_log_dirs;
    changes_.brokers.insert(broker->id);
    cluster().brokers.insert_or_assign(broker->id, std::move(broker));
    return {};
}

Result<void> MetadataDelta::replay(const protocol::UnregisterBrokerRecord& record) {
    changes_.brokers.insert(BrokerId{record.broker_id});
    cluster().brokers.erase(BrokerId{record.broker_id});
    return {};
}

// Gives: a copy of the registration, already in the next image.
Result<BrokerRegistration*> MetadataDelta::broker_to_change(BrokerId id, BrokerEpoch epoch) {
    const auto found = cluster().brokers.find(id);
    if (found == cluster().brokers.end())
        return fail(ErrorCode::invalid_record, "record changes a broker that is not registered");
    if (found->second->epoch != epoch)
        return fail(ErrorCode::invalid_record, "record changes a broker of another epoch");
    auto copy = std::make_shared<BrokerRegistration>(*found->second);
    BrokerRegistration* broker = copy.get();
    found->second = std::move(copy);
    changes_.brokers.insert(id);
    return broker;
}

Result<void> MetadataDelta::replay(const protocol::FenceBrokerRecord& record) {
    ODR_TRY(broker, broker_to_change(BrokerId{record.id}, BrokerEpoch{record.epoch}));
    broker->fenced = true;
    return {};
}
Result<void> MetadataDelta::replay(const protocol::UnfenceBrokerRecord& record) {
    ODR_TRY(broker, broker_to_change(BrokerId{record.id}, BrokerEpoch{record.epoch}));
    broker->fenced = false;
    return {};
}

Result<void> MetadataDelta::replay(const protocol::BrokerRegistrationChangeRecord& record) {
    if (record.fenced < -1 || record.fenced > 1)
        return fail(ErrorCode::invalid_record, "BrokerRegistrationChangeRecord: unknown change of fencing");
    if (record.in_controlled_shutdown < 0 || record.in_controlled_shutdown > 1)
        return fail(ErrorCode::invalid_record, "BrokerRegistrationChangeRecord: unknown change of shutdown");
    ODR_TRY(broker, broker_to_change(BrokerId{record.broker_id}, BrokerEpoch{record.broker_epoch}));
    if (record.fenced != 0) broker->fenced = record.fenced == 1;
    if (record.in_controlled_shutdown == 1) broker->in_controlled_shutdown = true;
    if (!record.log_dirs.empty()) {
        broker->directories = record.log_dirs;
        std::ranges::sort(broker->directories);
    }
    if (record.cordoned_log_dirs) broker->cordoned_directories = record.cordoned_log_dirs;
    return {};
}

Result<void> MetadataDelta::replay(const protocol::RegisterControllerRecord& record) {
    auto controller = std::make_shared<ControllerRegistration>();
    controller->id = BrokerId{record.controller_id};
    controller->incarnation_id = record.incarnation_id;
    controller->zk_migration_ready = record.zk_migration_ready;
    controller->listeners = endpoints_of(record.end_points);
    controller->supported_features = versions_of(record.features);
    changes_.controllers.insert(controller->id);
    cluster().controllers.insert_or_assign(controller->id, std::move(controller));
    return {};
}

// --- configs, quotas

Result<void> MetadataDelta::replay(const protocol::ConfigRecord& record) {
    auto& resources = open_part(configs_, next_.configs_).resources;
    ConfigResource resource{static_cast<ConfigResourceType>(record.resource_type), std::string{record.resource_name}};
    const auto* now = resources.find(resource);
    auto next = now == nullptr ? std::make_shared<config::ConfigMap>() : std::make_shared<config::ConfigMap>(**now);
    if (record.value) {
        next->insert_or_assign(std::string{record.name}, std::string{*record.value});
    } else if (const auto found = next->find(record.name); found != next->end()) {
        next->erase(found);
    }
    changes_.configs.insert(resource);
    if (next->empty()) {
        resources.erase(resource);
    } else {
        resources.set(std::move(resource), std::move(next));
    }
    return {};
}

Result<void> MetadataDelta::replay(const protocol::ClientQuotaRecord& record) {
    auto& entities = open_part(client_quotas_, next_.client_quotas_).entities;
    ClientQuotaEntity entity;
    for (const auto& part : record.entity) {
        std::optional<std::string> name;
        if (part.entity_name) name = std::string{*part.entity_name};
        entity.insert_or_assign(std::string{part.entity_type}, std::move(name));
    }
    const auto* now = entities.find(entity);
    auto next = now == nullptr ? std::make_shared<ClientQuotas>() : std::make_shared<ClientQuotas>(**now);
    if (!record.remove) {
        next->insert_or_assign(std::string{record.key}, record.value);
    } else if (const auto found = next->find(record.key); found != next->end()) {
        next->erase(found);
    }
    changes_.client_quotas.insert(entity);
    if (next->empty()) {
        entities.erase(entity);
    } else {
        entities.set(std::move(entity), std::move(next));
    }
    return {};
}

Result<void> MetadataDelta::replay(const protocol::ProducerIdsRecord& record) {
    open_part(producer_ids_, next_.producer_ids_).next_producer_id = record.next_producer_id;
    changes_.producer_ids = true;
    return {};
}

// --- security

Result<void> MetadataDelta::replay(const protocol::AccessControlEntryRecord& record) {
    auto acl = std::make_shared<const StandardAcl>(StandardAcl{
        .resource_type = record.resource_type,
        .resource_name = std::string{record.resource_name},
        .pattern_type = record.pattern_type,
        .principal = std::string{record.principal},
        .host = std::string{record.host},
        .operation = record.operation,
        .permission_type = record.permission_type,
    });
    open_part(acls_, next_.acls_).acls.set(record.id, std::move(acl));
    changes_.acls.insert(record.id);
    return {};
}

Result<void> MetadataDelta::replay(const protocol::RemoveAccessControlEntryRecord& record) {
    if (!open_part(acls_, next_.acls_).acls.erase(record.id))
        return fail(ErrorCode::invalid_record, "RemoveAccessControlEntryRecord for an ACL that is not there");
    if (base_->acls().acls.contains(record.id)) {
        changes_.acls.insert(record.id);
    } else {
        changes_.acls.erase(record.id);
    }
    return {};
}

static ScramImage::Users* users_to_change(ScramImage& scram, ScramMechanism mechanism) {
    return const_cast<ScramImage::Users*>(std::as_const(scram).users(mechanism));
}

Result<void> MetadataDelta::replay(const protocol::UserScramCredentialRecord& record) {
    const auto mechanism = static_cast<ScramMechanism>(record.mechanism);
    ScramImage::Users* users = users_to_change(open_part(scram_, next_.scram_), mechanism);
    if (users == nullptr) return fail(ErrorCode::invalid_record, "UserScramCredentialRecord: unknown mechanism");
    users->set(std::string{record.name}, std::make_shared<const ScramCredentialData>(ScramCredentialData{
                                             {record.salt.begin(), record.salt.end()},
                                             {record.stored_key.begin(), record.stored_key.end()},
                                             {record.server_key.begin(), record.server_key.end()},
                                             record.iterations,
                                         }));
    changes_.scram.emplace(mechanism, record.name);
    return {};
}

Result<void> MetadataDelta::replay(const protocol::RemoveUserScramCredentialRecord& record) {
    const auto mechanism = static_cast<ScramMechanism>(record.mechanism);
    ScramImage::Users* users = users_to_change(open_part(scram_, next_.scram_), mechanism);
    if (users == nullptr) return fail(ErrorCode::invalid_record, "RemoveUserScramCredentialRecord: unknown mechanism");
    users->erase(record.name);
    changes_.scram.emplace(mechanism, record.name);
    return {};
}

Result<void> MetadataDelta::replay(const protocol::DelegationTokenRecord& record) {
    auto token = std::make_shared<DelegationTokenData>();
    token->token_id = record.token_id;
    token->owner = record.owner;
    token->requester = record.requester;
    token->renewers.assign(record.renewers.begin(), record.renewers.end());
    token->issue_timestamp = TimestampMs{record.issue_timestamp};
    token->max_timestamp = TimestampMs{record.max_timestamp};
    token->expiration_timestamp = TimestampMs{record.expiration_timestamp};
    changes_.delegation_tokens.insert(token->token_id);
    std::string id = token->token_id;
    open_part(delegation_tokens_, next_.delegation_tokens_).tokens.set(std::move(id), std::move(token));
    return {};
}

Result<void> MetadataDelta::replay(const protocol::RemoveDelegationTokenRecord& record) {
    open_part(delegation_tokens_, next_.delegation_tokens_).tokens.erase(record.token_id);
    changes_.delegation_tokens.emplace(record.token_id);
    return {};
}

}  // namespace odr::metadata
