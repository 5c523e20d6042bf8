#include "base/siphash.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace odr {
namespace {

// From the reference implementation: key 00 01 .. 0f, input 00 01 .. n-1; `openssl mac -macopt size:16 SIPHASH` agrees.
struct Known {
    std::size_t input_bytes;
    Hash128 hash;
};
constexpr Known kKnown[] = {
    {0, {0xe6a825ba047f81a3, 0x930255c71472f66d}},  {1, {0x44af996bd8c187da, 0x45fc229b11597634}},
    {7, {0x53c1dbd8beebf1a1, 0x3982f01fa64ab8c0}},  {8, {0x61f55862baa9623b, 0xb49714f364e2830f}},
    {15, {0x11a8b03399e99354, 0xd9c3cf970fec087e}}, {16, {0xbb54b067caa4e26e, 0x77052385bf1533fd}},
    {63, {0x4a83502f77d15051, 0x7cbd3f979a063e50}},
};

TEST(SiphashTest, HashesAreThoseOfTheReference) {
    const Hash128 key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
    for (const Known& known : kKnown) {
        std::vector<std::uint8_t> input(known.input_bytes);
        std::iota(input.begin(), input.end(), std::uint8_t{0});
        EXPECT_EQ(siphash128(key, input), known.hash) << known.input_bytes << " bytes";
    }
}

TEST(SiphashTest, AnotherKeyGivesAnotherHash) {
    const std::vector<std::uint8_t> input{1, 2, 3};
    EXPECT_NE(siphash128({1, 2}, input), siphash128({1, 3}, input));
}

}  // namespace
}  // namespace odr
