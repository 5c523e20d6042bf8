#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace odr::protocol {

// Which listeners serve an API, as a set of bits.
using Listeners = std::uint8_t;
inline constexpr Listeners kListenerBroker = 1;
inline constexpr Listeners kListenerController = 2;

enum class ApiKey : std::int16_t {
#define ODR_API(key, enumerator, name, min, max, flexible, listeners, unstable) enumerator = key,
#include "protocol/generated/api_keys.inc"
#undef ODR_API
};

// What Kafka 4.3.0 knows about one API. Keys without a valid version (4-7) have no ApiInfo.
struct ApiInfo {
    ApiKey key;
    std::string_view name;  // Kafka's spelling, such as "OffsetForLeaderEpoch"
    std::int16_t min;       // versions that are decoded and served
    std::int16_t max;
    std::int16_t flexible_from;  // INT16_MAX: never
    Listeners listeners;
    bool latest_version_unstable;  // `max` is for unstable.api.versions.enable only

    std::int16_t stable_max() const { return static_cast<std::int16_t>(latest_version_unstable ? max - 1 : max); }
    // The lowest version to announce. Produce announces 0-2 and refuses them: librdkafka looks for version 0 before it
    // dares to compress (KAFKA-18659).
    std::int16_t announced_min() const { return key == ApiKey::produce ? std::int16_t{0} : min; }
    bool has_version(std::int16_t version) const { return version >= min && version <= max; }
    std::int16_t request_header_version(std::int16_t version) const { return version >= flexible_from ? 2 : 1; }
    // ApiVersions answers with header version 0 always, so that any client can read it before it knows the versions.
    std::int16_t response_header_version(std::int16_t version) const {
        return version >= flexible_from && key != ApiKey::api_versions ? 1 : 0;
    }
};

// Gives: null for a key that Kafka does not have, or no longer.
const ApiInfo* find_api(std::int16_t key);
inline const ApiInfo& api_info(ApiKey key) { return *find_api(static_cast<std::int16_t>(key)); }
// By ascending key.
std::span<const ApiInfo> all_apis();

}  // namespace odr::protocol
