#include "controller/test_node.h"

namespace odr::controller {

class BrokersTest : public testing::Test {
protected:
    TestNode node_;
};

TEST_F(BrokersTest, ARegisteredBrokerIsFencedUntilItHasReadItsRegistration) {
    ASSERT_TRUE(node_.start());
    const auto registered = node_.register_broker();
    EXPECT_TRUE(node_.image()->cluster().broker(BrokerId{1})->fenced);
    EXPECT_EQ(registered.broker_epoch, node_.image()->offset().raw());
    auto early = node_.heartbeat_request();
    early.current_metadata_offset = registered.broker_epoch - 1;
    const auto waiting = node_.heartbeat(early);
    EXPECT_TRUE(waiting.is_fenced);
    EXPECT_FALSE(waiting.is_caught_up);
    EXPECT_FALSE(node_.heartbeat().is_fenced);
    EXPECT_TRUE(node_.image()->cluster().is_active(BrokerId{1}));
    EXPECT_EQ(node_.image()->cluster().broker(BrokerId{1})->cordoned_directories, std::vector<Uuid>{});
}

TEST_F(BrokersTest, ACleanStopAndStartLeavesWhatKafkaLeaves) {
    node_.start_with_broker();
    node_.create_topic("t");
    EXPECT_EQ(node_.describe("t"), "leader=1 epoch=0 isr=[1] elr=[] last=[] recovering=false");
    node_.shut_down_broker();
    EXPECT_EQ(node_.describe("t"), "leader=-1 epoch=1 isr=[] elr=[1] last=[1] recovering=false");
    EXPECT_TRUE(node_.image()->cluster().broker(BrokerId{1})->fenced);
    EXPECT_TRUE(node_.image()->cluster().broker(BrokerId{1})->in_controlled_shutdown);
    const std::int64_t previous = node_.epoch_of();
    ASSERT_TRUE(node_.start());
    ASSERT_EQ(node_.register_broker(1, 0, previous).error_code, 0);
    EXPECT_EQ(node_.describe("t"), "leader=-1 epoch=1 isr=[] elr=[1] last=[1] recovering=false");
    node_.heartbeat();
    EXPECT_EQ(node_.describe("t"), "leader=1 epoch=2 isr=[1] elr=[] last=[] recovering=false");
}

TEST_F(BrokersTest, AfterAKillTheLastKnownLeaderIsElectedAndRecovers) {
    node_.start_with_broker();
    node_.create_topic("t");
    ASSERT_TRUE(node_.start());
    const auto registered = node_.register_broker();
    ASSERT_EQ(registered.error_code, 0);
    EXPECT_EQ(node_.describe("t"), "leader=-1 epoch=1 isr=[] elr=[] last=[1] recovering=false");
    node_.heartbeat();
    EXPECT_EQ(node_.describe("t"), "leader=1 epoch=2 isr=[1] elr=[] last=[] recovering=true");

    protocol::AlterPartitionRequest request;
    request.broker_id = 1;
    request.broker_epoch = node_.epoch_of();
    const auto* partition = node_.partition("t");
    auto& topic = request.topics.emplace_back();
    topic.topic_id = node_.image()->topics().find("t")->id;
    auto& data = topic.partitions.emplace_back();
    data.leader_epoch = partition->leader_epoch.raw();
    data.partition_epoch = partition->partition_epoch;
    data.new_isr_with_epochs = {{.broker_id = 1, .broker_epoch = node_.epoch_of()}};
    const auto answer = node_.call(request);
    ASSERT_EQ(answer->response.topics[0].partitions[0].error_code, 0);
    EXPECT_EQ(answer->response.topics[0].partitions[0].partition_epoch, node_.partition("t")->partition_epoch);
    EXPECT_EQ(node_.describe("t"), "leader=1 epoch=2 isr=[1] elr=[] last=[] recovering=false");
}

TEST_F(BrokersTest, ARequestWithAnOldBrokerEpochIsStale) {
    node_.start_with_broker();
    auto request = node_.heartbeat_request();
    --request.broker_epoch;
    EXPECT_EQ(node_.call(request).error().code, ErrorCode::stale_broker_epoch);
    protocol::AllocateProducerIdsRequest ids;
    ids.broker_id = 9;
    EXPECT_EQ(node_.call(ids).error().code, ErrorCode::stale_broker_epoch);
}

TEST_F(BrokersTest, RegistrationsThatDoNotFitAreRefused) {
    node_.start_with_broker();
    const auto refused = [&](auto change) {
        protocol::BrokerRegistrationRequest request;
        request.broker_id = 2;
        request.cluster_id = "cluster";
        request.incarnation_id = Uuid{{2, 2}};
        request.log_dirs = {Uuid{{90}}};
        for (const auto& feature : metadata::supported_features())
            request.features.push_back({feature.name, feature.min, feature.max});
        change(request);
        return error_name(node_.call(request)->response.error_code);
    };
    using Request = protocol::BrokerRegistrationRequest;
    EXPECT_EQ(refused([](Request& r) { r.cluster_id = "other"; }), "INCONSISTENT_CLUSTER_ID");
    EXPECT_EQ(refused([](Request& r) { r.log_dirs.clear(); }), "INVALID_REGISTRATION");
    EXPECT_EQ(refused([](Request& r) { r.log_dirs = {Uuid{}}; }), "INVALID_REGISTRATION");
    EXPECT_EQ(refused([](Request& r) { r.log_dirs.push_back(r.log_dirs[0]); }), "INVALID_REGISTRATION");
    EXPECT_EQ(refused([&](Request& r) { r.log_dirs = node_.directories; }), "INVALID_REGISTRATION");
    EXPECT_EQ(refused([](Request& r) { r.features.clear(); }), "UNSUPPORTED_VERSION");
    EXPECT_EQ(refused([](Request& r) { r.is_migrating_zk_broker = true; }), "BROKER_ID_NOT_REGISTERED");
    EXPECT_EQ(refused([](Request&) {}), "NONE");
    EXPECT_EQ(refused([](Request& r) { r.incarnation_id = Uuid{{3, 3}}; }), "DUPLICATE_BROKER_REGISTRATION");
}

TEST_F(BrokersTest, ABrokerThatIsNotHeardOfIsFencedButTheEmbeddedOneIsNot) {
    node_.start_with_broker();
    ASSERT_EQ(node_.register_broker(2).error_code, 0);
    ASSERT_FALSE(node_.heartbeat(2).is_fenced);
    node_.stop();
    ASSERT_TRUE(node_.start());
    ASSERT_EQ(node_.register_broker().error_code, 0);
    node_.heartbeat();
    ASSERT_FALSE(node_.heartbeat(2).is_fenced);
    auto request = TestNode::topic("t", 1, 2);
    ASSERT_EQ(node_.call(request)->response.topics[0].error_code, 0);
    node_.stop();
    node_.clock.advance_ms(10'000);
    ASSERT_TRUE(node_.start());
    ASSERT_EQ(node_.register_broker().error_code, 0);
    node_.heartbeat();
    EXPECT_TRUE(node_.image()->cluster().is_active(BrokerId{2})) << "a new controller gives it a session's time";
    node_.clock.advance_ms(9'500);
    node_.create_topic("any");  // wakes the controller
    EXPECT_FALSE(node_.image()->cluster().is_active(BrokerId{2}));
    EXPECT_TRUE(node_.image()->cluster().is_active(BrokerId{1}));
    EXPECT_FALSE(node_.partition("t")->in_isr(BrokerId{2}));
}

TEST_F(BrokersTest, TheReplicasOfALostDirectoryLoseTheirLeader) {
    node_.directories = {Uuid{{7, 7}}, Uuid{{8, 8}}};
    node_.start_with_broker();
    node_.create_topic("t", 2);
    protocol::AssignReplicasToDirsRequest assignment;
    assignment.broker_id = 1;
    assignment.broker_epoch = node_.epoch_of();
    const Uuid topic = node_.image()->topics().find("t")->id;
    for (std::int32_t i = 0; i < 2; ++i) {
        auto& directory = assignment.directories.emplace_back();
        directory.id = node_.directories[static_cast<std::size_t>(i)];
        directory.topics.push_back({.topic_id = topic, .partitions = {{.partition_index = i}}});
    }
    assignment.directories[0].topics.push_back({.topic_id = Uuid{{99}}, .partitions = {{.partition_index = 0}}});
    const auto assigned = node_.call(assignment);
    ASSERT_TRUE(assigned.has_value());
    EXPECT_EQ(error_name(assigned->response.directories[0].topics[1].partitions[0].error_code), "UNKNOWN_TOPIC_ID");
    EXPECT_EQ(node_.partition("t", 1)->directories.at(0), node_.directories[1]);

    auto heartbeat = node_.heartbeat_request();
    heartbeat.offline_log_dirs = {node_.directories[1]};
    heartbeat.cordoned_log_dirs = std::vector{node_.directories[0]};
    node_.heartbeat(heartbeat);
    EXPECT_EQ(node_.partition("t", 0)->leader, BrokerId{1});
    EXPECT_EQ(node_.partition("t", 1)->leader, kNoBroker);
    const auto* broker = node_.image()->cluster().broker(BrokerId{1});
    EXPECT_EQ(broker->directories, std::vector{node_.directories[0]});
    EXPECT_EQ(broker->cordoned_directories, std::vector{node_.directories[0]});
    const auto refused = node_.call(TestNode::topic("cordoned"));
    EXPECT_EQ(error_name(refused->response.topics[0].error_code), "INVALID_REPLICATION_FACTOR");
}

TEST_F(BrokersTest, AnUnregisteredBrokerIsGone) {
    node_.start_with_broker();
    ASSERT_EQ(node_.register_broker(2).error_code, 0);
    protocol::UnregisterBrokerRequest request;
    request.broker_id = 2;
    EXPECT_EQ(node_.call(request)->response.error_code, 0);
    EXPECT_EQ(node_.image()->cluster().broker(BrokerId{2}), nullptr);
    EXPECT_EQ(error_name(node_.call(request)->response.error_code), "BROKER_ID_NOT_REGISTERED");
}

TEST_F(BrokersTest, ProducerIdsAreGivenInBlocksAndNeverTwice) {
    node_.start_with_broker();
    protocol::AllocateProducerIdsRequest request;
    request.broker_id = 1;
    request.broker_epoch = node_.epoch_of();
    auto first = node_.submit(request);
    auto second = node_.submit(request);
    EXPECT_EQ(first.get()->response.producer_id_start, 0);
    EXPECT_EQ(second.get()->response.producer_id_start, 1'000);
    node_.start_with_broker();
    request.broker_epoch = node_.epoch_of();
    const auto third = node_.call(request);
    EXPECT_EQ(third->response.producer_id_start, 2'000);
    EXPECT_EQ(third->response.producer_id_len, 1'000);
}

}  // namespace odr::controller
