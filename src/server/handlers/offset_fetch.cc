// OffsetFetch (key 9), versions 1-10: of one group up to version 7, of several from 8 on, topics by id from 10 on.
// Way:   each group's shard -> response
// Kafka: KafkaApis.handleOffsetFetchRequest, GroupCoordinatorService.fetchOffsets
#include "coordinator/offset_store.h"
#include "server/handlers/group_requests.h"

namespace odr::server {
namespace {

using protocol::OffsetFetchRequest;
using protocol::OffsetFetchResponse;
using Group = OffsetFetchRequest::OffsetFetchRequestGroup;
using GroupAnswer = OffsetFetchResponse::OffsetFetchResponseGroup;
using TopicAnswer = OffsetFetchResponse::OffsetFetchResponseTopics;

constexpr std::int16_t kGroupErrorFrom = 2;  // before it errors stand with the partitions
constexpr std::int16_t kBatchedFrom = 8;
constexpr std::int16_t kTopicIdsFrom = 10;

Group only_group(const OffsetFetchRequest& request) {
    Group group{.group_id = request.group_id};
    if (!request.topics) {
        group.topics.reset();
        return group;
    }
    for (const auto& topic : *request.topics) {
        group.topics->push_back({.name = topic.name, .partition_indexes = topic.partition_indexes});
    }
    return group;
}

TopicAnswer refused_topic(const OffsetFetchRequest::OffsetFetchRequestTopics& topic, ErrorCode code) {
    TopicAnswer answer{.name = topic.name, .topic_id = topic.topic_id};
    for (const std::int32_t index : topic.partition_indexes) {
        answer.partitions.push_back({.partition_index = index,
                                     .committed_offset = -1,
                                     .committed_leader_epoch = -1,
                                     .metadata = "",
                                     .error_code = code_of(code)});
    }
    return answer;
}

GroupAnswer refused_group(const Group& group, ErrorCode code, std::int16_t version) {
    GroupAnswer answer{.group_id = group.group_id};
    if (version >= kGroupErrorFrom) {
        answer.error_code = code_of(code);
    } else if (group.topics) {
        for (const auto& topic : *group.topics) answer.topics.push_back(refused_topic(topic, code));
    }
    return answer;
}

// Ids become names. Gives: the topics whose id nobody knows, which leave the request.
std::vector<TopicAnswer> resolve_ids(const metadata::MetadataImage& image, Group& group) {
    std::vector<TopicAnswer> unknown;
    if (!group.topics) return unknown;
    std::erase_if(*group.topics, [&](auto& topic) {
        const metadata::TopicImage* const found = image.topics().find(topic.topic_id);
        if (found == nullptr) {
            unknown.push_back(refused_topic(topic, ErrorCode::unknown_topic_id));
        } else {
            topic.name = found->name;
        }
        return found == nullptr;
    });
    return unknown;
}

// All topics of a group, asked for by ids: those that are gone are left out.
void add_ids(const metadata::MetadataImage& image, GroupAnswer& answer) {
    std::erase_if(answer.topics, [&](TopicAnswer& topic) {
        const metadata::TopicImage* const found = image.topics().find(topic.name);
        if (found != nullptr) topic.topic_id = found->id;
        return found == nullptr;
    });
}

struct Fetch {
    std::shared_ptr<const metadata::MetadataImage> image;
    std::int16_t version;
    bool require_stable;
};

io::Task<GroupAnswer> fetch_group(RequestContext* context, Fetch how, Group group) {
    std::vector<TopicAnswer> unknown;
    if (how.version >= kTopicIdsFrom) unknown = resolve_ids(*how.image, group);
    Result<coordinator::OffsetStore::FetchedGroup> fetched =
        co_await context->services().groups->write<coordinator::OffsetStore::FetchedGroup>(
            group.group_id,
            [&](coordinator::GroupShard& shard) { return shard.offsets().fetch(group, how.require_stable); });
    if (!fetched) co_return refused_group(group, fetched.error().code, how.version);
    GroupAnswer answer = fetched->message;
    context->keep_alive(std::make_shared<coordinator::OffsetStore::FetchedGroup>(std::move(*fetched)));
    if (how.version >= kTopicIdsFrom && !group.topics) add_ids(*how.image, answer);
    answer.topics.insert(answer.topics.end(), unknown.begin(), unknown.end());
    co_return answer;
}

void answer_only_group(GroupAnswer answer, OffsetFetchResponse& response) {
    response.error_code = answer.error_code;
    for (const TopicAnswer& topic : answer.topics) {
        auto& out = response.topics.emplace_back(OffsetFetchResponse::OffsetFetchResponseTopic{.name = topic.name});
        for (const auto& each : topic.partitions) {
            out.partitions.push_back({each.partition_index, each.committed_offset, each.committed_leader_epoch,
                                      each.metadata, each.error_code});
        }
    }
}

io::Task<OffsetFetchResponse> handle_offset_fetch(RequestContext& context, OffsetFetchRequest request) {
    const Fetch how{context.shared_image(), context.version(), request.require_stable};
    context.keep_alive(how.image);
    OffsetFetchResponse response;
    if (how.version < kBatchedFrom) {
        const GroupAnswer answer = co_await fetch_group(&context, how, only_group(request));
        answer_only_group(answer, response);
        co_return response;
    }
    for (const Group& group : request.groups) {
        GroupAnswer answer = co_await fetch_group(&context, how, group);
        response.groups.push_back(std::move(answer));
    }
    co_return response;
}

}  // namespace

io::Task<void> serve_offset_fetch(RequestContext& context) { return serve<&handle_offset_fetch>(context); }

}  // namespace odr::server
