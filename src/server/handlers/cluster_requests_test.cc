#include <fmt/format.h>
#include <gtest/gtest.h>

#include "server/handlers/api_versions.h"
#include "server/handlers/describe_cluster.h"
#include "server/handlers/describe_topic_partitions.h"
#include "server/handlers/find_coordinator.h"
#include "server/handlers/list_config_resources.h"
#include "server/handlers/test_cluster.h"
#include "server/handlers/topic_names.h"

// ApiVersions, DescribeCluster, DescribeTopicPartitions, FindCoordinator, ListConfigResources.
namespace odr::server {
namespace {

using metadata::ConfigResourceType;
using testing::name_of;
using testing::TestCluster;

// --- ApiVersions

TEST(ApiVersions, SoftwareNamesAreLettersAndDigitsWithDotsAndDashesBetween) {
    for (const char* good : {"a", "apache-kafka-java", "4.3.0", "A1"})
        EXPECT_TRUE(is_valid_software_name(good)) << good;
    for (const char* bad : {"", "-a", "a-", ".", "a b", "a_b", "a/b"}) EXPECT_FALSE(is_valid_software_name(bad)) << bad;
}

const protocol::ApiVersionsResponse::ApiVersion* find(const protocol::ApiVersionsResponse& response, std::int16_t key) {
    for (const auto& api : response.api_keys) {
        if (api.api_key == key) return &api;
    }
    return nullptr;
}

TEST(ApiVersions, ListsWhatIsServedOnTheKindOfListener) {
    const auto broker = list_api_versions(*metadata::MetadataImage::empty(), 4, false);
    const auto controller = list_api_versions(*metadata::MetadataImage::empty(), 4, true);
    ASSERT_NE(find(broker, 0), nullptr);
    EXPECT_EQ(find(broker, 0)->min_version, 0) << "versions 0-2 of Produce are announced for librdkafka";
    EXPECT_EQ(find(controller, 0), nullptr);
    ASSERT_NE(find(controller, 60), nullptr);
    EXPECT_EQ(find(broker, 62), nullptr) << "a controller's request, and not served";
    EXPECT_EQ(find(broker, 22)->max_version, 5) << "version 6 is unstable";
}

TEST(ApiVersions, FeaturesThatBeginAt0AreForVersion4) {
    TestCluster cluster;
    cluster.feature("metadata.version", 30).feature("group.version", 1);
    const auto image = cluster.finish();
    const auto old_answer = list_api_versions(*image, 3, false);
    ASSERT_EQ(old_answer.supported_features.size(), 1U);
    EXPECT_EQ(old_answer.supported_features[0].name, "metadata.version");
    const auto answer = list_api_versions(*image, 4, false);
    EXPECT_EQ(answer.supported_features.size(), metadata::supported_features().size());
    EXPECT_EQ(answer.finalized_features_epoch, 7);
    ASSERT_EQ(answer.finalized_features.size(), 2U);
    EXPECT_EQ(answer.finalized_features[0].max_version_level, 30);
    EXPECT_EQ(answer.finalized_features[1].name, "group.version");
    EXPECT_FALSE(answer.zk_migration_ready);
}

TEST(ApiVersions, TheAnswerToAnUnknownVersionNamesApiVersionsAlone) {
    const auto answer = refuse_api_versions();
    EXPECT_EQ(name_of(answer.error_code), "UNSUPPORTED_VERSION");
    ASSERT_EQ(answer.api_keys.size(), 1U);
    EXPECT_EQ(answer.api_keys[0].api_key, 18);
    EXPECT_EQ(answer.api_keys[0].max_version, 4);
}

// --- DescribeCluster

class DescribeClusterTest : public ::testing::Test {
protected:
    DescribeClusterTest() { cluster_.feature("metadata.version", 30).broker(1).broker(2, true).controller(1); }

