#include "load/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace odr::bench {

// Values below 128 have a bucket each; above, each power of two is cut into 128 buckets.
std::size_t Histogram::bucket_of(std::uint64_t value) {
    constexpr std::uint64_t kSub = std::uint64_t{1} << kSubBits;
    if (value < kSub) return value;
    const int shift = static_cast<int>(std::bit_width(value)) - 1 - kSubBits;
    return (static_cast<std::size_t>(shift + 1) << kSubBits) + ((value >> shift) & (kSub - 1));
}

std::uint64_t Histogram::upper_edge(std::size_t bucket) {
    constexpr std::uint64_t kSub = std::uint64_t{1} << kSubBits;
    if (bucket < kSub) return bucket;
    const auto shift = static_cast<int>((bucket >> kSubBits) - 1);
    return (((bucket & (kSub - 1)) + kSub + 1) << shift) - 1;
}

void Histogram::add(std::int64_t ns) {
    constexpr std::int64_t kMost = (std::int64_t{1} << kBitsMax) - 1;
    const std::int64_t value = std::clamp<std::int64_t>(ns, 0, kMost);
    ++buckets_[bucket_of(static_cast<std::uint64_t>(value))];
    ++count_;
    sum_ += static_cast<std::uint64_t>(value);
    max_ = std::max(max_, value);
}

void Histogram::merge(const Histogram& other) {
    for (std::size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    sum_ += other.sum_;
    max_ = std::max(max_, other.max_);
}

std::int64_t Histogram::at(double quantile) const {
    if (count_ == 0) return 0;
    const auto wanted = std::max<std::uint64_t>(
        1, static_cast<std::uint64_t>(std::ceil(std::clamp(quantile, 0.0, 1.0) * static_cast<double>(count_))));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
        seen += buckets_[i];
        if (seen >= wanted) return std::min(static_cast<std::int64_t>(upper_edge(i)), max_);
    }
    return max_;
}

}  // namespace odr::bench
