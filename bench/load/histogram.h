#pragma once

#include <array>
#include <cstdint>

namespace odr::bench {

// Counts durations in buckets whose width is at most 1/128 of their value, as an HDR histogram does: a percentile is
// never reported too low and at most 0.8 % too high.
//
// Threads: one at a time. Memory is fixed (37 kB), so adding costs an index and an increment.
class Histogram {
public:
    // Units: ns. Negative counts as 0; beyond 2^42 (73 minutes) counts as that.
    void add(std::int64_t ns);
    void merge(const Histogram& other);

    std::uint64_t count() const { return count_; }
    std::int64_t max() const { return max_; }
    double mean() const { return count_ == 0 ? 0.0 : static_cast<double>(sum_) / static_cast<double>(count_); }
    // Needs: 0 <= quantile <= 1. Gives: the upper edge of the bucket that holds it, at most max(); 0 without values.
    std::int64_t at(double quantile) const;

private:
    static constexpr int kSubBits = 7;
    static constexpr int kBitsMax = 42;
    static constexpr std::size_t kBuckets = static_cast<std::size_t>(kBitsMax - kSubBits + 1) << kSubBits;
    static std::size_t bucket_of(std::uint64_t value);
    static std::uint64_t upper_edge(std::size_t bucket);

    std::array<std::uint64_t, kBuckets> buckets_{};
    std::uint64_t count_ = 0;
    std::uint64_t sum_ = 0;
    std::int64_t max_ = 0;
};

}  // namespace odr::bench
