#include "metadata/features.h"

#include <algorithm>
#include <array>

namespace odr::metadata {

namespace {

constexpr std::array<std::string_view, 24> kVersionNames = {
    "3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2",
    "3.7-IV0", "3.7-IV1", "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0",
    "4.0-IV1", "4.0-IV2", "4.0-IV3", "4.1-IV0", "4.1-IV1", "4.2-IV0", "4.2-IV1", "4.3-IV0",
};
static_assert(kVersionNames.size() == kMetadataVersionLatest.level() - kMetadataVersionMin.level() + 1);

constexpr std::array<SupportedFeature, 7> kSupported = {{
    {kElrVersionFeature, 0, 1, 1},
    {kGroupVersionFeature, 0, 1, 1},
    {kKRaftVersionFeature, 0, 1, 1},
    {kMetadataVersionFeature, 7, 30, 30},
    {kShareVersionFeature, 0, 1, 1},
    {kStreamsVersionFeature, 0, 1, 1},
    {kTransactionVersionFeature, 0, 2, 2},
}};

// From which metadata.version on a new cluster has the feature at its highest level.
struct DefaultFrom {
    std::string_view feature;
    std::int16_t metadata_version;
};
constexpr std::array<DefaultFrom, 6> kDefaultFrom = {{
    {kElrVersionFeature, 26},
    {kGroupVersionFeature, 22},
    {kKRaftVersionFeature, 21},
    {kShareVersionFeature, 28},
    {kStreamsVersionFeature, 29},
    {kTransactionVersionFeature, 24},
}};

}  // namespace

bool MetadataVersion::is_known() const { return *this >= kMetadataVersionMin && *this <= kMetadataVersionLatest; }

std::string_view MetadataVersion::name() const {
    if (!is_known()) return "unknown";
    return kVersionNames[static_cast<std::size_t>(level_ - kMetadataVersionMin.level())];
}

std::optional<MetadataVersion> MetadataVersion::parse(std::string_view text) {
    for (std::int16_t level = kMetadataVersionLatest.level(); level >= kMetadataVersionMin.level(); --level) {
        const MetadataVersion version{level};
        if (text == version.name() || text == version.release()) return version;
        // "4.3.0" is a release with its patch number.
        const std::string_view release = version.release();
        if (text.size() > release.size() + 1 && text.starts_with(release) && text[release.size()] == '.' &&
            text.find_first_not_of("0123456789", release.size() + 1) == std::string_view::npos)
            return version;
    }
    return std::nullopt;
}

std::span<const SupportedFeature> supported_features() { return kSupported; }

const SupportedFeature* find_supported_feature(std::string_view name) {
    const auto* found = std::ranges::find(kSupported, name, &SupportedFeature::name);
    return found == kSupported.end() ? nullptr : found;
}

std::int16_t default_feature_level(std::string_view feature, MetadataVersion version) {
    if (feature == kMetadataVersionFeature) return version.level();
    const auto* from = std::ranges::find(kDefaultFrom, feature, &DefaultFrom::feature);
    if (from == kDefaultFrom.end() || version.level() < from->metadata_version) return 0;
    return find_supported_feature(feature)->max;
}

}  // namespace odr::metadata
