#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/config/alter.h"
#include "protocol/generated/alter_configs_response.h"
#include "protocol/generated/incremental_alter_configs_response.h"
#include "server/connection_quotas.h"
#include "server/dynamic_config.h"
#include "server/handlers/broker_settings.h"
#include "server/handlers/config_alteration.h"
#include "server/handlers/describe_configs.h"
#include "server/handlers/test_cluster.h"

// DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, and DynamicConfig behind them.
namespace odr::server {
namespace {

using metadata::ConfigResourceType;
using testing::name_of;
using testing::TestCluster;

constexpr auto type(ConfigResourceType value) { return static_cast<std::int8_t>(value); }

config::BrokerConfig broker_config() {
    config::ConfigMap properties = config::dev_defaults("/data");
    properties["node.id"] = "1";
    auto config = config::BrokerConfig::make(properties);
    EXPECT_TRUE(config.has_value()) << config.error();
    return *config;
}

class ConfigRequestsTest : public ::testing::Test {
protected:
    ConfigRequestsTest() {
        cluster_.topic("orders", 1);
        cluster_.config(ConfigResourceType::topic, "orders", "retention.ms", "1000");
    }
    config::BrokerSettings settings() const {
        return {.started = started_,
                .current = started_,
                .cluster_default = cluster_.image().configs().find(ConfigResourceType::broker, ""),
                .broker = cluster_.image().configs().find(ConfigResourceType::broker, "1")};
    }

