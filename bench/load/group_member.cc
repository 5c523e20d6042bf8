#include "load/group_member.h"

#include <algorithm>

#include "base/assert.h"
#include "protocol/generated/consumer_group_heartbeat_request.h"
#include "protocol/generated/consumer_group_heartbeat_response.h"
#include "protocol/generated/consumer_protocol_assignment.h"
#include "protocol/generated/consumer_protocol_subscription.h"
#include "protocol/generated/heartbeat_request.h"
#include "protocol/generated/heartbeat_response.h"
#include "protocol/generated/join_group_request.h"
#include "protocol/generated/join_group_response.h"
#include "protocol/generated/leave_group_request.h"
#include "protocol/generated/leave_group_response.h"
#include "protocol/generated/sync_group_request.h"
#include "protocol/generated/sync_group_response.h"

namespace odr::bench {
namespace {

using namespace protocol;

constexpr std::int16_t kConsumerHeartbeatVersion = 1;
constexpr std::int16_t kJoinVersion = 9;
constexpr std::int16_t kSyncVersion = 5;
constexpr std::int16_t kHeartbeatVersion = 4;
constexpr std::int16_t kLeaveVersion = 5;
constexpr std::int16_t kConsumerProtocolVersion = 1;
constexpr std::string_view kProtocolType = "consumer";
constexpr std::string_view kProtocolName = "range";

bool is_coordinator_missing(ErrorCode code) {
    return code == ErrorCode::coordinator_load_in_progress || code == ErrorCode::coordinator_not_available ||
           code == ErrorCode::not_coordinator;
}

bool is_fenced(ErrorCode code) {
    return code == ErrorCode::unknown_member_id || code == ErrorCode::fenced_member_epoch ||
           code == ErrorCode::illegal_generation;
}

// --- the consumer protocol (KIP-848)

class ConsumerMember final : public GroupMember {
public:
    using GroupMember::GroupMember;

    void send(RequestLane& lane, std::uint64_t tag, std::int64_t due_ns) override {
        ConsumerGroupHeartbeatRequest request{.group_id = group_id_, .member_id = member_id_, .member_epoch = epoch_};
        if (epoch_ == 0) {
            request.rebalance_timeout_ms = setup_.rebalance_ms;
            request.subscribed_topic_names = {{setup_.topic.name}};
        }
        if (epoch_ == 0 || tells_owned_) {
            auto& told = request.topic_partitions.emplace();
            if (!owned_.empty()) told.push_back({.topic_id = setup_.topic.id, .partitions = owned_});
        }
        tells_owned_ = false;
        lane.enqueue(kConsumerHeartbeatVersion, request, tag, due_ns);
    }

    Result<Next> take(const RequestLane::InFlight& /*request*/, Reader& body) override {
        ConsumerGroupHeartbeatResponse answer;
        ODR_CHECK(decode(body, kConsumerHeartbeatVersion, answer));
        const auto code = static_cast<ErrorCode>(answer.error_code);
        if (is_coordinator_missing(code)) return Next::retry;
        if (is_fenced(code)) {
            ++times_fenced_;
            owned_.clear();
            epoch_ = 0;
            is_settled_ = false;
            return Next::again;
        }
        if (code != ErrorCode::none) return fail(code, "ConsumerGroupHeartbeat");
        if (answer.member_epoch < 0) return Next::wait;  // it has left
        epoch_ = answer.member_epoch;
        if (answer.heartbeat_interval_ms > 0) heartbeat_ms_ = answer.heartbeat_interval_ms;
        is_settled_ = true;
        if (answer.assignment && adopt(*answer.assignment)) {
            tells_owned_ = true;
            is_settled_ = false;
            return Next::again;
        }
        return Next::wait;
    }

