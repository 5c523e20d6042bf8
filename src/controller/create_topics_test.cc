#include "controller/test_node.h"

namespace odr::controller {

class CreateTopicsTest : public testing::Test {
protected:
    TestNode node_;
    void SetUp() override {
        node_.properties["num.partitions"] = "3";
        node_.start_with_broker();
        node_.create_topic("there.already");
    }
    protocol::CreateTopicsResponse::CreatableTopicResult create(const protocol::CreateTopicsRequest& request) {
        answer_ = node_.call(request);
        EXPECT_TRUE(answer_.has_value());
        return answer_->response.topics.at(0);
    }
    Result<Answer<protocol::CreateTopicsResponse>> answer_;
};

TEST_F(CreateTopicsTest, NamesAndNumbersAreRefusedAsKafkaRefusesThem) {
    const std::string long_name(250, 'a');
    const struct {
        const char* name;
        std::string topic;
        std::int32_t partitions;
        std::int16_t factor;
        std::string_view want;
        std::string_view message;
    } cases[] = {
        {"plain", "orders", 1, 1, "NONE", ""},
        {"249 bytes", std::string(249, 'b'), 1, 1, "NONE", ""},
        {"defaults", "defaults", -1, -1, "NONE", ""},
        {"empty name", "", 1, 1, "INVALID_TOPIC_EXCEPTION", "the empty string is not allowed"},
        {"dot", ".", 1, 1, "INVALID_TOPIC_EXCEPTION", "'.' is not allowed"},
        {"dots", "..", 1, 1, "INVALID_TOPIC_EXCEPTION", "'..' is not allowed"},
        {"too long", long_name, 1, 1, "INVALID_TOPIC_EXCEPTION", "longer than the max allowed length 249"},
        {"illegal", "a b", 1, 1, "INVALID_TOPIC_EXCEPTION", "other than ASCII alphanumerics"},
        {"existing", "there.already", 1, 1, "TOPIC_ALREADY_EXISTS", "Topic 'there.already' already exists."},
        {"collides", "there_already", 1, 1, "INVALID_TOPIC_EXCEPTION", "collides with existing topic: there.already"},
        {"the log itself", "__cluster_metadata", 1, 1, "INVALID_REQUEST", "prohibited"},
        {"no partition", "p0", 0, 1, "INVALID_PARTITIONS", "invalid non-positive value"},
        {"minus two partitions", "p2", -2, 1, "INVALID_PARTITIONS", "invalid non-positive value"},
        {"no replica", "r0", 1, 0, "INVALID_REPLICATION_FACTOR", "larger than 0"},
        {"more replicas than brokers", "r2", 1, 2, "INVALID_REPLICATION_FACTOR",
         "Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot be reached because "
         "only "
         "1 broker(s) are registered."},
    };
    for (const auto& each : cases) {
        const auto result = create(TestNode::topic(each.topic, each.partitions, each.factor));
        EXPECT_EQ(error_name(result.error_code), each.want) << each.name;
        EXPECT_NE(result.error_message.value_or("").find(each.message), std::string_view::npos)
            << each.name << ": " << result.error_message.value_or("");
        EXPECT_EQ(node_.image()->topics().find(each.topic) != nullptr,
                  each.want == "NONE" || each.want == "TOPIC_ALREADY_EXISTS")
            << each.name;
    }
    EXPECT_EQ(node_.image()->topics().find("defaults")->partitions.size(), 3u);
}

TEST_F(CreateTopicsTest, ManualAssignmentsAreChecked) {
    using Assignments = std::vector<protocol::CreateTopicsRequest::CreatableReplicaAssignment>;
    const struct {
        const char* name;
        std::int32_t partitions;
        std::int16_t factor;
        Assignments assignments;
        std::string_view want;
    } cases[] = {
        {"with a factor", -1, 1, {{0, {1}}}, "INVALID_REQUEST"},
        {"with a count", 1, -1, {{0, {1}}}, "INVALID_REQUEST"},
        {"gap", -1, -1, {{0, {1}}, {2, {1}}}, "INVALID_REPLICA_ASSIGNMENT"},
        {"twice", -1, -1, {{0, {1}}, {0, {1}}}, "INVALID_REPLICA_ASSIGNMENT"},
        {"no replica", -1, -1, {{0, {}}}, "INVALID_REPLICA_ASSIGNMENT"},
        {"same replica", -1, -1, {{0, {1, 1}}}, "INVALID_REPLICA_ASSIGNMENT"},
        {"unknown broker", -1, -1, {{0, {9}}}, "INVALID_REPLICA_ASSIGNMENT"},
        {"not from 0", -1, -1, {{1, {1}}}, "INVALID_REPLICA_ASSIGNMENT"},
        {"good", -1, -1, {{1, {1}}, {0, {1}}}, "NONE"},
    };
    for (const auto& each : cases) {
        auto request = TestNode::topic("by-hand", each.partitions, each.factor);
        request.topics[0].assignments = each.assignments;
        EXPECT_EQ(error_name(create(request).error_code), each.want) << each.name;
    }
    EXPECT_EQ(node_.image()->topics().find("by-hand")->partitions.size(), 2u);
}

TEST_F(CreateTopicsTest, TheAnswerTellsAllConfigsWithTheirSources) {
    auto request = TestNode::topic("configured", 2);
    request.topics[0].configs = {{"retention.ms", "1000"}, {"cleanup.policy", "compact"}};
    const auto result = create(request);
    EXPECT_EQ(result.num_partitions, 2);
    EXPECT_EQ(result.replication_factor, 1);
    EXPECT_FALSE(result.topic_id.is_zero());
    std::map<std::string_view, std::string> told;
    for (const auto& entry : *result.configs)
        told[entry.name] = fmt::format("{}@{}", entry.value.value_or("null"), entry.config_source);
    EXPECT_EQ(told["retention.ms"], "1000@1");
    EXPECT_EQ(told["cleanup.policy"], "compact@1");
    EXPECT_EQ(told["segment.bytes"], "1073741824@5");
    EXPECT_EQ(told["min.insync.replicas"], "1@3");  // written by the activation, for eligible leader replicas
    EXPECT_TRUE(std::ranges::is_sorted(*result.configs, {}, [](const auto& entry) { return entry.name; }));
    const auto& stored = node_.image()->configs().find(metadata::ConfigResourceType::topic, "configured");
    EXPECT_EQ(stored, (config::ConfigMap{{"cleanup.policy", "compact"}, {"retention.ms", "1000"}}));
}

TEST_F(CreateTopicsTest, AServerPropertyInOtherUnitsIsConverted) {
    node_.properties["log.retention.hours"] = "2";
    node_.start_with_broker();
    const auto result = create(TestNode::topic("hours"));
    const auto found = std::ranges::find(*result.configs, "retention.ms", [](const auto& entry) { return entry.name; });
    ASSERT_NE(found, result.configs->end());
    EXPECT_EQ(found->value, "7200000");
    EXPECT_EQ(found->config_source, 4);
}

TEST_F(CreateTopicsTest, WrongConfigsAreRefused) {
    const struct {
        std::string_view key;
        std::optional<std::string_view> value;
    } cases[] = {
        {"no.such.key", "1"}, {"retention.ms", "soon"}, {"cleanup.policy", "burn"}, {"retention.ms", std::nullopt}};
    for (const auto& each : cases) {
        auto request = TestNode::topic("configured");
        request.topics[0].configs = {{each.key, each.value}};
        EXPECT_EQ(error_name(create(request).error_code), "INVALID_CONFIG") << each.key;
    }
    EXPECT_EQ(node_.image()->topics().find("configured"), nullptr);
}

TEST_F(CreateTopicsTest, ValidateOnlyAnswersTheSameAndWritesNothing) {
    const Offset before = node_.log().log_end_offset();
    auto request = TestNode::topic("maybe", 4);
    request.validate_only = true;
    EXPECT_EQ(create(request).num_partitions, 4);
    EXPECT_EQ(node_.log().log_end_offset(), before);
    EXPECT_EQ(node_.image()->topics().find("maybe"), nullptr);
}

TEST_F(CreateTopicsTest, ATopicNamedTwiceIsMadeNotAtAll) {
    auto request = TestNode::topic("twin");
    request.topics.push_back(request.topics[0]);
    request.topics.push_back(request.topics[0]);
    request.topics.back().name = "single";
    create(request);
    ASSERT_EQ(answer_->response.topics.size(), 2u);
    EXPECT_EQ(error_name(answer_->response.topics[0].error_code), "INVALID_REQUEST");
    EXPECT_EQ(error_name(answer_->response.topics[1].error_code), "NONE");
}

TEST_F(CreateTopicsTest, TenThousandPartitionsAreTheMostARequestMayMake) {
    EXPECT_EQ(error_name(create(TestNode::topic("big", 10'000)).error_code), "NONE");
    const auto answer = node_.call(TestNode::topic("bigger", 10'001));
    ASSERT_FALSE(answer.has_value());
    EXPECT_EQ(answer.error().code, ErrorCode::policy_violation);
}

TEST_F(CreateTopicsTest, ANewReplicaGoesToTheOnlyDirectoryOrIsUnassigned) {
    EXPECT_EQ(node_.partition("there.already")->directories.at(0), node_.directories[0]);
    node_.directories.push_back(Uuid{{8, 8}});
    node_.start_with_broker();
    node_.create_topic("two-dirs");
    EXPECT_EQ(node_.partition("two-dirs")->directories.at(0), metadata::kUnassignedDirectory);
}

TEST_F(CreateTopicsTest, WithEveryBrokerFencedNothingIsMade) {
    ASSERT_TRUE(node_.start());
    node_.register_broker();
    const auto result = create(TestNode::topic("nobody"));
    EXPECT_EQ(error_name(result.error_code), "INVALID_REPLICATION_FACTOR");
    EXPECT_EQ(result.error_message, "Unable to replicate the partition 1 time(s): All brokers are currently fenced.");
}

}  // namespace odr::controller
