#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/types.h"

namespace odr::metadata {

inline constexpr std::string_view kMetadataVersionFeature = "metadata.version";
inline constexpr std::string_view kKRaftVersionFeature = "kraft.version";
inline constexpr std::string_view kTransactionVersionFeature = "transaction.version";
inline constexpr std::string_view kGroupVersionFeature = "group.version";
inline constexpr std::string_view kShareVersionFeature = "share.version";
inline constexpr std::string_view kStreamsVersionFeature = "streams.version";
inline constexpr std::string_view kElrVersionFeature = "eligible.leader.replicas.version";

// metadata.version: which records and record versions may stand in the metadata log. A level, 7 (3.3-IV3) to 30.
//
// Kafka: MetadataVersion.
class MetadataVersion {
public:
    constexpr MetadataVersion() = default;
    constexpr explicit MetadataVersion(std::int16_t level) : level_{level} {}
    constexpr std::int16_t level() const { return level_; }
    friend constexpr auto operator<=>(const MetadataVersion&, const MetadataVersion&) = default;

    bool is_known() const;
    // Gives: such as "4.3-IV0"; "unknown" for a level of the future.
    std::string_view name() const;
    // Gives: the release part of the name, such as "4.3".
    std::string_view release() const { return name().substr(0, name().find('-')); }
    // Needs:  "4.3-IV0", or a release as "4.3" or "4.3.0" for its newest level.
    static std::optional<MetadataVersion> parse(std::string_view text);

    constexpr bool is_scram_supported() const { return level_ >= 11; }
    constexpr bool is_delegation_token_supported() const { return level_ >= 14; }
    constexpr bool is_controller_registration_supported() const { return level_ >= 15; }
    constexpr bool is_directory_assignment_supported() const { return level_ >= 17; }
    constexpr bool is_elr_supported() const { return level_ >= 23; }
    constexpr bool is_migration_supported() const { return level_ >= 8; }
    constexpr bool is_metadata_transaction_supported() const { return level_ >= 13; }
    constexpr bool is_cordoned_log_dirs_supported() const { return level_ >= 30; }

    // The highest version of each record that this level may write.
    constexpr std::int16_t register_broker_record_version() const {
        return level_ >= 30 ? 4 : level_ >= 17 ? 3 : level_ >= 8 ? 2 : 1;
    }
    constexpr std::int16_t broker_registration_change_record_version() const {
        return level_ >= 30 ? 3 : level_ >= 17 ? 2 : 1;
    }
    constexpr std::int16_t partition_record_version() const { return level_ >= 23 ? 2 : level_ >= 17 ? 1 : 0; }
    constexpr std::int16_t partition_change_record_version() const { return partition_record_version(); }

private:
    std::int16_t level_ = 7;
};

inline constexpr MetadataVersion kMetadataVersionMin{7};
inline constexpr MetadataVersion kMetadataVersionLatest{30};

// What this software can run at, and where a new cluster of its release starts.
struct SupportedFeature {
    std::string_view name;
    std::int16_t min;
    std::int16_t max;
    std::int16_t default_level;  // of a cluster formatted at kMetadataVersionLatest
};
// All features of Kafka 4.3 that a client may see, sorted by name.
std::span<const SupportedFeature> supported_features();
const SupportedFeature* find_supported_feature(std::string_view name);
// Gives: the level of `feature` in a new cluster at `version`; 0: off.
std::int16_t default_feature_level(std::string_view feature, MetadataVersion version);

}  // namespace odr::metadata
