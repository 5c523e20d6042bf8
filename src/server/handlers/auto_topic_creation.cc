#include "server/handlers/auto_topic_creation.h"

#include <fmt/format.h>

#include "base/log.h"
#include "controller/controller.h"
#include "protocol/generated/create_topics_request.h"
#include "protocol/generated/create_topics_response.h"
#include "server/handlers/topic_names.h"

namespace odr::server {
namespace {

using protocol::CreateTopicsRequest;
using protocol::CreateTopicsResponse;

AutomaticTopic group_metadata_topic(const config::BrokerConfig& config) {
    return {.name = std::string{kGroupMetadataTopic},
            .partitions = config.get_int("offsets.topic.num.partitions"),
            .replication_factor = static_cast<std::int16_t>(config.get_int("offsets.topic.replication.factor")),
            .configs = {{"cleanup.policy", "compact"},
                        {"compression.type", "producer"},
                        {"segment.bytes", fmt::to_string(config.get_int("offsets.topic.segment.bytes"))}}};
}

AutomaticTopic transaction_state_topic(const config::BrokerConfig& config) {
    return {.name = std::string{kTransactionStateTopic},
            .partitions = config.get_int("transaction.state.log.num.partitions"),
            .replication_factor = static_cast<std::int16_t>(config.get_int("transaction.state.log.replication.factor")),
            .configs = {{"cleanup.policy", "compact"},
                        {"compression.type", "uncompressed"},
                        {"min.insync.replicas", fmt::to_string(config.get_int("transaction.state.log.min.isr"))},
                        {"segment.bytes", fmt::to_string(config.get_int("transaction.state.log.segment.bytes"))},
                        {"unclean.leader.election.enable", "false"}}};
}

AutomaticTopic share_group_state_topic(const config::BrokerConfig& config) {
    const auto of_topic = [&config](std::string_view key) {
        return config.get_int(fmt::format("share.coordinator.state.topic.{}", key));
    };
    return {.name = std::string{kShareGroupStateTopic},
            .partitions = of_topic("num.partitions"),
            .replication_factor = static_cast<std::int16_t>(of_topic("replication.factor")),
            .configs = {{"cleanup.policy", "delete"},
                        {"compression.type", "producer"},
                        {"min.insync.replicas", fmt::to_string(of_topic("min.isr"))},
                        {"retention.ms", "-1"},
                        {"segment.bytes", fmt::to_string(of_topic("segment.bytes"))}}};
}

// The request and the texts that it points at.
struct Creation {
    std::vector<AutomaticTopic> topics;
    CreateTopicsRequest request;
};

std::shared_ptr<Creation> creation_of(const config::BrokerConfig& config, std::span<const std::string_view> names) {
    auto creation = std::make_shared<Creation>();
    creation->topics.reserve(names.size());
    for (const std::string_view name : names) creation->topics.push_back(automatic_topic(config, name));
    creation->request.timeout_ms = config.get_int("request.timeout.ms");
    for (const AutomaticTopic& topic : creation->topics) {
        CreateTopicsRequest::CreatableTopic wanted{.name = topic.name,
                                                   .num_partitions = topic.partitions,
                                                   .replication_factor = topic.replication_factor,
                                                   .assignments = {},
                                                   .configs = {}};
        for (const auto& [key, value] : topic.configs) wanted.configs.push_back({.name = key, .value = value});
        creation->request.topics.push_back(std::move(wanted));
    }
    return creation;
}

void log_refusals(const CreateTopicsResponse& response) {
    for (const auto& topic : response.topics) {
        const ErrorCode code{topic.error_code};
        if (code == ErrorCode::none || code == ErrorCode::topic_already_exists) continue;
        log::warn("topic {} could not be created automatically: {} ({})", topic.name, to_string(code),
                  topic.error_message.value_or(""));
    }
}

}  // namespace

AutomaticTopic automatic_topic(const config::BrokerConfig& config, std::string_view name) {
    if (name == kGroupMetadataTopic) return group_metadata_topic(config);
    if (name == kTransactionStateTopic) return transaction_state_topic(config);
    if (name == kShareGroupStateTopic) return share_group_state_topic(config);
    return {.name = std::string{name},
            .partitions = config.get_int("num.partitions"),
            .replication_factor = static_cast<std::int16_t>(config.get_int("default.replication.factor")),
            .configs = {}};
}

void create_topics_automatically(const Services& services, const config::BrokerConfig& config,
                                 std::span<const std::string_view> names) {
    if (services.controller == nullptr) return;
    const std::shared_ptr<Creation> creation = creation_of(config, names);
    services.controller->submit({.api_version = CreateTopicsRequest::kMaxVersion}, creation->request,
                                [creation](Result<controller::Answer<CreateTopicsResponse>> answer) {
                                    if (answer) {
                                        log_refusals(answer->response);
                                    } else {
                                        log::warn("topics could not be created automatically: {}",
                                                  to_string(answer.error().code));
                                    }
                                });
}

}  // namespace odr::server
