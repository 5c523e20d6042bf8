#include "controller/controller.h"

#include <algorithm>

#include "controller/test_node.h"

namespace odr::controller {

class ControllerTest : public testing::Test {
protected:
    TestNode node_;
};

TEST_F(ControllerTest, AnEmptyLogGetsTheBootstrapRecordsAndTheClustersMinIsr) {
    ASSERT_TRUE(node_.start());
    const auto image = node_.image();
    EXPECT_EQ(image->features().metadata_version, metadata::kMetadataVersionLatest);
    EXPECT_TRUE(image->features().is_elr_enabled());
    EXPECT_EQ(image->features().level("transaction.version"), 2);
    EXPECT_EQ(image->configs().find(metadata::ConfigResourceType::broker, "").at("min.insync.replicas"), "1");
    ASSERT_NE(image->cluster().controller(BrokerId{1}), nullptr);
    EXPECT_EQ(image->cluster().controller(BrokerId{1})->listeners.at(0).port, 9093);
}

TEST_F(ControllerTest, AFilledLogGetsOnlyANewRegistrationOfTheController) {
    ASSERT_TRUE(node_.start());
    const Offset before = node_.log().log_end_offset();
    ASSERT_TRUE(node_.start());
    EXPECT_EQ(node_.log().log_end_offset() - before, 2);  // the new leader's control record, RegisterController
}

TEST_F(ControllerTest, ConcurrentRequestsSeeEachOtherBeforeTheyAreCommitted) {
    node_.start_with_broker();
    auto first = node_.submit(TestNode::topic("same"));
    auto second = node_.submit(TestNode::topic("same"));
    const auto a = first.get();
    const auto b = second.get();
    EXPECT_EQ(error_name(a->response.topics[0].error_code), "NONE");
    EXPECT_EQ(error_name(b->response.topics[0].error_code), "TOPIC_ALREADY_EXISTS");
}

TEST_F(ControllerTest, ManyRequestsShareFewSyncs) {
    node_.start_with_broker();
    const std::uint64_t syncs = node_.files.counts().syncs;
    std::vector<std::string> names;
    for (int i = 0; i < 500; ++i) names.push_back(fmt::format("t{}", i));
    // The first request is answered on the controller's thread, which waits until the others are queued.
    std::promise<void> queued;
    auto is_queued = queued.get_future().share();
    node_.controller().submit({}, TestNode::topic("gate"), [is_queued](auto) { is_queued.wait(); });
    std::vector<std::future<Result<Answer<protocol::CreateTopicsResponse>>>> answers;
    for (const std::string& name : names) answers.push_back(node_.submit(TestNode::topic(name)));
    queued.set_value();
    for (auto& answer : answers) EXPECT_EQ(answer.get()->response.topics[0].error_code, 0);
    EXPECT_LE(node_.files.counts().syncs - syncs, 5u);
    EXPECT_EQ(node_.image()->topics().size(), 501u);
}

TEST_F(ControllerTest, ARestartReplaysToTheSameState) {
    node_.start_with_broker();
    node_.create_topic("a.b", 70);
    node_.create_topic("gone");
    protocol::DeleteTopicsRequest deletion;
    deletion.topics.push_back({.name = "gone", .topic_id = {}});
    ASSERT_TRUE(node_.call(deletion));
    const auto before = node_.image();
    ASSERT_TRUE(node_.start());
    const auto after = node_.image();
    EXPECT_EQ(after->topics().size(), 1u);
    EXPECT_EQ(after->topics().partition_count, 70);
    EXPECT_EQ(*before->topics().partition("a.b", PartitionIndex{69}),
              *after->topics().partition("a.b", PartitionIndex{69}));
    EXPECT_EQ(*before->cluster().broker(BrokerId{1}), *after->cluster().broker(BrokerId{1}));
    // What the controller derives from the log is there again, too: a colliding name.
    ASSERT_EQ(node_.register_broker().error_code, 0);
    node_.heartbeat();
    const auto answer = node_.call(TestNode::topic("a_b"));
    EXPECT_EQ(error_name(answer->response.topics[0].error_code), "INVALID_TOPIC_EXCEPTION");
}

TEST_F(ControllerTest, AFailedWriteFailsAllThatWaitAndPublishesNothing) {
    node_.start_with_broker();
    node_.create_topic("before");
    const std::string state = node_.state();
    for (const bool at_sync : {false, true}) {
        TestNode node;
        node.start_with_broker();
        const std::string untouched = node.state();
        if (at_sync) {
            node.files.fail_syncs(1, EIO);
        } else {
            node.files.fail_writes(1, EIO, 10);
        }
        auto first = node.submit(TestNode::topic("lost"));
        auto second = node.submit(TestNode::topic("lost-too"));
        EXPECT_EQ(first.get().error().code, ErrorCode::kafka_storage_error) << at_sync;
        EXPECT_FALSE(second.get().has_value()) << at_sync;
        EXPECT_FALSE(node.call(TestNode::topic("later")).has_value()) << at_sync;
        EXPECT_EQ(node.state(), untouched) << at_sync;
        node.controller().stop();
        EXPECT_EQ(node.fatal().size(), 1u) << at_sync;
    }
    EXPECT_EQ(node_.state(), state);
}

TEST_F(ControllerTest, WhatWasAnsweredSurvivesThePowerAndNoTopicIsHalfMade) {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        TestNode node;
        node.start_with_broker();
        std::vector<std::string> made;
        const int rounds = static_cast<int>(seed % 7);
        for (int i = 0; i < rounds; ++i) {
            made.push_back(fmt::format("made{}", i));
            node.create_topic(made.back(), 3);
        }
        // Cut off in the middle: the write arrives in part, or the sync never happens.
        if (seed % 2 == 0) {
            node.files.fail_writes(1, EIO, seed * 7);
        } else {
            node.files.fail_syncs(1, EIO);
        }
        EXPECT_FALSE(node.call(TestNode::topic("cut", 5)).has_value());
        node.files.crash(seed);
        ASSERT_TRUE(node.start()) << "seed " << seed;
        for (const std::string& name : made) {
            ASSERT_NE(node.image()->topics().find(name), nullptr) << "seed " << seed;
            EXPECT_EQ(node.image()->topics().find(name)->partitions.size(), 3u) << "seed " << seed;
        }
        const auto* cut = node.image()->topics().find("cut");
        EXPECT_TRUE(cut == nullptr || cut->partitions.size() == 5u) << "seed " << seed;
    }
}

