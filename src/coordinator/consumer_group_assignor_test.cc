#include "coordinator/consumer_group_assignor.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>
#include <string>

#include "base/random.h"

namespace odr::coordinator {
namespace {

Uuid topic_id(int number) {
    Uuid id;
    id.bytes[14] = static_cast<std::uint8_t>(number >> 8);
    id.bytes[15] = static_cast<std::uint8_t>(number);
    return id;
}

// A group in words: members with the numbers of the topics they subscribe to, kept from one assignment to the next.
struct TestGroup {
    struct Member {
        std::string id;
        std::optional<std::string> instance_id{};
        std::vector<std::uint32_t> topics{};
        TopicAssignment target{};
    };
    std::vector<AssignorTopic> topics;
    std::vector<Member> members;

    explicit TestGroup(std::vector<int> partition_counts) {
        for (std::size_t i = 0; i < partition_counts.size(); ++i) {
            topics.push_back({topic_id(static_cast<int>(i)), partition_counts[i]});
        }
    }
    void add(std::string id, std::vector<std::uint32_t> subscribed, std::optional<std::string> instance = {}) {
        members.push_back({.id = std::move(id), .instance_id = std::move(instance), .topics = std::move(subscribed)});
    }
    bool is_homogeneous() const {
        return std::ranges::all_of(members, [&](const Member& member) {
            return member.topics == members.front().topics && member.topics.size() == topics.size();
        });
    }
    void assign(const ConsumerGroupAssignor& assignor) {
        GroupSpec spec{.topics = topics, .members = {}, .is_homogeneous = is_homogeneous()};
        for (const Member& member : members) {
            spec.members.push_back({.member_id = member.id,
                                    .instance_id = member.instance_id,
                                    .topics = member.topics,
                                    .target_before = &member.target});
        }
        GroupAssignment assignment = assignor.assign(spec);
        ASSERT_EQ(assignment.size(), members.size());
        for (std::size_t i = 0; i < members.size(); ++i) members[i].target = std::move(assignment[i]);
    }
    std::string text() const {  // "a:0-0,0-1 b:1-0"
        std::string all;
        for (const Member& member : members) {
            all += fmt::format("{}{}:", all.empty() ? "" : " ", member.id);
            bool is_first = true;
            for (const auto& [id, partitions] : member.target) {
                for (const std::int32_t partition : partitions) {
                    all += fmt::format("{}{}-{}", is_first ? "" : ",", static_cast<int>(id.bytes[15]), partition);
                    is_first = false;
                }
            }
        }
        return all;
    }
    std::int64_t load(const Member& member) const {
        std::int64_t count = 0;
        for (const auto& [id, partitions] : member.target) count += static_cast<std::int64_t>(partitions.size());
        return count;
    }
    // Each partition of each subscribed topic has exactly one owner, who subscribes to it.
    void expect_whole() const {
        std::set<std::pair<Uuid, std::int32_t>> owned;
        std::set<std::uint32_t> subscribed;
        for (const Member& member : members) {
            subscribed.insert(member.topics.begin(), member.topics.end());
            for (const auto& [id, partitions] : member.target) {
                const auto found = std::ranges::find(topics, id, &AssignorTopic::id);
                ASSERT_NE(found, topics.end());
                const auto number = static_cast<std::uint32_t>(found - topics.begin());
                EXPECT_TRUE(std::ranges::binary_search(member.topics, number)) << member.id;
                EXPECT_TRUE(std::ranges::is_sorted(partitions));
                EXPECT_FALSE(partitions.empty());
                for (const std::int32_t partition : partitions) {
                    EXPECT_TRUE(partition >= 0 && partition < found->partition_count);
                    EXPECT_TRUE(owned.emplace(id, partition).second) << "two owners in " << text();
                }
            }
        }
        std::size_t total = 0;
        for (const std::uint32_t topic : subscribed) total += static_cast<std::size_t>(topics[topic].partition_count);
        EXPECT_EQ(owned.size(), total) << text();
    }
    std::set<std::pair<std::string, std::pair<Uuid, std::int32_t>>> owners() const {
        std::set<std::pair<std::string, std::pair<Uuid, std::int32_t>>> all;
        for (const Member& member : members) {
            for (const auto& [id, partitions] : member.target) {
                for (const std::int32_t partition : partitions) all.insert({member.id, {id, partition}});
            }
        }
        return all;
    }
};

TEST(RangeAssignorTest, NeighbouringPartitionsGoToMembersInTheOrderOfTheirIds) {
    TestGroup group{{4, 2}};
    group.add("c", {0, 1});
    group.add("a", {0, 1});
    group.add("b", {0, 1});
    group.assign(range_assignor());
    EXPECT_EQ(group.text(), "c:0-3 a:0-0,0-1,1-0 b:0-2,1-1");
}

TEST(RangeAssignorTest, StaticMembersComeFirstByInstanceId) {
    TestGroup group{{3}};
    group.add("a", {0});
    group.add("z", {0}, "1");
    group.add("y", {0}, "2");
    group.assign(range_assignor());
    EXPECT_EQ(group.text(), "a:0-2 z:0-0 y:0-1");
}

TEST(RangeAssignorTest, OnlySubscribersShareATopic) {
    TestGroup group{{3, 3}};
    group.add("a", {0});
    group.add("b", {0, 1});
    group.assign(range_assignor());
    EXPECT_EQ(group.text(), "a:0-0,0-1 b:0-2,1-0,1-1,1-2");
}

TEST(UniformAssignorTest, ANewMemberTakesNoMoreThanItsShare) {
    TestGroup group{{6}};
    group.add("a", {0});
    group.add("b", {0});
    group.assign(uniform_assignor());
    EXPECT_EQ(group.text(), "a:0-0,0-1,0-2 b:0-3,0-4,0-5");
    group.add("c", {0});
    group.assign(uniform_assignor());
    EXPECT_EQ(group.text(), "a:0-0,0-1 b:0-3,0-4 c:0-2,0-5");
}

TEST(UniformAssignorTest, AMemberThatLeavesIsSharedOutAndOthersKeepTheirs) {
    TestGroup group{{6}};
    for (const char* id : {"a", "b", "c"}) group.add(id, {0});
    group.assign(uniform_assignor());
    group.members.erase(group.members.begin() + 1);
    group.assign(uniform_assignor());
    EXPECT_EQ(group.text(), "a:0-0,0-1,0-2 c:0-3,0-4,0-5");
}

TEST(UniformAssignorTest, NewPartitionsAndTopicsAreGivenWithoutMovingOld) {
    TestGroup group{{2}};
    group.add("a", {0});
    group.add("b", {0});
    group.assign(uniform_assignor());
    group.topics[0].partition_count = 4;
    group.topics.push_back({topic_id(1), 2});
    for (auto& member : group.members) member.topics = {0, 1};
    group.assign(uniform_assignor());
    EXPECT_EQ(group.text(), "a:0-0,0-2,0-3 b:0-1,1-0,1-1");
}

TEST(UniformAssignorTest, ADeletedTopicIsForgotten) {
    TestGroup group{{2, 2}};
    group.add("a", {0, 1});
    group.assign(uniform_assignor());
    group.topics.erase(group.topics.begin());
    group.members[0].topics = {0};
    group.assign(uniform_assignor());
    EXPECT_EQ(group.text(), "a:1-0,1-1");
}

TEST(UniformAssignorTest, MoreMembersThanPartitionsLeavesSomeWithoutAny) {
    TestGroup group{{1}};
    group.add("a", {0});
    group.add("b", {0});
    group.assign(uniform_assignor());
    EXPECT_EQ(group.text(), "a: b:0-0");
}

TEST(UniformAssignorTest, DifferentSubscriptionsAreEvenedOut) {
    TestGroup group{{2, 4}};
    group.add("a", {0, 1});
    group.add("b", {1});
    group.assign(uniform_assignor());
    group.expect_whole();
    EXPECT_EQ(group.load(group.members[0]), 3);
    EXPECT_EQ(group.load(group.members[1]), 3);
}

TEST(UniformAssignorTest, WhatAMemberNoLongerSubscribesToGoesToOthers) {
    TestGroup group{{2, 2}};
    group.add("a", {0, 1});
    group.add("b", {0, 1});
    group.assign(uniform_assignor());
    group.members[0].topics = {0};
    group.assign(uniform_assignor());
    group.expect_whole();
    EXPECT_EQ(group.load(group.members[0]), 2);
}

TEST(UniformAssignorTest, NoMembersAndNoTopicsGiveNothing) {
    TestGroup no_members{{3}};
    no_members.assign(uniform_assignor());
    TestGroup no_topics{{}};
    no_topics.add("a", {});
    no_topics.assign(uniform_assignor());
    EXPECT_EQ(no_topics.text(), "a:");
}

TEST(UniformAssignorTest, WhatTwoMembersClaimOrNobodyCanHaveIsPutRight) {
    TestGroup group{{2}};
    group.add("a", {0});
    group.add("b", {0});
    group.members[0].target[topic_id(0)] = {0, 7};
    group.members[1].target[topic_id(0)] = {0};
    group.assign(uniform_assignor());
    EXPECT_EQ(group.text(), "a:0-0 b:0-1");
}

TEST(ConsumerGroupAssignorTest, AreFoundByName) {
    EXPECT_EQ(find_consumer_group_assignor("uniform"), &uniform_assignor());
    EXPECT_EQ(find_consumer_group_assignor("range"), &range_assignor());
    EXPECT_EQ(find_consumer_group_assignor("Range"), nullptr);
}

class RandomGroups : public testing::Test {
protected:
    std::uint32_t up_to(std::uint32_t limit) { return static_cast<std::uint32_t>(random_.next() % limit); }
    TestGroup random_group(bool is_homogeneous) {
        std::vector<int> counts(1 + up_to(6));
        for (int& count : counts) count = 1 + static_cast<int>(up_to(12));
        TestGroup group{counts};
        const std::uint32_t members = 1 + up_to(8);
        for (std::uint32_t i = 0; i < members; ++i) join(group, is_homogeneous);
        return group;
    }
    void join(TestGroup& group, bool is_homogeneous) {
        std::vector<std::uint32_t> subscribed;
        for (std::uint32_t topic = 0; topic < group.topics.size(); ++topic) {
            if (is_homogeneous || up_to(2) == 0) subscribed.push_back(topic);
        }
        group.add(fmt::format("m{}", ++joined_), subscribed);
    }
    SeededRandom random_{848};
    int joined_ = 0;
};

TEST_F(RandomGroups, StayWholeEvenAndStickyWhileMembersComeAndGo) {
    for (int history = 0; history < 500; ++history) {
        SCOPED_TRACE(fmt::format("seed 848, history {}", history));
        TestGroup group = random_group(true);
        for (int step = 0; step < 6; ++step) {
            const auto before = group.owners();
            group.assign(uniform_assignor());
            group.expect_whole();
            std::int64_t least = INT64_MAX, most = 0;
            for (const auto& member : group.members) {
                least = std::min(least, group.load(member));
                most = std::max(most, group.load(member));
            }
            EXPECT_LE(most - least, 1);
            const auto settled = group.owners();
            group.assign(uniform_assignor());
            EXPECT_EQ(group.owners(), settled) << "a second look moves nothing";
            if (up_to(2) == 0 && group.members.size() > 1) {
                group.members.erase(group.members.begin() + up_to(static_cast<std::uint32_t>(group.members.size())));
            } else {
                join(group, true);
            }
        }
    }
}

TEST_F(RandomGroups, WithDifferentSubscriptionsStayWholeAndNobodyCanBeRelievedByOneMove) {
    for (int history = 0; history < 500; ++history) {
        SCOPED_TRACE(fmt::format("seed 848, history {}", history));
        TestGroup group = random_group(false);
        for (int step = 0; step < 4; ++step) {
            std::set<std::uint32_t> subscribed;
            for (const auto& member : group.members) subscribed.insert(member.topics.begin(), member.topics.end());
            group.assign(uniform_assignor());
            group.expect_whole();
            for (const auto& from : group.members) {
                for (const auto& to : group.members) {
                    const bool shares = std::ranges::any_of(
                        to.topics, [&](std::uint32_t topic) { return from.target.contains(group.topics[topic].id); });
                    if (!shares) continue;
                    EXPECT_LE(group.load(from) - group.load(to), 1) << group.text();
                }
            }
            group.assign(range_assignor());
            group.expect_whole();
            join(group, false);
        }
    }
}

}  // namespace
}  // namespace odr::coordinator
