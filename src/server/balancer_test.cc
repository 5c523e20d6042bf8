#include "server/balancer.h"

#include <gtest/gtest.h>

namespace odr::server {
namespace {

using Loads = std::vector<int>;

TEST(BalancerTest, ANewConnectionGoesToTheFirstReactorWithRoom) {
    EXPECT_EQ(plan_placement(Loads{0, 0, 0}), 0U);
    EXPECT_EQ(plan_placement(Loads{59, 0, 0}), 0U);
    EXPECT_EQ(plan_placement(Loads{60, 10, 0}), 1U);
    EXPECT_EQ(plan_placement(Loads{90, 60, 59}), 2U);
}

TEST(BalancerTest, WhereNoReactorHasRoomTheLeastBusyOneTakesIt) { EXPECT_EQ(plan_placement(Loads{90, 60, 80}), 1U); }

TEST(BalancerTest, ABusyReactorGivesHalfOfTheDifferenceToTheLeastBusyOne) {
    const auto plan = plan_shedding(Loads{100, 30, 10}, 0);
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->to, 2U);
    EXPECT_EQ(plan->percent, 45);
}

TEST(BalancerTest, AReactorThatKeepsUpShedsNothing) { EXPECT_FALSE(plan_shedding(Loads{89, 0}, 0)); }

TEST(BalancerTest, ASmallDifferenceMovesNothing) {
    EXPECT_FALSE(plan_shedding(Loads{90, 75}, 0));
    EXPECT_FALSE(plan_shedding(Loads{90}, 0));
}

TEST(BalancerTest, WorkThatFitsBesideAnotherReactorsGoesToTheFront) {
    EXPECT_EQ(plan_merging(Loads{20, 20, 5}, 1), 0U);
    EXPECT_EQ(plan_merging(Loads{60, 20, 5}, 2), 1U);
    EXPECT_FALSE(plan_merging(Loads{60, 40, 25}, 2));
    EXPECT_FALSE(plan_merging(Loads{5, 0, 0}, 0)) << "the first has nowhere to go";
}

TEST(BalancerTest, WhatWasShedIsNotMergedAtOnce) {
    for (int busy = 0; busy <= 100; ++busy) {
        for (int other = 0; other <= 100; ++other) {
            Loads loads{busy, other};
            const auto plan = plan_shedding(loads, 0);
            if (!plan) continue;
            loads[0] -= plan->percent;
            loads[1] += plan->percent;
            EXPECT_FALSE(plan_merging(loads, 1)) << busy << " and " << other;
            EXPECT_FALSE(plan_shedding(loads, 0)) << busy << " and " << other;
            EXPECT_FALSE(plan_shedding(loads, 1)) << busy << " and " << other;
        }
    }
}

}  // namespace
}  // namespace odr::server
