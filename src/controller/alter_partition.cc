#include <algorithm>

#include "controller/effective_configs.h"
#include "controller/operation.h"
#include "controller/partition_updates.h"
#include "protocol/generated/alter_partition_request.h"
#include "protocol/generated/alter_partition_response.h"
#include "protocol/generated/partition_change_record.h"

// AlterPartition (key 56), versions 2-3: a leader tells who is in sync.
// Kafka: ReplicationControlManager.alterPartition
namespace odr::controller {
namespace {

using metadata::LeaderRecoveryState;
using metadata::PartitionRegistration;
using metadata::TopicImage;
using protocol::AlterPartitionRequest;
using protocol::AlterPartitionResponse;
using PartitionData = AlterPartitionRequest::PartitionData;

std::vector<AlterPartitionRequest::BrokerState> wanted_isr(const PartitionData& data, std::int16_t version) {
    if (version >= 3) return data.new_isr_with_epochs;
    std::vector<AlterPartitionRequest::BrokerState> isr;
    for (const std::int32_t id : data.new_isr) isr.push_back({.broker_id = id, .broker_epoch = -1});
    return isr;
}

bool is_eligible_for_isr(const State& state, const AlterPartitionRequest::BrokerState& member) {
    const auto* broker = state.image().cluster().broker(BrokerId{member.broker_id});
    if (broker == nullptr || broker->fenced || broker->in_controlled_shutdown) return false;
    return member.broker_epoch == -1 || BrokerEpoch{member.broker_epoch} == broker->epoch;
}

ErrorCode check(const State& state, BrokerId broker, const PartitionData& data, const PartitionRegistration& partition,
                const std::vector<AlterPartitionRequest::BrokerState>& isr) {
    // The leader knows more than we do: then we are a controller of the past.
    if (data.leader_epoch > partition.leader_epoch.raw()) return ErrorCode::not_controller;
    if (data.partition_epoch > partition.partition_epoch) return ErrorCode::not_controller;
    if (data.leader_epoch < partition.leader_epoch.raw()) return ErrorCode::fenced_leader_epoch;
    if (broker != partition.leader) return ErrorCode::invalid_request;
    if (data.partition_epoch < partition.partition_epoch) return ErrorCode::invalid_update_version;
    std::vector<BrokerId> members;
    for (const auto& member : isr) {
        const BrokerId id{member.broker_id};
        if (!partition.has_replica(id) || std::ranges::find(members, id) != members.end())
            return ErrorCode::invalid_request;
        members.push_back(id);
    }
    if (std::ranges::find(members, partition.leader) == members.end()) return ErrorCode::invalid_request;
    const bool recovering = data.leader_recovery_state == static_cast<std::int8_t>(LeaderRecoveryState::recovering);
    if (recovering && members.size() > 1) return ErrorCode::invalid_request;
    if (recovering && partition.leader_recovery_state == LeaderRecoveryState::recovered)
        return ErrorCode::invalid_request;
    const bool eligible =
        std::ranges::all_of(isr, [&](const auto& member) { return is_eligible_for_isr(state, member); });
    return eligible ? ErrorCode::none : ErrorCode::ineligible_replica;
}

// What the record makes of the partition, as far as the answer tells.
void fill(AlterPartitionResponse::PartitionData& result, const PartitionRegistration& partition,
          const std::optional<protocol::PartitionChangeRecord>& record) {
    const bool new_epoch = record && record->leader != -2;
    result.leader_id = new_epoch ? record->leader : partition.leader.raw();
    result.leader_epoch = partition.leader_epoch.raw() + (new_epoch ? 1 : 0);
    result.isr = record && record->isr ? *record->isr : metadata::raw_ids(partition.isr);
    result.leader_recovery_state = record && record->leader_recovery_state >= 0
                                       ? record->leader_recovery_state
                                       : static_cast<std::int8_t>(partition.leader_recovery_state);
    result.partition_epoch = partition.partition_epoch + (record ? 1 : 0);
}

void alter(const State& state, std::int16_t version, BrokerId broker, const TopicImage& topic,
           const PartitionData& data, AlterPartitionResponse::PartitionData& result, metadata::RecordList& records) {
    const PartitionIndex index{data.partition_index};
    const PartitionRegistration* partition = topic.partition(index);
    if (partition == nullptr) {
        result.error_code = static_cast<std::int16_t>(ErrorCode::unknown_topic_or_partition);
        return;
    }
    const auto isr = wanted_isr(data, version);
    if (const ErrorCode error = check(state, broker, data, *partition, isr); error != ErrorCode::none) {
        result.error_code = static_cast<std::int16_t>(error);
        return;
    }
    PartitionTarget target;
    if (is_unclean_election_enabled(state, topic.name)) target.election = Election::unclean;
    target.isr.emplace();
    for (const auto& member : isr) target.isr->push_back(BrokerId{member.broker_id});
    target.leader_recovery_state = static_cast<LeaderRecoveryState>(data.leader_recovery_state);
    const auto record = add_change(state, records, topic, index, *partition, change_context(state, topic, *partition),
                                   std::move(target));
    if (record && record->leader != -2 && record->leader != broker.raw()) {
        // The change completed a reassignment that took the leadership away: the asker must read on first.
        result.error_code = static_cast<std::int16_t>(ErrorCode::new_leader_elected);
        return;
    }
    fill(result, *partition, record);
}

}  // namespace

Result<Outcome<AlterPartitionResponse>> perform(State& state, const RequestContext& context,
                                                const AlterPartitionRequest& request) {
    const BrokerId broker{request.broker_id};
    ODR_CHECK(check_broker_epoch(state, broker, BrokerEpoch{request.broker_epoch}));
    Outcome<AlterPartitionResponse> outcome{.atomic = false};
    for (const auto& topic_data : request.topics) {
        auto& results = outcome.answer.response.topics.emplace_back();
        results.topic_id = topic_data.topic_id;
        const TopicImage* topic = state.image().topics().find(topic_data.topic_id);
        for (const PartitionData& data : topic_data.partitions) {
            auto& result = results.partitions.emplace_back();
            result.partition_index = data.partition_index;
            if (topic == nullptr) {
                result.error_code = static_cast<std::int16_t>(ErrorCode::unknown_topic_id);
            } else {
                alter(state, context.api_version, broker, *topic, data, result, outcome.records);
            }
        }
    }
    return outcome;
}

}  // namespace odr::controller
