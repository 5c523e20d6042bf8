// DeleteRecords (key 21), versions 0-2.
// Way:   the log start moves at once and is checkpointed before the answer; segments below it go in the background.
// Kafka: KafkaApis.handleDeleteRecordsRequest, Partition.deleteRecordsOnLeader (KIP-107).
#include <set>

#include "protocol/generated/delete_records_request.h"
#include "protocol/generated/delete_records_response.h"
#include "server/handlers/partition_lookup.h"
#include "server/handlers/serve.h"
#include "storage/disk.h"

namespace odr::server {
namespace {

using protocol::DeleteRecordsRequest;
using protocol::DeleteRecordsResponse;

constexpr std::int64_t kUpToHighWatermark = -1;
constexpr std::int64_t kNoLowWatermark = -1;

Result<Offset> delete_records(const RequestContext& context, std::string_view topic_name,
                              const DeleteRecordsRequest::DeleteRecordsPartition& wanted,
                              std::set<storage::Disk*>& changed) {
    if (is_internal_topic(topic_name)) {
        return fail(ErrorCode::invalid_topic_exception, "records of internal topics are not for clients to delete");
    }
    ODR_TRY(topic, find_topic(context, {.name = topic_name, .id = {}}));
    ODR_TRY(partition, find_partition(context, *topic, PartitionIndex{wanted.partition_index}));
    storage::Log& log = partition->log();
    if (!log.config()->cleanup_delete) {
        return fail(ErrorCode::policy_violation, "cleanup.policy of the topic has no delete");
    }
    const Offset offset = wanted.offset == kUpToHighWatermark ? log.high_watermark() : Offset{wanted.offset};
    if (offset < Offset{0} || offset > log.high_watermark()) {
        return fail(ErrorCode::offset_out_of_range, "the offset is above the high watermark, or negative");
    }
    ODR_CHECK(log.advance_log_start_offset(offset));
    changed.insert(log.disk());
    return log.log_start_offset();
}

io::Task<DeleteRecordsResponse> handle_delete_records(RequestContext& context, DeleteRecordsRequest request) {
    DeleteRecordsResponse response;
    std::set<storage::Disk*> changed;
    for (const auto& topic : request.topics) {
        auto& topic_answer = response.topics.emplace_back();
        topic_answer.name = topic.name;
        for (const auto& wanted : topic.partitions) {
            auto& answer = topic_answer.partitions.emplace_back();
            answer.partition_index = wanted.partition_index;
            const Result<Offset> low_watermark = delete_records(context, topic.name, wanted, changed);
            answer.low_watermark = low_watermark ? low_watermark->raw() : kNoLowWatermark;
            if (!low_watermark) answer.error_code = static_cast<std::int16_t>(low_watermark.error().code);
        }
    }
    storage::LogManager& logs = *context.services().logs;
    for (storage::Disk* const disk : changed) {
        const bool done = co_await disk->waits().run([&logs, disk](io::MayBlock may_block) {
            logs.checkpoint_log_start_offsets(may_block, *disk);
            return true;
        });
        (void)done;
    }
    co_return response;
}

}  // namespace

io::Task<void> serve_delete_records(RequestContext& context) { return serve<&handle_delete_records>(context); }

}  // namespace odr::server