    // "NONE controller=1 b1 b2!" where ! is fenced.
    std::string ask(EndpointType listener, std::int16_t version, std::int8_t wanted, bool with_fenced = false) {
        const bool is_controller = listener == EndpointType::controller;
        const auto response = answer_describe_cluster({.endpoint_type = wanted, .include_fenced_brokers = with_fenced},
                                                      {.image = cluster_.image(),
                                                       .version = version,
                                                       .endpoint_type = listener,
                                                       .listener = is_controller ? "CONTROLLER" : "CLIENT",
                                                       .cluster_id = "cluster",
                                                       .controller_id = 1});
        std::string text = fmt::format("{} controller={}", name_of(response.error_code), response.controller_id);
        for (const auto& node : response.brokers) text += fmt::format(" {}{}", node.host, node.is_fenced ? "!" : "");
        return text;
    }
    TestCluster cluster_;
};

TEST_F(DescribeClusterTest, BrokersAreListedOnABrokersListenerAndFencedOnesOnRequest) {
    EXPECT_EQ(ask(EndpointType::broker, 1, 1), "NONE controller=1 b1");
    EXPECT_EQ(ask(EndpointType::broker, 2, 1, true), "NONE controller=1 b1 b2!");
}

TEST_F(DescribeClusterTest, ControllersAreListedOnAControllersListener) {
    EXPECT_EQ(ask(EndpointType::controller, 1, 2), "NONE controller=1 c1");
}

TEST_F(DescribeClusterTest, TheWrongEndpointTypeIsRefused) {
    EXPECT_EQ(ask(EndpointType::broker, 1, 2), "MISMATCHED_ENDPOINT_TYPE controller=-1");
    EXPECT_EQ(ask(EndpointType::controller, 0, 1), "INVALID_REQUEST controller=-1");
    EXPECT_EQ(ask(EndpointType::broker, 1, 9), "UNSUPPORTED_ENDPOINT_TYPE controller=-1");
}

TEST_F(DescribeClusterTest, AClusterThatKnowsNoControllerRegistrationsDescribesNone) {
    cluster_.feature("metadata.version", 14);
    EXPECT_EQ(ask(EndpointType::controller, 1, 2), "UNSUPPORTED_VERSION controller=-1");
}

// --- DescribeTopicPartitions

class DescribeTopicPartitionsTest : public ::testing::Test {
protected:
    DescribeTopicPartitionsTest() {
        cluster_.broker(1);
        cluster_.topic("a", 1).topic("b", 2).topic("c", 3);
        for (std::int32_t i = 0; i < 3; ++i) cluster_.partition(2, i, {1}, 1);
        cluster_.partition(1, 0, {1}, 1).partition(3, 0, {1}, 1);
    }

