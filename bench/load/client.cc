#include "load/client.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/clock.h"
#include "protocol/generated/api_versions_request.h"
#include "protocol/generated/api_versions_response.h"
#include "protocol/generated/create_topics_request.h"
#include "protocol/generated/create_topics_response.h"
#include "protocol/generated/delete_topics_request.h"
#include "protocol/generated/delete_topics_response.h"
#include "protocol/generated/find_coordinator_request.h"
#include "protocol/generated/find_coordinator_response.h"
#include "protocol/generated/list_offsets_request.h"
#include "protocol/generated/list_offsets_response.h"
#include "protocol/generated/metadata_request.h"
#include "protocol/generated/metadata_response.h"

namespace odr::bench {
namespace {

using namespace protocol;

constexpr std::int16_t kApiVersionsVersion = 3;
constexpr std::int16_t kCreateTopicsVersion = 7;
constexpr std::int16_t kDeleteTopicsVersion = 5;
constexpr std::int16_t kFindCoordinatorVersion = 4;
constexpr std::int16_t kListOffsetsVersion = 7;
constexpr std::int16_t kMetadataVersion = 12;
constexpr std::int64_t kLatestTimestamp = -1;
constexpr std::int32_t kAnswerBytesMax = 256 << 20;
constexpr std::int32_t kTimeoutMs = 60'000;
constexpr std::int64_t kAwaitMsMax = 120'000;
constexpr auto kPollPause = std::chrono::milliseconds{2};

std::unexpected<Error> refused(std::int16_t code, std::string_view what) {
    return fail(static_cast<ErrorCode>(code), what);
}

// Tries again while the answer is an error that passes.
template <class Attempt>
auto await(const Attempt& attempt) {
    const std::int64_t deadline_ms = system_clock().monotonic_ms() + kAwaitMsMax;
    for (;;) {
        auto result = attempt();
        if (result || !is_retriable(result.error().code) || system_clock().monotonic_ms() > deadline_ms) return result;
        if (result.error().code == ErrorCode::network_exception) return result;
        std::this_thread::sleep_for(kPollPause);
    }
}

Result<TopicTarget> describe_topic(Client& client, const std::string& name) {
    MetadataRequest request;
    request.topics = {MetadataRequest::MetadataRequestTopic{.topic_id = {}, .name = name}};
    request.allow_auto_topic_creation = false;
    ODR_TRY(answer, client.call<MetadataResponse>(kMetadataVersion, request));
    if (answer.topics.size() != 1) return fail(ErrorCode::unknown_server_error, "Metadata names another topic");
    const auto& topic = answer.topics.front();
    if (topic.error_code != 0) return refused(topic.error_code, "Metadata");
    for (const auto& partition : topic.partitions) {
        if (partition.error_code != 0) return refused(partition.error_code, "Metadata");
        if (partition.leader_id < 0) return fail(ErrorCode::leader_not_available, "Metadata");
    }
    return TopicTarget{
        .name = name, .id = topic.topic_id, .partitions = static_cast<std::int32_t>(topic.partitions.size())};
}

}  // namespace

Result<Client> Client::connect(const Address& address, int seconds_max) {
    ODR_TRY(socket, Socket::connect(address, seconds_max));
    return Client{std::move(socket)};
}

Result<void> Client::exchange() {
    ODR_CHECK(socket_.send_all(frame_.view()));
    std::array<std::uint8_t, 4> size_bytes{};
    ODR_CHECK(socket_.receive_exactly(size_bytes));
    const auto size = load_be<std::int32_t>(size_bytes.data());
    if (size < 4 || size > kAnswerBytesMax) return fail(ErrorCode::invalid_request, "an answer of an absurd size");
    answer_.resize(static_cast<std::size_t>(size));
    return socket_.receive_exactly(answer_);
}

Result<void> create_topic(Client& client, const std::string& name, std::int32_t partitions,
                          const TopicConfigs& configs) {
    CreateTopicsRequest request;
    request.timeout_ms = kTimeoutMs;
    auto& topic = request.topics.emplace_back();
    topic.name = name;
    topic.num_partitions = partitions;
    topic.replication_factor = 1;
    for (const std::string_view config : configs) {
        const std::size_t equals = std::min(config.find('='), config.size());
        topic.configs.push_back(
            {.name = config.substr(0, equals), .value = config.substr(std::min(equals + 1, config.size()))});
    }
    ODR_TRY(answer, client.call<CreateTopicsResponse>(kCreateTopicsVersion, request));
    if (answer.topics.size() != 1) return fail(ErrorCode::unknown_server_error, "CreateTopics names another topic");
    if (answer.topics[0].error_code != 0) return refused(answer.topics[0].error_code, "CreateTopics");
    return {};
}

Result<TopicTarget> await_leaders(Client& client, const std::string& name, std::int32_t partitions) {
    return await([&]() -> Result<TopicTarget> {
        ODR_TRY(topic, describe_topic(client, name));
        if (topic.partitions != partitions) return fail(ErrorCode::leader_not_available, "partitions are missing");
        return topic;
    });
}

Result<void> await_logs(Client& client, const TopicTarget& topic) {
    return await([&]() -> Result<void> {
        if (const auto ends = end_offsets(client, topic); !ends) return std::unexpected{ends.error()};
        return {};
    });
}

Result<TopicTarget> make_topic(Client& client, const std::string& name, std::int32_t partitions,
                               const TopicConfigs& configs) {
    ODR_CHECK(create_topic(client, name, partitions, configs));
    ODR_TRY(topic, await_leaders(client, name, partitions));
    ODR_CHECK(await_logs(client, topic));
    return topic;
}

Result<TopicTarget> find_topic(Client& client, const std::string& name) {
    return await([&] { return describe_topic(client, name); });
}

Result<void> delete_topic(Client& client, const std::string& name) {
    DeleteTopicsRequest request;
    request.timeout_ms = kTimeoutMs;
    request.topic_names.push_back(name);
    ODR_TRY(answer, client.call<DeleteTopicsResponse>(kDeleteTopicsVersion, request));
    if (answer.responses.size() != 1) return fail(ErrorCode::unknown_server_error, "DeleteTopics names another topic");
    if (answer.responses[0].error_code != 0) return refused(answer.responses[0].error_code, "DeleteTopics");
    return {};
}

Result<std::vector<std::int64_t>> end_offsets(Client& client, const TopicTarget& topic) {
    ListOffsetsRequest request;
    request.replica_id = -1;
    auto& asked = request.topics.emplace_back();
    asked.name = topic.name;
    for (std::int32_t index = 0; index < topic.partitions; ++index) {
        asked.partitions.push_back(
            {.partition_index = index, .current_leader_epoch = -1, .timestamp = kLatestTimestamp});
    }
    ODR_TRY(answer, client.call<ListOffsetsResponse>(kListOffsetsVersion, request));
    std::vector<std::int64_t> ends(static_cast<std::size_t>(topic.partitions), -1);
    for (const auto& answered : answer.topics) {
        for (const auto& partition : answered.partitions) {
            if (partition.error_code != 0) return refused(partition.error_code, "ListOffsets");
            if (partition.partition_index < 0 || partition.partition_index >= topic.partitions) continue;
            ends[static_cast<std::size_t>(partition.partition_index)] = partition.offset;
        }
    }
    if (std::ranges::find(ends, -1) != ends.end()) {
        return fail(ErrorCode::unknown_server_error, "ListOffsets leaves out a partition");
    }
    return ends;
}

Result<void> await_coordinator(Client& client, const std::string& group_id) {
    return await([&]() -> Result<void> {
        FindCoordinatorRequest request;
        request.coordinator_keys.push_back(group_id);
        ODR_TRY(answer, client.call<FindCoordinatorResponse>(kFindCoordinatorVersion, request));
        if (answer.coordinators.size() != 1) return fail(ErrorCode::unknown_server_error, "FindCoordinator");
        if (answer.coordinators[0].error_code != 0)
            return refused(answer.coordinators[0].error_code, "FindCoordinator");
        return {};
    });
}

Result<void> hello(Client& client) {
    ApiVersionsRequest request;
    request.client_software_name = kClientId;
    request.client_software_version = "1";
    ODR_TRY(answer, client.call<ApiVersionsResponse>(kApiVersionsVersion, request));
    if (answer.error_code != 0) return refused(answer.error_code, "ApiVersions");
    return {};
}

}  // namespace odr::bench
