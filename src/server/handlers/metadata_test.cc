#include "server/handlers/metadata.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "server/handlers/auto_topic_creation.h"
#include "server/handlers/test_cluster.h"

namespace odr::server {
namespace {

using protocol::MetadataRequest;
using protocol::MetadataResponse;
using testing::name_of;
using testing::TestCluster;
using testing::uuid;

MetadataRequest by_name(std::vector<std::string_view> names) {
    MetadataRequest request;
    for (const std::string_view name : names) request.topics->push_back({.name = name});
    return request;
}
MetadataRequest by_id(std::vector<Uuid> ids) {
    MetadataRequest request;
    for (const Uuid& id : ids) request.topics->push_back({.topic_id = id, .name = std::nullopt});
    return request;
}

// "0:1 r=1,2 isr=1,2 off=", or with an error's name behind it.
std::string print(const MetadataResponse::MetadataResponsePartition& partition) {
    std::string text = fmt::format("{}:{} r={} isr={} off={}", partition.partition_index, partition.leader_id,
                                   fmt::join(partition.replica_nodes, ","), fmt::join(partition.isr_nodes, ","),
                                   fmt::join(partition.offline_replicas, ","));
    if (partition.error_code != 0) text += " " + name_of(partition.error_code);
    return text;
}

class MetadataTest : public ::testing::Test {
protected:
    MetadataTest() {
        cluster_.broker(1, false, true).broker(2).broker(3, true);
        cluster_.topic("orders", 1).partition(1, 0, {1, 2}, 1);
        cluster_.topic("__consumer_offsets", 2).partition(2, 0, {2, 3}, 2);
    }

    MetadataAnswer ask(std::int16_t version, const MetadataRequest& request, std::string_view listener = "CLIENT") {
        return answer_metadata(request, {.image = cluster_.image(),
                                         .version = version,
                                         .listener = listener,
                                         .cluster_id = "cluster",
                                         .self = BrokerId{1},
                                         .auto_create_topics_enable = auto_create_});
    }
    // Names and errors, in alphabetical order.
    std::string topics(std::int16_t version, const MetadataRequest& request) {
        std::vector<std::string> out;
        const MetadataAnswer answer = ask(version, request);
        for (const auto& topic : answer.response.topics) {
            out.push_back(fmt::format("{}={}", topic.name.value_or("null"), name_of(topic.error_code)));
        }
        std::ranges::sort(out);
        return fmt::format("{}", fmt::join(out, " "));
    }
    std::string partition(std::int16_t version, std::string_view topic, std::string_view listener = "CLIENT") {
        const MetadataAnswer answer = ask(version, by_name({topic}), listener);
        return print(answer.response.topics.at(0).partitions.at(0));
    }

