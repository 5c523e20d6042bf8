// The rules of the classic protocol, one by one.
#include <gtest/gtest.h>

#include "coordinator/classic_groups_test_support.h"
#include "protocol/generated/group_metadata_key.h"
#include "protocol/generated/group_metadata_value.h"
#include "protocol/writer.h"

namespace odr::coordinator {
namespace {

using enum ClassicGroupState;
using testing::Answer;
using testing::SimulatedShard;
using testing::text_of;

struct Joining {
    std::string member_id = "";
    std::optional<std::string> instance = std::nullopt;
    std::vector<std::string> protocols = {"range"};
    std::string metadata = "m";
    std::int16_t version = 9;
    std::string group = "g";
    std::string type = "test";
    std::int32_t session_ms = 10'000;
    std::int32_t rebalance_ms = 30'000;
};

class ClassicGroupsTest : public ::testing::Test {
protected:
    using Join = Answer<protocol::JoinGroupResponse>;
    using Sync = Answer<protocol::SyncGroupResponse>;

    Join join(const Joining& as) {
        protocol::JoinGroupRequest request{.group_id = as.group,
                                           .session_timeout_ms = as.session_ms,
                                           .rebalance_timeout_ms = as.version == 0 ? -1 : as.rebalance_ms,
                                           .member_id = as.member_id,
                                           .protocol_type = as.type};
        if (as.instance) request.group_instance_id = *as.instance;
        for (const std::string& name : as.protocols) {
            request.protocols.push_back({.name = name, .metadata = as_bytes(as.metadata)});
        }
        Join answer;
        shard_.take(shard_.groups().join({.client_id = "client", .client_host = "/1.2.3.4", .api_version = as.version},
                                         request, answer.deferred()));
        return answer;
    }
    // Asks for a member id and joins with it; the answer waits for the rebalance.
    Join join_new(Joining as = {}) {
        const Join first = join(as);
        if (first.error() != ErrorCode::member_id_required) return first;
        as.member_id = first->member_id;
        return join(as);
    }
    using Assignments = std::vector<std::pair<std::string, std::string>>;
    Sync sync(const std::string& member_id, std::int32_t generation, const Assignments& assignments = {},
              std::optional<std::string> instance = std::nullopt, std::optional<std::string> protocol = std::nullopt) {
        protocol::SyncGroupRequest request{.group_id = "g", .generation_id = generation, .member_id = member_id};
        if (instance) request.group_instance_id = *instance;
        if (protocol) request.protocol_name = *protocol;
        for (const auto& [member, assignment] : assignments) {
            request.assignments.push_back({.member_id = member, .assignment = as_bytes(assignment)});
        }
        Sync answer;
        shard_.take(shard_.groups().sync({}, request, answer.deferred()));
        return answer;
    }
    ErrorCode heartbeat(const std::string& member_id, std::int32_t generation,
                        std::optional<std::string> instance = std::nullopt, const std::string& group = "g") {
        protocol::HeartbeatRequest request{.group_id = group, .generation_id = generation, .member_id = member_id};
        if (instance) request.group_instance_id = *instance;
        return static_cast<ErrorCode>(shard_.take(std::move(*shard_.groups().heartbeat({}, request))).error_code);
    }
    ErrorCode leave(const std::string& member_id, std::optional<std::string> instance = std::nullopt,
                    const std::string& group = "g") {
        protocol::LeaveGroupRequest request{.group_id = group, .members = {{.member_id = member_id}}};
        if (instance) request.members[0].group_instance_id = *instance;
        const auto answer = shard_.take(std::move(*shard_.groups().leave({}, request)));
        if (answer.message.error_code != 0) return static_cast<ErrorCode>(answer.message.error_code);
        return static_cast<ErrorCode>(answer.message.members.at(0).error_code);
    }
    void pass(std::int64_t ms) { shard_.advance(ms); }
    std::string_view state() { return shard_.group() == nullptr ? "none" : shard_.group()->state_name(); }

