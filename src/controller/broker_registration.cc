#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/log.h"
#include "controller/operation.h"
#include "controller/partition_updates.h"
#include "protocol/generated/broker_registration_request.h"
#include "protocol/generated/broker_registration_response.h"
#include "protocol/generated/register_broker_record.h"
#include "protocol/generated/unregister_broker_record.h"
#include "protocol/generated/unregister_broker_request.h"
#include "protocol/generated/unregister_broker_response.h"

// BrokerRegistration (key 62), versions 0-5, and UnregisterBroker (key 64), version 0.
// Kafka: ClusterControlManager.registerBroker, ReplicationControlManager.unregisterBroker
namespace odr::controller {
namespace {

using metadata::BrokerRegistration;
using metadata::PartitionRegistration;
using protocol::BrokerRegistrationRequest;
using protocol::BrokerRegistrationResponse;
using protocol::RegisterBrokerRecord;

constexpr std::int16_t kTellsPreviousEpochFrom = 3;

ApiError check_directories(const State& state, const BrokerRegistrationRequest& request) {
    constexpr ErrorCode kInvalid = ErrorCode::invalid_registration;
    if (!state.metadata_version().is_directory_assignment_supported()) return {};
    if (request.log_dirs.empty()) return refuse(kInvalid, "No directories specified in request");
    std::set<Uuid> seen;
    for (const Uuid& directory : request.log_dirs) {
        // The first 100 ids are Kafka's own.
        const bool reserved = std::ranges::all_of(directory.bytes.begin(), directory.bytes.end() - 1,
                                                  [](std::uint8_t byte) { return byte == 0; }) &&
                              directory.bytes.back() < 100;
        if (reserved) return refuse(kInvalid, "Reserved directory ID in request");
        if (!seen.insert(directory).second) return refuse(kInvalid, "Duplicate directory ID in request");
        for (const auto& [id, broker] : state.image().cluster().brokers) {
            if (id == BrokerId{request.broker_id}) continue;
            if (std::ranges::find(broker->directories, directory) != broker->directories.end())
                return refuse(kInvalid, "Broker {} is already registered with directory {}", id, directory.to_string());
        }
    }
    return {};
}

ApiError check_feature(std::string_view name, std::int16_t level, std::int16_t min, std::int16_t max) {
    if (level == 0 || (level >= min && level <= max)) return {};
    return refuse(ErrorCode::unsupported_version,
                  "Unable to register because the broker does not support finalized version {} of {}. The broker wants "
                  "a version between {} and {}, inclusive.",
                  level, name, min, max);
}

// Every feature that is on must be one the broker can do.
ApiError check_features(const State& state, const BrokerRegistrationRequest& request, RegisterBrokerRecord& record) {
    const auto& features = state.image().features();
    std::set<std::string_view> named;
    for (const auto& feature : request.features) {
        named.insert(feature.name);
        ApiError error = check_feature(feature.name, features.level(feature.name), feature.min_supported_version,
                                       feature.max_supported_version);
        if (error.failed()) return error;
        record.features.push_back({feature.name, feature.min_supported_version, feature.max_supported_version});
    }
    if (!named.contains(metadata::kMetadataVersionFeature)) {
        const std::int16_t first = metadata::kMetadataVersionMin.level();
        ApiError error =
            check_feature(metadata::kMetadataVersionFeature, features.metadata_version.level(), first, first);
        if (error.failed()) return error;
        record.features.push_back({metadata::kMetadataVersionFeature, first, first});
    }
    for (const auto& [name, level] : features.finalized) {
        if (named.contains(name)) continue;
        if (ApiError error = check_feature(name, level, 0, 0); error.failed()) return error;
    }
    return {};
}

// A new incarnation: what the one before led or was in sync with is settled first.
void settle_previous(const State& state, const RequestContext& context, const BrokerRegistrationRequest& request,
                     const BrokerRegistration* existing, metadata::RecordList& records) {
    const BrokerId id{request.broker_id};
    const bool is_clean = existing != nullptr && context.api_version >= kTellsPreviousEpochFrom &&
                          BrokerEpoch{request.previous_broker_epoch} == existing->epoch;
    const bool may_have_lost_records = state.is_elr_enabled() && !is_clean;
    const BrokerMove move = may_have_lost_records ? BrokerMove{.unclean_shutdown = id} : BrokerMove{.remove = id};
    update_leaders_and_isrs(state, records, move, [&](const PartitionRegistration& partition) {
        if (partition.in_isr(id)) return true;
        return may_have_lost_records && std::ranges::find(partition.elr, id) != partition.elr.end();
    });
}

ApiError register_broker(State& state, const RequestContext& context, const BrokerRegistrationRequest& request,
                         Outcome<BrokerRegistrationResponse>& outcome) {
    const BrokerId id{request.broker_id};
    const std::int64_t now_ns = state.clock.monotonic_ns();
    if (request.cluster_id != state.options.cluster_id)
        return refuse(ErrorCode::inconsistent_cluster_id, "Expected cluster ID {}, but got cluster ID {}",
                      state.options.cluster_id, request.cluster_id);
    const BrokerRegistration* existing = state.image().cluster().broker(id);
    const bool same = existing != nullptr && existing->incarnation_id == request.incarnation_id;
    if (existing != nullptr && !same && !state.is_embedded(id) && state.heartbeats.has_valid_session(id, now_ns))
        return refuse(ErrorCode::duplicate_broker_registration, "Another broker is registered with that broker id.");
    if (request.is_migrating_zk_broker)
        return refuse(ErrorCode::broker_id_not_registered, "Controller does not support registering ZK brokers.");
    if (ApiError error = check_directories(state, request); error.failed()) return error;
    RegisterBrokerRecord record;
    if (ApiError error = check_features(state, request, record); error.failed()) return error;
    record.broker_id = request.broker_id;
    record.incarnation_id = request.incarnation_id;
    record.rack = request.rack;
    for (const auto& listener : request.listeners)
        record.end_points.push_back({listener.name, listener.host, listener.port, listener.security_protocol});
    if (state.metadata_version().is_directory_assignment_supported()) record.log_dirs = request.log_dirs;
    if (same) {
        record.fenced = existing->fenced;
        record.in_controlled_shutdown = existing->in_controlled_shutdown;
        record.broker_epoch = existing->epoch.raw();
        state.heartbeats.touch(id, now_ns, kNoOffset);
    } else {
        settle_previous(state, context, request, existing, outcome.records);
        record.broker_epoch = state.next_offset.raw();
        state.heartbeats.restart(id, now_ns);
    }
    log::info("broker {} registers, incarnation {}, epoch {}; {} records settle what was before", id,
              request.incarnation_id.to_string(), record.broker_epoch, outcome.records.size());
    outcome.records.add(record, state.metadata_version().register_broker_record_version());
    outcome.answer.response.broker_epoch = record.broker_epoch;
    return {};
}

}  // namespace

Result<Outcome<BrokerRegistrationResponse>> perform(State& state, const RequestContext& context,
                                                    const BrokerRegistrationRequest& request) {
    Outcome<BrokerRegistrationResponse> outcome{.atomic = false};
    const ApiError error = register_broker(state, context, request, outcome);
    if (!error.failed()) return outcome;
    log::warn("broker {} may not register: {}", request.broker_id, error.message.value_or(""));
    outcome.records.clear();
    outcome.answer.response.error_code = static_cast<std::int16_t>(error.code);
    return outcome;
}

Result<Outcome<protocol::UnregisterBrokerResponse>> perform(State& state, const RequestContext&,
                                                            const protocol::UnregisterBrokerRequest& request) {
    Outcome<protocol::UnregisterBrokerResponse> outcome{.atomic = false};
    const BrokerId id{request.broker_id};
    const BrokerRegistration* broker = state.image().cluster().broker(id);
    if (broker == nullptr) {
        outcome.answer.response.error_code = static_cast<std::int16_t>(ErrorCode::broker_id_not_registered);
        return outcome;
    }
    update_leaders_and_isrs(state, outcome.records, {.remove = id}, [&](const PartitionRegistration& partition) {
        return partition.in_isr(id) || std::ranges::find(partition.elr, id) != partition.elr.end();
    });
    protocol::UnregisterBrokerRecord record;
    record.broker_id = id.raw();
    record.broker_epoch = broker->epoch.raw();
    outcome.records.add(record, 0);
    state.heartbeats.forget(id);
    return outcome;
}

}  // namespace odr::controller
