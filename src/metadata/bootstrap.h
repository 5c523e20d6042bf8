#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "io/file_system.h"
#include "io/may_block.h"
#include "metadata/features.h"
#include "metadata/record_list.h"

namespace odr::metadata {

inline constexpr std::string_view kBootstrapFile = "bootstrap.checkpoint";

// The records with which an empty metadata log begins: feature levels, maybe SCRAM credentials.
//
// Kafka: BootstrapMetadata, BootstrapDirectory (KIP-778).
struct BootstrapMetadata {
    RecordList records;
    MetadataVersion metadata_version;  // as the records say
    std::string source;                // for the log: where it is from
};

using FeatureLevels = std::map<std::string, std::int16_t, std::less<>>;

// Gives: feature records for a new cluster, metadata.version first, the others by name. Levels of 0 and kraft.version
// have
//        none: the one is the default, the other stands in control records.
RecordList feature_records(MetadataVersion version, const FeatureLevels& levels);

// `<metadata.log.dir>/bootstrap.checkpoint`; where there is none, the newest metadata.version.
// Errors: corrupt_message for a file without a metadata.version, or that cannot be read.
Result<BootstrapMetadata> read_bootstrap(io::MayBlock, io::FileSystem& files, const std::string& directory);
// Writes the file, in the form of a snapshot; synced.
Result<void> write_bootstrap(io::MayBlock, io::FileSystem& files, const std::string& directory,
                             const RecordList& records, TimestampMs now);

// Gives: what the controller appends as its first batch when the log is empty: the bootstrap records between Begin and
// End
//        of a transaction where metadata.version has them; with eligible leader replicas also the cluster's
//        min.insync.replicas (KIP-966), as the configuration of all brokers.
//        `aborts_open_transaction`: an earlier try was cut off; it is aborted first.
// Kafka: ActivationRecordsGenerator.recordsForEmptyLog.
Result<RecordList> activation_records(const BootstrapMetadata& bootstrap, std::int32_t min_insync_replicas,
                                      bool aborts_open_transaction);

}  // namespace odr::metadata
