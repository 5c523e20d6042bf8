#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "base/types.h"
#include "base/uuid.h"
#include "io/file_system.h"
#include "io/may_block.h"

namespace odr::metadata {

// The file meta.properties of a log directory: which cluster and node it belongs to.
//
// Kafka: MetaProperties, version 1 (version 0, of ZooKeeper's time, is read too).
struct MetaProperties {
    std::int32_t version = 1;
    std::optional<std::string> cluster_id;
    std::optional<BrokerId> node_id;  // node.id, or broker.id in version 0
    std::optional<Uuid> directory_id;
    friend bool operator==(const MetaProperties&, const MetaProperties&) = default;
};

inline constexpr std::string_view kMetaPropertiesFile = "meta.properties";

// Errors: corrupt_message for an unknown version or a value that is no id.
Result<MetaProperties> parse_meta_properties(std::string_view text);
// Gives: the file as Kafka writes it, with `now` in its comment.
std::string format_meta_properties(const MetaProperties& properties, TimestampMs now);

// meta.properties of all log directories together. Kafka: MetaPropertiesEnsemble.
struct MetaPropertiesEnsemble {
    std::map<std::string, MetaProperties> formatted;  // by log directory
    std::vector<std::string> empty;                   // no file, or no directory yet
    std::map<std::string, std::string> failed;        // could not be read, and why

    static MetaPropertiesEnsemble load(io::FileSystem& files, const std::vector<std::string>& log_directories);

    // Whether the files agree with each other and with what is expected.
    // Errors: a sentence for the operator.
    std::expected<void, std::string> verify(std::optional<std::string> cluster_id,
                                            std::optional<BrokerId> node_id) const;
    // Gives: the cluster id that the files say; nullopt where none is formatted.
    std::optional<std::string> cluster_id() const;
};

// Writes meta.properties into `log_directory`, which must exist; synced.
Result<void> write_meta_properties(io::MayBlock, io::FileSystem& files, const std::string& log_directory,
                                   const MetaProperties& properties, TimestampMs now);

}  // namespace odr::metadata
