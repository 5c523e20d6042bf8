#include "storage/batch_records.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

namespace odr::storage {
namespace {

std::vector<std::uint8_t> testdata(const std::string& name) {
    std::ifstream in{std::string{ODR_TESTDATA} + "/../../record/testdata/" + name, std::ios::binary};
    EXPECT_TRUE(in.good()) << name;
    return {std::istreambuf_iterator<char>{in}, std::istreambuf_iterator<char>{}};
}

// "offset key=value", of all batches.
std::vector<std::string> records_of(const std::vector<std::uint8_t>& bytes) {
    std::vector<std::string> out;
    BatchRecords records;
    record::BatchIterator walk{bytes};
    for (;;) {
        const auto batch = walk.next();
        EXPECT_TRUE(batch.has_value());
        if (!batch || !*batch) return out;
        const auto read = records.read(**batch);
        EXPECT_TRUE(read) << read.error().what;
        for (const record::Record& each : records.all()) {
            const auto text = [](const auto& field) { return field ? std::string{as_text(*field)} : "null"; };
            out.push_back(std::to_string(each.offset(**batch).raw()) + " " + text(each.key) + "=" + text(each.value));
        }
    }
}

TEST(BatchRecordsTest, MessagesOfOldFormatsAreReadWithTheirOffsetsCompressedOrNot) {
    const auto plain = records_of(testdata("legacy_v1.bin"));
    ASSERT_EQ(plain.size(), 4U);
    EXPECT_TRUE(plain.front().starts_with("50 "));
    EXPECT_TRUE(plain.back().starts_with("53 "));
    for (const char* name : {"legacy_v0.bin", "legacy_v0_gzip.bin", "legacy_v1_lz4.bin", "legacy_v1_snappy.bin"}) {
        EXPECT_EQ(records_of(testdata(name)), plain) << name;
    }
}

TEST(BatchRecordsTest, ABatchWithAnyBitFlippedIsRefused) {
    for (const char* name : {"batch_none.bin", "batch_gzip.bin", "legacy_v1.bin", "legacy_v1_lz4.bin"}) {
        const auto sound = testdata(name);
        const std::size_t size = record::RecordBatchView::parse(sound)->size_in_bytes();
        // Offset and epoch are outside the CRC, and so is the magic of magic 2, which says what the CRC covers.
        for (std::size_t i = 17; i < size; ++i) {
            auto bytes = sound;
            bytes[i] = static_cast<std::uint8_t>(bytes[i] ^ 1U << i % 8);
            const auto batch = record::RecordBatchView::parse(bytes);
            if (!batch) continue;
            BatchRecords records;
            EXPECT_FALSE(records.read(*batch)) << name << ", byte " << i;
        }
    }
}

}  // namespace
}  // namespace odr::storage
