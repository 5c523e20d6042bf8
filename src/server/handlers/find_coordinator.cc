// FindCoordinator (key 10), versions 0-6. The coordinator of a group is the leader of its partition of
// __consumer_offsets, which is made when somebody asks first. Transactions and share groups have no coordinator here
// yet, and the answer says so.
// Way:   image -> response; a missing topic goes to the controller
// Kafka: KafkaApis.handleFindCoordinatorRequest
#include "server/handlers/find_coordinator.h"

#include <algorithm>
#include <charconv>

#include "base/uuid.h"
#include "coordinator/group_coordinator.h"
#include "server/dynamic_config.h"
#include "server/handlers/auto_topic_creation.h"
#include "server/handlers/cluster_view.h"
#include "server/handlers/forward.h"
#include "server/handlers/topic_names.h"

namespace odr::server {
namespace {

using protocol::FindCoordinatorRequest;
using protocol::FindCoordinatorResponse;

enum class CoordinatorType : std::int8_t { group = 0, transaction = 1, share = 2 };
constexpr std::int16_t kBatchedFrom = 4;
constexpr std::int16_t kShareFrom = 6;

// "group:topic id:partition", where the group may hold colons itself. Kafka: SharePartitionKey.
bool is_share_partition_key(std::string_view key) {
    const std::size_t second = key.rfind(':');
    if (second == std::string_view::npos || second == 0) return false;
    const std::size_t first = key.rfind(':', second - 1);
    if (first == std::string_view::npos || first == 0) return false;
    const std::string_view index = key.substr(second + 1);
    std::int32_t partition = 0;
    const auto parsed = std::from_chars(index.data(), index.data() + index.size(), partition);
    if (parsed.ec != std::errc{} || parsed.ptr != index.data() + index.size()) return false;
    return Uuid::parse(key.substr(first + 1, second - first - 1)).has_value();
}

// Where a coordinator is, or why there is none.
struct Found {
    Error error{.code = ErrorCode::none};
    std::int32_t node_id = -1;
    std::string_view host;
    std::int32_t port = -1;
};

Found refuse(ErrorCode code, std::string_view what) { return {.error = {.code = code, .what = what}}; }

class Answering {
public:
    Answering(const FindCoordinatorRequest& request, const FindCoordinatorQuery& query)
        : request_{request}, query_{query} {}

    FindCoordinatorAnswer run() {
        FindCoordinatorResponse& response = answer_.response;
        if (query_.version < kBatchedFrom) {
            const Found found = find(request_.key);
            response.error_code = code_of(found.error.code);
            response.error_message = message(found);
            response.node_id = found.node_id;
            response.host = found.host;
            response.port = found.port;
            return std::move(answer_);
        }
        for (const std::string_view key : request_.coordinator_keys) {
            const Found found = find(key);
            response.coordinators.push_back({.key = key,
                                             .node_id = found.node_id,
                                             .host = found.host,
                                             .port = found.port,
                                             .error_code = code_of(found.error.code),
                                             .error_message = message(found)});
        }
        return std::move(answer_);
    }

private:
    // Version 0-3 say "NONE" where all is well, later ones nothing: as Kafka's brokers do.
    std::string_view message(const Found& found) const {
        if (found.error.code != ErrorCode::none) return found.error.what;
        return query_.version < kBatchedFrom ? "NONE" : "";
    }

    Found find(std::string_view key) {
        switch (static_cast<CoordinatorType>(request_.key_type)) {
            case CoordinatorType::group:
                return find_group(key);
            case CoordinatorType::transaction:
                return refuse(ErrorCode::coordinator_not_available, "No transaction coordinator runs on this broker.");
            case CoordinatorType::share:
                if (query_.version < kShareFrom)
                    return refuse(ErrorCode::invalid_request, "Share coordinators need version 6.");
                if (!is_share_partition_key(key)) {
                    return refuse(ErrorCode::invalid_request,
                                  "The key of a share coordinator is group:topic id:partition.");
                }
                return refuse(ErrorCode::coordinator_not_available, "No share coordinator runs on this broker.");
        }
        return refuse(ErrorCode::invalid_request, "Unknown coordinator type.");
    }

    Found find_group(std::string_view group_id) {
        const metadata::TopicImage* const topic = query_.image.topics().find(kGroupMetadataTopic);
        if (topic == nullptr || topic->partitions.size() == 0) {
            if (answer_.to_create.empty()) answer_.to_create.push_back(kGroupMetadataTopic);
            return refuse(ErrorCode::coordinator_not_available, "The topic of the coordinator is being made.");
        }
        const std::int32_t index =
            coordinator::partition_for(group_id, static_cast<std::int32_t>(topic->partitions.size()));
        const metadata::PartitionRegistration* const partition = topic->partition(PartitionIndex{index});
        const metadata::ClusterImage& cluster = query_.image.cluster();
        const metadata::Endpoint* const endpoint = partition == nullptr || !cluster.is_active(partition->leader)
                                                       ? nullptr
                                                       : endpoint_of(cluster, partition->leader, query_.listener);
        if (endpoint == nullptr)
            return refuse(ErrorCode::coordinator_not_available, "The coordinator's broker is not there.");
        return {.node_id = partition->leader.raw(), .host = endpoint->host, .port = endpoint->port};
    }

    const FindCoordinatorRequest& request_;
    const FindCoordinatorQuery& query_;
    FindCoordinatorAnswer answer_;
};

FindCoordinatorResponse handle_find_coordinator(RequestContext& context, const FindCoordinatorRequest& request) {
    FindCoordinatorAnswer answer = answer_find_coordinator(
        request,
        {.image = context.image(), .version = context.version(), .listener = context.connection_info().listener});
    if (!answer.to_create.empty()) {
        const Services& services = context.services();
        create_topics_automatically(services, *services.dynamic_config->current(), answer.to_create);
    }
    return std::move(answer.response);
}

}  // namespace

FindCoordinatorAnswer answer_find_coordinator(const FindCoordinatorRequest& request,
                                              const FindCoordinatorQuery& query) {
    return Answering{request, query}.run();
}

io::Task<void> serve_find_coordinator(RequestContext& context) { return serve<&handle_find_coordinator>(context); }

}  // namespace odr::server
