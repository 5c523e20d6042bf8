#include "metadata/bootstrap.h"

#include "metadata/delta.h"
#include "protocol/generated/abort_transaction_record.h"
#include "protocol/generated/begin_transaction_record.h"
#include "protocol/generated/config_record.h"
#include "protocol/generated/end_transaction_record.h"
#include "protocol/generated/feature_level_record.h"
#include "raft/snapshot_reader.h"
#include "raft/snapshot_writer.h"

namespace odr::metadata {

RecordList feature_records(MetadataVersion version, const FeatureLevels& levels) {
    RecordList records;
    protocol::FeatureLevelRecord record;
    record.name = kMetadataVersionFeature;
    record.feature_level = version.level();
    records.add(record, 0);
    for (const auto& [name, level] : levels) {
        if (level == 0 || name == kMetadataVersionFeature || name == kKRaftVersionFeature) continue;
        record.name = name;
        record.feature_level = level;
        records.add(record, 0);
    }
    return records;
}

// The features that the records set.
static Result<FeaturesImage> features_of(const RecordList& records) {
    MetadataDelta delta{MetadataImage::empty()};
    for (std::size_t i = 0; i < records.size(); ++i) ODR_CHECK(delta.replay(records[i]));
    if (!delta.changes().features)
        return fail(ErrorCode::corrupt_message, "bootstrap records have no metadata.version");
    return delta.current().features();
}

Result<BootstrapMetadata> read_bootstrap(io::MayBlock may_block, io::FileSystem& files, const std::string& directory) {
    const std::string path = directory + "/" + std::string{kBootstrapFile};
    BootstrapMetadata bootstrap;
    if (!files.exists(path)) {
        bootstrap.records = feature_records(kMetadataVersionLatest, {});
        bootstrap.metadata_version = kMetadataVersionLatest;
        bootstrap.source = "the default bootstrap";
        return bootstrap;
    }
    ODR_TRY(reader, raft::SnapshotReader::open(may_block, files, path, {}));
    for (;;) {
        ODR_TRY(records, reader->next(may_block));
        if (records.empty()) break;
        for (const ByteView record : records) bootstrap.records.add_framed(record);
    }
    ODR_TRY(features, features_of(bootstrap.records));
    bootstrap.metadata_version = features.metadata_version;
    bootstrap.source = "the binary bootstrap metadata file: " + path;
    return bootstrap;
}

Result<void> write_bootstrap(io::MayBlock may_block, io::FileSystem& files, const std::string& directory,
                             const RecordList& records, TimestampMs now) {
    raft::SnapshotWriter::Options options;
    options.path = directory + "/" + std::string{kBootstrapFile};
    options.now = now;
    ODR_TRY(writer, raft::SnapshotWriter::create(may_block, files, std::move(options)));
    ODR_CHECK(writer->append(records.views()));
    return writer->freeze(may_block);
}

Result<RecordList> activation_records(const BootstrapMetadata& bootstrap, std::int32_t min_insync_replicas,
                                      bool aborts_open_transaction) {
    const bool in_transaction = bootstrap.metadata_version.is_metadata_transaction_supported();
    if (aborts_open_transaction && !in_transaction)
        return fail(ErrorCode::invalid_record, "an open transaction in a log whose metadata.version has none");
    ODR_TRY(features, features_of(bootstrap.records));
    RecordList records;
    if (aborts_open_transaction) {
        protocol::AbortTransactionRecord abort;
        abort.reason = "Controller failover";
        records.add(abort, 0);
    }
    if (in_transaction) {
        protocol::BeginTransactionRecord begin;
        begin.name = "Bootstrap records";
        records.add(begin, 0);
    }
    for (std::size_t i = 0; i < bootstrap.records.size(); ++i) records.add_framed(bootstrap.records[i]);
    if (features.is_elr_enabled()) {
        const std::string value = std::to_string(min_insync_replicas);
        protocol::ConfigRecord config;
        config.resource_type = static_cast<std::int8_t>(ConfigResourceType::broker);
        config.name = "min.insync.replicas";
        config.value = value;
        records.add(config, 0);
    }
    if (in_transaction) records.add(protocol::EndTransactionRecord{}, 0);
    return records;
}

}  // namespace odr::metadata
