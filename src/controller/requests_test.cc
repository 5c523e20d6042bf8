#include <fmt/format.h>

#include "base/clock.h"
#include "base/log.h"
#include "controller/test_node.h"

namespace odr::controller {

// The requests that change one thing: a table of what is refused and what becomes of the rest.
class RequestsTest : public testing::Test {
protected:
    TestNode node_;
    void SetUp() override {
        node_.start_with_broker();
        node_.create_topic("t", 2);
    }

    std::string incremental(std::int8_t type, std::string_view name, std::string_view key, std::int8_t operation,
                            std::optional<std::string_view> value) {
        protocol::IncrementalAlterConfigsRequest request;
        request.resources.push_back({.resource_type = type,
                                     .resource_name = name,
                                     .configs = {{.name = key, .config_operation = operation, .value = value}}});
        const auto answer = node_.call(request);
        return std::string{error_name(answer->response.responses.at(0).error_code)};
    }
    const config::ConfigMap& configs(metadata::ConfigResourceType type, std::string_view name) {
        kept_ = node_.image();
        return kept_->configs().find(type, name);
    }
    std::shared_ptr<const metadata::MetadataImage> kept_;
};

TEST_F(RequestsTest, IncrementalConfigChangesByKindOfResource) {
    const struct {
        std::int8_t type;
        std::string_view name;
        std::string_view key;
        std::int8_t operation;
        std::optional<std::string_view> value;
        std::string want;
    } cases[] = {
        {2, "t", "retention.ms", 0, "5", "NONE"},
        {2, "t", "retention.ms", 1, std::nullopt, "NONE"},
        {2, "t", "retention.ms", 0, std::nullopt, "INVALID_REQUEST"},
        {2, "t", "retention.ms", 0, "x", "INVALID_CONFIG"},
        {2, "t", "retention.ms", 2, "5", "INVALID_CONFIG"},
        {2, "t", "retention.ms", 9, "5", "INVALID_REQUEST"},
        {2, "t", "no.such", 0, "5", "INVALID_CONFIG"},
        {2, "t", "cleanup.policy", 2, "compact", "NONE"},
        {2, "none", "retention.ms", 0, "5", "UNKNOWN_TOPIC_OR_PARTITION"},
        {2, "", "retention.ms", 0, "5", "INVALID_REQUEST"},
        {4, "1", "num.io.threads", 0, "9", "NONE"},
        {4, "", "log.retention.ms", 0, "7", "NONE"},
        {4, "1", "num.partitions", 0, "9", "INVALID_REQUEST"},
        {4, "7", "num.io.threads", 0, "9", "BROKER_ID_NOT_REGISTERED"},
        {4, "x", "num.io.threads", 0, "9", "INVALID_REQUEST"},
        {4, "1", "min.insync.replicas", 0, "2", "INVALID_CONFIG"},
        {4, "", "min.insync.replicas", 1, std::nullopt, "INVALID_CONFIG"},
        {4, "", "min.insync.replicas", 0, "2", "NONE"},
        {32, "g", "consumer.session.timeout.ms", 0, "50000", "NONE"},
        {32, "", "consumer.session.timeout.ms", 0, "50000", "INVALID_REQUEST"},
        {16, "m", "interval.ms", 0, "1000", "NONE"},
        {16, "m", "interval.ms", 0, "1", "INVALID_REQUEST"},
        {99, "m", "interval.ms", 0, "1", "UNSUPPORTED_VERSION"},
    };
    for (const auto& each : cases)
        EXPECT_EQ(incremental(each.type, each.name, each.key, each.operation, each.value), each.want)
            << static_cast<int>(each.type) << " " << each.name << " " << each.key << " " << each.value.value_or("null");
    EXPECT_EQ(configs(metadata::ConfigResourceType::topic, "t"),
              (config::ConfigMap{{"cleanup.policy", "delete,compact"}}));
    EXPECT_EQ(configs(metadata::ConfigResourceType::broker, "").at("min.insync.replicas"), "2");
    EXPECT_EQ(configs(metadata::ConfigResourceType::group, "g").size(), 1u);
}

TEST_F(RequestsTest, LegacyAlterConfigsReplacesEverything) {
    ASSERT_EQ(incremental(2, "t", "retention.ms", 0, "5"), "NONE");
    protocol::AlterConfigsRequest request;
    request.resources.push_back(
        {.resource_type = 2, .resource_name = "t", .configs = {{.name = "segment.ms", .value = "60000"}}});
    request.validate_only = true;
    EXPECT_EQ(node_.call(request)->response.responses.at(0).error_code, 0);
    EXPECT_EQ(configs(metadata::ConfigResourceType::topic, "t"), (config::ConfigMap{{"retention.ms", "5"}}));
    request.validate_only = false;
    EXPECT_EQ(node_.call(request)->response.responses.at(0).error_code, 0);
    EXPECT_EQ(configs(metadata::ConfigResourceType::topic, "t"), (config::ConfigMap{{"segment.ms", "60000"}}));
    request.resources.push_back(request.resources[0]);
    EXPECT_EQ(error_name(node_.call(request)->response.responses.at(0).error_code), "INVALID_REQUEST");
}

TEST_F(RequestsTest, DeletingTopicsByNameAndById) {
    node_.create_topic("a");
    node_.create_topic("b");
    ASSERT_EQ(incremental(2, "a", "retention.ms", 0, "5"), "NONE");
    const Uuid b = node_.image()->topics().find("b")->id;
    const Uuid t = node_.image()->topics().find("t")->id;
    protocol::DeleteTopicsRequest request;
    request.topics = {{.name = "a"},
                      {.name = std::nullopt, .topic_id = b},
                      {.name = "none"},
                      {.name = std::nullopt, .topic_id = Uuid{{9}}},
                      {.name = "t", .topic_id = t},
                      {.name = std::nullopt},
                      {.name = "twice"},
                      {.name = "twice"}};
    std::string got;
    const auto answer = node_.call(request);
    for (const auto& result : answer->response.responses)
        got += fmt::format("{}={} ", result.name.value_or("-"), error_name(result.error_code));
    EXPECT_EQ(got,
              "a=NONE b=NONE none=UNKNOWN_TOPIC_OR_PARTITION -=UNKNOWN_TOPIC_ID t=INVALID_REQUEST -=INVALID_REQUEST "
              "twice=INVALID_REQUEST ");
    EXPECT_EQ(node_.image()->topics().size(), 1u);
    EXPECT_TRUE(configs(metadata::ConfigResourceType::topic, "a").empty());
}

TEST_F(RequestsTest, DeletionMayBeForbidden) {
    node_.properties["delete.topic.enable"] = "false";
    node_.start_with_broker();
    protocol::DeleteTopicsRequest request;
    request.topics = {{.name = "t"}};
    EXPECT_EQ(node_.call(request, 6).error().code, ErrorCode::topic_deletion_disabled);
    EXPECT_EQ(node_.call(request, 1).error().code, ErrorCode::invalid_request);
    EXPECT_NE(node_.image()->topics().find("t"), nullptr);
}

TEST_F(RequestsTest, PartitionsAreAddedNeverTaken) {
    const auto grow =
        [&](std::string_view name, std::int32_t count,
            std::optional<std::vector<protocol::CreatePartitionsRequest::CreatePartitionsAssignment>> by_hand,
            bool validate_only = false) {
            protocol::CreatePartitionsRequest request;
            request.topics.push_back({.name = name, .count = count, .assignments = std::move(by_hand)});
            request.validate_only = validate_only;
            return std::string{error_name(node_.call(request)->response.results.at(0).error_code)};
        };
    EXPECT_EQ(grow("t", 2, std::nullopt), "INVALID_PARTITIONS");
    EXPECT_EQ(grow("t", 1, std::nullopt), "INVALID_PARTITIONS");
    EXPECT_EQ(grow("none", 3, std::nullopt), "UNKNOWN_TOPIC_OR_PARTITION");
    EXPECT_EQ(grow("t", 4, {{{.broker_ids = {1}}}}), "INVALID_REPLICA_ASSIGNMENT");
    EXPECT_EQ(grow("t", 3, {{{.broker_ids = {5}}}}), "INVALID_REPLICA_ASSIGNMENT");
    EXPECT_EQ(grow("t", 3, std::nullopt, true), "NONE");
    EXPECT_EQ(node_.image()->topics().find("t")->partitions.size(), 2u);
    EXPECT_EQ(grow("t", 3, {{{.broker_ids = {1}}}}), "NONE");
    EXPECT_EQ(grow("t", 5, std::nullopt), "NONE");
    EXPECT_EQ(node_.image()->topics().find("t")->partitions.size(), 5u);
}

TEST_F(RequestsTest, ElectionsThatAreNotNeededSaySo) {
    const auto elect = [&](std::int8_t type, std::string_view topic) {
        protocol::ElectLeadersRequest request;
        request.election_type = type;
        request.topic_partitions = {{{.topic = topic, .partitions = {0}}}};
        const auto answer = node_.call(request);
        return std::string{
            error_name(answer->response.replica_election_results.at(0).partition_result.at(0).error_code)};
    };
    EXPECT_EQ(elect(0, "t"), "ELECTION_NOT_NEEDED");
    EXPECT_EQ(elect(1, "t"), "ELECTION_NOT_NEEDED");
    EXPECT_EQ(elect(0, "none"), "UNKNOWN_TOPIC_OR_PARTITION");
    node_.shut_down_broker();
    EXPECT_EQ(elect(0, "t"), "PREFERRED_LEADER_NOT_AVAILABLE");
    EXPECT_EQ(elect(1, "t"), "ELIGIBLE_LEADERS_NOT_AVAILABLE");
}

TEST_F(RequestsTest, AReassignmentGoesOverTwoSteps) {
    ASSERT_EQ(node_.register_broker(2).error_code, 0);
    ASSERT_FALSE(node_.heartbeat(2).is_fenced);
    const auto reassign = [&](std::optional<std::vector<std::int32_t>> replicas, bool allow = true) {
        protocol::AlterPartitionReassignmentsRequest request;
        request.allow_replication_factor_change = allow;
        request.topics.push_back(
            {.name = "t", .partitions = {{.partition_index = 0, .replicas = std::move(replicas)}}});
        const auto answer = node_.call(request);
        return std::string{error_name(answer->response.responses.at(0).partitions.at(0).error_code)};
    };
    EXPECT_EQ(reassign(std::nullopt), "NO_REASSIGNMENT_IN_PROGRESS");
    EXPECT_EQ(reassign({{9}}), "INVALID_REPLICA_ASSIGNMENT");
    EXPECT_EQ(reassign({{1, 2}}, false), "INVALID_REPLICATION_FACTOR");
    EXPECT_EQ(reassign({{2}}), "NONE");
    EXPECT_EQ(node_.partition("t")->adding_replicas, std::vector{BrokerId{2}});
    EXPECT_EQ(node_.partition("t")->removing_replicas, std::vector{BrokerId{1}});
    const auto listed = node_.call(protocol::ListPartitionReassignmentsRequest{});
    ASSERT_EQ(listed->response.topics.size(), 1u);
    EXPECT_EQ(listed->response.topics[0].partitions[0].replicas, (std::vector<std::int32_t>{2, 1}));
    EXPECT_EQ(reassign(std::nullopt), "NONE");
    EXPECT_EQ(node_.partition("t")->replicas, std::vector{BrokerId{1}});

    EXPECT_EQ(reassign({{2}}), "NONE");
    protocol::AlterPartitionRequest caught_up;
    caught_up.broker_id = 1;
    caught_up.broker_epoch = node_.epoch_of(1);
    const auto* partition = node_.partition("t");
    protocol::AlterPartitionRequest::PartitionData data;
    data.leader_epoch = partition->leader_epoch.raw();
    data.partition_epoch = partition->partition_epoch;
    data.new_isr_with_epochs = {{1, node_.epoch_of(1)}, {2, node_.epoch_of(2)}};
    caught_up.topics.push_back({.topic_id = node_.image()->topics().find("t")->id, .partitions = {data}});
    const auto answer = node_.call(caught_up);
    EXPECT_EQ(error_name(answer->response.topics[0].partitions[0].error_code), "NEW_LEADER_ELECTED");
    EXPECT_EQ(node_.partition("t")->replicas, std::vector{BrokerId{2}});
    EXPECT_EQ(node_.describe("t").substr(0, 8), "leader=2");
}

TEST_F(RequestsTest, FeaturesGoUpAndOnlyHarmlesslyDown) {
    const auto update = [&](std::string_view feature, std::int16_t level, std::int8_t type) {
        protocol::UpdateFeaturesRequest request;
        request.feature_updates.push_back({.feature = feature, .max_version_level = level, .upgrade_type = type});
        return std::string{error_name(node_.call(request)->response.error_code)};
    };
    EXPECT_EQ(update("group.version", 0, 1), "INVALID_UPDATE_VERSION");
    EXPECT_EQ(update("group.version", 0, 2), "NONE");
    EXPECT_EQ(node_.image()->features().level("group.version"), 0);
    EXPECT_EQ(update("group.version", 1, 2), "INVALID_UPDATE_VERSION");
    EXPECT_EQ(update("group.version", 1, 1), "NONE");
    EXPECT_EQ(update("group.version", 7, 1), "INVALID_UPDATE_VERSION");
    EXPECT_EQ(update("no.such", 1, 1), "INVALID_UPDATE_VERSION");
    EXPECT_EQ(update("metadata.version", 29, 2), "INVALID_UPDATE_VERSION");
    EXPECT_EQ(update("metadata.version", 30, 1), "NONE");
    EXPECT_EQ(update("metadata.version", 6, 3), "INVALID_UPDATE_VERSION");
    EXPECT_EQ(update("group.version", 1, 0), "INVALID_UPDATE_VERSION");
}

TEST_F(RequestsTest, ClientQuotas) {
    using Entity = protocol::AlterClientQuotasRequest::EntityData;
    const auto alter = [&](std::vector<Entity> entity, std::string_view key, double value, bool remove = false) {
        protocol::AlterClientQuotasRequest request;
        request.entries.push_back(
            {.entity = std::move(entity), .ops = {{.key = key, .value = value, .remove = remove}}});
        return std::string{error_name(node_.call(request)->response.entries.at(0).error_code)};
    };
    EXPECT_EQ(alter({{"user", "alice"}}, "producer_byte_rate", 1000), "NONE");
    EXPECT_EQ(alter({{"user", std::nullopt}, {"client-id", "c"}}, "request_percentage", 12.5), "NONE");
    EXPECT_EQ(alter({{"ip", "127.0.0.1"}}, "connection_creation_rate", 5), "NONE");
    EXPECT_EQ(alter({}, "producer_byte_rate", 1), "INVALID_REQUEST");
    EXPECT_EQ(alter({{"user", ""}}, "producer_byte_rate", 1), "INVALID_REQUEST");
    EXPECT_EQ(alter({{"group", "g"}}, "producer_byte_rate", 1), "INVALID_REQUEST");
    EXPECT_EQ(alter({{"ip", "127.0.0.1"}, {"user", "a"}}, "connection_creation_rate", 1), "INVALID_REQUEST");
    EXPECT_EQ(alter({{"user", "alice"}}, "producer_byte_rate", 0), "INVALID_REQUEST");
    EXPECT_EQ(alter({{"user", "alice"}}, "producer_byte_rate", 1.5), "INVALID_REQUEST");
    EXPECT_EQ(alter({{"user", "alice"}}, "connection_creation_rate", 1), "INVALID_REQUEST");
    EXPECT_EQ(node_.image()->client_quotas().entities.size(), 3u);
    EXPECT_EQ(alter({{"user", "alice"}}, "producer_byte_rate", 0, true), "NONE");
    EXPECT_EQ(node_.image()->client_quotas().entities.size(), 2u);
}

TEST_F(RequestsTest, ScramCredentialsAreKeptAsKeys) {
    // The test vector of RFC 7677: user "user", password "pencil".
    const std::vector<std::uint8_t> salted = {0xc4, 0xa4, 0x95, 0x10, 0x32, 0x3a, 0xb4, 0xf9, 0x52, 0xca, 0xc1,
                                              0xfa, 0x99, 0x44, 0x19, 0x39, 0xe7, 0x8e, 0xa7, 0x4d, 0x6b, 0xe8,
                                              0x1d, 0xdf, 0x70, 0x96, 0xe8, 0x75, 0x13, 0xdc, 0x61, 0x5d};
    const std::vector<std::uint8_t> salt = {1, 2, 3};
    const auto upsert = [&](std::string_view user, std::int8_t mechanism, std::int32_t iterations) {
        protocol::AlterUserScramCredentialsRequest request;
        request.upsertions.push_back(
            {.name = user, .mechanism = mechanism, .iterations = iterations, .salt = salt, .salted_password = salted});
        return std::string{error_name(node_.call(request)->response.results.at(0).error_code)};
    };
    EXPECT_EQ(upsert("user", 1, 4096), "NONE");
    EXPECT_EQ(upsert("user", 1, 4095), "UNACCEPTABLE_CREDENTIAL");
    EXPECT_EQ(upsert("user", 1, 16385), "UNACCEPTABLE_CREDENTIAL");
    EXPECT_EQ(upsert("", 1, 4096), "UNACCEPTABLE_CREDENTIAL");
    EXPECT_EQ(upsert("user", 3, 4096), "UNSUPPORTED_SASL_MECHANISM");
    const auto image = node_.image();
    const auto* stored = image->scram().find(metadata::ScramMechanism::scram_sha_256, "user");
    ASSERT_NE(stored, nullptr);
    ASSERT_EQ(stored->stored_key.size(), 32u);
    ASSERT_EQ(stored->server_key.size(), 32u);
    const auto head = [](const std::vector<std::uint8_t>& key) { return std::vector(key.begin(), key.begin() + 6); };
    EXPECT_EQ(head(stored->stored_key), (std::vector<std::uint8_t>{0x58, 0x6e, 0x5d, 0xf2, 0x83, 0xe6}));
    EXPECT_EQ(head(stored->server_key), (std::vector<std::uint8_t>{0xc1, 0xf3, 0xcb, 0xc1, 0xc1, 0x3a}));
    const auto remove = [&](std::int8_t mechanism) {
        protocol::AlterUserScramCredentialsRequest request;
        request.deletions.push_back({.name = "user", .mechanism = mechanism});
        return std::string{error_name(node_.call(request)->response.results.at(0).error_code)};
    };
    EXPECT_EQ(remove(2), "RESOURCE_NOT_FOUND");
    EXPECT_EQ(remove(1), "NONE");
    EXPECT_EQ(node_.image()->scram().find(metadata::ScramMechanism::scram_sha_256, "user"), nullptr);
}

TEST_F(RequestsTest, AclsAreMadeOnceAndDeletedByFilter) {
    protocol::CreateAclsRequest request;
    request.creations.push_back({.resource_type = 2,
                                 .resource_name = "t",
                                 .resource_pattern_type = 3,
                                 .principal = "User:a",
                                 .host = "*",
                                 .operation = 3,
                                 .permission_type = 3});
    request.creations.push_back(request.creations[0]);
    request.creations.push_back(request.creations[0]);
    request.creations[2].resource_pattern_type = 1;
    const auto made = node_.call(request);
    EXPECT_EQ(made->response.results[1].error_code, 0);
    EXPECT_EQ(error_name(made->response.results[2].error_code), "INVALID_REQUEST");
    EXPECT_EQ(node_.image()->acls().acls.size(), 1u);
    protocol::DeleteAclsRequest deletion;
    deletion.filters.push_back({.resource_type_filter = 1,
                                .resource_name_filter = std::nullopt,
                                .pattern_type_filter = 1,
                                .principal_filter = "User:b",
                                .host_filter = std::nullopt,
                                .operation = 1,
                                .permission_type = 1});
    EXPECT_TRUE(node_.call(deletion)->response.filter_results[0].matching_acls.empty());
    deletion.filters[0].principal_filter = std::nullopt;
    const auto gone = node_.call(deletion);
    ASSERT_EQ(gone->response.filter_results[0].matching_acls.size(), 1u);
    EXPECT_EQ(gone->response.filter_results[0].matching_acls[0].principal, "User:a");
    EXPECT_TRUE(node_.image()->acls().acls.empty());
}

// Not a bound that a busy machine could break, but one that a walk over all partitions for each new one would.
TEST_F(RequestsTest, ATopicOfTwoThousandPartitionsAmongAHundredThousandTakesMilliseconds) {
    for (int i = 0; i < 10; ++i) node_.create_topic(fmt::format("many{}", i), 10'000);
    const auto time = [&](std::string_view name, std::int32_t partitions) {
        const std::int64_t start_ns = system_clock().monotonic_ns();
        node_.create_topic(name, partitions);
        return static_cast<double>(system_clock().monotonic_ns() - start_ns) / 1e6;
    };
    const double one = time("one", 1);
    const double many = time("two-thousand", 2'000);
    RecordProperty("one_partition_ms", fmt::format("{:.2f}", one));
    RecordProperty("two_thousand_partitions_ms", fmt::format("{:.2f}", many));
    fmt::print("with 100,000 partitions there: 1 partition {:.2f} ms, 2,000 partitions {:.2f} ms\n", one, many);
    EXPECT_LT(many, 500.0);
}

}  // namespace odr::controller
