#include "coordinator/consumer_groups.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "coordinator/consumer_group_records.h"
#include "coordinator/consumer_groups_test_support.h"
#include "coordinator/topic_hash.h"

namespace odr::coordinator::testing {
namespace {

using protocol::ConsumerGroupHeartbeatRequest;

ErrorCode error_of(const Owned<protocol::ConsumerGroupHeartbeatResponse>& answer) {
    return static_cast<ErrorCode>(answer.message.error_code);
}

class ConsumerGroupsTest : public ::testing::Test {
protected:
    void beat_all(std::initializer_list<TestConsumer*> consumers, int rounds = 4) {
        for (int round = 0; round < rounds; ++round) {
            for (TestConsumer* consumer : consumers) consumer->beat();
        }
    }
    static std::set<std::int32_t> partitions(const TestConsumer& consumer) {
        std::set<std::int32_t> all;
        for (const auto& [topic, partition] : consumer.owned) all.insert(partition);
        return all;
    }
    protocol::ConsumerGroupDescribeResponse::DescribedGroup describe(std::string_view id = "g") {
        described_.emplace_back();
        shard.consumer().describe(id, described_.back());
        return described_.back().message.groups.at(0);
    }
    ConsumerShard shard;

private:
    std::vector<Owned<protocol::ConsumerGroupDescribeResponse>> described_;
};

TEST_F(ConsumerGroupsTest, RequestsThatCannotBeAreRefusedByName) {
    shard.create_topic("t", 1);
    struct Case {
        const char* name;
        std::function<void(ConsumerGroupHeartbeatRequest&)> change;
        std::int16_t version;
        ErrorCode want;
    };
    const Case cases[] = {
        {"version 1 needs a member id", [](auto& r) { r.member_id = ""; }, 1, ErrorCode::invalid_request},
        {"version 0 gives one", [](auto& r) { r.member_id = ""; }, 0, ErrorCode::none},
        {"version 0 needs one later on", [](auto& r) { r.member_id = "", r.member_epoch = 1; }, 0,
         ErrorCode::invalid_request},
        {"no group id", [](auto& r) { r.group_id = ""; }, 1, ErrorCode::invalid_request},
        {"a blank instance id", [](auto& r) { r.instance_id = " "; }, 1, ErrorCode::invalid_request},
        {"an empty rack", [](auto& r) { r.rack_id = ""; }, 1, ErrorCode::invalid_request},
        {"joining without rebalance timeout", [](auto& r) { r.rebalance_timeout_ms = -1; }, 1,
         ErrorCode::invalid_request},
        {"joining without saying what it owns", [](auto& r) { r.topic_partitions.reset(); }, 1,
         ErrorCode::invalid_request},
        {"joining while owning", [](auto& r) { r.topic_partitions->push_back({.topic_id = {}, .partitions = {0}}); }, 1,
         ErrorCode::invalid_request},
        {"joining without subscription", [](auto& r) { r.subscribed_topic_names.reset(); }, 1,
         ErrorCode::invalid_request},
        {"leaving for a while without instance id", [](auto& r) { r.member_epoch = -2; }, 1,
         ErrorCode::invalid_request},
        {"an epoch below all", [](auto& r) { r.member_epoch = -3; }, 1, ErrorCode::invalid_request},
        {"an assignor nobody knows", [](auto& r) { r.server_assignor = "best"; }, 1, ErrorCode::unsupported_assignor},
        {"a regex that is none", [](auto& r) { r.subscribed_topic_regex = "[a"; }, 1,
         ErrorCode::invalid_regular_expression},
        {"a group that is not there", [](auto& r) { r.group_id = "other", r.member_epoch = 5; }, 1,
         ErrorCode::group_id_not_found},
        {"leaving a group that is not there", [](auto& r) { r.group_id = "other", r.member_epoch = -1; }, 1,
         ErrorCode::group_id_not_found},
        {"a member that is not there", [](auto& r) { r.member_id = "x", r.member_epoch = 5; }, 1,
         ErrorCode::unknown_member_id},
        {"leaving as a member that is not there", [](auto& r) { r.member_id = "x", r.member_epoch = -1; }, 1,
         ErrorCode::unknown_member_id},
        {"an instance id that is not there", [](auto& r) { r.instance_id = "i", r.member_epoch = 5; }, 1,
         ErrorCode::unknown_member_id},
        {"an epoch of the future", [](auto& r) { r.member_id = "m", r.member_epoch = 7; }, 1,
         ErrorCode::fenced_member_epoch},
        {"all well", [](auto&) {}, 1, ErrorCode::none},
    };
    TestConsumer member{shard, "m", {"t"}};
    member.beat();
    for (const Case& each : cases) {
        TestConsumer consumer{shard, "new", {"t"}};
        consumer.version = each.version;
        ConsumerGroupHeartbeatRequest request = consumer.request();
        each.change(request);
        const auto answer = consumer.send(request);
        EXPECT_EQ(error_of(answer), each.want) << each.name;
        EXPECT_EQ(answer.message.error_message.has_value(), each.want != ErrorCode::none) << each.name;
    }
}

TEST_F(ConsumerGroupsTest, TheFirstMemberGetsEverythingAtOnce) {
    shard.create_topic("t", 3);
    TestConsumer consumer{shard, "m", {"t"}};
    const auto answer = consumer.beat();
    EXPECT_EQ(error_of(answer), ErrorCode::none);
    EXPECT_EQ(answer.message.member_epoch, 2);
    EXPECT_EQ(answer.message.heartbeat_interval_ms, 5'000);
    EXPECT_EQ(partitions(consumer), (std::set{0, 1, 2}));
    EXPECT_EQ(shard.group()->state_name(), "Stable");
    EXPECT_FALSE(consumer.beat().message.assignment) << "nothing new";
}

TEST_F(ConsumerGroupsTest, AMemberWaitsForWhatAnotherHasNotGivenUp) {
    shard.create_topic("t", 4);
    TestConsumer first{shard, "a", {"t"}}, second{shard, "b", {"t"}};
    first.beat();
    second.beat();
    EXPECT_TRUE(second.owned.empty());
    EXPECT_EQ(second.epoch, 3);
    EXPECT_EQ(first.beat(true, false).message.member_epoch, 2) << "it must give up before it goes on";
    second.beat();
    EXPECT_TRUE(second.owned.empty());
    EXPECT_EQ(shard.group()->state_name(), "Reconciling");
    first.reconcile();
    EXPECT_EQ(first.beat().message.member_epoch, 3);
    second.beat();
    EXPECT_EQ(partitions(second).size(), 2U);
    EXPECT_EQ(shard.group()->state_name(), "Stable");
}

TEST_F(ConsumerGroupsTest, AMemberThatDoesNotGiveUpInTimeIsFencedAndComesBack) {
    shard.create_topic("t", 4);
    TestConsumer first{shard, "a", {"t"}}, second{shard, "b", {"t"}};
    first.rebalance_timeout_ms = 10'000;
    beat_all({&first, &second}, 1);
    first.beat(true, false);
    shard.advance(9'999);
    EXPECT_NE(shard.group()->member("a"), nullptr);
    shard.advance(1);
    EXPECT_EQ(shard.group()->member("a"), nullptr);
    EXPECT_EQ(error_of(first.beat()), ErrorCode::unknown_member_id);
    beat_all({&second, &first});
    EXPECT_EQ(partitions(first).size(), 2U);
    EXPECT_EQ(partitions(second).size(), 2U);
}

TEST_F(ConsumerGroupsTest, ASessionWithoutHeartbeatsEnds) {
    shard.create_topic("t", 2);
    TestConsumer first{shard, "a", {"t"}}, second{shard, "b", {"t"}};
    beat_all({&first, &second});
    shard.advance(40'000);
    second.beat();
    shard.advance(5'000);
    EXPECT_EQ(shard.group()->member("a"), nullptr);
    beat_all({&second});
    EXPECT_EQ(partitions(second), (std::set{0, 1}));
}

TEST_F(ConsumerGroupsTest, AGroupsOwnSettingsStandOverTheBrokers) {
    shard.create_topic("t", 1);
    shard.set_group_config("g", "consumer.session.timeout.ms", "50000");
    shard.set_group_config("g", "consumer.heartbeat.interval.ms", "7000");
    TestConsumer consumer{shard, "a", {"t"}};
    EXPECT_EQ(consumer.beat().message.heartbeat_interval_ms, 7'000);
    shard.advance(49'999);
    EXPECT_FALSE(shard.group()->is_empty());
    shard.advance(1);
    EXPECT_TRUE(shard.group()->is_empty());
}

TEST_F(ConsumerGroupsTest, TheEpochBeforeIsGoodForWhoDidNotHearTheLastAnswer) {
    shard.create_topic("t", 2);
    TestConsumer first{shard, "a", {"t"}}, second{shard, "b", {"t"}};
    first.beat();
    second.beat();
    first.beat();              // told to give up one
    first.beat(false, false);  // does, and does not hear that its epoch is 3
    EXPECT_EQ(first.epoch, 2);
    EXPECT_EQ(error_of(first.beat()), ErrorCode::none);
    EXPECT_EQ(first.epoch, 3);
    first.epoch = 2;
    first.owned.emplace(metadata::testing_records::id(1), 0);
    first.owned.emplace(metadata::testing_records::id(1), 1);
    EXPECT_EQ(error_of(first.beat()), ErrorCode::fenced_member_epoch) << "it claims what it may not have";
    EXPECT_EQ(first.epoch, 0);
    EXPECT_EQ(error_of(first.beat()), ErrorCode::none);
}

TEST_F(ConsumerGroupsTest, AStaticMemberThatIsBackHasWhatItHad) {
    shard.create_topic("t", 4);
    TestConsumer first{shard, "a", {"t"}}, second{shard, "b", {"t"}};
    first.instance_id = "i1";
    second.instance_id = "i2";
    beat_all({&first, &second});
    const auto had = first.owned;
    const std::int32_t epoch = shard.group()->group_epoch();
    TestConsumer thief{shard, "c", {"t"}};
    thief.instance_id = "i1";
    EXPECT_EQ(error_of(thief.beat()), ErrorCode::unreleased_instance_id);
    EXPECT_EQ(first.leave(kStaticLeaveEpoch), ErrorCode::none);
    EXPECT_EQ(error_of(thief.beat()), ErrorCode::none);
    EXPECT_EQ(thief.owned, had);
    EXPECT_EQ(shard.group()->group_epoch(), epoch) << "nobody else was disturbed";
    first.epoch = epoch;
    EXPECT_EQ(error_of(first.beat()), ErrorCode::fenced_instance_id);
}

TEST_F(ConsumerGroupsTest, AStaticMemberThatIsNotBackInTimeIsGone) {
    shard.create_topic("t", 1);
    TestConsumer consumer{shard, "a", {"t"}};
    consumer.instance_id = "i";
    consumer.beat();
    consumer.leave(kStaticLeaveEpoch);
    EXPECT_EQ(describe().members.at(0).member_epoch, -2);
    shard.advance(45'000);
    EXPECT_TRUE(shard.group()->is_empty());
    EXPECT_EQ(shard.group()->static_members().size(), 0U);
}

TEST_F(ConsumerGroupsTest, TheGroupIsFullAtItsLimit) {
    shard.create_topic("t", 1);
    shard.mutable_settings().group_consumer_max_size = 1;
    TestConsumer first{shard, "a", {"t"}}, second{shard, "b", {"t"}};
    first.beat();
    EXPECT_EQ(error_of(second.beat()), ErrorCode::group_max_size_reached);
    EXPECT_EQ(error_of(first.beat()), ErrorCode::none);
}

TEST_F(ConsumerGroupsTest, TopicsThatComeGrowAndGoAreFollowed) {
    TestConsumer consumer{shard, "a", {"t", "u"}};
    consumer.beat();
    EXPECT_TRUE(consumer.owned.empty());
    shard.create_topic("t", 1);
    consumer.beat();
    EXPECT_EQ(consumer.owned.size(), 1U);
    shard.add_partition("t");
    consumer.beat();
    EXPECT_EQ(consumer.owned.size(), 2U);
    shard.create_topic("u", 1);
    consumer.beat();
    EXPECT_EQ(consumer.owned.size(), 3U);
    shard.delete_topic("t");
    beat_all({&consumer});
    EXPECT_EQ(consumer.owned.size(), 1U);
    const std::int32_t epoch = shard.group()->group_epoch();
    shard.create_topic("unrelated", 3);
    consumer.beat();
    EXPECT_EQ(shard.group()->group_epoch(), epoch);
}

TEST_F(ConsumerGroupsTest, AChangedSubscriptionTakesTopicsAwayAtOnce) {
    shard.create_topic("t", 1);
    shard.create_topic("u", 1);
    shard.mutable_settings().group_consumer_assignment_interval_ms = 10'000;
    TestConsumer consumer{shard, "a", {"t", "u"}};
    consumer.beat();
    EXPECT_EQ(consumer.owned.size(), 2U);
    consumer.subscribe({"u"});
    const auto answer = consumer.beat();
    EXPECT_EQ(answer.message.assignment->topic_partitions.size(), 1U) << "before the next target assignment";
    EXPECT_EQ(shard.group()->state_name(), "Assigning");
    shard.advance(10'000);
    beat_all({&consumer});
    EXPECT_EQ(shard.group()->state_name(), "Stable");
}

TEST_F(ConsumerGroupsTest, TargetAssignmentsAreComputedNoMoreOftenThanTheInterval) {
    shard.create_topic("t", 2);
    shard.mutable_settings().group_consumer_assignment_interval_ms = 1'000;
    TestConsumer first{shard, "a", {"t"}}, second{shard, "b", {"t"}};
    first.beat();
    second.beat();
    EXPECT_EQ(shard.group()->assignment_epoch(), 2);
    EXPECT_EQ(second.epoch, 2) << "in the epoch of the last assignment, with nothing";
    shard.advance(1'000);
    beat_all({&first, &second});
    EXPECT_EQ(shard.group()->assignment_epoch(), 3);
    EXPECT_EQ(second.owned.size(), 1U);
}

TEST_F(ConsumerGroupsTest, ARegexIsResolvedApartAndFollowsNewTopics) {
    shard.create_topic("logs-a", 1);
    shard.create_topic("other", 1);
    TestConsumer consumer{shard, "a"};
    consumer.regex = "logs-.*";
    consumer.beat();
    EXPECT_TRUE(consumer.owned.empty()) << "not resolved yet";
    EXPECT_EQ(consumer.epoch, 1) << "with 0 it would have to join again";
    shard.advance(1);
    consumer.beat();
    EXPECT_EQ(consumer.owned.size(), 1U);
    shard.create_topic("logs-b", 1);
    shard.advance(10'001);
    consumer.beat();
    shard.advance(1);
    consumer.beat();
    EXPECT_EQ(consumer.owned.size(), 2U);
    EXPECT_EQ(describe().members.at(0).subscribed_topic_regex, "logs-.*");
    consumer.leave();
    EXPECT_TRUE(shard.group()->resolved_regexes().empty());
    EXPECT_TRUE(shard.group()->subscribed_topics().empty());
}

TEST_F(ConsumerGroupsTest, TheAssignorMostMembersWantIsTaken) {
    shard.create_topic("t", 1);
    TestConsumer first{shard, "a", {"t"}}, second{shard, "b", {"t"}};
    first.beat();
    EXPECT_EQ(describe().assignor_name, "uniform");
    second.assignor = "range";
    second.beat();
    EXPECT_EQ(describe().assignor_name, "range");
}

TEST_F(ConsumerGroupsTest, AGroupThatLeavesIsEmptyAndCanBeDeleted) {
    shard.create_topic("t", 2);
    TestConsumer consumer{shard, "a", {"t"}};
    consumer.beat();
    EXPECT_EQ(shard.group()->validate_delete_group().error().code, ErrorCode::non_empty_group);
    EXPECT_EQ(consumer.leave(), ErrorCode::none);
    EXPECT_EQ(shard.group()->state_name(), "Empty");
    EXPECT_EQ(shard.timer_count(), 0U);
    ASSERT_TRUE(shard.group()->validate_delete_group());
    CoordinatorResult<Nothing> result;
    shard.group()->add_tombstones(result.records);
    shard.take(std::move(result));
    EXPECT_EQ(shard.group(), nullptr);
}

TEST_F(ConsumerGroupsTest, CommitsAndFetchesOfOffsetsNeedTheMembersEpoch) {
    shard.create_topic("t", 2);
    TestConsumer consumer{shard, "a", {"t"}};
    consumer.beat();
    const ConsumerGroup& group = *shard.group();
    struct Case {
        const char* name;
        OffsetCommitter committer;
        ErrorCode want;
    };
    const Case cases[] = {
        {"its epoch", {"a", {}, 2, false, 9}, ErrorCode::none},
        {"an epoch too high", {"a", {}, 3, false, 9}, ErrorCode::stale_member_epoch},
        {"an epoch from before it had the partition", {"a", {}, 1, false, 9}, ErrorCode::stale_member_epoch},
        {"a member without an epoch", {"a", {}, -1, false, 9}, ErrorCode::stale_member_epoch},
        {"a version without epochs", {"a", {}, 2, false, 8}, ErrorCode::unsupported_version},
        {"not a member", {"b", {}, 1, false, 9}, ErrorCode::unknown_member_id},
        {"an admin while there are members", {"", {}, -1, false, 9}, ErrorCode::unknown_member_id},
        {"a transaction that does not say for whom", {"", {}, -1, true, 3}, ErrorCode::none},
    };
    for (const Case& each : cases) {
        Result<void> validated = group.validate_offset_commit(each.committer);
        const Uuid id = shard.image().topics().find("t")->id;
        if (validated) validated = group.validate_partition_commit(each.committer, "t", id, 0);
        EXPECT_EQ(validated ? ErrorCode::none : validated.error().code, each.want) << each.name;
    }
    EXPECT_TRUE(group.validate_offset_fetch(std::nullopt, -1));
    EXPECT_TRUE(group.validate_offset_fetch("a", 2));
    EXPECT_EQ(group.validate_offset_fetch("a", 1).error().code, ErrorCode::stale_member_epoch);
    EXPECT_EQ(group.validate_offset_fetch("b", 1).error().code, ErrorCode::unknown_member_id);
}

// KIP-1251
TEST_F(ConsumerGroupsTest, AnOlderEpochMayCommitWhatTheMemberHadInIt) {
    const Uuid id = shard.create_topic("t", 2);
    TestConsumer first{shard, "a", {"t"}}, second{shard, "b", {"t"}};
    beat_all({&first, &second});
    ASSERT_EQ(first.epoch, 3);
    const std::int32_t kept = *partitions(first).begin();
    const OffsetCommitter committer{.member_id = "a", .generation_or_epoch = 2, .api_version = 9};
    const ConsumerGroup& group = *shard.group();
    EXPECT_TRUE(group.validate_offset_commit(committer));
    EXPECT_TRUE(group.validate_partition_commit(committer, "t", id, kept));
    EXPECT_EQ(group.validate_partition_commit(committer, "t", id, 1 - kept).error().code,
              ErrorCode::stale_member_epoch);
}

TEST_F(ConsumerGroupsTest, TheLogTellsTheWholeState) {
    shard.create_topic("t", 5);
    TestConsumer first{shard, "a", {"t"}}, second{shard, "b", {"t"}};
    second.instance_id = "i";
    beat_all({&first, &second}, 2);
    const auto before = describe();
    shard.restart();
    EXPECT_EQ(describe(), before);
    beat_all({&first, &second});
    EXPECT_EQ(shard.group()->state_name(), "Stable");
    shard.advance(45'000);
    EXPECT_TRUE(shard.group()->is_empty()) << "sessions start anew when the shard is loaded";
}

TEST_F(ConsumerGroupsTest, DescribeSaysWhatIsNotThere) {
    const auto group = describe("none");
    EXPECT_EQ(static_cast<ErrorCode>(group.error_code), ErrorCode::group_id_not_found);
    EXPECT_EQ(group.error_message, "Group none not found.");
}

// The number comes from Apache Kafka's own hash library, over the same fields.
TEST(TopicHashTest, IsTheNumberThatKafkaComputes) {
    EXPECT_EQ(group_metadata_hash({}), 0);
    EXPECT_EQ(group_metadata_hash({{"a", 123456789}, {"b", -5}}), -2261724023168381123);
}

// --- members of the classic protocol

class MigrationTest : public ConsumerGroupsTest {
protected:
    struct Classic {
        std::string member_id{};
        std::int32_t generation = -1;
        std::vector<std::uint8_t> metadata{};
        std::optional<std::string> instance_id{};
    };
    // ConsumerProtocolSubscription, version 0, of topic "t".
    Classic classic() const { return {.metadata = {0, 0, 0, 0, 0, 1, 0, 1, 't', 0xff, 0xff, 0xff, 0xff}}; }

    ErrorCode join(Classic& member) {
        protocol::JoinGroupRequest request;
        request.group_id = "g";
        request.session_timeout_ms = 10'000;
        request.rebalance_timeout_ms = 20'000;
        request.member_id = member.member_id;
        if (member.instance_id) request.group_instance_id = *member.instance_id;
        request.protocol_type = "consumer";
        request.protocols.push_back({.name = "range", .metadata = member.metadata});
        Answer answer;
        const Requester requester{.client_id = "c", .client_host = "/127.0.0.1", .api_version = 9};
        shard.take(shard.classic().join(requester, request, answer.deferred()));
        for (int i = 0; i < 40 && !answer.slot->has_value(); ++i) shard.advance(500);
        if (!answer.slot->has_value()) return ErrorCode::request_timed_out;
        member.member_id = (*answer.slot)->message.member_id;
        member.generation = (*answer.slot)->message.generation_id;
        leader = (*answer.slot)->message.leader;
        return static_cast<ErrorCode>((*answer.slot)->message.error_code);
    }
    ErrorCode sync(const Classic& member, std::vector<std::uint8_t> assignment = {}) {
        protocol::SyncGroupRequest request;
        request.group_id = "g";
        request.member_id = member.member_id;
        request.generation_id = member.generation;
        request.protocol_type = "consumer";
        request.protocol_name = "range";
        if (!assignment.empty())
            request.assignments.push_back({.member_id = member.member_id, .assignment = assignment});
        auto slot = std::make_shared<std::optional<Owned<protocol::SyncGroupResponse>>>();
        SyncAnswer deferred{
            [slot](Owned<protocol::SyncGroupResponse> response) { slot->emplace(std::move(response)); }};
        shard.take(shard.classic().sync({.api_version = 5}, request, deferred));
        if (!slot->has_value()) return ErrorCode::request_timed_out;
        const ByteView bytes = (*slot)->message.assignment;
        synced.assign(bytes.begin(), bytes.end());
        return static_cast<ErrorCode>((*slot)->message.error_code);
    }
    ErrorCode heartbeat(const Classic& member) {
        protocol::HeartbeatRequest request;
        request.group_id = "g";
        request.member_id = member.member_id;
        request.generation_id = member.generation;
        return static_cast<ErrorCode>(shard.take(*shard.classic().heartbeat({.api_version = 4}, request)).error_code);
    }
    // A classic group of one member that has both partitions of "t".
    Classic classic_group() {
        Classic member = classic();
        EXPECT_EQ(join(member), ErrorCode::member_id_required);
        EXPECT_EQ(join(member), ErrorCode::none);
        EXPECT_EQ(
            sync(member, {0, 0, 0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff}),
            ErrorCode::none);
        return member;
    }
    struct Answer {
        std::shared_ptr<std::optional<Owned<protocol::JoinGroupResponse>>> slot =
            std::make_shared<std::optional<Owned<protocol::JoinGroupResponse>>>();
        JoinAnswer deferred() const {
            return JoinAnswer{[to = slot](Owned<protocol::JoinGroupResponse> r) { to->emplace(std::move(r)); }};
        }
    };
    std::string leader;
    std::vector<std::uint8_t> synced;
};

TEST_F(MigrationTest, AConsumerThatJoinsAClassicGroupMakesItAConsumerGroup) {
    shard.create_topic("t", 2);
    Classic old_member = classic_group();
    TestConsumer consumer{shard, "new", {"t"}};
    EXPECT_EQ(error_of(consumer.beat()), ErrorCode::none);
    ASSERT_NE(shard.group(), nullptr);
    EXPECT_EQ(shard.group()->members().size(), 2U);
    EXPECT_TRUE(consumer.owned.empty()) << "the classic member has everything still";
    const auto described = describe();
    EXPECT_EQ(described.members.at(0).member_type + described.members.at(1).member_type, 1);

    EXPECT_EQ(heartbeat(old_member), ErrorCode::rebalance_in_progress);
    EXPECT_EQ(join(old_member), ErrorCode::none);
    EXPECT_EQ(leader, "") << "nobody leads: the coordinator assigns";
    EXPECT_EQ(sync(old_member), ErrorCode::none);
    // Version 0, one topic "t", one partition, no user data.
    ASSERT_EQ(synced.size(), 21U);
    EXPECT_EQ(synced[12], 1);
    EXPECT_EQ(heartbeat(old_member), ErrorCode::none);
    consumer.beat();
    EXPECT_EQ(consumer.owned.size(), 1U);
    EXPECT_EQ(shard.group()->state_name(), "Stable");
    shard.restart();
    EXPECT_EQ(shard.group()->classic_member_count(), 1);
}

TEST_F(MigrationTest, TheLastConsumerThatLeavesMakesItAClassicGroupAgain) {
    shard.create_topic("t", 2);
    Classic old_member = classic_group();
    TestConsumer consumer{shard, "new", {"t"}};
    consumer.beat();
    ASSERT_NE(shard.group(), nullptr);
    consumer.leave();
    EXPECT_EQ(shard.group(), nullptr);
    ClassicGroup* group = shard.classic().find("g");
    ASSERT_NE(group, nullptr);
    EXPECT_TRUE(group->has_member(old_member.member_id));
    EXPECT_EQ(group->state_name(), "PreparingRebalance");
    EXPECT_EQ(join(old_member), ErrorCode::none);
    EXPECT_EQ(leader, old_member.member_id);
    shard.restart();
    EXPECT_NE(shard.classic().find("g"), nullptr) << "the log tells the same";
}

TEST_F(MigrationTest, AClassicMemberWhoseSessionEndsInAConsumerGroupIsFenced) {
    shard.create_topic("t", 2);
    Classic old_member = classic_group();
    TestConsumer consumer{shard, "new", {"t"}};
    consumer.beat();
    shard.advance(10'000);
    EXPECT_EQ(heartbeat(old_member), ErrorCode::unknown_member_id);
    beat_all({&consumer});
    EXPECT_EQ(consumer.owned.size(), 2U);
}

TEST_F(MigrationTest, ThePolicyDecidesWhoMayChangeAGroupsProtocol) {
    constexpr struct {
        MigrationPolicy policy;
        bool up, down;
    } kPolicies[] = {{MigrationPolicy::disabled, false, false},
                     {MigrationPolicy::upgrade, true, false},
                     {MigrationPolicy::downgrade, false, true},
                     {MigrationPolicy::bidirectional, true, true}};
    shard.create_topic("t", 2);
    const Classic old_member = classic_group();
    for (const auto& [policy, up, down] : kPolicies) {
        ConsumerShard& one = shard;
        one.mutable_settings().group_consumer_migration_policy = policy;
        TestConsumer consumer{one, "new", {"t"}};
        const ErrorCode error = error_of(consumer.beat());
        EXPECT_EQ(error, up ? ErrorCode::none : ErrorCode::group_id_not_found) << static_cast<int>(policy);
        if (!up) continue;
        consumer.leave();
        EXPECT_EQ(one.group() == nullptr, down);
        one.mutable_settings().group_consumer_migration_policy = MigrationPolicy::bidirectional;
        TestConsumer again{one, "again", {"t"}};
        if (!down) again.beat(), again.leave();
        ASSERT_NE(one.classic().find("g"), nullptr);
    }
}

TEST_F(MigrationTest, AnEmptyClassicGroupGivesItsPlaceWhateverThePolicy) {
    shard.create_topic("t", 1);
    shard.mutable_settings().group_consumer_migration_policy = MigrationPolicy::disabled;
    shard.classic().find_or_create("g");
    TestConsumer consumer{shard, "a", {"t"}};
    EXPECT_EQ(error_of(consumer.beat()), ErrorCode::none);
    EXPECT_EQ(consumer.owned.size(), 1U);
}

}  // namespace
}  // namespace odr::coordinator::testing
