#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace odr {

inline constexpr std::size_t kVarintBytesMax = 5;
inline constexpr std::size_t kVarlongBytesMax = 10;

// Base-128, least significant group first. Needs: room for kVarintBytesMax / kVarlongBytesMax at `to`. Gives: bytes
// written.
inline std::size_t write_unsigned_varint(std::uint8_t* to, std::uint32_t value) {
    std::size_t n = 0;
    for (; value >= 0x80; value >>= 7) to[n++] = static_cast<std::uint8_t>(value | 0x80);
    to[n++] = static_cast<std::uint8_t>(value);
    return n;
}
inline std::size_t write_unsigned_varlong(std::uint8_t* to, std::uint64_t value) {
    std::size_t n = 0;
    for (; value >= 0x80; value >>= 7) to[n++] = static_cast<std::uint8_t>(value | 0x80);
    to[n++] = static_cast<std::uint8_t>(value);
    return n;
}
inline std::size_t write_varint(std::uint8_t* to, std::int32_t value) {
    return write_unsigned_varint(to,
                                 (static_cast<std::uint32_t>(value) << 1) ^ static_cast<std::uint32_t>(value >> 31));
}
inline std::size_t write_varlong(std::uint8_t* to, std::int64_t value) {
    return write_unsigned_varlong(to,
                                  (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63));
}

// Gives: bytes read, or 0 where `from` ends early or the number is longer than its type.
inline std::size_t read_unsigned_varint(ByteView from, std::uint32_t& value) {
    std::uint32_t out = 0;
    for (std::size_t n = 0; n < from.size() && n < kVarintBytesMax; ++n) {
        const std::uint8_t byte = from[n];
        if (n == kVarintBytesMax - 1 && byte > 0x0f) return 0;
        out |= static_cast<std::uint32_t>(byte & 0x7f) << (7 * n);
        if (byte < 0x80) return value = out, n + 1;
    }
    return 0;
}
inline std::size_t read_unsigned_varlong(ByteView from, std::uint64_t& value) {
    std::uint64_t out = 0;
    for (std::size_t n = 0; n < from.size() && n < kVarlongBytesMax; ++n) {
        const std::uint8_t byte = from[n];
        if (n == kVarlongBytesMax - 1 && byte > 0x01) return 0;
        out |= static_cast<std::uint64_t>(byte & 0x7f) << (7 * n);
        if (byte < 0x80) return value = out, n + 1;
    }
    return 0;
}
inline std::size_t read_varint(ByteView from, std::int32_t& value) {
    std::uint32_t raw = 0;
    const std::size_t n = read_unsigned_varint(from, raw);
    value = static_cast<std::int32_t>(raw >> 1) ^ -static_cast<std::int32_t>(raw & 1);
    return n;
}
inline std::size_t read_varlong(ByteView from, std::int64_t& value) {
    std::uint64_t raw = 0;
    const std::size_t n = read_unsigned_varlong(from, raw);
    value = static_cast<std::int64_t>(raw >> 1) ^ -static_cast<std::int64_t>(raw & 1);
    return n;
}

}  // namespace odr
