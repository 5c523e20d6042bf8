#pragma once

#include <memory>
#include <string>
#include <vector>

#include "load/request_lane.h"

namespace odr::bench {

enum class GroupKind : std::uint8_t { consumer, classic };

// What the members of a load have in common.
struct GroupSetup {
    TopicTarget topic;
    GroupKind kind = GroupKind::consumer;
    std::int64_t heartbeat_ms = 5000;  // consumer: until the broker says another
    std::int32_t session_ms = 45'000;
    std::int32_t rebalance_ms = 60'000;
};

// One member of a group that reads one topic, without the reading: what it asks and what it makes of the answers.
// What it must give up it has given up at once.
//
// Owner:   GroupLoad. Threads: one.
// Kafka:   ConsumerCoordinator with the eager protocol; ConsumerMembershipManager.
class GroupMember {
public:
    enum class Next : std::uint8_t {
        wait,   // a heartbeat when it is due
        again,  // the next request at once
        retry,  // the same again a little later: the coordinator is not there yet
    };

    GroupMember(const GroupSetup& setup, std::string group_id, std::string member_id)
        : setup_{setup},
          group_id_{std::move(group_id)},
          member_id_{std::move(member_id)},
          heartbeat_ms_{setup.heartbeat_ms} {}

    static std::unique_ptr<GroupMember> make(const GroupSetup& setup, std::string group_id, std::string own_name);
    virtual ~GroupMember() = default;

    virtual void send(RequestLane& lane, std::uint64_t tag, std::int64_t due_ns) = 0;
    // Errors: what no member may be answered, which ends the load; being thrown out is not one.
    virtual Result<Next> take(const RequestLane::InFlight& request, protocol::Reader& body) = 0;
    virtual void leave(RequestLane& lane, std::uint64_t tag, std::int64_t due_ns) = 0;

    const std::string& member_id() const { return member_id_; }
    const std::vector<std::int32_t>& owned() const { return owned_; }
    // The epoch or generation that its partitions belong to. -1: none, it has to say or ask something first.
    std::int32_t settled_epoch() const { return is_settled_ ? epoch_ : -1; }
    std::int64_t heartbeat_ms() const { return heartbeat_ms_; }
    std::uint64_t times_fenced() const { return times_fenced_; }
    static bool is_heartbeat(const RequestLane::InFlight& request);

protected:
    const GroupSetup& setup_;
    const std::string group_id_;
    std::string member_id_;
    std::vector<std::int32_t> owned_;  // partitions
    std::int32_t epoch_ = 0;
    bool is_settled_ = false;
    std::int64_t heartbeat_ms_;
    std::uint64_t times_fenced_ = 0;
};

}  // namespace odr::bench
