#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "base/random.h"
#include "load/group_member.h"
#include "load/histogram.h"

namespace odr::bench {

struct GroupShape {
    int groups = 1;
    int members = 3;                // of each group
    int slots = 1;                  // groups that join at one time; see GroupLoad
    std::int64_t unsettled_ms = 0;  // the heartbeat interval of a group that is not settled; 0: as always
};

// What happened since the last take_phase().
struct GroupPhase {
    Histogram heartbeat;  // from when it was due
    std::uint64_t heartbeats = 0;
    std::uint64_t requests = 0;
    double seconds = 0;
};

// Many groups in one thread: joins them, keeps them alive, and watches that the broker keeps its promises: at no time a
// partition with two owners; once settled, each has one, shares are equal, and nobody is thrown out.
//
// Members of many groups share connections, but two of one group never do: a JoinGroup or SyncGroup waits for the
// others and holds up its connection. So with the classic protocol every slot has connections of its own.
//
// Threads: one.
class GroupLoad {
public:
    // Needs: at least one socket for each member of a group; slots times as many with the classic protocol. The setup
    // outlives this.
    GroupLoad(const GroupSetup& setup, GroupShape shape, std::vector<Socket> sockets, std::string name);

    // Joins all groups, a slot one after another. Errors: request_timed_out; those of members.
    Result<void> join_all(double seconds_max);
    // Errors: those of members; fenced_member_epoch where a group was settled and is not any more.
    Result<void> hold(double seconds);
    // The last member of the first group leaves. Returns when the others are settled again.
    Result<void> leave_one(double seconds_max);

    GroupPhase take_phase();
    std::uint64_t times_fenced() const;

private:
    struct Group {
        std::string id;
        std::vector<std::size_t> members;  // in members_
        std::size_t slot = 0;
        std::vector<std::uint8_t> owners;      // by partition: how many
        std::map<std::int32_t, int> by_epoch;  // settled_epoch() of the members
        std::int32_t owned_once = 0;           // partitions
        bool is_settled = false;
    };
    struct Place {
        std::unique_ptr<GroupMember> member;
        std::size_t group = 0;
        std::size_t lane = 0;
        std::int64_t due_ns = 0;  // of the last heartbeat, or of the next
        bool is_gone = false;
    };

    void start_next_group(std::size_t slot, std::int64_t now);
    Result<void> turn(std::int64_t until_ns);
    void send(std::size_t place, std::int64_t due_ns);
    void schedule(std::size_t place, std::int64_t due_ns);
    Result<void> take(const RequestLane::InFlight& done, protocol::Reader& body);
    Result<void> own(Group& group, const std::vector<std::int32_t>& partitions);
    static void disown(Group& group, const std::vector<std::int32_t>& partitions);
    bool has_equal_shares(const Group& group) const;
    void update_settled(Group& group, std::int64_t now);
    std::int64_t interval_ns(const Place& place) const;
    std::int64_t spread(std::int64_t interval_ns);
    Result<void> flush();

    const GroupSetup& setup_;
    const GroupShape shape_;
    const std::string name_;
    Poller poller_;
    std::deque<RequestLane> lanes_;
    std::vector<Group> groups_;
    std::vector<Place> members_;
    std::vector<std::size_t> next_of_slot_;  // the group that a slot joins next
    using Due = std::pair<std::int64_t, std::size_t>;
    std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
    std::vector<std::size_t> to_flush_;  // lanes
    std::size_t settled_ = 0;            // groups
    SeededRandom random_{7};
    GroupPhase phase_;
    std::int64_t phase_started_ns_ = 0;
};

}  // namespace odr::bench