    TestCluster cluster_;
    config::BrokerConfig started_ = broker_config();
};

// --- DescribeConfigs

class DescribeConfigsTest : public ConfigRequestsTest {
protected:
    controller::Answer<protocol::DescribeConfigsResponse> ask(protocol::DescribeConfigsRequest request) {
        const config::BrokerSettings current = settings();
        return answer_describe_configs(
            request, {.image = cluster_.image(), .settings = current, .self = BrokerId{1}, .log_level = "WARN"});
    }
    static protocol::DescribeConfigsRequest about(ConfigResourceType resource_type, std::string_view name,
                                                  std::vector<std::string_view> keys = {}) {
        protocol::DescribeConfigsRequest request;
        request.resources.push_back(
            {.resource_type = type(resource_type), .resource_name = name, .configuration_keys = std::move(keys)});
        return request;
    }
    // "retention.ms=1000(1)" with the source, or an error and its message.
    std::string describe(const protocol::DescribeConfigsRequest& request) {
        const auto answer = ask(request);
        const auto& result = answer.response.results.at(0);
        if (result.error_code != 0) return fmt::format("{}: {}", name_of(result.error_code), *result.error_message);
        std::string text;
        for (const auto& entry : result.configs) {
            text += fmt::format("{}={}({}) ", entry.name, entry.value.value_or("null"),
                                static_cast<int>(entry.config_source));
        }
        return text;
    }
};

TEST_F(DescribeConfigsTest, OnlyTheKeysAskedForAreGiven) {
    EXPECT_EQ(describe(about(ConfigResourceType::topic, "orders", {"retention.ms", "nonsense"})),
              "retention.ms=1000(1) ");
    EXPECT_GT(ask(about(ConfigResourceType::topic, "orders")).response.results.at(0).configs.size(), 20U);
}

TEST_F(DescribeConfigsTest, SynonymsAndDocumentationComeOnRequest) {
    protocol::DescribeConfigsRequest request = about(ConfigResourceType::topic, "orders", {"retention.ms"});
    const auto without = ask(request);
    EXPECT_TRUE(without.response.results.at(0).configs.at(0).synonyms.empty());
    EXPECT_FALSE(without.response.results.at(0).configs.at(0).documentation.has_value());
    request.include_synonyms = true;
    request.include_documentation = true;
    const auto with = ask(request);
    const auto& entry = with.response.results.at(0).configs.at(0);
    ASSERT_FALSE(entry.synonyms.empty());
    EXPECT_EQ(entry.synonyms[0].value, "1000");
    EXPECT_TRUE(entry.documentation.has_value());
}

TEST_F(DescribeConfigsTest, WhatIsNotThereHasItsError) {
    EXPECT_EQ(describe(about(ConfigResourceType::topic, "missing")), "UNKNOWN_TOPIC_OR_PARTITION: ");
    EXPECT_EQ(describe(about(ConfigResourceType::topic, "a b")).substr(0, 24), "INVALID_TOPIC_EXCEPTION:");
    EXPECT_EQ(describe(about(ConfigResourceType::broker, "2")),
              "INVALID_REQUEST: Unexpected broker id, expected 1 or empty string, but received 2");
    EXPECT_EQ(describe(about(ConfigResourceType::broker, "x")),
              "INVALID_REQUEST: Broker id must be an integer, but it is: x");
    EXPECT_EQ(describe(about(ConfigResourceType::broker_logger, "")), "INVALID_REQUEST: Broker id must not be empty");
    EXPECT_EQ(describe(about(ConfigResourceType::client_metrics, "")),
              "INVALID_REQUEST: Client metrics subscription name must not be empty");
    EXPECT_EQ(describe(about(ConfigResourceType::group, "")), "INVALID_REQUEST: Group name must not be empty");
}

TEST_F(DescribeConfigsTest, OneUnknownTypeMakesTheWholeRequestInvalid) {
    protocol::DescribeConfigsRequest request = about(ConfigResourceType::topic, "orders");
    request.resources.push_back({.resource_type = 3, .resource_name = "x"});
    const auto answer = ask(request);
    ASSERT_EQ(answer.response.results.size(), 2U);
    EXPECT_EQ(name_of(answer.response.results[0].error_code), "INVALID_REQUEST");
    EXPECT_EQ(answer.response.results[0].error_message, "Unexpected resource type UNKNOWN for resource x");
}

TEST_F(DescribeConfigsTest, TheBrokersLoggerIsTheRootAlone) {
    EXPECT_EQ(describe(about(ConfigResourceType::broker_logger, "1")), "root=WARN(6) ");
}

TEST_F(DescribeConfigsTest, TheClusterDefaultHasWhatWasSetOnly) {
    EXPECT_EQ(describe(about(ConfigResourceType::broker, "")), "");
    EXPECT_EQ(describe(about(ConfigResourceType::broker, "1", {"node.id"})), "node.id=1(4) ");
}

// --- alterations

class AlterConfigsTest : public ConfigRequestsTest {
protected:
    struct Change {
        ConfigResourceType resource_type;
        std::string_view resource;
        std::string_view key;
        std::int8_t op = 0;
        std::optional<std::string_view> value = "1";
    };
    // "controller" for what the controller decides.
    std::vector<std::string> check(const std::vector<Change>& changes) {
        protocol::IncrementalAlterConfigsRequest request;
        for (const Change& change : changes) {
            request.resources.push_back(
                {.resource_type = type(change.resource_type),
                 .resource_name = change.resource,
                 .configs = {{.name = change.key, .config_operation = change.op, .value = change.value}}});
        }
        std::vector<std::string> out;
        for (const auto& verdict : check_config_changes(request, settings(), BrokerId{1})) {
            out.push_back(verdict ? std::string{to_string(verdict->code)} : "controller");
        }
        return out;
    }
    std::string check_one(const Change& change) { return check({change}).at(0); }
};

TEST_F(AlterConfigsTest, TopicsGroupsAndClientMetricsAreTheControllersToDecide) {
    EXPECT_EQ(check_one({ConfigResourceType::topic, "orders", "retention.ms"}), "controller");
    EXPECT_EQ(check_one({ConfigResourceType::group, "g", "consumer.session.timeout.ms"}), "controller");
    EXPECT_EQ(check_one({ConfigResourceType::client_metrics, "s", "interval.ms"}), "controller");
    EXPECT_EQ(check_one({ConfigResourceType::unknown, "s", "interval.ms"}), "INVALID_REQUEST");
}

TEST_F(AlterConfigsTest, BrokerSettingsAreCheckedHereFirst) {
    EXPECT_EQ(check_one({ConfigResourceType::broker, "1", "log.retention.ms", 0, "1000"}), "controller");
    EXPECT_EQ(check_one({ConfigResourceType::broker, "", "log.retention.ms", 0, "1000"}), "controller");
    EXPECT_EQ(check_one({ConfigResourceType::broker, "1", "log.retention.ms", 0, "many"}), "INVALID_REQUEST");
    EXPECT_EQ(check_one({ConfigResourceType::broker, "1", "process.roles", 0, "broker"}), "INVALID_REQUEST");
    EXPECT_EQ(check_one({ConfigResourceType::broker, "2", "log.retention.ms", 0, "1000"}), "INVALID_REQUEST");
    EXPECT_EQ(check_one({ConfigResourceType::broker, "one", "log.retention.ms", 0, "1000"}), "INVALID_REQUEST");
    EXPECT_EQ(check_one({ConfigResourceType::broker, "1", "log.retention.ms", 9, "1000"}), "INVALID_REQUEST");
    EXPECT_EQ(check_one({ConfigResourceType::broker, "1", "log.retention.ms", 2, "1000"}), "INVALID_CONFIG")
        << "nothing can be appended to a number";
}

TEST_F(AlterConfigsTest, LogLevelsAreThisProcessesOwn) {
    EXPECT_EQ(check_one({ConfigResourceType::broker_logger, "1", "root", 0, "DEBUG"}), "NONE");
    EXPECT_EQ(check_one({ConfigResourceType::broker_logger, "1", "root", 0, "LOUD"}), "INVALID_CONFIG");
    EXPECT_EQ(check_one({ConfigResourceType::broker_logger, "1", "kafka.server", 0, "INFO"}), "INVALID_CONFIG");
    EXPECT_EQ(check_one({ConfigResourceType::broker_logger, "1", "root", 1, std::nullopt}), "INVALID_REQUEST");
    EXPECT_EQ(check_one({ConfigResourceType::broker_logger, "1", "root", 2, "INFO"}), "INVALID_REQUEST");
    EXPECT_EQ(check_one({ConfigResourceType::broker_logger, "2", "root", 0, "INFO"}), "INVALID_REQUEST");
}

TEST_F(AlterConfigsTest, AResourceNamedTwiceAndANullValueAreInvalid) {
    EXPECT_EQ(check({{ConfigResourceType::topic, "a", "retention.ms"},
                     {ConfigResourceType::topic, "b", "retention.ms"},
                     {ConfigResourceType::topic, "a", "segment.ms"}}),
              (std::vector<std::string>{"INVALID_REQUEST", "controller", "INVALID_REQUEST"}));
    EXPECT_EQ(check_one({ConfigResourceType::topic, "a", "retention.ms", 0, std::nullopt}), "INVALID_REQUEST");
    EXPECT_EQ(check_one({ConfigResourceType::topic, "a", "retention.ms", 1, std::nullopt}), "controller");
}

TEST_F(AlterConfigsTest, TheOldRequestKnowsNoLoggers) {
    protocol::AlterConfigsRequest request;
    request.resources.push_back({.resource_type = type(ConfigResourceType::broker_logger),
                                 .resource_name = "1",
                                 .configs = {{.name = "root", .value = "INFO"}}});
    request.resources.push_back({.resource_type = type(ConfigResourceType::broker),
                                 .resource_name = "1",
                                 .configs = {{.name = "log.retention.ms", .value = "1000"}}});
    const ConfigVerdicts verdicts = check_config_changes(request, settings(), BrokerId{1});
    EXPECT_EQ(verdicts.at(0)->message, "Unknown resource type 8");
    EXPECT_FALSE(verdicts.at(1).has_value());
}

TEST_F(AlterConfigsTest, TheControllersVerdictsAreFilledInWhereTheyBelong) {
    using Response = protocol::IncrementalAlterConfigsResponse;
    protocol::IncrementalAlterConfigsRequest request;
    for (const std::string_view topic : {"a", "b", "c"}) {
        request.resources.push_back({.resource_type = 2, .resource_name = topic, .configs = {}});
    }
    ConfigVerdicts verdicts(3);
    verdicts[1] = {ErrorCode::invalid_request, "here"};
    EXPECT_EQ(without_decided(request, verdicts).resources.size(), 2U);
    controller::Answer<Response> from_controller;
    from_controller.response.responses.push_back({.error_code = code_of(ErrorCode::policy_violation),
                                                  .error_message = "no",
                                                  .resource_type = 2,
                                                  .resource_name = "c"});
    from_controller.response.responses.push_back(
        {.error_code = 0, .error_message = std::nullopt, .resource_type = 2, .resource_name = "a"});
    take_verdicts(request, Result<controller::Answer<Response>>{std::move(from_controller)}, verdicts);
    const auto answer = to_response<Response>(request, verdicts);
    ASSERT_EQ(answer.response.responses.size(), 3U);
    EXPECT_EQ(name_of(answer.response.responses[0].error_code), "NONE");
    EXPECT_FALSE(answer.response.responses[0].error_message.has_value());
    EXPECT_EQ(answer.response.responses[1].error_message, "here");
    EXPECT_EQ(answer.response.responses[2].error_message, "no");
}

TEST_F(AlterConfigsTest, AnErrorOfTheControllerStandsAtEachResourceItWasAskedAbout) {
    using Response = protocol::AlterConfigsResponse;
    protocol::AlterConfigsRequest request;
    request.resources.push_back({.resource_type = 2, .resource_name = "a", .configs = {}});
    ConfigVerdicts verdicts(1);
    take_verdicts(request, Result<controller::Answer<Response>>{std::unexpected{kNoController}}, verdicts);
    EXPECT_EQ(verdicts[0]->code, ErrorCode::not_controller);
}

// --- DynamicConfig

class DynamicConfigTest : public ::testing::Test {
protected:
    void apply(TestCluster& cluster) {
        const metadata::MetadataChanges changes = cluster.changes();
        image_ = cluster.finish();
        dynamic_.on_metadata_update(changes, metadata::MetadataImage::empty(), image_);
    }