TEST_F(ControllerTest, ThePowerMayGoWhileTheBootstrapRecordsAreWritten) {
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        TestNode node;
        node.files.fail_writes(0, 0);
        ASSERT_TRUE(node.start());
        node.stop();
        node.files.crash(seed);
        ASSERT_TRUE(node.start()) << "seed " << seed;
        EXPECT_EQ(node.image()->features().metadata_version, metadata::kMetadataVersionLatest) << "seed " << seed;
    }
}

TEST_F(ControllerTest, AfterStopRequestsAreRefusedAndQueuedOnesAnswered) {
    node_.start_with_broker();
    auto queued = node_.submit(TestNode::topic("queued"));
    node_.controller().stop();
    EXPECT_TRUE(queued.get().has_value());
    EXPECT_EQ(node_.call(TestNode::topic("late")).error().code, ErrorCode::not_controller);
}

TEST_F(ControllerTest, MoreRequestsThanTheQueueHoldsAreThrottled) {
    node_.queued_requests_max = 2;
    node_.start_with_broker();
    std::promise<void> go;
    std::promise<void> busy;
    auto may_go = go.get_future().share();
    node_.controller().submit({}, TestNode::topic("gate"), [&busy, may_go](auto) {
        busy.set_value();
        may_go.wait();
    });
    busy.get_future().wait();
    auto one = node_.submit(TestNode::topic("one"));
    auto two = node_.submit(TestNode::topic("two"));
    EXPECT_EQ(node_.call(TestNode::topic("three")).error().code, ErrorCode::throttling_quota_exceeded);
    go.set_value();
    EXPECT_TRUE(one.get().has_value());
    EXPECT_TRUE(two.get().has_value());
}

}  // namespace odr::controller