    void leave(RequestLane& lane, std::uint64_t tag, std::int64_t due_ns) override {
        owned_.clear();
        is_settled_ = false;
        lane.enqueue(kConsumerHeartbeatVersion,
                     ConsumerGroupHeartbeatRequest{
                         .group_id = group_id_, .member_id = member_id_, .member_epoch = kLeaveGroupEpoch},
                     tag, due_ns);
    }

private:
    // Gives: whether that is another assignment than before.
    bool adopt(const ConsumerGroupHeartbeatResponse::Assignment& assignment) {
        std::vector<std::int32_t> next;
        for (const auto& topic : assignment.topic_partitions) {
            if (topic.topic_id == setup_.topic.id) next = topic.partitions;
        }
        std::ranges::sort(next);
        if (next == owned_) return false;
        owned_ = std::move(next);
        return true;
    }

    static constexpr std::int32_t kLeaveGroupEpoch = -1;
    bool tells_owned_ = false;
};

// --- the classic protocol

class ClassicMember final : public GroupMember {
public:
    using GroupMember::GroupMember;

    void send(RequestLane& lane, std::uint64_t tag, std::int64_t due_ns) override {
        switch (state_) {
            case State::joining:
                return send_join(lane, tag, due_ns);
            case State::syncing:
                return send_sync(lane, tag, due_ns);
            case State::stable:
                return lane.enqueue(
                    kHeartbeatVersion,
                    HeartbeatRequest{.group_id = group_id_, .generation_id = epoch_, .member_id = member_id_}, tag,
                    due_ns);
        }
    }

    Result<Next> take(const RequestLane::InFlight& request, Reader& body) override {
        switch (request.api_key) {
            case JoinGroupRequest::kApiKey:
                return take_join(body);
            case SyncGroupRequest::kApiKey:
                return take_sync(body);
            case HeartbeatRequest::kApiKey:
                return take_heartbeat(body);
            default:
                return take_leave(body);
        }
    }

    void leave(RequestLane& lane, std::uint64_t tag, std::int64_t due_ns) override {
        LeaveGroupRequest request{.group_id = group_id_};
        request.members.push_back({.member_id = member_id_});
        owned_.clear();
        is_settled_ = false;
        lane.enqueue(kLeaveVersion, request, tag, due_ns);
    }

private:
    enum class State : std::uint8_t { joining, syncing, stable };

    void send_join(RequestLane& lane, std::uint64_t tag, std::int64_t due_ns) {
        Buffer metadata;
        Writer writer{metadata};
        writer.fixed(kConsumerProtocolVersion);
        encode(writer, kConsumerProtocolVersion, ConsumerProtocolSubscription{.topics = {setup_.topic.name}});
        JoinGroupRequest request{.group_id = group_id_,
                                 .session_timeout_ms = setup_.session_ms,
                                 .rebalance_timeout_ms = setup_.rebalance_ms,
                                 .member_id = member_id_,
                                 .protocol_type = kProtocolType};
        request.protocols.push_back({.name = kProtocolName, .metadata = metadata.view()});
        lane.enqueue(kJoinVersion, request, tag, due_ns);
    }

    void send_sync(RequestLane& lane, std::uint64_t tag, std::int64_t due_ns) {
        SyncGroupRequest request{.group_id = group_id_,
                                 .generation_id = epoch_,
                                 .member_id = member_id_,
                                 .protocol_type = kProtocolType,
                                 .protocol_name = kProtocolName};
        std::vector<Buffer> assignments(followers_.size());
        for (std::size_t i = 0; i < followers_.size(); ++i) {
            encode_share(assignments[i], i);
            request.assignments.push_back({.member_id = followers_[i], .assignment = assignments[i].view()});
        }
        lane.enqueue(kSyncVersion, request, tag, due_ns);
    }

