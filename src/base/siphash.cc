#include "base/siphash.h"

#include <bit>
#include <cstring>

namespace odr {
namespace {

std::uint64_t load_le(const std::uint8_t* from) {
    static_assert(std::endian::native == std::endian::little);
    std::uint64_t word = 0;
    std::memcpy(&word, from, sizeof word);
    return word;
}

struct State {
    std::uint64_t v0, v1, v2, v3;

    void round() {
        v0 += v1;
        v1 = std::rotl(v1, 13) ^ v0;
        v0 = std::rotl(v0, 32);
        v2 += v3;
        v3 = std::rotl(v3, 16) ^ v2;
        v0 += v3;
        v3 = std::rotl(v3, 21) ^ v0;
        v2 += v1;
        v1 = std::rotl(v1, 17) ^ v2;
        v2 = std::rotl(v2, 32);
    }
    void take(std::uint64_t word) {
        v3 ^= word;
        round();
        round();
        v0 ^= word;
    }
    std::uint64_t finish(std::uint64_t mark) {
        (mark == 0xee ? v2 : v1) ^= mark;
        for (int i = 0; i < 4; ++i) round();
        return v0 ^ v1 ^ v2 ^ v3;
    }
};

}  // namespace

Hash128 siphash128(const Hash128& key, ByteView input) {
    State state{key.low ^ 0x736f6d6570736575, key.high ^ 0x646f72616e646f6d ^ 0xee, key.low ^ 0x6c7967656e657261,
                key.high ^ 0x7465646279746573};
    const std::uint8_t* at = input.data();
    std::size_t left = input.size();
    for (; left >= 8; left -= 8, at += 8) state.take(load_le(at));
    std::uint64_t last = static_cast<std::uint64_t>(input.size()) << 56;
    for (std::size_t i = 0; i < left; ++i) last |= std::uint64_t{at[i]} << (8 * i);
    state.take(last);
    Hash128 hash;
    hash.low = state.finish(0xee);
    hash.high = state.finish(0xdd);
    return hash;
}

}  // namespace odr
