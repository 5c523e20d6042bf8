#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "controller/broker_states.h"
#include "controller/operation.h"
#include "controller/partition_updates.h"
#include "protocol/generated/broker_heartbeat_request.h"
#include "protocol/generated/broker_heartbeat_response.h"
#include "protocol/generated/broker_registration_change_record.h"
#include "protocol/generated/fence_broker_record.h"
#include "protocol/generated/unfence_broker_record.h"

// BrokerHeartbeat (key 63), versions 0-2.
// Kafka: ReplicationControlManager.processBrokerHeartbeat, BrokerHeartbeatManager.calculateNextBrokerState
namespace odr::controller {
namespace {

using metadata::BrokerRegistration;
using metadata::PartitionRegistration;
using protocol::BrokerHeartbeatRequest;
using protocol::BrokerHeartbeatResponse;

enum class BrokerState { fenced, unfenced, controlled_shutdown, shutdown_now };

bool has_leaderships(const State& state, BrokerId id) {
    bool found = false;
    state.image().topics().for_each([&](const metadata::TopicImage& topic) {
        if (found) return;
        topic.partitions.for_each(
            [&](PartitionIndex, const PartitionRegistration& partition) { found = found || partition.leader == id; });
    });
    return found;
}

// Whether all who serve have read that this broker leads nothing any more.
bool others_have_read(const State& state, Offset offset) {
    return std::ranges::all_of(state.image().cluster().brokers, [&](const auto& entry) {
        const auto& [id, broker] = entry;
        if (broker->fenced || broker->in_controlled_shutdown) return true;
        return state.heartbeats.metadata_offset(id) >= offset;
    });
}

BrokerState current_state(const State& state, const BrokerRegistration& broker) {
    if (state.heartbeats.controlled_shutdown_offset(broker.id)) return BrokerState::controlled_shutdown;
    return broker.fenced ? BrokerState::fenced : BrokerState::unfenced;
}

BrokerState next_state(const State& state, const BrokerRegistration& broker, BrokerState current,
                       const BrokerHeartbeatRequest& request) {
    switch (current) {
        case BrokerState::fenced:
            if (request.want_shut_down) return BrokerState::shutdown_now;
            // Unfenced, it would answer clients: it must have read at least its own registration.
            if (!request.want_fence && request.current_metadata_offset >= broker.epoch.raw())
                return BrokerState::unfenced;
            return BrokerState::fenced;
        case BrokerState::unfenced:
            if (request.want_fence) return request.want_shut_down ? BrokerState::shutdown_now : BrokerState::fenced;
            if (!request.want_shut_down) return BrokerState::unfenced;
            return has_leaderships(state, broker.id) ? BrokerState::controlled_shutdown : BrokerState::shutdown_now;
        case BrokerState::controlled_shutdown:
            if (has_leaderships(state, broker.id)) return BrokerState::controlled_shutdown;
            return others_have_read(state, *state.heartbeats.controlled_shutdown_offset(broker.id))
                       ? BrokerState::shutdown_now
                       : BrokerState::controlled_shutdown;
        case BrokerState::shutdown_now:
            break;
    }
    return BrokerState::shutdown_now;
}

protocol::BrokerRegistrationChangeRecord change_of(const BrokerRegistration& broker) {
    protocol::BrokerRegistrationChangeRecord record;
    record.broker_id = broker.id.raw();
    record.broker_epoch = broker.epoch.raw();
    return record;
}

void unfence(const State& state, const BrokerRegistration& broker, metadata::RecordList& records) {
    auto record = change_of(broker);
    record.fenced = -1;
    records.add(record, 0);
    update_leaders_and_isrs(state, records, {.add = broker.id},
                            [](const PartitionRegistration& partition) { return !partition.has_leader(); });
}

void begin_shutdown(State& state, const BrokerRegistration& broker, metadata::RecordList& records) {
    if (!broker.in_controlled_shutdown) {
        auto record = change_of(broker);
        record.in_controlled_shutdown = 1;
        records.add(record, 1);
    }
    update_leaders_and_isrs(state, records, {.remove = broker.id},
                            [&](const PartitionRegistration& partition) { return partition.in_isr(broker.id); });
    const auto added = static_cast<std::int64_t>(records.size());
    state.heartbeats.begin_controlled_shutdown(broker.id, state.next_offset + (added - 1));
}

void take_directories_offline(const State& state, const BrokerRegistration& broker, const std::vector<Uuid>& offline,
                              metadata::RecordList& records) {
    const auto is_in = [](const std::vector<Uuid>& all, const Uuid& one) {
        return std::ranges::find(all, one) != all.end();
    };
    auto record = change_of(broker);
    for (const Uuid& directory : broker.directories)
        if (!is_in(offline, directory)) record.log_dirs.push_back(directory);
    if (record.log_dirs.size() == broker.directories.size()) return;
    update_leaders_and_isrs(state, records, {.remove = broker.id}, [&](const PartitionRegistration& partition) {
        if (!partition.has_replica(broker.id)) return false;
        const Uuid directory = partition.directory_of(broker.id);
        return is_in(broker.directories, directory) && is_in(offline, directory);
    });
    log::warn("broker {} has lost {} log directories, {} remain", broker.id,
              broker.directories.size() - record.log_dirs.size(), record.log_dirs.size());
    records.add(record, 2);
}

}  // namespace

void fence_broker(const State& state, const BrokerRegistration& broker, metadata::RecordList& records) {
    update_leaders_and_isrs(state, records, {.remove = broker.id},
                            [&](const PartitionRegistration& partition) { return partition.in_isr(broker.id); });
    auto record = change_of(broker);
    record.fenced = 1;
    records.add(record, 0);
}

Result<Outcome<BrokerHeartbeatResponse>> perform(State& state, const RequestContext&,
                                                 const BrokerHeartbeatRequest& request) {
    const BrokerId id{request.broker_id};
    ODR_CHECK(check_broker_epoch(state, id, BrokerEpoch{request.broker_epoch}));
    const BrokerRegistration& broker = *state.image().cluster().broker(id);
    Outcome<BrokerHeartbeatResponse> outcome{.atomic = false};
    const BrokerState current = current_state(state, broker);
    const BrokerState next = next_state(state, broker, current, request);
    if (current != next) {
        if (next == BrokerState::unfenced) unfence(state, broker, outcome.records);
        if (next == BrokerState::controlled_shutdown) begin_shutdown(state, broker, outcome.records);
        if ((next == BrokerState::fenced || next == BrokerState::shutdown_now) && !broker.fenced)
            fence_broker(state, broker, outcome.records);
    }
    state.heartbeats.touch(id, state.clock.monotonic_ns(), Offset{request.current_metadata_offset});
    if (state.metadata_version().is_directory_assignment_supported())
        take_directories_offline(state, broker, request.offline_log_dirs, outcome.records);
    if (state.metadata_version().is_cordoned_log_dirs_supported() && request.cordoned_log_dirs &&
        request.cordoned_log_dirs != broker.cordoned_directories) {
        auto record = change_of(broker);
        record.cordoned_log_dirs = request.cordoned_log_dirs;
        outcome.records.add(record, 3);
    }
    auto& response = outcome.answer.response;
    response.is_caught_up = request.current_metadata_offset >= broker.epoch.raw();
    response.is_fenced = next == BrokerState::fenced || next == BrokerState::shutdown_now;
    response.should_shut_down = next == BrokerState::shutdown_now;
    return outcome;
}

std::optional<std::int64_t> next_session_end_ns(const State& state) {
    std::optional<std::int64_t> first;
    for (const auto& [id, broker] : state.image().cluster().brokers) {
        if (broker->fenced || state.is_embedded(id)) continue;
        const auto end = state.heartbeats.deadline_ns(id);
        if (end && (!first || *end < *first)) first = end;
    }
    return first;
}

void fence_one_stale_broker(State& state, metadata::RecordList& records) {
    const std::int64_t now_ns = state.clock.monotonic_ns();
    for (const auto& [id, broker] : state.image().cluster().brokers) {
        if (broker->fenced || state.is_embedded(id) || state.heartbeats.has_valid_session(id, now_ns)) continue;
        log::warn("broker {} is fenced: nothing was heard of it for broker.session.timeout.ms", id);
        fence_broker(state, *broker, records);
        return;
    }
}

}  // namespace odr::controller
