// Counts allocations of this test program, to hold validation to its promise.
#include <cstdlib>
#include <new>

#include "record/test_support.h"
#include "record/validation.h"

namespace {
thread_local std::int64_t allocation_count = 0;
}

void* operator new(std::size_t size) {
    ++allocation_count;
    void* const memory = std::malloc(size);
    if (memory == nullptr) throw std::bad_alloc{};
    return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace odr::record {
namespace {

std::int64_t allocations_of_validating(test::Bytes bytes, const ValidationRules& rules) {
    const std::int64_t before = allocation_count;
    auto valid = validate_produced(bytes, rules, TimestampMs{test::kT0});
    if (valid) valid->assign(Offset{7}, LeaderEpoch{1}, TimestampMs{test::kT0});
    const std::int64_t after = allocation_count;
    EXPECT_TRUE(valid);
    return after - before;
}

TEST(AllocationTest, UncompressedBatchIsValidatedAndAssignedWithoutAnyAllocation) {
    EXPECT_EQ(allocations_of_validating(test::sample_batch(64, 1024), {}), 0);
    EXPECT_EQ(
        allocations_of_validating(test::sample_batch(64, 1024), {.timestamp_type = TimestampType::log_append_time}), 0);
    EXPECT_EQ(allocations_of_validating(test::sample_batch(1, 100), {.is_compacted = true}), 0);
}

TEST(AllocationTest, CompressedBatchTakesItsContextsFromTheLastOne) {
    for (const CompressionType type : {CompressionType::gzip, CompressionType::lz4, CompressionType::zstd}) {
        const test::Bytes bytes = test::sample_batch(64, 1024, {.compression = Compression::of(type)});
        (void)allocations_of_validating(bytes, {});
        EXPECT_EQ(allocations_of_validating(bytes, {}), 1) << to_string(type);  // the decompressor itself
    }
}

}  // namespace
}  // namespace odr::record