    // Equal ranges, in the order in which the broker names the members.
    void encode_share(Buffer& out, std::size_t of) const {
        const auto partitions = static_cast<std::size_t>(setup_.topic.partitions);
        std::vector<std::int32_t> share;
        for (std::size_t p = partitions * of / followers_.size(); p < partitions * (of + 1) / followers_.size(); ++p) {
            share.push_back(static_cast<std::int32_t>(p));
        }
        ConsumerProtocolAssignment assignment;
        assignment.assigned_partitions.push_back({.topic = setup_.topic.name, .partitions = std::move(share)});
        Writer writer{out};
        writer.fixed(kConsumerProtocolVersion);
        encode(writer, kConsumerProtocolVersion, assignment);
    }

    Result<Next> take_join(Reader& body) {
        JoinGroupResponse answer;
        ODR_CHECK(decode(body, kJoinVersion, answer));
        const auto code = static_cast<ErrorCode>(answer.error_code);
        if (is_coordinator_missing(code)) return Next::retry;
        if (code == ErrorCode::rebalance_in_progress) return Next::again;
        if (code == ErrorCode::member_id_required) {
            member_id_ = answer.member_id;
            return Next::again;
        }
        if (is_fenced(code)) return rejoin_anew();
        if (code != ErrorCode::none) return fail(code, "JoinGroup");
        member_id_ = answer.member_id;
        epoch_ = answer.generation_id;
        followers_.clear();
        for (const auto& member : answer.members) followers_.emplace_back(member.member_id);
        state_ = State::syncing;
        return Next::again;
    }

    Result<Next> take_sync(Reader& body) {
        SyncGroupResponse answer;
        ODR_CHECK(decode(body, kSyncVersion, answer));
        const auto code = static_cast<ErrorCode>(answer.error_code);
        if (is_coordinator_missing(code)) return Next::retry;
        if (code == ErrorCode::rebalance_in_progress) return rejoin();
        if (is_fenced(code)) return rejoin_anew();
        if (code != ErrorCode::none) return fail(code, "SyncGroup");
        ConsumerProtocolAssignment assignment;
        Reader in{answer.assignment};
        in.fixed<std::int16_t>("version");
        ODR_CHECK(decode(in, kConsumerProtocolVersion, assignment));
        owned_.clear();
        for (auto& topic : assignment.assigned_partitions) owned_ = std::move(topic.partitions);
        state_ = State::stable;
        is_settled_ = true;
        return Next::wait;
    }

    Result<Next> take_heartbeat(Reader& body) {
        HeartbeatResponse answer;
        ODR_CHECK(decode(body, kHeartbeatVersion, answer));
        const auto code = static_cast<ErrorCode>(answer.error_code);
        if (code == ErrorCode::none || is_coordinator_missing(code)) return Next::wait;
        if (code == ErrorCode::rebalance_in_progress) return rejoin();
        if (is_fenced(code)) return rejoin_anew();
        return fail(code, "Heartbeat");
    }

    static Result<Next> take_leave(Reader& body) {
        LeaveGroupResponse answer;
        ODR_CHECK(decode(body, kLeaveVersion, answer));
        if (answer.error_code != 0) return fail(static_cast<ErrorCode>(answer.error_code), "LeaveGroup");
        return Next::wait;
    }

    Next rejoin() {
        owned_.clear();  // the eager protocol
        is_settled_ = false;
        state_ = State::joining;
        return Next::again;
    }

    Next rejoin_anew() {
        ++times_fenced_;
        member_id_.clear();
        return rejoin();
    }

    State state_ = State::joining;
    std::vector<std::string> followers_;  // of a leader: everybody, itself included
};

}  // namespace

bool GroupMember::is_heartbeat(const RequestLane::InFlight& request) {
    return request.api_key == HeartbeatRequest::kApiKey || request.api_key == ConsumerGroupHeartbeatRequest::kApiKey;
}

std::unique_ptr<GroupMember> GroupMember::make(const GroupSetup& setup, std::string group_id, std::string own_name) {
    if (setup.kind == GroupKind::classic) return std::make_unique<ClassicMember>(setup, std::move(group_id), "");
    return std::make_unique<ConsumerMember>(setup, std::move(group_id), std::move(own_name));
}

}  // namespace odr::bench
