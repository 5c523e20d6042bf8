// FindCoordinator (key 10), versions 0-6. No coordinator runs on this broker yet, and the answer says so; what is wrong
// with a request is told as ever.
// Way:   request -> response
// Kafka: KafkaApis.handleFindCoordinatorRequest
#include "server/handlers/find_coordinator.h"

#include <algorithm>
#include <charconv>

#include "base/uuid.h"
#include "server/handlers/forward.h"

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

Error why_not(std::int8_t key_type, std::string_view key, std::int16_t version) {
    constexpr Error kNone{.code = ErrorCode::coordinator_not_available, .what = "No coordinator runs on this broker."};
    switch (static_cast<CoordinatorType>(key_type)) {
        case CoordinatorType::group:
        case CoordinatorType::transaction:
            return kNone;
        case CoordinatorType::share:
            if (version < kShareFrom)
                return {.code = ErrorCode::invalid_request, .what = "Share coordinators need version 6."};
            if (!is_share_partition_key(key)) {
                return {.code = ErrorCode::invalid_request,
                        .what = "The key of a share coordinator is group:topic id:partition."};
            }
            return kNone;
    }
    return {.code = ErrorCode::invalid_request, .what = "Unknown coordinator type."};
}

FindCoordinatorResponse handle_find_coordinator(RequestContext& context, const FindCoordinatorRequest& request) {
    return answer_find_coordinator(request, context.version());
}

}  // namespace

FindCoordinatorResponse answer_find_coordinator(const FindCoordinatorRequest& request, std::int16_t version) {
    FindCoordinatorResponse response;
    if (version < kBatchedFrom) {
        const Error error = why_not(request.key_type, request.key, version);
        response.error_code = code_of(error.code);
        response.error_message = error.what;
        response.node_id = -1;
        response.port = -1;
        return response;
    }
    for (const std::string_view key : request.coordinator_keys) {
        const Error error = why_not(request.key_type, key, version);
        response.coordinators.push_back({.key = key,
                                         .node_id = -1,
                                         .host = "",
                                         .port = -1,
                                         .error_code = code_of(error.code),
                                         .error_message = error.what});
    }
    return response;
}

io::Task<void> serve_find_coordinator(RequestContext& context) { return serve<&handle_find_coordinator>(context); }

}  // namespace odr::server