    // A stable group: the first member leads.
    struct Stable {
        std::vector<std::string> members;
        std::int32_t generation = 0;
        const std::string& leader() const { return members.front(); }
    };
    Stable stable_group(const std::vector<Joining>& all) {
        std::vector<Join> joins;
        for (const Joining& each : all) joins.push_back(join_new(each));
        // The first rebalance goes on as long as members come, up to the rebalance timeout.
        for (int i = 0; i < 10 && !joins[0].is_given(); ++i) pass(3'000);
        Stable stable;
        Assignments assignments;
        for (const Join& each : joins) {
            EXPECT_EQ(each.error(), ErrorCode::none);
            stable.members.emplace_back(each->member_id);
            assignments.emplace_back(each->member_id, "to " + std::string{each->member_id});
        }
        stable.generation = joins[0]->generation_id;
        EXPECT_EQ(joins[0]->leader, stable.members[0]);
        for (std::size_t i = 1; i < all.size(); ++i) sync(stable.members[i], stable.generation, {}, all[i].instance);
        sync(stable.members[0], stable.generation, assignments, all[0].instance);
        shard_.commit();
        EXPECT_EQ(state(), "Stable");
        return stable;
    }
    Stable stable_pair() { return stable_group({{}, {}}); }

    SimulatedShard shard_;
};

TEST_F(ClassicGroupsTest, JoinIsRefusedForWhatTheRequestAloneShows) {
    const struct {
        const char* name;
        Joining joining;
        ErrorCode want;
    } cases[] = {
        {"no group id", {.group = ""}, ErrorCode::invalid_group_id},
        {"session below the minimum", {.session_ms = 5'999}, ErrorCode::invalid_session_timeout},
        {"session above the maximum", {.session_ms = 1'800'001}, ErrorCode::invalid_session_timeout},
        {"member id of a group that is not there", {.member_id = "x"}, ErrorCode::unknown_member_id},
        {"no protocol type", {.type = ""}, ErrorCode::inconsistent_group_protocol},
        {"no protocols", {.protocols = {}}, ErrorCode::inconsistent_group_protocol},
        {"no member id from version 4 on", {.version = 4}, ErrorCode::member_id_required},
    };
    for (const auto& each : cases) EXPECT_EQ(join(each.joining).error(), each.want) << each.name;
    EXPECT_FALSE(join({.version = 3, .group = "other"}).is_given()) << "before version 4 it joins at once";
}

TEST_F(ClassicGroupsTest, GivenMemberIdsBeginWithTheClientOrInstanceId) {
    const Join dynamic = join({});
    EXPECT_TRUE(dynamic->member_id.starts_with("client-")) << dynamic->member_id;
    EXPECT_EQ(dynamic->member_id.size(), std::string_view{"client-"}.size() + 36);
    EXPECT_EQ(dynamic->generation_id, -1);
    const Join fixed = join({.instance = "here"});
    pass(40'000);
    EXPECT_TRUE(fixed->member_id.starts_with("here-")) << fixed->member_id;
}

TEST_F(ClassicGroupsTest, AGroupThatWasMadeForARefusedMemberIsWritten) {
    join({});
    shard_.commit();
    ASSERT_EQ(shard_.log().size(), 1U);
    shard_.restart();
    ASSERT_NE(shard_.group(), nullptr);
    EXPECT_EQ(shard_.group()->generation_id(), 0);
    EXPECT_EQ(state(), "Empty");
}

TEST_F(ClassicGroupsTest, AMemberIdThatNobodyUsesIsForgottenAfterTheSession) {
    const Join first = join({});
    EXPECT_TRUE(shard_.group()->is_pending(first->member_id));
    pass(9'999);
    EXPECT_TRUE(shard_.group()->is_pending(first->member_id));
    pass(1);
    EXPECT_FALSE(shard_.group()->is_pending(first->member_id));
    EXPECT_EQ(join({.member_id = std::string{first->member_id}}).error(), ErrorCode::unknown_member_id);
}

TEST_F(ClassicGroupsTest, APendingMemberIsNoStaticMember) {
    const Join first = join({});
    EXPECT_EQ(join({.member_id = std::string{first->member_id}, .instance = "i"}).error(),
              ErrorCode::unknown_server_error);
}

TEST_F(ClassicGroupsTest, TheFirstRebalanceWaitsForLateMembersUpToTheRebalanceTimeout) {
    const Join first = join_new();
    pass(2'999);
    EXPECT_FALSE(first.is_given());
    const Join second = join_new();
    pass(1);
    EXPECT_FALSE(first.is_given()) << "a member came, so it waits again";
    pass(3'000);
    ASSERT_TRUE(first.is_given());
    ASSERT_TRUE(second.is_given());
    EXPECT_EQ(first->generation_id, 1);
    EXPECT_EQ(second->generation_id, 1);
    EXPECT_EQ(first->leader, first->member_id);
    EXPECT_EQ(second->leader, first->member_id);
    EXPECT_EQ(first->members.size(), 2U);
    EXPECT_TRUE(second->members.empty()) << "only the leader hears of the others";
    EXPECT_EQ(first->protocol_name, "range");
    EXPECT_EQ(first->protocol_type, "test");
    EXPECT_FALSE(first->skip_assignment);
}

TEST_F(ClassicGroupsTest, WithoutInitialDelayTheFirstRebalanceEndsAtOnce) {
    shard_.mutable_settings().group_initial_rebalance_delay_ms = 0;
    const Join only = join_new();
    pass(0);
    EXPECT_EQ(only.error(), ErrorCode::none);
}

TEST_F(ClassicGroupsTest, EveryMemberGetsWhatTheLeaderAssigned) {
    const Join a = join_new();
    const Join b = join_new();
    pass(6'000);
    const std::string leader{a->member_id};
    const std::string follower{b->member_id};
    const Sync waiting = sync(follower, 1);
    EXPECT_FALSE(waiting.is_given());
    EXPECT_EQ(state(), "CompletingRebalance");
    const Sync leading = sync(leader, 1, {{leader, "one"}, {follower, "two"}, {"stranger", "three"}});
    EXPECT_FALSE(leading.is_given()) << "nobody is told before it is written";
    shard_.commit();
    EXPECT_EQ(state(), "Stable");
    EXPECT_EQ(text_of(leading->assignment), "one");
    EXPECT_EQ(text_of(waiting->assignment), "two");
    EXPECT_EQ(waiting->protocol_name, "range");
    EXPECT_EQ(waiting->protocol_type, "test");
    EXPECT_EQ(text_of(sync(follower, 1)->assignment), "two") << "asked again";
}

TEST_F(ClassicGroupsTest, WhomTheLeaderForgetsGetsNothing) {
    const Join a = join_new();
    const Join b = join_new();
    pass(6'000);
    const Sync waiting = sync(std::string{b->member_id}, 1);
    sync(std::string{a->member_id}, 1, {{std::string{a->member_id}, "all"}});
    shard_.commit();
    EXPECT_EQ(waiting.error(), ErrorCode::none);
    EXPECT_EQ(text_of(waiting->assignment), "");
}

TEST_F(ClassicGroupsTest, AnAssignmentThatCannotBeWrittenStartsARebalance) {
    const Join a = join_new();
    pass(6'000);
    const Sync leading = sync(std::string{a->member_id}, 1, {{std::string{a->member_id}, "all"}});
    shard_.refuse_appends(ErrorCode::record_list_too_large);
    EXPECT_EQ(leading.error(), ErrorCode::unknown_server_error);
    EXPECT_EQ(state(), "PreparingRebalance");
    EXPECT_EQ(heartbeat(std::string{a->member_id}, 1), ErrorCode::rebalance_in_progress);
}

TEST_F(ClassicGroupsTest, AMemberThatJoinsWhileTheAssignmentIsWrittenMakesItVoid) {
    const Join a = join_new();
    pass(6'000);
    const Sync leading = sync(std::string{a->member_id}, 1, {{std::string{a->member_id}, "all"}});
    const Join b = join_new();
    EXPECT_EQ(leading.error(), ErrorCode::rebalance_in_progress);
    shard_.commit();
    EXPECT_EQ(state(), "PreparingRebalance");
}

TEST_F(ClassicGroupsTest, SyncIsRefusedToWhoIsNotOfThisGeneration) {
    EXPECT_EQ(sync("x", 1).error(), ErrorCode::unknown_member_id) << "no group";
    const Stable stable = stable_group({{.instance = "i"}, {}});
    EXPECT_EQ(sync("x", stable.generation).error(), ErrorCode::unknown_member_id);
    EXPECT_EQ(sync(stable.members[1], stable.generation + 1).error(), ErrorCode::illegal_generation);
    EXPECT_EQ(sync(stable.members[1], stable.generation - 1).error(), ErrorCode::illegal_generation);
    EXPECT_EQ(sync(stable.members[1], stable.generation, {}, "i").error(), ErrorCode::fenced_instance_id);
    EXPECT_EQ(sync(stable.members[1], stable.generation, {}, "j").error(), ErrorCode::unknown_member_id);
    EXPECT_EQ(sync(stable.members[1], stable.generation, {}, std::nullopt, "sticky").error(),
              ErrorCode::inconsistent_group_protocol);
    EXPECT_EQ(sync(stable.members[1], stable.generation, {}, std::nullopt, "range").error(), ErrorCode::none);
    join_new();
    EXPECT_EQ(sync(stable.members[1], stable.generation).error(), ErrorCode::rebalance_in_progress);
    protocol::SyncGroupRequest nameless{.member_id = "x"};
    Sync answer;
    shard_.take(shard_.groups().sync({}, nameless, answer.deferred()));
    EXPECT_EQ(answer.error(), ErrorCode::invalid_group_id);
}

TEST_F(ClassicGroupsTest, HeartbeatsTellMembersWhereTheGroupIs) {
    EXPECT_EQ(heartbeat("x", 1), ErrorCode::unknown_member_id) << "no group";
    EXPECT_EQ(heartbeat("x", 1, std::nullopt, ""), ErrorCode::invalid_group_id);
    const Stable stable = stable_group({{.instance = "i"}, {}});
    EXPECT_EQ(heartbeat(stable.members[1], stable.generation), ErrorCode::none);
    EXPECT_EQ(heartbeat(stable.members[1], stable.generation - 1), ErrorCode::illegal_generation);
    EXPECT_EQ(heartbeat("x", stable.generation), ErrorCode::unknown_member_id);
    EXPECT_EQ(heartbeat(stable.members[1], stable.generation, "i"), ErrorCode::fenced_instance_id);
    EXPECT_EQ(heartbeat(stable.members[0], stable.generation, "j"), ErrorCode::unknown_member_id);
    join_new();
    EXPECT_EQ(heartbeat(stable.members[1], stable.generation), ErrorCode::rebalance_in_progress);
}

TEST_F(ClassicGroupsTest, HeartbeatsKeepAMemberAndTheirLackRemovesIt) {
    const Stable stable = stable_pair();
    pass(9'000);
    EXPECT_EQ(heartbeat(stable.members[0], stable.generation), ErrorCode::none);
    pass(9'000);
    EXPECT_EQ(heartbeat(stable.members[0], stable.generation), ErrorCode::rebalance_in_progress);
    EXPECT_EQ(heartbeat(stable.members[1], stable.generation), ErrorCode::unknown_member_id);
    EXPECT_FALSE(shard_.group()->has_member(stable.members[1]));
}

TEST_F(ClassicGroupsTest, ACommittedOffsetKeepsAMember) {
    const Stable stable = stable_group({{}});
    for (int i = 0; i < 5; ++i) {
        pass(9'000);
        shard_.group()->on_offset_commit(stable.leader());
    }
    EXPECT_TRUE(shard_.group()->has_member(stable.leader()));
    pass(10'000);
    EXPECT_EQ(state(), "Empty");
}

TEST_F(ClassicGroupsTest, MembersThatDoNotRejoinInTimeAreDropped) {
    const Stable stable = stable_pair();
    const Join rejoined = join({.member_id = stable.members[1], .metadata = "new"});
    for (int i = 0; i < 6; ++i) {
        EXPECT_FALSE(rejoined.is_given());
        heartbeat(stable.members[0], stable.generation);
        pass(5'000);
    }
    ASSERT_TRUE(rejoined.is_given());
    EXPECT_EQ(rejoined->generation_id, stable.generation + 1);
    EXPECT_EQ(rejoined->leader, stable.members[1]) << "the leader did not come";
    EXPECT_EQ(rejoined->members.size(), 1U);
}

TEST_F(ClassicGroupsTest, MembersThatDoNotSyncInTimeAreDropped) {
    const Stable stable = stable_pair();
    const Join a = join({.member_id = stable.members[0]});
    const Join b = join({.member_id = stable.members[1]});
    ASSERT_TRUE(a.is_given());
    const Sync leading = sync(stable.members[0], a->generation_id, {});
    shard_.commit();
    for (int i = 0; i < 6; ++i) {
        heartbeat(stable.members[0], a->generation_id);
        heartbeat(stable.members[1], a->generation_id);
        pass(5'000);
    }
    EXPECT_EQ(state(), "PreparingRebalance");
    EXPECT_FALSE(shard_.group()->has_member(stable.members[1]));
    EXPECT_TRUE(shard_.group()->has_member(stable.members[0]));
}

TEST_F(ClassicGroupsTest, ANewMemberWaitsNoLongerThanFiveMinutes) {
    const Stable stable = stable_group({{.rebalance_ms = 1'000'000}});
    const Join late = join_new();
    for (int i = 0; i < 60; ++i) {
        EXPECT_FALSE(late.is_given());
        heartbeat(stable.leader(), stable.generation);
        pass(5'000);
    }
    EXPECT_EQ(late.error(), ErrorCode::unknown_member_id);
    EXPECT_EQ(shard_.group()->members().size(), 1U);
}

TEST_F(ClassicGroupsTest, RejoiningChangesNothingUnlessTheMemberChangedOrLeads) {
    const Stable stable = stable_pair();
    const Join follower = join({.member_id = stable.members[1]});
    EXPECT_EQ(follower.error(), ErrorCode::none);
    EXPECT_EQ(follower->generation_id, stable.generation);
    EXPECT_EQ(follower->leader, stable.leader());
    EXPECT_EQ(state(), "Stable");
    const Join changed = join({.member_id = stable.members[1], .metadata = "other"});
    EXPECT_FALSE(changed.is_given());
    EXPECT_EQ(state(), "PreparingRebalance");
    const Join leader = join({.member_id = stable.leader()});
    ASSERT_TRUE(leader.is_given());
    EXPECT_TRUE(changed.is_given());
    EXPECT_EQ(state(), "CompletingRebalance");
    const Join again = join({.member_id = stable.leader()});
    EXPECT_EQ(again.error(), ErrorCode::none) << "the first answer was lost";
    EXPECT_EQ(again->members.size(), 2U);
    const Join other = join({.member_id = stable.leader(), .metadata = "other"});
    EXPECT_FALSE(other.is_given());
    EXPECT_EQ(state(), "PreparingRebalance");
}

TEST_F(ClassicGroupsTest, ALeaderThatRejoinsAStableGroupStartsARebalance) {
    const Stable stable = stable_pair();
    EXPECT_FALSE(join({.member_id = stable.leader()}).is_given());
    EXPECT_EQ(state(), "PreparingRebalance");
}

TEST_F(ClassicGroupsTest, AMemberThatJoinsTwiceIsAnsweredTwice) {
    const Stable stable = stable_pair();
    const Join lost = join({.member_id = stable.leader()});
    const Join retried = join({.member_id = stable.leader()});
    EXPECT_EQ(lost.error(), ErrorCode::rebalance_in_progress);
    EXPECT_FALSE(retried.is_given());
    join({.member_id = stable.members[1]});
    EXPECT_EQ(retried.error(), ErrorCode::none);
    EXPECT_EQ(shard_.group()->awaiting_join_count(), 0U);
}

TEST_F(ClassicGroupsTest, ThePreferredProtocolOfMostMembersIsTaken) {
    const struct {
        const char* name;
        std::vector<std::vector<std::string>> members;
        std::string_view want;
    } cases[] = {
        {"one member's first", {{"b", "a"}}, "b"},
        {"only what all support", {{"a", "b"}, {"b"}}, "b"},
        {"the majority", {{"a", "b"}, {"b", "a"}, {"b", "a"}}, "b"},
        {"of equals the first by name", {{"b", "a"}, {"a", "b"}}, "a"},
        {"a name given twice counts once", {{"a", "a", "b"}, {"b", "a"}}, "a"},
    };
    for (const auto& each : cases) {
        SimulatedShard shard;
        std::vector<Join> joins;
        for (const auto& protocols : each.members) {
            protocol::JoinGroupRequest request{
                .group_id = "g", .session_timeout_ms = 10'000, .rebalance_timeout_ms = 10'000, .protocol_type = "test"};
            for (const std::string& name : protocols) request.protocols.push_back({.name = name});
            joins.emplace_back();
            shard.take(shard.groups().join({.api_version = 3}, request, joins.back().deferred()));
        }
        shard.advance(60'000);
        for (const Join& joined : joins) {
            ASSERT_EQ(joined.error(), ErrorCode::none) << each.name;
            EXPECT_EQ(joined->protocol_name, each.want) << each.name;
        }
    }
}

TEST_F(ClassicGroupsTest, MembersMustShareAProtocolAndItsType) {
    const Stable stable = stable_group({{.protocols = {"range", "sticky"}}});
    EXPECT_EQ(join({.protocols = {"other"}}).error(), ErrorCode::inconsistent_group_protocol);
    EXPECT_EQ(join({.type = "connect"}).error(), ErrorCode::inconsistent_group_protocol);
    EXPECT_EQ(join({.member_id = stable.leader(), .protocols = {"other"}}).error(),
              ErrorCode::inconsistent_group_protocol);
    EXPECT_EQ(join({.protocols = {"other", "sticky"}}).error(), ErrorCode::member_id_required);
    EXPECT_EQ(state(), "Stable");
}

TEST_F(ClassicGroupsTest, LeavingTellsEachMemberItsOwnError) {
    EXPECT_EQ(leave("x"), ErrorCode::unknown_member_id) << "no group";
    EXPECT_EQ(leave("x", std::nullopt, ""), ErrorCode::invalid_group_id);
    const Stable stable = stable_group({{}, {.instance = "i"}, {.instance = "j"}});
    const Join pending = join({});
    EXPECT_EQ(leave("x"), ErrorCode::unknown_member_id);
    EXPECT_EQ(leave(stable.members[0], "i"), ErrorCode::fenced_instance_id);
    EXPECT_EQ(leave(stable.members[0], "k"), ErrorCode::unknown_member_id);
    EXPECT_EQ(leave("", "k"), ErrorCode::unknown_member_id);
    EXPECT_EQ(leave(""), ErrorCode::unknown_member_id);
    EXPECT_EQ(state(), "Stable");
    EXPECT_EQ(leave(std::string{pending->member_id}), ErrorCode::none);
    EXPECT_FALSE(shard_.group()->is_pending(pending->member_id));
    EXPECT_EQ(leave("", "i"), ErrorCode::none) << "an administrator knows the instance id only";
    EXPECT_EQ(state(), "PreparingRebalance");
    EXPECT_FALSE(shard_.group()->has_member(stable.members[1]));
    EXPECT_EQ(leave(stable.members[2], "j"), ErrorCode::none);
    EXPECT_EQ(leave(stable.members[0]), ErrorCode::none);
    shard_.commit();
    EXPECT_EQ(state(), "Empty");
    EXPECT_TRUE(shard_.timer_names().empty());
    EXPECT_EQ(heartbeat(stable.members[0], stable.generation), ErrorCode::unknown_member_id);
    EXPECT_EQ(sync(stable.members[0], stable.generation).error(), ErrorCode::unknown_member_id);
    EXPECT_EQ(leave(stable.members[0]), ErrorCode::unknown_member_id);
    EXPECT_EQ(join({.member_id = stable.members[0]}).error(), ErrorCode::unknown_member_id);
}

TEST_F(ClassicGroupsTest, WhoIsMadeToLeaveWhileWaitingIsAnswered) {
    const Join a = join_new();
    const Join b = join_new({.instance = "i"});
    pass(6'000);
    const Sync waiting = sync(std::string{b->member_id}, 1, {}, "i");
    leave("", "i");
    EXPECT_EQ(waiting.error(), ErrorCode::unknown_member_id);
    const Join c = join_new({.instance = "k"});
    leave("", "k");
    EXPECT_EQ(c.error(), ErrorCode::unknown_member_id);
}

TEST_F(ClassicGroupsTest, TheLastToLeaveEndsTheRebalanceOfTheOthers) {
    const Stable stable = stable_group({{}, {}, {}});
    const Join a = join({.member_id = stable.members[0]});
    const Join b = join({.member_id = stable.members[1]});
    EXPECT_FALSE(a.is_given());
    leave(stable.members[2]);
    EXPECT_EQ(a.error(), ErrorCode::none);
    EXPECT_EQ(b.error(), ErrorCode::none);
}

TEST_F(ClassicGroupsTest, AFullGroupTakesNobody) {
    shard_.mutable_settings().group_max_size = 2;
    const Stable stable = stable_pair();
    const Join third = join({});
    EXPECT_EQ(third.error(), ErrorCode::group_max_size_reached);
    EXPECT_EQ(third->member_id, "");
    EXPECT_EQ(join({.member_id = stable.members[1]}).error(), ErrorCode::none) << "members stay";
    const Join rejoining = join({.member_id = stable.members[0]});
    EXPECT_EQ(state(), "PreparingRebalance");
    const Join swift = join_new();
    EXPECT_FALSE(swift.is_given()) << "while members rejoin there is room for the first to come";
    EXPECT_EQ(join({.member_id = stable.members[1]}).error(), ErrorCode::group_max_size_reached);
    EXPECT_EQ(join({.member_id = stable.members[0]}).error(), ErrorCode::none) << "it waits already";
    EXPECT_EQ(swift.error(), ErrorCode::none);
}

TEST_F(ClassicGroupsTest, AGroupLoadedOverItsSizeRebalances) {
    const Stable stable = stable_group({{}, {}, {}});
    shard_.mutable_settings().group_max_size = 2;
    shard_.restart();
    EXPECT_EQ(state(), "PreparingRebalance");
    EXPECT_FALSE(join({.member_id = stable.members[0]}).is_given());
    EXPECT_FALSE(join({.member_id = stable.members[1]}).is_given());
    EXPECT_EQ(join({.member_id = stable.members[2]}).error(), ErrorCode::group_max_size_reached);
}

TEST_F(ClassicGroupsTest, AStaticMemberComesBackWithoutARebalance) {
    const struct {
        const char* name;
        std::int16_t version;
        std::size_t index;  // of the member that restarts
        bool want_skip;
        bool want_new_leader;
    } cases[] = {
        {"a follower", 9, 1, false, false},
        {"a leader skips assigning (KIP-814)", 9, 0, true, true},
        {"a leader before version 9 is told the old leader's id", 8, 0, false, false},
    };
    for (const auto& each : cases) {
        SCOPED_TRACE(each.name);
        shard_.restart();
        if (shard_.group() != nullptr) shard_.registry().erase("g");
        const std::vector<Joining> all = {{.instance = "i"}, {.instance = "j"}};
        const Stable stable = stable_group(all);
        Joining returning = all[each.index];
        returning.version = each.version;
        const Join back = join(returning);
        EXPECT_FALSE(back.is_given()) << "not before it is written";
        shard_.commit();
        ASSERT_EQ(back.error(), ErrorCode::none);
        EXPECT_EQ(state(), "Stable");
        const std::string new_id{back->member_id};
        EXPECT_NE(new_id, stable.members[each.index]);
        EXPECT_EQ(back->generation_id, stable.generation);
        EXPECT_EQ(back->skip_assignment, each.want_skip);
        EXPECT_EQ(back->members.size(), each.want_skip ? 2U : 0U);
        EXPECT_EQ(back->leader, each.want_new_leader ? new_id : stable.leader());
        const Sync synced = sync(new_id, stable.generation, {}, returning.instance);
        EXPECT_EQ(text_of(synced->assignment), "to " + stable.members[each.index]);
        EXPECT_EQ(heartbeat(stable.members[each.index], stable.generation, returning.instance),
                  ErrorCode::fenced_instance_id);
        EXPECT_EQ(heartbeat(new_id, stable.generation, returning.instance), ErrorCode::none);
        shard_.restart();
        EXPECT_TRUE(shard_.group()->has_member(new_id)) << "it was written";
    }
}

TEST_F(ClassicGroupsTest, AStaticMemberThatCannotBeWrittenIsTheOldOneAgain) {
    const Stable stable = stable_group({{.instance = "i"}});
    const Join back = join({.instance = "i", .metadata = "new"});
    shard_.refuse_appends(ErrorCode::not_enough_replicas);
    EXPECT_EQ(back.error(), ErrorCode::coordinator_not_available);
    EXPECT_EQ(back->member_id, "");
    EXPECT_EQ(heartbeat(stable.leader(), stable.generation, "i"), ErrorCode::none);
    EXPECT_EQ(text_of(shard_.group()->member(stable.leader())->metadata_for("range")), "m");
    EXPECT_EQ(shard_.timer_names().size(), 1U);
}

TEST_F(ClassicGroupsTest, AStaticMemberThatChangesTheProtocolStartsARebalance) {
    const Stable stable = stable_group({{.instance = "i", .protocols = {"range", "sticky"}}});
    const Join back = join({.instance = "i", .protocols = {"sticky", "range"}});
    EXPECT_EQ(back.error(), ErrorCode::none);
    EXPECT_EQ(back->generation_id, stable.generation + 1);
    EXPECT_EQ(back->protocol_name, "sticky");
}

TEST_F(ClassicGroupsTest, AStaticMemberThatComesBackDuringARebalanceFencesItsOldSelf) {
    const Stable stable = stable_group({{.instance = "i"}, {}});
    const Join old = join({.member_id = stable.leader(), .instance = "i"});
    EXPECT_FALSE(old.is_given());
    const Join back = join({.instance = "i"});
    EXPECT_EQ(old.error(), ErrorCode::fenced_instance_id);
    EXPECT_FALSE(back.is_given());
    join({.member_id = stable.members[1]});
    ASSERT_EQ(back.error(), ErrorCode::none);
    const Sync waiting = sync(std::string{back->member_id}, back->generation_id, {}, "i");
    const Join third = join({.instance = "i"});
    EXPECT_TRUE(waiting.is_given());
    EXPECT_EQ(state(), "PreparingRebalance") << "the leader may be assigning to the old id";
}

TEST_F(ClassicGroupsTest, AStaticMemberThatIsAwayStaysUntilItsSessionEnds) {
    const Stable stable = stable_group({{.instance = "i", .session_ms = 60'000}, {}});
    const Join joined = join({.member_id = stable.members[1], .metadata = "new"});
    pass(30'000);
    ASSERT_TRUE(joined.is_given());
    EXPECT_TRUE(shard_.group()->has_member(stable.leader())) << "static members are not dropped with the rebalance";
    EXPECT_EQ(joined->leader, stable.members[1]);
    EXPECT_EQ(joined->members.size(), 2U);
    EXPECT_EQ(*joined->members[joined->members[0].group_instance_id ? 0 : 1].group_instance_id, "i");
    sync(stable.members[1], joined->generation_id, {});
    shard_.commit();
    for (int i = 0; i < 14; ++i) {
        heartbeat(stable.members[1], joined->generation_id);
        pass(5'000);
    }
    EXPECT_FALSE(shard_.group()->has_member(stable.leader()));
}

TEST_F(ClassicGroupsTest, IfOnlyAbsentStaticMembersAreLeftTheRebalanceWaitsForThem) {
    const Stable stable = stable_group({{.instance = "i", .session_ms = 100'000}, {}});
    leave(stable.members[1]);
    pass(30'000);
    EXPECT_EQ(state(), "PreparingRebalance");
    pass(100'000);
    EXPECT_EQ(state(), "Empty");
    EXPECT_TRUE(shard_.timer_names().empty());
}

TEST_F(ClassicGroupsTest, VersionZeroUsesTheSessionTimeoutForRebalances) {
    const Join old = join({.version = 0});
    pass(6'000);
    EXPECT_EQ(old.error(), ErrorCode::none);
    EXPECT_EQ(shard_.group()->rebalance_timeout_ms(), 10'000);
}

TEST_F(ClassicGroupsTest, AStableGroupIsReadFromTheLogAsItWas) {
    const Stable stable = stable_group({{}, {.instance = "i"}});
    const std::size_t records = shard_.log().size();
    shard_.restart();
    EXPECT_EQ(state(), "Stable");
    EXPECT_EQ(shard_.group()->generation_id(), stable.generation);
    EXPECT_TRUE(shard_.group()->is_leader(stable.leader()));
    EXPECT_EQ(heartbeat(stable.members[1], stable.generation, "i"), ErrorCode::none);
    EXPECT_EQ(text_of(sync(stable.members[0], stable.generation)->assignment), "to " + stable.members[0]);
    const ClassicGroupMember& member = *shard_.group()->member(stable.members[1]);
    EXPECT_EQ(member.client_id, "client");
    EXPECT_EQ(member.client_host, "/1.2.3.4");
    EXPECT_EQ(member.session_timeout_ms, 10'000);
    EXPECT_EQ(member.rebalance_timeout_ms, 30'000);
    EXPECT_EQ(shard_.log().size(), records);
    pass(10'000);
    EXPECT_EQ(state(), "Empty") << "sessions start with the load";
}

TEST_F(ClassicGroupsTest, WhoWaitsWhenTheCoordinatorMovesIsToldSo) {
    const Stable stable = stable_pair();
    const Join waiting = join({.member_id = stable.leader()});
    shard_.groups().on_unloaded();
    EXPECT_EQ(waiting.error(), ErrorCode::not_coordinator);
    EXPECT_EQ(join({}).error(), ErrorCode::coordinator_not_available);
    EXPECT_EQ(join({.member_id = stable.leader()}).error(), ErrorCode::coordinator_not_available);
    EXPECT_EQ(sync(stable.leader(), stable.generation).error(), ErrorCode::coordinator_not_available);
    EXPECT_EQ(heartbeat(stable.leader(), stable.generation), ErrorCode::coordinator_not_available);
    EXPECT_EQ(leave(stable.leader()), ErrorCode::coordinator_not_available);
    EXPECT_FALSE(shard_.group()->validate_offset_fetch(std::nullopt, -1));
    EXPECT_FALSE(shard_.group()->validate_delete_group());
}

TEST_F(ClassicGroupsTest, GroupMetadataIsWrittenInVersionThree) {
    const Stable stable = stable_group({{.instance = "i"}});
    const CoordinatorRecord& record = shard_.log().back();
    // Key: type 2, then the group id.
    EXPECT_EQ(record.key, (Bytes{0, 2, 0, 1, 'g'}));
    const auto frame = *protocol::decode_coordinator_frame(*record.value);
    EXPECT_EQ(frame.number, 3);
    protocol::Reader in{frame.body};
    protocol::GroupMetadataValue value;
    ASSERT_TRUE(decode(in, 3, value));
    EXPECT_EQ(in.remaining(), 0U);
    EXPECT_EQ(value.protocol_type, "test");
    EXPECT_EQ(value.protocol, "range");
    EXPECT_EQ(value.generation, 1);
    EXPECT_EQ(value.leader, stable.leader());
    ASSERT_EQ(value.members.size(), 1U);
    EXPECT_EQ(value.members[0].group_instance_id, "i");
    EXPECT_EQ(text_of(value.members[0].subscription), "m");
    EXPECT_EQ(text_of(value.members[0].assignment), "to " + stable.leader());
}

TEST_F(ClassicGroupsTest, RecordsThatNoBrokerWritesAreRefused) {
    const auto replayed = [this](const protocol::GroupMetadataValue& value) {
        shard_.replay(record_of(protocol::GroupMetadataKey{.group = "g"}, 3, value));
        return shard_.last_replay() ? ErrorCode::none : shard_.last_replay().error().code;
    };
    protocol::GroupMetadataValue value{.protocol_type = "test", .protocol = "range", .members = {{.member_id = "a"}}};
    EXPECT_EQ(replayed(value), ErrorCode::none);
    value.members = {{.member_id = "a"}, {.member_id = "a"}};
    EXPECT_EQ(replayed(value), ErrorCode::invalid_record);
    value.members = {{.member_id = "a", .group_instance_id = "i"}, {.member_id = "b", .group_instance_id = "i"}};
    EXPECT_EQ(replayed(value), ErrorCode::invalid_record);
    value.members = {{.member_id = "a"}};
    value.protocol = std::nullopt;
    EXPECT_EQ(replayed(value), ErrorCode::invalid_record);
    CoordinatorRecord cut = shard_.group()->record();
    cut.value->resize(cut.value->size() / 2);
    shard_.replay(cut);
    EXPECT_FALSE(shard_.last_replay());
    EXPECT_EQ(state(), "Stable") << "the first one stands";
}

TEST_F(ClassicGroupsTest, ATombstoneRemovesTheGroupAndItsTimers) {
    stable_pair();
    CoordinatorRecords records;
    shard_.group()->add_tombstones(records);
    shard_.replay(records[0]);
    EXPECT_EQ(shard_.group(), nullptr);
    EXPECT_TRUE(shard_.timer_names().empty());
}

TEST_F(ClassicGroupsTest, OffsetsMayBeCommittedByMembersOfTheGenerationOnly) {
    const Stable stable = stable_group({{.instance = "i"}, {}});
    const ClassicGroup& group = *shard_.group();
    const std::string& member = stable.members[1];
    const std::int32_t now = stable.generation;
    const auto error = [&](OffsetCommitter committer) {
        const Result<void> valid = group.validate_offset_commit(committer);
        return valid ? ErrorCode::none : valid.error().code;
    };
    EXPECT_EQ(error({.member_id = member, .generation_or_epoch = now}), ErrorCode::none);
    EXPECT_EQ(error({.member_id = member, .generation_or_epoch = now - 1}), ErrorCode::illegal_generation);
    EXPECT_EQ(error({.member_id = "x", .generation_or_epoch = now}), ErrorCode::unknown_member_id);
    EXPECT_EQ(error({.member_id = member, .group_instance_id = "i", .generation_or_epoch = now}),
              ErrorCode::fenced_instance_id);
    EXPECT_EQ(error({.generation_or_epoch = -1}), ErrorCode::unknown_member_id);
    EXPECT_EQ(error({.generation_or_epoch = -1, .is_transactional = true}), ErrorCode::none);
    const Join a = join({.member_id = stable.leader(), .instance = "i"});
    EXPECT_EQ(error({.member_id = member, .generation_or_epoch = now}), ErrorCode::none) << "while preparing";
    join({.member_id = member});
    EXPECT_EQ(state(), "CompletingRebalance");
    EXPECT_EQ(error({.member_id = member, .generation_or_epoch = now + 1}), ErrorCode::rebalance_in_progress);
    EXPECT_EQ(error({.member_id = member, .generation_or_epoch = now + 1, .is_transactional = true}), ErrorCode::none);
    EXPECT_FALSE(group.validate_delete_group());
    EXPECT_EQ(group.validate_offset_delete().error().code, ErrorCode::non_empty_group);
}

TEST_F(ClassicGroupsTest, AGroupForOffsetsOnlyIsEmptyAndTakesAnyCommit) {
    ClassicGroup& group = *shard_.groups().find_or_create("g");
    EXPECT_TRUE(group.is_simple());
    EXPECT_TRUE(group.validate_offset_commit({.generation_or_epoch = -1}));
    EXPECT_TRUE(group.validate_delete_group());
    EXPECT_FALSE(group.offset_expiration()->since) << "they expire from their commits";
    EXPECT_EQ(group.protocol_type(), "");
    EXPECT_FALSE(group.is_subscribed_to("t"));
}

TEST_F(ClassicGroupsTest, SubscribedTopicsAreReadFromConsumersMetadata) {
    // Version 3, topics ["t"], no user data; what later versions add is not looked at.
    const std::string metadata{"\0\3\0\0\0\1\0\1t\xff\xff\xff\xff", 13};
    stable_group({{.metadata = metadata, .type = "consumer"}});
    EXPECT_TRUE(shard_.group()->is_subscribed_to("t"));
    EXPECT_FALSE(shard_.group()->is_subscribed_to("u"));
    EXPECT_TRUE(shard_.group()->validate_offset_delete());
    EXPECT_TRUE(shard_.group()->offset_expiration());
    pass(10'000);
    shard_.commit();
    EXPECT_EQ(state(), "Empty");
    EXPECT_FALSE(shard_.group()->is_subscribed_to("t"));
    EXPECT_TRUE(shard_.group()->offset_expiration()->since) << "they expire from when the group became empty";
}

TEST_F(ClassicGroupsTest, ASubscriptionThatCannotBeReadMeansAnyTopic) {
    stable_group({{.metadata = "?", .type = "consumer"}});
    EXPECT_TRUE(shard_.group()->is_subscribed_to("t"));
    EXPECT_FALSE(shard_.group()->offset_expiration()) << "nothing expires";
}

TEST_F(ClassicGroupsTest, DescribeTellsMetadataOfStableGroupsOnly) {
    const Stable stable = stable_group({{.instance = "i"}});
    Owned<protocol::DescribeGroupsResponse> response;
    shard_.groups().describe("g", 6, response);
    join_new();
    shard_.groups().describe("g", 6, response);
    shard_.groups().describe("none", 5, response);
    shard_.groups().describe("none", 6, response);
    const auto& groups = response.message.groups;
    EXPECT_EQ(groups[0].group_state, "Stable");
    EXPECT_EQ(groups[0].protocol_type, "test");
    EXPECT_EQ(groups[0].protocol_data, "range");
    ASSERT_EQ(groups[0].members.size(), 1U);
    EXPECT_EQ(groups[0].members[0].member_id, stable.leader());
    EXPECT_EQ(groups[0].members[0].group_instance_id, "i");
    EXPECT_EQ(groups[0].members[0].client_host, "/1.2.3.4");
    EXPECT_EQ(text_of(groups[0].members[0].member_metadata), "m");
    EXPECT_EQ(text_of(groups[0].members[0].member_assignment), "to " + stable.leader());
    EXPECT_EQ(groups[1].group_state, "PreparingRebalance");
    EXPECT_EQ(groups[1].protocol_data, "");
    EXPECT_TRUE(groups[1].members[0].member_metadata.empty());
    EXPECT_EQ(groups[2].group_state, "Dead");
    EXPECT_EQ(groups[2].error_code, 0);
    EXPECT_EQ(groups[3].error_code, static_cast<std::int16_t>(ErrorCode::group_id_not_found));
    EXPECT_EQ(groups[3].error_message, "Group none not found.");
}

TEST_F(ClassicGroupsTest, AGroupThatMigratesAwayLeavesNobodyWaiting) {
    const Stable stable = stable_pair();
    const Join waiting = join({.member_id = stable.leader()});
    CoordinatorRecords records;
    shard_.groups().give_up(*shard_.group(), records);
    EXPECT_EQ(waiting.error(), ErrorCode::rebalance_in_progress);
    EXPECT_TRUE(shard_.timer_names().empty());
    ASSERT_EQ(records.size(), 1U);
    EXPECT_FALSE(records[0].value);
}

TEST_F(ClassicGroupsTest, AnAdoptedGroupStartsItsSessions) {
    auto group = std::make_unique<ClassicGroup>(
        "g", ClassicGroup::Generation{.state = stable, .id = 7, .protocol_type = "test", .protocol_name = "range"},
        &shard_.groups());
    group->add({.member_id = "a",
                .session_timeout_ms = 10'000,
                .protocol_type = "test",
                .supported_protocols = {{"range", {}}}},
               std::nullopt);
    shard_.groups().adopt(std::move(group));
    EXPECT_EQ(heartbeat("a", 7), ErrorCode::none);
    pass(10'000);
    EXPECT_EQ(state(), "Empty");
    EXPECT_EQ(shard_.group()->generation_id(), 8);
}

}  // namespace
}  // namespace odr::coordinator
