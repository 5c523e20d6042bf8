#include "load/histogram.h"

#include <gtest/gtest.h>

namespace odr::bench {
namespace {

TEST(Histogram, WithoutValuesEveryPercentileIsZero) {
    const Histogram empty;
    EXPECT_EQ(empty.at(0.5), 0);
    EXPECT_EQ(empty.at(1.0), 0);
}

TEST(Histogram, SmallValuesAreExact) {
    Histogram histogram;
    for (int i = 1; i <= 100; ++i) histogram.add(i);
    EXPECT_EQ(histogram.at(0.5), 50);
    EXPECT_EQ(histogram.at(0.99), 99);
    EXPECT_EQ(histogram.at(1.0), 100);
}

TEST(Histogram, APercentileIsNeverTooLowAndAtMostOnePercentTooHigh) {
    for (std::int64_t value = 1; value < (std::int64_t{1} << 40); value = value * 3 + 1) {
        Histogram histogram;
        histogram.add(value);
        histogram.add(std::int64_t{1} << 41);  // so that max() does not round it
        EXPECT_GE(histogram.at(0.5), value);
        EXPECT_LE(static_cast<double>(histogram.at(0.5)), static_cast<double>(value) * 1.008);
    }
}

TEST(Histogram, WhatLiesOutsideTheRangeIsCountedAtItsEnds) {
    Histogram histogram;
    histogram.add(-5);
    histogram.add(std::int64_t{1} << 60);
    EXPECT_EQ(histogram.count(), 2U);
    EXPECT_EQ(histogram.at(0.5), 0);
    EXPECT_EQ(histogram.max(), (std::int64_t{1} << 42) - 1);
}

TEST(Histogram, MergedHistogramsCountAsOne) {
    Histogram low, high;
    for (int i = 0; i < 90; ++i) low.add(10);
    for (int i = 0; i < 10; ++i) high.add(100);
    low.merge(high);
    EXPECT_EQ(low.count(), 100U);
    EXPECT_EQ(low.at(0.9), 10);
    EXPECT_EQ(low.at(0.91), 100);
}

}  // namespace
}  // namespace odr::bench
