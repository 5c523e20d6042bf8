#include "base/varint.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "base/crc32c.h"

namespace odr {

TEST(VarintTest, EveryWidthSurvivesARoundTrip) {
    std::array<std::uint8_t, kVarlongBytesMax> buffer{};
    for (int bit = 0; bit < 64; ++bit) {
        for (const std::int64_t value :
             {std::int64_t{1} << bit, -(std::int64_t{1} << (bit % 63)), (std::int64_t{1} << (bit % 63)) - 1}) {
            std::int64_t back = 0;
            const std::size_t n = write_varlong(buffer.data(), value);
            EXPECT_EQ(read_varlong({buffer.data(), n}, back), n);
            EXPECT_EQ(back, value);
            EXPECT_EQ(read_varlong({buffer.data(), n - 1}, back), 0u);
        }
    }
}

TEST(VarintTest, NumbersLongerThanTheirTypeAreRefused) {
    constexpr std::array<std::uint8_t, 6> kSixBytes{0x80, 0x80, 0x80, 0x80, 0x80, 0x01};
    constexpr std::array<std::uint8_t, 5> kThirtyThreeBits{0xff, 0xff, 0xff, 0xff, 0x1f};
    std::uint32_t value = 0;
    EXPECT_EQ(read_unsigned_varint(kSixBytes, value), 0u);
    EXPECT_EQ(read_unsigned_varint(kThirtyThreeBits, value), 0u);
}

TEST(Crc32cTest, KnownAnswers) {
    EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283u);
    EXPECT_EQ(crc32c(as_bytes("6789"), crc32c(as_bytes("12345"))), 0xe3069283u);
}

}  // namespace odr
