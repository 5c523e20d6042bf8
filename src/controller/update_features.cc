#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "base/log.h"
#include "controller/config_changes.h"
#include "controller/operation.h"
#include "protocol/generated/feature_level_record.h"
#include "protocol/generated/update_features_request.h"
#include "protocol/generated/update_features_response.h"

// UpdateFeatures (key 57), versions 0-2. All or nothing.
// Kafka: QuorumController.updateFeatures, FeatureControlManager
namespace odr::controller {
namespace {

using protocol::UpdateFeaturesRequest;
using Update = UpdateFeaturesRequest::FeatureUpdateKey;

enum class UpgradeType { unknown, upgrade, safe_downgrade, unsafe_downgrade };

constexpr std::int16_t kElrNeedsMetadataVersion = 23;  // 4.0-IV1

UpgradeType upgrade_type(const Update& update, std::int16_t version) {
    if (version == 0) return update.allow_downgrade ? UpgradeType::safe_downgrade : UpgradeType::upgrade;
    switch (update.upgrade_type) {
        case 1:
            return UpgradeType::upgrade;
        case 2:
            return UpgradeType::safe_downgrade;
        case 3:
            return UpgradeType::unsafe_downgrade;
        default:
            return UpgradeType::unknown;
    }
}

ApiError invalid(const Update& update, std::string_view why) {
    return refuse(ErrorCode::invalid_update_version, "Invalid update version {} for feature {}. {}",
                  update.max_version_level, update.feature, why);
}

std::optional<std::string> reason_not_supported(std::int16_t level, const std::string& who, std::int16_t min,
                                                std::int16_t max) {
    if (level >= min && level <= max) return std::nullopt;
    if (max == 0) return fmt::format("{} does not support this feature.", who);
    return fmt::format("{} only supports versions {}-{}", who, min, max);
}

std::optional<std::string> reason_not_supported(const State& state, const Update& update) {
    const auto* ours = metadata::find_supported_feature(update.feature);
    const std::string self = fmt::format("Local controller {}", state.config().node_id());
    if (auto reason =
            reason_not_supported(update.max_version_level, self, ours == nullptr ? std::int16_t{0} : ours->min,
                                 ours == nullptr ? std::int16_t{0} : ours->max))
        return reason;
    const auto range_of = [&](const metadata::SupportedVersions& all) {
        const auto found = all.find(update.feature);
        return found == all.end() ? metadata::VersionRange{} : found->second;
    };
    for (const auto& [id, broker] : state.image().cluster().brokers) {
        const auto range = range_of(broker->supported_features);
        if (auto reason =
                reason_not_supported(update.max_version_level, fmt::format("Broker {}", id), range.min, range.max))
            return reason;
    }
    for (const auto& [id, controller] : state.image().cluster().controllers) {
        if (id == state.config().node_id()) continue;
        const auto range = range_of(controller->supported_features);
        if (auto reason =
                reason_not_supported(update.max_version_level, fmt::format("Controller {}", id), range.min, range.max))
            return reason;
    }
    return std::nullopt;
}

// Levels that brought new kinds of records, which a lower level could not read any more.
bool changes_metadata_between(std::int16_t low, std::int16_t high) {
    // As Kafka's MetadataVersion.didMetadataChange marks them: all but these.
    constexpr std::int16_t kUnchanged[] = {9, 10, 12, 16, 18, 19, 20, 21, 22, 24, 25, 26, 27, 28, 29};
    for (std::int16_t level = static_cast<std::int16_t>(low + 1); level <= high; ++level)
        if (std::ranges::find(kUnchanged, level) == std::end(kUnchanged)) return true;
    return false;
}

ApiError check_metadata_version(const State& state, const Update& update, UpgradeType type) {
    const metadata::MetadataVersion current = state.metadata_version();
    const metadata::MetadataVersion wanted{update.max_version_level};
    if (wanted >= current) return {};
    if (!changes_metadata_between(wanted.level(), current.level())) return {};
    return refuse(ErrorCode::invalid_update_version, "Unsupported metadata.version downgrade from {} to {}. {}",
                  current.name(), wanted.name(),
                  type == UpgradeType::unsafe_downgrade
                      ? "Unsafe metadata downgrade is not supported in this version."
                      : "Refusing to perform the requested downgrade because it might delete metadata information.");
}

using Levels = std::map<std::string_view, std::int16_t>;

ApiError check_update(const State& state, const Update& update, std::int16_t version, const Levels& wanted) {
    const UpgradeType type = upgrade_type(update, version);
    if (type == UpgradeType::unknown) return invalid(update, "The controller does not support the given upgrade type.");
    if (update.max_version_level < 0) return invalid(update, "A feature version cannot be less than 0.");
    if (const auto reason = reason_not_supported(state, update)) return invalid(update, *reason);
    const std::int16_t current = state.image().features().level(update.feature);
    if (update.max_version_level < current && type == UpgradeType::upgrade)
        return invalid(update,
                       "Can't downgrade the version of this feature without setting the upgrade type to either safe or "
                       "unsafe downgrade.");
    if (update.max_version_level > current && type != UpgradeType::upgrade)
        return invalid(update, "Can't downgrade to a newer version.");
    if (update.feature == metadata::kMetadataVersionFeature) return check_metadata_version(state, update, type);
    if (update.feature == metadata::kKRaftVersionFeature) {
        if (update.max_version_level == current) return {};
        return invalid(update, update.max_version_level < current ? "Can't downgrade the version of this feature."
                                                                  : "The quorum's voters stand in the configuration.");
    }
    const auto metadata_version = wanted.find(metadata::kMetadataVersionFeature);
    const std::int16_t level =
        metadata_version == wanted.end() ? state.metadata_version().level() : metadata_version->second;
    if (update.feature == metadata::kElrVersionFeature && update.max_version_level > 0 &&
        level < kElrNeedsMetadataVersion)
        return invalid(update, fmt::format("{} could not be set to {} because it depends on metadata.version level {}",
                                           update.feature, update.max_version_level, kElrNeedsMetadataVersion));
    return {};
}

}  // namespace

Result<Outcome<protocol::UpdateFeaturesResponse>> perform(State& state, const RequestContext& context,
                                                          const UpdateFeaturesRequest& request) {
    Outcome<protocol::UpdateFeaturesResponse> outcome;
    auto& [response, texts] = outcome.answer;
    response.error_message = std::nullopt;
    Levels wanted;
    for (const Update& update : request.feature_updates) wanted[update.feature] = update.max_version_level;
    for (const Update& update : request.feature_updates) {
        const ApiError error = check_update(state, update, context.api_version, wanted);
        if (error.failed()) {
            outcome.records.clear();
            response.error_code = static_cast<std::int16_t>(error.code);
            response.error_message =
                texts.keep("The update failed for all features since the following feature had an error: " +
                           error.message.value_or(""));
            return outcome;
        }
        if (update.feature == metadata::kKRaftVersionFeature) continue;
        log::info("feature {} goes from level {} to {}", update.feature, state.image().features().level(update.feature),
                  update.max_version_level);
        protocol::FeatureLevelRecord record;
        record.name = update.feature;
        record.feature_level = update.max_version_level;
        outcome.records.add(record, 0);
    }
    const auto elr = wanted.find(metadata::kElrVersionFeature);
    if (elr != wanted.end() && elr->second > 0) add_elr_safety_records(state, outcome.records);
    if (context.api_version <= 1)
        for (const Update& update : request.feature_updates) {
            auto& result = response.results.emplace_back();
            result.feature = update.feature;
            result.error_message = std::nullopt;
        }
    if (request.validate_only) outcome.records.clear();
    return outcome;
}

}  // namespace odr::controller