    ConnectionQuotas quotas_{{}};
    Services services_{.connection_quotas = &quotas_};
    DynamicConfig dynamic_{std::make_shared<const config::BrokerConfig>(broker_config()), services_};
    std::shared_ptr<const metadata::MetadataImage> image_ = metadata::MetadataImage::empty();
};

TEST_F(DynamicConfigTest, ThisBrokersSettingsWinOverTheClustersDefault) {
    TestCluster cluster;
    cluster.config(ConfigResourceType::broker, "", "message.max.bytes", "2000");
    cluster.config(ConfigResourceType::broker, "", "log.retention.ms", "3000");
    cluster.config(ConfigResourceType::broker, "1", "message.max.bytes", "4000");
    cluster.config(ConfigResourceType::broker, "2", "log.retention.ms", "5000");
    apply(cluster);
    EXPECT_EQ(dynamic_.current()->get_int("message.max.bytes"), 4000);
    EXPECT_EQ(dynamic_.current()->log_retention_ms(), 3000);
    EXPECT_EQ(dynamic_.log_config(*image_, "orders")->max_message_bytes, 4000);
}

TEST_F(DynamicConfigTest, TopicsSettingsWinOverTheBrokersAndTakeTheRestFromThem) {
    TestCluster cluster;
    cluster.topic("orders", 1).config(ConfigResourceType::topic, "orders", "retention.ms", "7");
    cluster.config(ConfigResourceType::broker, "", "log.retention.ms", "3000");
    cluster.config(ConfigResourceType::broker, "", "message.max.bytes", "2000");
    apply(cluster);
    const auto config = dynamic_.log_config(*image_, "orders");
    EXPECT_EQ(config->retention_ms, 7);
    EXPECT_EQ(config->max_message_bytes, 2000);
    EXPECT_EQ(dynamic_.log_config(*image_, "other")->retention_ms, 3000);
}

TEST_F(DynamicConfigTest, ConfigsAreSharedUntilSomethingChanges) {
    TestCluster cluster;
    cluster.topic("orders", 1).config(ConfigResourceType::topic, "orders", "retention.ms", "7");
    apply(cluster);
    const auto of_orders = dynamic_.log_config(*image_, "orders");
    EXPECT_EQ(dynamic_.log_config(*image_, "orders"), of_orders);
    EXPECT_EQ(dynamic_.log_config(*image_, "a"), dynamic_.log_config(*image_, "b"));
    TestCluster next;
    next.topic("orders", 1).config(ConfigResourceType::topic, "orders", "retention.ms", "8");
    apply(next);
    EXPECT_EQ(dynamic_.log_config(*image_, "orders")->retention_ms, 8);
}

TEST_F(DynamicConfigTest, ConnectionLimitsTakeEffectAtOnce) {
    ASSERT_TRUE(quotas_.has_room("PLAINTEXT"));
    TestCluster cluster;
    cluster.config(ConfigResourceType::broker, "", "max.connections", "1");
    apply(cluster);
    ASSERT_EQ(quotas_.admit("PLAINTEXT", "127.0.0.1"), ConnectionQuotas::Verdict::accepted);
    EXPECT_FALSE(quotas_.has_room("PLAINTEXT"));
}

TEST_F(DynamicConfigTest, SettingsThatCannotBeAppliedLeaveTheOnesBeforeInForce) {
    TestCluster cluster;
    cluster.config(ConfigResourceType::broker, "1", "message.max.bytes", "4000");
    apply(cluster);
    TestCluster broken;
    broken.config(ConfigResourceType::broker, "1", "message.max.bytes", "-5");
    apply(broken);
    EXPECT_EQ(dynamic_.current()->get_int("message.max.bytes"), 4000);
}

}  // namespace
}  // namespace odr::server
