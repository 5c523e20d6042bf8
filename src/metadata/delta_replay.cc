#include "metadata/delta.h"
#include "protocol/generated/access_control_entry_record.h"
#include "protocol/generated/broker_registration_change_record.h"
#include "protocol/generated/clear_elr_record.h"
#include "protocol/generated/client_quota_record.h"
#include "protocol/generated/config_record.h"
#include "protocol/generated/delegation_token_record.h"
#include "protocol/generated/feature_level_record.h"
#include "protocol/generated/fence_broker_record.h"
#include "protocol/generated/partition_change_record.h"
#include "protocol/generated/partition_record.h"
#include "protocol/generated/producer_ids_record.h"
#include "protocol/generated/register_broker_record.h"
#include "protocol/generated/register_controller_record.h"
#include "protocol/generated/remove_access_control_entry_record.h"
#include "protocol/generated/remove_delegation_token_record.h"
#include "protocol/generated/remove_topic_record.h"
#include "protocol/generated/remove_user_scram_credential_record.h"
#include "protocol/generated/topic_record.h"
#include "protocol/generated/unfence_broker_record.h"
#include "protocol/generated/unregister_broker_record.h"
#include "protocol/generated/user_scram_credential_record.h"
#include "protocol/generated/zk_migration_state_record.h"
#include "protocol/metadata_records.h"

namespace odr::metadata {

template <class Record>
static Result<void> replay_as(MetadataDelta& delta, const protocol::MetadataRecordFrame& frame) {
    if (frame.version < Record::kMinVersion || frame.version > Record::kMaxVersion)
        return fail(ErrorCode::unsupported_version, "metadata record of an unknown version");
    ODR_TRY(record, protocol::decode_metadata_body<Record>(frame));
    return delta.replay(record);
}

Result<void> MetadataDelta::replay(ByteView framed) {
    using Type = protocol::MetadataRecordType;
    ODR_TRY(frame, protocol::decode_metadata_frame(framed));
    switch (static_cast<Type>(frame.type)) {
        case Type::register_broker:
            return replay_as<protocol::RegisterBrokerRecord>(*this, frame);
        case Type::unregister_broker:
            return replay_as<protocol::UnregisterBrokerRecord>(*this, frame);
        case Type::topic:
            return replay_as<protocol::TopicRecord>(*this, frame);
        case Type::partition:
            return replay_as<protocol::PartitionRecord>(*this, frame);
        case Type::config:
            return replay_as<protocol::ConfigRecord>(*this, frame);
        case Type::partition_change:
            return replay_as<protocol::PartitionChangeRecord>(*this, frame);
        case Type::fence_broker:
            return replay_as<protocol::FenceBrokerRecord>(*this, frame);
        case Type::unfence_broker:
            return replay_as<protocol::UnfenceBrokerRecord>(*this, frame);
        case Type::remove_topic:
            return replay_as<protocol::RemoveTopicRecord>(*this, frame);
        case Type::delegation_token:
            return replay_as<protocol::DelegationTokenRecord>(*this, frame);
        case Type::user_scram_credential:
            return replay_as<protocol::UserScramCredentialRecord>(*this, frame);
        case Type::feature_level:
            return replay_as<protocol::FeatureLevelRecord>(*this, frame);
        case Type::client_quota:
            return replay_as<protocol::ClientQuotaRecord>(*this, frame);
        case Type::producer_ids:
            return replay_as<protocol::ProducerIdsRecord>(*this, frame);
        case Type::broker_registration_change:
            return replay_as<protocol::BrokerRegistrationChangeRecord>(*this, frame);
        case Type::access_control_entry:
            return replay_as<protocol::AccessControlEntryRecord>(*this, frame);
        case Type::remove_access_control_entry:
            return replay_as<protocol::RemoveAccessControlEntryRecord>(*this, frame);
        case Type::zk_migration_state:
            return replay_as<protocol::ZkMigrationStateRecord>(*this, frame);
        case Type::remove_user_scram_credential:
            return replay_as<protocol::RemoveUserScramCredentialRecord>(*this, frame);
        case Type::remove_delegation_token:
            return replay_as<protocol::RemoveDelegationTokenRecord>(*this, frame);
        case Type::register_controller:
            return replay_as<protocol::RegisterControllerRecord>(*this, frame);
        case Type::clear_elr:
            return replay_as<protocol::ClearElrRecord>(*this, frame);
        case Type::no_op:
        case Type::begin_transaction:
        case Type::end_transaction:
        case Type::abort_transaction:
            return {};
    }
    return fail(ErrorCode::invalid_record, "metadata record of an unknown type");
}

}  // namespace odr::metadata
