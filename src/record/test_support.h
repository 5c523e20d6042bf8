#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/random.h"
#include "record/record.h"

// What the tests, benches and fuzzers of this layer share.
namespace odr::record::test {

using Bytes = std::vector<std::uint8_t>;

inline constexpr std::int64_t kT0 = 1'700'000'000'000;
inline constexpr CompressionType kAllTypes[] = {CompressionType::none, CompressionType::gzip, CompressionType::snappy,
                                                CompressionType::lz4, CompressionType::zstd};

#ifdef ODR_TESTDATA
inline Bytes testdata(const std::string& name) {
    std::ifstream in{std::string{ODR_TESTDATA} + "/" + name, std::ios::binary};
    EXPECT_TRUE(in.good()) << name;
    return Bytes{std::istreambuf_iterator<char>{in}, std::istreambuf_iterator<char>{}};
}
#endif

inline std::string text(const std::optional<ByteView>& bytes) { return bytes ? std::string{as_text(*bytes)} : "null"; }

// Half noise, half repetition: something to find for a codec, but not everything.
inline Bytes random_bytes(SeededRandom& random, std::size_t size) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) {
        const std::uint64_t r = random.next();
        bytes[i] = (r & 0x700) != 0 && i > 64 ? bytes[i - 64] : static_cast<std::uint8_t>(r);
    }
    return bytes;
}

// `count` records with values of `value_bytes`, one millisecond apart.
inline Bytes sample_batch(std::int32_t count, std::size_t value_bytes, RecordBatchBuilder::Options options = {}) {
    SeededRandom random{42};
    RecordBatchBuilder builder{options};
    for (std::int32_t i = 0; i < count; ++i) {
        const std::string key = "key-" + std::to_string(i);
        builder.append(TimestampMs{kT0 + i}, as_bytes(key), random_bytes(random, value_bytes));
    }
    return builder.build().value();
}

}  // namespace odr::record::test
