#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "base/uuid.h"
#include "io/file_system.h"
#include "storage/leader_epoch_cache.h"
#include "storage/topic_partition.h"

// The small text files of a log directory and of a log. Decoders take bytes that anybody may have written.
// Errors: corrupt files are kafka_storage_error; what to do without them is the caller's to say.
// Kafka:  CheckpointFile (version line, count line, one line an entry), PartitionMetadataFile,
// CleanShutdownFileHandler,
//         MetaProperties.
namespace odr::storage {

inline constexpr const char* kRecoveryPointCheckpoint = "recovery-point-offset-checkpoint";
inline constexpr const char* kLogStartOffsetCheckpoint = "log-start-offset-checkpoint";
inline constexpr const char* kHighWatermarkCheckpoint = "replication-offset-checkpoint";
inline constexpr const char* kCleanerOffsetCheckpoint = "cleaner-offset-checkpoint";
inline constexpr const char* kLeaderEpochCheckpoint = "leader-epoch-checkpoint";
inline constexpr const char* kPartitionMetadata = "partition.metadata";
inline constexpr const char* kCleanShutdown = ".kafka_cleanshutdown";
inline constexpr const char* kMetaProperties = "meta.properties";

using OffsetCheckpoint = std::map<TopicPartition, Offset>;
std::string encode_offset_checkpoint(const OffsetCheckpoint& offsets);
Result<OffsetCheckpoint> decode_offset_checkpoint(std::string_view text);

std::string encode_epoch_checkpoint(const std::vector<EpochEntry>& entries);
Result<std::vector<EpochEntry>> decode_epoch_checkpoint(std::string_view text);

std::string encode_partition_metadata(const Uuid& topic_id);
Result<Uuid> decode_partition_metadata(std::string_view text);

// KIP-966. Gives: the broker epoch; -1 for the empty file of older versions.
std::string encode_clean_shutdown(std::int64_t broker_epoch);
std::int64_t decode_clean_shutdown(std::string_view text);

struct MetaProperties {
    std::int32_t version = 1;
    std::optional<BrokerId> node_id;
    std::string cluster_id;
    std::optional<Uuid> directory_id;
    friend bool operator==(const MetaProperties&, const MetaProperties&) = default;
};
std::string encode_meta_properties(const MetaProperties& properties);
Result<MetaProperties> decode_meta_properties(std::string_view text);

}  // namespace odr::storage
