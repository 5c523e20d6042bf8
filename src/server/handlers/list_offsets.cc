// ListOffsets (key 2), versions 1-11.
// Way:   special timestamps come from the log's offsets; others from the time index, on a thread of the log's disk.
// Kafka: KafkaApis.handleListOffsetRequest, Partition.fetchOffsetForTimestamp, UnifiedLog.fetchOffsetByTimestamp.
#include <set>

#include "protocol/generated/list_offsets_request.h"
#include "protocol/generated/list_offsets_response.h"
#include "server/handlers/partition_lookup.h"
#include "server/handlers/serve.h"

namespace odr::server {
namespace {

using protocol::ListOffsetsRequest;
using protocol::ListOffsetsResponse;
using PartitionAnswer = ListOffsetsResponse::ListOffsetsPartitionResponse;

constexpr std::int64_t kLatest = -1;
constexpr std::int64_t kEarliest = -2;
constexpr std::int64_t kMaxTimestamp = -3;           // KIP-734, from version 7
constexpr std::int64_t kEarliestLocal = -4;          // KIP-405, from version 8
constexpr std::int64_t kLatestTiered = -5;           // KIP-1005, from version 9
constexpr std::int64_t kEarliestPendingUpload = -6;  // KIP-1023, from version 11

constexpr std::int8_t kReadCommitted = 1;
constexpr std::int32_t kDebuggingConsumer = -2;  // sees what is not committed yet

Result<void> check_timestamp(std::int64_t timestamp, std::int16_t version) {
    const bool known = timestamp >= kEarliest || (timestamp == kMaxTimestamp && version >= 7) ||
                       (timestamp == kEarliestLocal && version >= 8) || (timestamp == kLatestTiered && version >= 9) ||
                       (timestamp == kEarliestPendingUpload && version >= 11);
    if (known) return {};
    return fail(ErrorCode::unsupported_version, "this version of the request does not know that timestamp");
}

// Beyond it the asking client may not look.
Offset upper_bound(const replication::Partition& partition, const ListOffsetsRequest& request) {
    const storage::Log& log = partition.log();
    if (request.replica_id >= 0 || request.replica_id == kDebuggingConsumer) return log.log_end_offset();
    return request.isolation_level == kReadCommitted ? log.last_stable_offset() : log.high_watermark();
}

void answer_offset(PartitionAnswer& answer, Offset offset, LeaderEpoch epoch) {
    answer.offset = offset.raw();
    answer.leader_epoch = epoch.raw();
}

// Gives: whether the timestamp could be answered without reading.
bool answer_at_once(const replication::Partition& partition, const ListOffsetsRequest& request, std::int64_t timestamp,
                    PartitionAnswer& answer) {
    const storage::Log& log = partition.log();
    switch (timestamp) {
        case kLatest:
            answer_offset(answer, upper_bound(partition, request), partition.leader_epoch());
            return true;
        case kEarliest:
        case kEarliestLocal: {
            const Offset start = timestamp == kEarliest ? log.log_start_offset() : log.local_log_start_offset();
            answer_offset(answer, start, log.epoch_for_offset(start));
            return true;
        }
        case kLatestTiered:
        case kEarliestPendingUpload:
            return true;  // nothing is tiered here: -1
        default:
            return false;
    }
}

void answer_found(PartitionAnswer& answer, const std::optional<storage::TimestampOffset>& found, Offset bound) {
    if (!found || found->offset >= bound) return;  // -1: none
    answer.timestamp = found->timestamp.raw();
    answer_offset(answer, found->offset, found->leader_epoch);
}

io::Task<void> answer_partition(RequestContext* context, const ListOffsetsRequest* request,
                                const metadata::TopicImage* topic, ListOffsetsRequest::ListOffsetsPartition wanted,
                                PartitionAnswer* answer) {
    auto partition = find_partition(*context, *topic, PartitionIndex{wanted.partition_index});
    Result<void> checked = partition ? check_leader_epoch(**partition, wanted.current_leader_epoch)
                                     : Result<void>{fail(partition.error())};
    if (checked) checked = check_timestamp(wanted.timestamp, context->version());
    if (!checked) {
        answer->error_code = static_cast<std::int16_t>(checked.error().code);
        co_return;
    }
    if (answer_at_once(**partition, *request, wanted.timestamp, *answer)) co_return;
    const storage::Log& log = (*partition)->log();
    const auto found = co_await (*partition)->reads().run([&log, wanted](io::MayBlock may_block) {
        return wanted.timestamp == kMaxTimestamp ? log.offset_of_max_timestamp(may_block)
                                                 : log.offset_for_timestamp(may_block, TimestampMs{wanted.timestamp});
    });
    if (!found) {
        answer->error_code = static_cast<std::int16_t>(found.error().code);
    } else {
        answer_found(*answer, *found, upper_bound(**partition, *request));
    }
}

// A partition that stands twice in the request is refused each time.
std::set<std::pair<std::string_view, std::int32_t>> duplicates_of(const ListOffsetsRequest& request) {
    std::set<std::pair<std::string_view, std::int32_t>> seen;
    std::set<std::pair<std::string_view, std::int32_t>> twice;
    for (const auto& topic : request.topics) {
        for (const auto& partition : topic.partitions) {
            if (!seen.emplace(topic.name, partition.partition_index).second) {
                twice.emplace(topic.name, partition.partition_index);
            }
        }
    }
    return twice;
}

io::Task<ListOffsetsResponse> handle_list_offsets(RequestContext& context, ListOffsetsRequest request) {
    const auto image = context.shared_image();  // topics are used across waits
    const auto duplicates = duplicates_of(request);
    ListOffsetsResponse response;
    for (const auto& topic : request.topics) {
        auto& topic_answer = response.topics.emplace_back();
        topic_answer.name = topic.name;
        const metadata::TopicImage* known = image->topics().find(topic.name);
        for (const auto& wanted : topic.partitions) {
            PartitionAnswer answer;
            answer.partition_index = wanted.partition_index;
            if (duplicates.contains({topic.name, wanted.partition_index})) {
                answer.error_code = static_cast<std::int16_t>(ErrorCode::invalid_request);
            } else if (known == nullptr) {
                answer.error_code = static_cast<std::int16_t>(ErrorCode::unknown_topic_or_partition);
            } else {
                co_await answer_partition(&context, &request, known, wanted, &answer);
            }
            topic_answer.partitions.push_back(answer);
        }
    }
    co_return response;
}

}  // namespace

io::Task<void> serve_list_offsets(RequestContext& context) { return serve<&handle_list_offsets>(context); }

}  // namespace odr::server
