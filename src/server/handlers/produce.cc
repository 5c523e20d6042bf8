// Produce (key 0), versions 3-13; 0-2 are announced and refused (KAFKA-18659).
// Way:   validate each batch, no lock held -> queue it in its partition -> one write per partition at the end of the
//        reactor's turn -> answer.
// Kafka: KafkaApis.handleProduceRequest, ReplicaManager.appendRecordsToLeader.
#include <fmt/format.h>

#include <optional>

#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"
#include "record/validation.h"
#include "server/handlers/partition_lookup.h"
#include "server/handlers/serve.h"

namespace odr::server {
namespace {

using protocol::ProduceRequest;
using protocol::ProduceResponse;
using PartitionAnswer = ProduceResponse::PartitionProduceResponse;

constexpr std::string_view kAdminClientId = "__admin_client";  // the one client that may write to internal topics

// One partition's batch, from the request to its answer.
struct Slot {
    PartitionAnswer* answer;
    std::shared_ptr<replication::Partition> partition;
    record::ValidatedBatch batch;
    replication::QueuedAppend* queued = nullptr;
};

record::ValidationRules rules_for(const config::LogConfig& config, std::int16_t version) {
    record::ValidationRules rules;
    rules.timestamp_type = static_cast<record::TimestampType>(config.message_timestamp_type);
    rules.timestamp_before_max_ms = config.message_timestamp_before_max_ms;
    rules.timestamp_after_max_ms = config.message_timestamp_after_max_ms;
    rules.max_message_bytes = static_cast<std::size_t>(config.max_message_bytes);
    rules.is_compacted = config.cleanup_compact;
    rules.is_zstd_allowed = version >= 7;
    switch (config.compression_type) {
        case config::CompressionType::producer:
            break;
        case config::CompressionType::uncompressed:
            rules.compression = {record::CompressionType::none, {}};
            break;
        case config::CompressionType::gzip:
            rules.compression = {record::CompressionType::gzip, config.compression_gzip_level};
            break;
        case config::CompressionType::snappy:
            rules.compression = {record::CompressionType::snappy, {}};
            break;
        case config::CompressionType::lz4:
            rules.compression = {record::CompressionType::lz4, config.compression_lz4_level};
            break;
        case config::CompressionType::zstd:
            rules.compression = {record::CompressionType::zstd, config.compression_zstd_level};
            break;
    }
    return rules;
}

void refuse(PartitionAnswer& answer, const Error& error) {
    answer.error_code = static_cast<std::int16_t>(error.code);
    answer.base_offset = -1;
    if (!error.what.empty()) answer.error_message = error.what;
}

void refuse(RequestContext& context, PartitionAnswer& answer, record::ValidationError error) {
    answer.error_code = static_cast<std::int16_t>(error.code);
    answer.base_offset = -1;
    answer.error_message = context.keep(std::move(error.message));
    for (record::ValidationError::RecordError& each : error.record_errors) {
        auto& told = answer.record_errors.emplace_back();
        told.batch_index = each.batch_index;
        if (each.message) told.batch_index_error_message = context.keep(std::move(*each.message));
    }
}

Result<void> check_topic(const RequestContext& context, const metadata::TopicImage& topic) {
    if (is_internal_topic(topic.name) && context.client_id() != kAdminClientId) {
        return fail(ErrorCode::invalid_topic_exception, "clients may not write to an internal topic");
    }
    return {};
}

// acks=all needs min.insync.replicas before anything is written.
Result<void> check_in_sync_replicas(const metadata::TopicImage& topic, PartitionIndex index,
                                    const config::LogConfig& config) {
    const metadata::PartitionRegistration* registered = topic.partition(index);
    if (registered == nullptr) return {};
    if (static_cast<std::int32_t>(registered->isr.size()) >= config.min_insync_replicas) return {};
    return fail(ErrorCode::not_enough_replicas, "fewer replicas are in sync than min.insync.replicas asks for");
}

Result<std::shared_ptr<replication::Partition>> partition_for(const RequestContext& context,
                                                              const metadata::TopicImage& topic,
                                                              const ProduceRequest& request, PartitionIndex index) {
    ODR_CHECK(check_topic(context, topic));
    ODR_TRY(partition, find_partition(context, topic, index));
    if (request.acks == -1) {
        ODR_CHECK(check_in_sync_replicas(topic, index, *partition->log().config()));
    }
    return std::move(partition);
}

// Everything before the append lock. The batch that comes out is ready for its offset.
void validate_into(RequestContext& context, const ProduceRequest::PartitionProduceData& data,
                   std::shared_ptr<replication::Partition> partition, PartitionAnswer& answer,
                   std::vector<Slot>& slots) {
    const record::ValidationRules rules = rules_for(*partition->log().config(), context.version());
    const MutableByteView records = context.writable(data.records.bytes());
    record::ValidationResult batch = record::validate_produced(records, rules, context.services().clock->now());
    if (!batch) return refuse(context, answer, std::move(batch.error()));
    if (batch->is_transactional()) {
        return refuse(answer, {.code = ErrorCode::invalid_txn_state,
                               .what = "this broker has no transaction coordinator yet, so no transaction is open"});
    }
    slots.push_back({&answer, std::move(partition), std::move(*batch)});
}

void validate_topic(RequestContext& context, const ProduceRequest& request,
                    const ProduceRequest::TopicProduceData& data, ProduceResponse::TopicProduceResponse& answer,
                    std::vector<Slot>& slots) {
    answer.name = data.name;
    answer.topic_id = data.topic_id;
    answer.partition_responses.resize(data.partition_data.size());
    const auto topic = find_topic(context, {.name = data.name, .id = data.topic_id, .by_id = context.version() >= 13});
    for (std::size_t i = 0; i < data.partition_data.size(); ++i) {
        const auto& partition_data = data.partition_data[i];
        PartitionAnswer& partition_answer = answer.partition_responses[i];
        partition_answer.index = partition_data.index;
        if (!topic) {
            refuse(partition_answer, topic.error());
            continue;
        }
        auto partition = partition_for(context, **topic, request, PartitionIndex{partition_data.index});
        if (!partition) {
            refuse(partition_answer, partition.error());
            continue;
        }
        validate_into(context, partition_data, std::move(*partition), partition_answer, slots);
    }
}

void accept(PartitionAnswer& answer, const storage::AppendInfo& info) {
    answer.base_offset = info.base_offset.raw();
    answer.log_append_time_ms = info.log_append_time.raw();
    answer.log_start_offset = info.log_start_offset.raw();
}

void refuse_all(const ProduceRequest& request, ProduceResponse& response, const Error& error) {
    for (const auto& topic : request.topic_data) {
        auto& answer = response.responses.emplace_back();
        answer.name = topic.name;
        answer.topic_id = topic.topic_id;
        for (const auto& partition : topic.partition_data) {
            answer.partition_responses.emplace_back().index = partition.index;
            refuse(answer.partition_responses.back(), error);
        }
    }
}

bool any_error(const ProduceResponse& response) {
    for (const auto& topic : response.responses) {
        for (const auto& partition : topic.partition_responses) {
            if (partition.error_code != 0) return true;
        }
    }
    return false;
}

// acks=0: nobody hears an answer, so an error closes the connection, which makes the client look again.
void finish_unanswered(RequestContext& context, const ProduceResponse& response) {
    context.send_nothing();
    if (any_error(response)) context.close_connection("a produce request with acks=0 failed");
}

bool is_transactional(const protocol::Records& records) {
    const auto header = record::RecordBatchHeader::parse(records.bytes());
    return header && header->is_transactional();
}

bool has_transactional_records(const ProduceRequest& request) {
    for (const auto& topic : request.topic_data) {
        for (const auto& partition : topic.partition_data) {
            if (is_transactional(partition.records)) return true;
        }
    }
    return false;
}

// What refuses a request as a whole.
Result<void> check_request(const ProduceRequest& request) {
    if (request.acks < -1 || request.acks > 1) {
        return fail(ErrorCode::invalid_required_acks, "acks must be 0, 1 or -1 (all)");
    }
    if (!request.transactional_id && has_transactional_records(request)) {
        return fail(ErrorCode::transactional_id_authorization_failed,
                    "transactional records in a request without a transactional id");
    }
    return {};
}

io::Task<ProduceResponse> handle_produce(RequestContext& context, ProduceRequest request) {
    ProduceResponse response;
    if (const Result<void> checked = check_request(request); !checked) {
        refuse_all(request, response, checked.error());
        if (request.acks == 0) finish_unanswered(context, response);
        co_return response;
    }
    std::vector<Slot> slots;
    response.responses.resize(request.topic_data.size());
    for (std::size_t i = 0; i < request.topic_data.size(); ++i) {
        validate_topic(context, request, request.topic_data[i], response.responses[i], slots);
    }
    replication::AppendGroup appends;
    for (Slot& slot : slots) {
        slot.queued = &appends.add({.batch = slot.batch.writable_batch()});
        slot.partition->enqueue(*slot.queued);
    }
    co_await appends.done();
    for (const Slot& slot : slots) {
        const Result<storage::AppendInfo>& result = slot.queued->pending.result;
        result ? accept(*slot.answer, *result) : refuse(*slot.answer, result.error());
    }
    if (request.acks == 0) finish_unanswered(context, response);
    co_return response;
}

}  // namespace

io::Task<void> serve_produce(RequestContext& context) { return serve<&handle_produce>(context); }

}  // namespace odr::server
