// OffsetCommit (key 8), versions 2-10.
// Way:   refuse what is no partition -> the group's shard, which writes -> response in the order of the request
// Kafka: KafkaApis.handleOffsetCommitRequest, GroupCoordinatorService.commitOffsets
#include "coordinator/offset_store.h"
#include "server/handlers/group_requests.h"

namespace odr::server {
namespace {

using protocol::OffsetCommitRequest;
using protocol::OffsetCommitResponse;

constexpr std::int16_t kTopicIdsFrom = 10;

// The response with an error for every partition that is not there, and the request without them.
void split(const metadata::MetadataImage& image, std::int16_t version, const OffsetCommitRequest& request,
           OffsetCommitRequest& valid, OffsetCommitResponse& response) {
    for (const auto& topic : request.topics) {
        auto& answer = response.topics.emplace_back(
            OffsetCommitResponse::OffsetCommitResponseTopic{.name = topic.name, .topic_id = topic.topic_id});
        const auto found = find_committed_topic(image, topic.name, topic.topic_id, version >= kTopicIdsFrom);
        OffsetCommitRequest::OffsetCommitRequestTopic kept{.name = topic.name, .topic_id = topic.topic_id};
        if (found) {  // whichever of the two the client has named
            kept.name = (*found)->name;
            kept.topic_id = (*found)->id;
        }
        for (const auto& partition : topic.partitions) {
            ErrorCode code = found ? ErrorCode::none : found.error().code;
            if (found && (*found)->partition(PartitionIndex{partition.partition_index}) == nullptr) {
                code = ErrorCode::unknown_topic_or_partition;
            }
            if (code == ErrorCode::none) kept.partitions.push_back(partition);
            answer.partitions.push_back({.partition_index = partition.partition_index, .error_code = code_of(code)});
        }
        if (!kept.partitions.empty()) valid.topics.push_back(std::move(kept));
    }
}

// Partitions that were passed on stand in both in the same order.
void merge(const Result<OffsetCommitResponse>& committed, OffsetCommitResponse& response) {
    std::vector<std::int16_t> codes;
    if (committed) {
        for (const auto& topic : committed->topics) {
            for (const auto& partition : topic.partitions) codes.push_back(partition.error_code);
        }
    }
    std::size_t next = 0;
    for (auto& topic : response.topics) {
        for (auto& partition : topic.partitions) {
            if (partition.error_code != 0) continue;
            partition.error_code = committed ? codes[next++] : code_of(committed.error().code);
        }
    }
}

io::Task<OffsetCommitResponse> handle_offset_commit(RequestContext& context, OffsetCommitRequest request) {
    const auto image = context.shared_image();  // topic names are used across the wait
    OffsetCommitResponse response;
    OffsetCommitRequest valid = request;
    valid.topics.clear();
    split(*image, context.version(), request, valid, response);
    if (valid.topics.empty()) co_return response;
    const std::int16_t version = context.version();
    const Result<OffsetCommitResponse> committed = co_await context.services().groups->write<OffsetCommitResponse>(
        valid.group_id, [&](coordinator::GroupShard& shard) { return shard.offsets().commit(valid, version); });
    merge(committed, response);
    co_return response;
}

}  // namespace

io::Task<void> serve_offset_commit(RequestContext& context) { return serve<&handle_offset_commit>(context); }

}  // namespace odr::server