    struct Ask {
        std::vector<std::string_view> topics = {};
        std::int32_t limit = 2000;
        std::optional<protocol::DescribeTopicPartitionsRequest::Cursor> cursor = std::nullopt;
        std::int32_t server_limit = 2000;
    };
    // "a:0 b:0,1 next b:2"
    std::string page(const Ask& ask) {
        protocol::DescribeTopicPartitionsRequest request;
        for (const std::string_view topic : ask.topics) request.topics.push_back({topic});
        request.response_partition_limit = ask.limit;
        request.cursor = ask.cursor;
        const auto response = answer_describe_topic_partitions(request, cluster_.image(), "CLIENT", ask.server_limit);
        std::string text;
        for (const auto& topic : response.topics) {
            std::vector<std::int32_t> indexes;
            for (const auto& partition : topic.partitions) indexes.push_back(partition.partition_index);
            text += fmt::format("{}:{}{} ", topic.name.value_or("null"), fmt::join(indexes, ","),
                                topic.error_code == 0 ? "" : name_of(topic.error_code));
        }
        const auto& next = response.next_cursor;
        return text + (next ? fmt::format("next {}:{}", next->topic_name, next->partition_index) : "end");
    }
    TestCluster cluster_;
};

TEST_F(DescribeTopicPartitionsTest, AllTopicsComeSortedByName) { EXPECT_EQ(page({}), "a:0 b:0,1,2 c:0 end"); }

TEST_F(DescribeTopicPartitionsTest, PagesEndWithinATopicOrBetweenTwo) {
    EXPECT_EQ(page({.limit = 3}), "a:0 b:0,1 next b:2");
    EXPECT_EQ(page({.limit = 4}), "a:0 b:0,1,2 next c:0");
    EXPECT_EQ(page({.limit = 5}), "a:0 b:0,1,2 c:0 end");
}

TEST_F(DescribeTopicPartitionsTest, ACursorGoesOnWhereThePageBeforeEnded) {
    using Cursor = protocol::DescribeTopicPartitionsRequest::Cursor;
    EXPECT_EQ(page({.limit = 3, .cursor = Cursor{"b", 2}}), "b:2 c:0 end");
    EXPECT_EQ(page({.cursor = Cursor{"b", 9}}), "b: c:0 end");
    EXPECT_EQ(page({.cursor = Cursor{"bb", 0}}), "c:0 end") << "the topic was deleted meanwhile";
}

TEST_F(DescribeTopicPartitionsTest, TheSmallerLimitHoldsAndIsAtLeastOne) {
    EXPECT_EQ(page({.limit = 10, .server_limit = 1}), "a:0 next b:0");
    EXPECT_EQ(page({.limit = -1}), "a:0 next b:0");
}

TEST_F(DescribeTopicPartitionsTest, AskedForTopicsThatAreNotThereAreErrors) {
    EXPECT_EQ(page({.topics = {"x", "a", "no way"}}),
              "a:0 no way:INVALID_TOPIC_EXCEPTION x:UNKNOWN_TOPIC_OR_PARTITION end");
}

TEST_F(DescribeTopicPartitionsTest, ACursorOutsideTheRequestIsInvalid) {
    using Cursor = protocol::DescribeTopicPartitionsRequest::Cursor;
    EXPECT_EQ(page({.topics = {"a"}, .cursor = Cursor{"b", 0}}), "a:INVALID_REQUEST end");
    EXPECT_EQ(page({.topics = {"a"}, .cursor = Cursor{"a", -1}}), "a:INVALID_REQUEST end");
}

// --- FindCoordinator

struct CoordinatorRow {
    const char* name;
    std::int16_t version;
    std::int8_t type;
    std::string_view key;
    ErrorCode want;
};
constexpr CoordinatorRow kCoordinators[] = {
    {"a transaction", 5, 1, "t", ErrorCode::coordinator_not_available},
    {"a share partition", 6, 2, "g:AAAAAAAAAAAAAAAAAAAAAQ:0", ErrorCode::coordinator_not_available},
    {"a share partition before its time", 5, 2, "g:AAAAAAAAAAAAAAAAAAAAAQ:0", ErrorCode::invalid_request},
    {"a share partition with a bad key", 6, 2, "g:0", ErrorCode::invalid_request},
    {"a type that does not exist", 6, 7, "g", ErrorCode::invalid_request},
};

FindCoordinatorAnswer find_coordinator(const TestCluster& cluster, std::int16_t version, std::int8_t type,
                                       std::string_view key) {
    protocol::FindCoordinatorRequest request{.key = key, .key_type = type, .coordinator_keys = {}};
    if (version >= 4) request.coordinator_keys = {key};
    return answer_find_coordinator(request, {.image = cluster.image(), .version = version, .listener = "CLIENT"});
}

TEST(FindCoordinator, SaysThatThereIsNoneOrWhatIsWrong) {
    const TestCluster cluster;
    for (const CoordinatorRow& row : kCoordinators) {
        const auto response = find_coordinator(cluster, row.version, row.type, row.key).response;
        ASSERT_EQ(response.coordinators.size(), 1U) << row.name;
        EXPECT_EQ(name_of(response.coordinators[0].error_code), to_string(row.want)) << row.name;
        EXPECT_EQ(response.coordinators[0].node_id, -1) << row.name;
    }
}

// Group "g" has Java's hash 103, "groß" 3181691: 1 and 2 of three partitions.
std::string where(const TestCluster& cluster, std::int16_t version, std::string_view group) {
    const auto answer = find_coordinator(cluster, version, 0, group);
    const auto& response = answer.response;
    const std::string create = answer.to_create.empty() ? "" : " make " + std::string{answer.to_create[0]};
    if (version < 4) {
        return fmt::format("{} {} {}:{}{}", name_of(response.error_code), response.node_id, response.host,
                           response.port, create);
    }
    const auto& one = response.coordinators.at(0);
    return fmt::format("{} {} {}:{}{}", name_of(one.error_code), one.node_id, one.host, one.port, create);
}

TEST(FindCoordinator, OfAGroupIsTheLeaderOfItsPartition) {
    TestCluster cluster;
    cluster.broker(1).broker(2).topic("__consumer_offsets", 9);
    cluster.partition(9, 0, {1}, 1).partition(9, 1, {2}, 2).partition(9, 2, {1}, 1);
    EXPECT_EQ(where(cluster, 3, "g"), "NONE 2 b2:9092");
    EXPECT_EQ(where(cluster, 4, "g"), "NONE 2 b2:9092");
    EXPECT_EQ(where(cluster, 6, "gro\xc3\x9f"), "NONE 1 b1:9092");
}

TEST(FindCoordinator, OfAGroupIsNotAvailableWithoutTopicOrBroker) {
    TestCluster cluster;
    cluster.broker(1).broker(2, true);
    EXPECT_EQ(where(cluster, 3, "g"), "COORDINATOR_NOT_AVAILABLE -1 :-1 make __consumer_offsets");
    EXPECT_EQ(where(cluster, 6, "g"), "COORDINATOR_NOT_AVAILABLE -1 :-1 make __consumer_offsets");
    cluster.topic("__consumer_offsets", 9).partition(9, 0, {2}, 2);
    EXPECT_EQ(where(cluster, 6, "g"), "COORDINATOR_NOT_AVAILABLE -1 :-1");
}

// --- ListConfigResources

std::string list(const TestCluster& cluster, std::int16_t version, std::vector<std::int8_t> types) {
    const auto answer =
        answer_list_config_resources({.resource_types = std::move(types)}, cluster.image(), version, "CLIENT");
    if (answer.response.error_code != 0) return name_of(answer.response.error_code);
    std::string text;
    for (const auto& resource : answer.response.config_resources) {
        text += fmt::format("{}={} ", static_cast<int>(resource.resource_type), resource.resource_name);
    }
    return text;
}

TEST(ListConfigResources, ListsWhatHasSettingsAndVersion0KnowsClientMetricsAlone) {
    TestCluster cluster;
    cluster.broker(1).broker(2, true).topic("orders", 1);
    cluster.config(ConfigResourceType::client_metrics, "sub", "interval.ms", "1000");
    cluster.config(ConfigResourceType::group, "g", "consumer.session.timeout.ms", "50000");
    EXPECT_EQ(list(cluster, 1, {}), "32=g 16=sub 8=1 8=2 4=1 4=2 2=orders ");
    EXPECT_EQ(list(cluster, 0, {}), "16=sub ");
    EXPECT_EQ(list(cluster, 1, {2, 4}), "4=1 4=2 2=orders ");
    EXPECT_EQ(list(cluster, 1, {3}), "UNSUPPORTED_VERSION");
}

// --- names

TEST(TopicNames, FollowKafkasRules) {
    for (const char* good : {"a", "A.b_c-9", "__consumer_offsets"}) EXPECT_FALSE(invalid_topic_name(good)) << good;
    for (const char* bad : {"", ".", "..", "a b", "a/b", "\xc3\xa4"}) EXPECT_TRUE(invalid_topic_name(bad)) << bad;
    EXPECT_FALSE(invalid_topic_name(std::string(249, 'a')));
    EXPECT_TRUE(invalid_topic_name(std::string(250, 'a')));
    EXPECT_EQ(invalid_topic_name(""), "Topic name is invalid: the empty string is not allowed");
}

}  // namespace
}  // namespace odr::server
