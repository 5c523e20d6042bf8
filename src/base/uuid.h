#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace odr {

// Kafka's Uuid: 16 bytes, written as 22 characters of URL-safe base64 without padding.
struct Uuid {
    std::array<std::uint8_t, 16> bytes{};

    friend auto operator<=>(const Uuid&, const Uuid&) = default;
    bool is_zero() const { return *this == Uuid{}; }
    std::string to_string() const;
    static std::optional<Uuid> parse(std::string_view text);
    // A version 4 uuid from 128 random bits; Kafka avoids those whose text starts with '-', and so do we (nullopt: draw
    // again).
    static std::optional<Uuid> from_random(std::uint64_t high, std::uint64_t low);
};

// Reserved by Kafka: no id, and the id of __cluster_metadata.
inline constexpr Uuid kZeroUuid{};
inline constexpr Uuid kMetadataTopicId{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

}  // namespace odr

template <>
struct std::hash<odr::Uuid> {
    std::size_t operator()(const odr::Uuid& id) const noexcept {
        std::uint64_t half[2];
        std::memcpy(half, id.bytes.data(), sizeof half);
        return static_cast<std::size_t>(half[0] ^ (half[1] * 0x9e3779b97f4a7c15ULL));
    }
};