    TestCluster cluster_;
    bool auto_create_ = false;
};

TEST_F(MetadataTest, ANullListMeansAllTopicsAndAnEmptyOneNone) {
    MetadataRequest all;
    all.topics = std::nullopt;
    EXPECT_EQ(topics(12, all), "__consumer_offsets=NONE orders=NONE");
    EXPECT_EQ(topics(12, by_name({})), "");
    EXPECT_EQ(topics(1, by_name({})), "");
}

TEST_F(MetadataTest, InVersion0AnEmptyListMeansAllTopics) {
    EXPECT_EQ(topics(0, by_name({})), "__consumer_offsets=NONE orders=NONE");
}

TEST_F(MetadataTest, ATopicAskedForTwiceIsAnsweredOnce) {
    EXPECT_EQ(topics(9, by_name({"orders", "orders"})), "orders=NONE");
    EXPECT_EQ(topics(12, by_id({uuid(1), uuid(1)})), "orders=NONE");
}

TEST_F(MetadataTest, UnknownAndInvalidNamesAreToldApart) {
    EXPECT_EQ(topics(9, by_name({"missing", "not valid", ".."})),
              "..=INVALID_TOPIC_EXCEPTION missing=UNKNOWN_TOPIC_OR_PARTITION not valid=INVALID_TOPIC_EXCEPTION");
}

TEST_F(MetadataTest, TopicsAreFoundByIdFromVersion12On) {
    EXPECT_EQ(topics(12, by_id({uuid(1), uuid(99)})), "null=UNKNOWN_TOPIC_ID orders=NONE");
    EXPECT_EQ(topics(11, by_id({uuid(1)})), "=INVALID_REQUEST");
    MetadataRequest both = by_name({"orders"});
    both.topics->at(0).topic_id = uuid(1);
    EXPECT_EQ(topics(10, both), "orders=INVALID_REQUEST");
}

TEST_F(MetadataTest, NeitherNameNorIdIsInvalid) { EXPECT_EQ(topics(12, by_id({Uuid{}})), "=INVALID_REQUEST"); }

TEST_F(MetadataTest, AMissingTopicIsCreatedOnlyIfBrokerAndRequestAllowIt) {
    MetadataRequest request = by_name({"missing", "not valid", "orders"});
    EXPECT_TRUE(ask(9, request).to_create.empty());
    auto_create_ = true;
    EXPECT_EQ(ask(9, request).to_create, std::vector<std::string_view>{"missing"});
    EXPECT_EQ(topics(9, by_name({"missing"})), "missing=UNKNOWN_TOPIC_OR_PARTITION");
    request.allow_auto_topic_creation = false;
    EXPECT_TRUE(ask(9, request).to_create.empty());
}

TEST_F(MetadataTest, ReplicasOnFencedBrokersAreOfflineAndVersion0HidesThem) {
    EXPECT_EQ(partition(9, "__consumer_offsets"), "0:2 r=2,3 isr=2,3 off=3");
    EXPECT_EQ(partition(0, "__consumer_offsets"), "0:2 r=2 isr=2 off=3 REPLICA_NOT_AVAILABLE");
}

TEST_F(MetadataTest, ALeaderWithoutTheClientsListenerIsAnErrorOfItsOwnFromVersion6On) {
    EXPECT_EQ(partition(6, "__consumer_offsets", "INTERNAL"), "0:-1 r=2,3 isr=2,3 off=2,3 LISTENER_NOT_FOUND");
    EXPECT_EQ(partition(5, "__consumer_offsets", "INTERNAL"), "0:-1 r=2,3 isr=2,3 off=2,3 LEADER_NOT_AVAILABLE");
    EXPECT_EQ(partition(6, "orders", "INTERNAL"), "0:1 r=1,2 isr=1,2 off=2");
}

TEST_F(MetadataTest, APartitionWithoutLeaderSaysSo) {
    cluster_.topic("lost", 3).partition(3, 0, {3}, -1);
    EXPECT_EQ(partition(9, "lost"), "0:-1 r=3 isr=3 off=3 LEADER_NOT_AVAILABLE");
}

TEST_F(MetadataTest, BrokersAreThoseAliveOnTheClientsListener) {
    const MetadataAnswer answer = ask(9, by_name({}));
    ASSERT_EQ(answer.response.brokers.size(), 2U);
    EXPECT_EQ(answer.response.brokers[0].host, "b1");
    EXPECT_EQ(answer.response.brokers[0].port, 9092);
    EXPECT_EQ(answer.response.brokers[1].node_id, 2);
    EXPECT_EQ(answer.response.controller_id, 1);
    EXPECT_EQ(answer.response.cluster_id, "cluster");
    const MetadataAnswer internal = ask(9, by_name({}), "INTERNAL");
    ASSERT_EQ(internal.response.brokers.size(), 1U);
    EXPECT_EQ(internal.response.brokers[0].port, 9093);
}

TEST_F(MetadataTest, AnAnswerSaysWhenNoBrokerIsLeftToBeNamed) {
    EXPECT_FALSE(ask(9, by_name({})).names_nobody);
    TestCluster stopping;
    stopping.broker(1, true);
    const MetadataAnswer answer = answer_metadata(by_name({}), {.image = stopping.image(),
                                                                .version = 9,
                                                                .listener = "CLIENT",
                                                                .cluster_id = "cluster",
                                                                .self = BrokerId{1},
                                                                .auto_create_topics_enable = false});
    EXPECT_TRUE(answer.names_nobody);
    // Refused before anybody looked for brokers.
    EXPECT_FALSE(ask(12, by_id({Uuid{}})).names_nobody);
}

TEST_F(MetadataTest, CoordinatorsTopicsAreInternal) {
    EXPECT_TRUE(ask(9, by_name({"__consumer_offsets"})).response.topics.at(0).is_internal);
    EXPECT_FALSE(ask(9, by_name({"orders"})).response.topics.at(0).is_internal);
}

TEST_F(MetadataTest, AuthorizedOperationsAreGivenWhereTheVersionHasThem) {
    constexpr std::int32_t kNotAsked = INT32_MIN;
    struct {
        std::int16_t version;
        std::int32_t cluster;
        std::int32_t topic;
    } const rows[] = {{7, kNotAsked, kNotAsked}, {8, 8096, 3576}, {10, 8096, 3576}, {11, kNotAsked, 3576}};
    MetadataRequest request = by_name({"orders"});
    request.include_cluster_authorized_operations = true;
    request.include_topic_authorized_operations = true;
    for (const auto& row : rows) {
        const MetadataResponse response = ask(row.version, request).response;
        EXPECT_EQ(response.cluster_authorized_operations, row.cluster) << row.version;
        EXPECT_EQ(response.topics.at(0).topic_authorized_operations, row.topic) << row.version;
    }
    EXPECT_EQ(ask(9, by_name({"orders"})).response.topics.at(0).topic_authorized_operations, kNotAsked);
}

TEST(AutoTopicCreation, CoordinatorsTopicsGetWhatTheirCoordinatorsNeed) {
    config::ConfigMap properties = config::dev_defaults("/data");
    properties["num.partitions"] = "4";
    properties["offsets.topic.num.partitions"] = "17";
    const auto config = config::BrokerConfig::make(properties);
    ASSERT_TRUE(config.has_value()) << config.error();
    const AutomaticTopic plain = automatic_topic(*config, "orders");
    EXPECT_EQ(plain.partitions, 4);
    EXPECT_TRUE(plain.configs.empty());
    const AutomaticTopic offsets = automatic_topic(*config, "__consumer_offsets");
    EXPECT_EQ(offsets.partitions, 17);
    EXPECT_EQ(offsets.configs.at(0), (std::pair<std::string, std::string>{"cleanup.policy", "compact"}));
    EXPECT_EQ(automatic_topic(*config, "__transaction_state").configs.size(), 5U);
    EXPECT_EQ(automatic_topic(*config, "__share_group_state").configs.size(), 5U);
}

}  // namespace
}  // namespace odr::server
