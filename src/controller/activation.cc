#include "controller/activation.h"

#include "base/log.h"
#include "controller/config_changes.h"
#include "io/file_system.h"
#include "protocol/generated/abort_transaction_record.h"
#include "protocol/generated/begin_transaction_record.h"
#include "protocol/generated/end_transaction_record.h"
#include "protocol/generated/feature_level_record.h"
#include "protocol/generated/register_controller_record.h"
#include "raft/snapshot_reader.h"

namespace odr::controller {
namespace {

// Levels of the features among the bootstrap records.
Result<metadata::FeaturesImage> features_of(const BootstrapMetadata& bootstrap) {
    metadata::FeaturesImage features;
    for (const auto& bytes : bootstrap.records) {
        ODR_TRY(frame, protocol::decode_metadata_frame(bytes));
        if (frame.type != protocol::FeatureLevelRecord::kApiKey) continue;
        ODR_TRY(record, protocol::decode_metadata_body<protocol::FeatureLevelRecord>(frame));
        if (record.name == metadata::kMetadataVersionFeature) {
            features.metadata_version = metadata::MetadataVersion{record.feature_level};
        } else {
            features.finalized[std::string{record.name}] = record.feature_level;
        }
    }
    return features;
}

void add_abort(metadata::RecordList& records) {
    protocol::AbortTransactionRecord abort;
    abort.reason = "Controller failover";
    records.add(abort, 0);
}

}  // namespace

Result<BootstrapMetadata> BootstrapMetadata::read(io::MayBlock may_block, io::FileSystem& files,
                                                  const std::string& directory) {
    const std::string path = directory + "/bootstrap.checkpoint";
    if (!files.exists(path)) return defaults();
    BootstrapMetadata bootstrap;
    bootstrap.source = path;
    ODR_TRY(reader, raft::SnapshotReader::open(may_block, files, path, {}));
    for (;;) {
        ODR_TRY(batch, reader->next(may_block));
        if (batch.empty()) break;
        for (const ByteView record : batch) bootstrap.records.emplace_back(record.begin(), record.end());
    }
    return bootstrap;
}

BootstrapMetadata BootstrapMetadata::defaults() {
    BootstrapMetadata bootstrap;
    bootstrap.source = "the defaults";
    const auto add = [&](std::string_view name, std::int16_t level) {
        metadata::RecordList one;
        protocol::FeatureLevelRecord record;
        record.name = name;
        record.feature_level = level;
        one.add(record, 0);
        bootstrap.records.emplace_back(one[0].begin(), one[0].end());
    };
    add(metadata::kMetadataVersionFeature, metadata::kMetadataVersionLatest.level());
    for (const auto& feature : metadata::supported_features()) {
        const bool is_separate =
            feature.name == metadata::kMetadataVersionFeature || feature.name == metadata::kKRaftVersionFeature;
        if (!is_separate && feature.default_level > 0) add(feature.name, feature.default_level);
    }
    return bootstrap;
}

Result<void> add_activation_records(const State& state, bool is_empty, bool in_transaction,
                                    metadata::RecordList& records) {
    const BootstrapMetadata& bootstrap = state.options.bootstrap;
    if (!is_empty) {
        if (!in_transaction) return {};
        if (!state.metadata_version().is_metadata_transaction_supported())
            return fail(ErrorCode::unsupported_version, "the metadata log ends inside a transaction");
        log::warn("the metadata log ends inside a transaction, which is aborted");
        add_abort(records);
        return {};
    }
    ODR_TRY(features, features_of(bootstrap));
    const bool transaction = features.metadata_version.is_metadata_transaction_supported();
    if (in_transaction) add_abort(records);
    log::info("the metadata log is empty: {} bootstrap records from {}, metadata.version {}", bootstrap.records.size(),
              bootstrap.source, features.metadata_version.name());
    if (transaction) {
        protocol::BeginTransactionRecord begin;
        begin.name = "Bootstrap records";
        records.add(begin, 0);
    }
    for (const auto& record : bootstrap.records) records.add_framed(record);
    if (features.is_elr_enabled()) add_elr_safety_records(state, records);
    if (transaction) records.add(protocol::EndTransactionRecord{}, 0);
    return {};
}

void add_controller_registration(const State& state, metadata::RecordList& records) {
    if (!state.metadata_version().is_controller_registration_supported()) return;
    protocol::RegisterControllerRecord record;
    record.controller_id = state.config().node_id().raw();
    record.incarnation_id = state.random.uuid();
    for (const metadata::Endpoint& endpoint : state.options.listeners)
        record.end_points.push_back({endpoint.listener, endpoint.host, endpoint.port, endpoint.security_protocol});
    for (const auto& feature : metadata::supported_features())
        record.features.push_back({feature.name, feature.min, feature.max});
    records.add(record, 0);
}

}  // namespace odr::controller
