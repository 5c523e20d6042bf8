#include "raft/quorum_state.h"

#include <gtest/gtest.h>

namespace odr::raft {

constexpr std::string_view kOfStaticQuorum =
    R"({"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0})";
constexpr std::string_view kOfDynamicQuorum =
    R"({"leaderId":1,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1})";

TEST(QuorumStateTest, WhatKafkaWroteInAStaticQuorumIsReadAndWrittenByteForByte) {
    const auto state = parse_quorum_state(kOfStaticQuorum);
    ASSERT_TRUE(state);
    EXPECT_EQ(state->leader_id, BrokerId{1});
    EXPECT_EQ(state->leader_epoch, LeaderEpoch{1});
    EXPECT_EQ(state->voted_id, kNoBroker);
    EXPECT_EQ(state->current_voters, std::vector{BrokerId{1}});
    EXPECT_EQ(format_quorum_state(*state, 0), kOfStaticQuorum);
}

TEST(QuorumStateTest, WhatKafkaWroteInADynamicQuorumIsReadAndWrittenByteForByte) {
    const auto state = parse_quorum_state(kOfDynamicQuorum);
    ASSERT_TRUE(state);
    EXPECT_EQ(state->leader_epoch, LeaderEpoch{1});
    EXPECT_EQ(format_quorum_state(*state, 1), kOfDynamicQuorum);
}

TEST(QuorumStateTest, WhatKafkaCouldNotReadIsRefused) {
    constexpr struct {
        const char* why;
        const char* json;
        ErrorCode want;
    } kCases[] = {
        {"nothing", "", ErrorCode::corrupt_message},
        {"no object", "[]", ErrorCode::corrupt_message},
        {"no data_version", R"({"leaderId":1,"leaderEpoch":1,"votedId":-1})", ErrorCode::corrupt_message},
        {"a data_version of the future", R"({"leaderId":1,"leaderEpoch":1,"votedId":-1,"data_version":2})",
         ErrorCode::unsupported_version},
        {"an epoch beyond 32 bits", R"({"leaderId":1,"leaderEpoch":4294967296,"votedId":-1,"data_version":0})",
         ErrorCode::corrupt_message},
        {"a torn end", R"({"leaderId":1,"leaderEpoch":1,"votedId":-1,"data_ver)", ErrorCode::corrupt_message},
        {"no voted directory", R"({"leaderId":1,"leaderEpoch":1,"votedId":-1,"data_version":1})",
         ErrorCode::corrupt_message},
    };
    for (const auto& each : kCases) {
        const auto state = parse_quorum_state(each.json);
        ASSERT_FALSE(state) << each.why;
        EXPECT_EQ(state.error().code, each.want) << each.why;
    }
}

TEST(QuorumStateTest, FieldsOfNoInterestAreSkippedHoweverDeep) {
    EXPECT_TRUE(parse_quorum_state(
        R"( { "x" : [1,{"y":[null,true]}], "leaderId" : 3 , "leaderEpoch":7,"votedId":-1,"data_version":0 } )"));
    EXPECT_FALSE(parse_quorum_state("{\"x\":" + std::string(10'000, '[')));
}

}  // namespace odr::raft
