// OffsetDelete (key 47), version 0.
// Way:   refuse what is no partition -> the group's shard, which writes -> response
// Kafka: KafkaApis.handleOffsetDeleteRequest, GroupCoordinatorService.deleteOffsets
#include "coordinator/offset_store.h"
#include "server/handlers/group_requests.h"

namespace odr::server {
namespace {

using protocol::OffsetDeleteRequest;
using protocol::OffsetDeleteResponse;

OffsetDeleteResponse refuse(ErrorCode code) {
    OffsetDeleteResponse response;
    response.error_code = code_of(code);
    return response;
}

void split(const metadata::MetadataImage& image, const OffsetDeleteRequest& request, OffsetDeleteRequest& valid,
           OffsetDeleteResponse& response) {
    for (const auto& topic : request.topics) {
        const metadata::TopicImage* const found = image.topics().find(topic.name);
        OffsetDeleteRequest::OffsetDeleteRequestTopic kept{.name = topic.name};
        OffsetDeleteResponse::OffsetDeleteResponseTopic refused{.name = topic.name};
        for (const auto& partition : topic.partitions) {
            if (found != nullptr && found->partition(PartitionIndex{partition.partition_index}) != nullptr) {
                kept.partitions.push_back(partition);
            } else {
                refused.partitions.push_back({.partition_index = partition.partition_index,
                                              .error_code = code_of(ErrorCode::unknown_topic_or_partition)});
            }
        }
        if (!kept.partitions.empty()) valid.topics.push_back(std::move(kept));
        if (!refused.partitions.empty()) response.topics.push_back(std::move(refused));
    }
}

void merge(const OffsetDeleteResponse& removed, OffsetDeleteResponse& response) {
    for (const auto& topic : removed.topics) {
        const auto same = std::ranges::find_if(response.topics, [&](auto& each) { return each.name == topic.name; });
        if (same == response.topics.end()) {
            response.topics.push_back(topic);
        } else {
            same->partitions.insert(same->partitions.end(), topic.partitions.begin(), topic.partitions.end());
        }
    }
}

io::Task<OffsetDeleteResponse> handle_offset_delete(RequestContext& context, OffsetDeleteRequest request) {
    if (request.group_id.empty()) co_return refuse(ErrorCode::invalid_group_id);
    OffsetDeleteResponse response;
    OffsetDeleteRequest valid{.group_id = request.group_id};
    split(context.image(), request, valid, response);
    const Result<OffsetDeleteResponse> removed = co_await context.services().groups->write<OffsetDeleteResponse>(
        valid.group_id, [&](coordinator::GroupShard& shard) { return shard.offsets().remove(valid); });
    if (!removed) co_return refuse(removed.error().code);
    merge(*removed, response);
    co_return response;
}

}  // namespace

io::Task<void> serve_offset_delete(RequestContext& context) { return serve<&handle_offset_delete>(context); }

}  // namespace odr::server
