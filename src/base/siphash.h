#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace odr {

// A hash of 128 bits, as wide as an MD5.
struct Hash128 {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    friend bool operator==(const Hash128&, const Hash128&) = default;
};

// SipHash-2-4 with 128 bits of output (Aumasson and Bernstein): who does not know the key cannot make two inputs of one
// hash more often than chance does. `key` is 16 random bytes as two numbers.
Hash128 siphash128(const Hash128& key, ByteView input);

}  // namespace odr
