#include "load/group_load.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/clock.h"

namespace odr::bench {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;
constexpr std::int64_t kRetryNs = 50 * kNsPerMs;
constexpr std::int64_t kTurnNsMax = 50 * kNsPerMs;

std::int64_t now_ns() { return system_clock().monotonic_ns(); }

}  // namespace

GroupLoad::GroupLoad(const GroupSetup& setup, GroupShape shape, std::vector<Socket> sockets, std::string name)
    : setup_{setup}, shape_{shape}, name_{std::move(name)} {
    const auto per_group = static_cast<std::size_t>(shape.members);
    const auto slots = static_cast<std::size_t>(shape.slots);
    const std::size_t lane_sets = sockets.size() / per_group;
    ODR_ASSERT(lane_sets > 0, "sockets={}", sockets.size());
    ODR_ASSERT(setup.kind == GroupKind::consumer || slots <= lane_sets, "slots={}", slots);
    for (auto& socket : sockets) {
        lanes_.emplace_back(std::move(socket));
        poller_.watch(lanes_.back().fd(), &lanes_.back());
    }
    for (std::size_t g = 0; g < static_cast<std::size_t>(shape.groups); ++g) {
        Group& group = groups_.emplace_back();
        group.id = fmt::format("{}-{}", name_, g);
        group.slot = g % slots;
        group.owners.resize(static_cast<std::size_t>(setup.topic.partitions));
        for (std::size_t m = 0; m < per_group; ++m) {
            group.members.push_back(members_.size());
            Uuid id;
            store_be(id.bytes.data(), random_.next());
            store_be(id.bytes.data() + 8, random_.next());
            members_.push_back({.member = GroupMember::make(setup, group.id, id.to_string()),
                                .group = g,
                                .lane = group.slot % lane_sets * per_group + m});
        }
    }
    for (std::size_t slot = 0; slot < slots; ++slot) next_of_slot_.push_back(slot);
    phase_started_ns_ = now_ns();
}

GroupPhase GroupLoad::take_phase() {
    const std::int64_t now = now_ns();
    phase_.seconds = static_cast<double>(now - phase_started_ns_) / 1e9;
    phase_started_ns_ = now;
    return std::exchange(phase_, GroupPhase{});
}

std::uint64_t GroupLoad::times_fenced() const {
    std::uint64_t sum = 0;
    for (const Place& place : members_) sum += place.member->times_fenced();
    return sum;
}

// --- phases

Result<void> GroupLoad::join_all(double seconds_max) {
    const std::int64_t started = now_ns();
    const std::int64_t deadline = started + static_cast<std::int64_t>(seconds_max * 1e9);
    for (std::size_t slot = 0; slot < next_of_slot_.size(); ++slot) start_next_group(slot, started);
    while (settled_ < groups_.size()) {
        ODR_CHECK(turn(deadline));
        if (now_ns() >= deadline) return fail(ErrorCode::request_timed_out, "not all groups are settled in time");
    }
    return {};
}

Result<void> GroupLoad::hold(double seconds) {
    const std::int64_t end = now_ns() + static_cast<std::int64_t>(seconds * 1e9);
    while (now_ns() < end) {
        ODR_CHECK(turn(end));
        if (settled_ < groups_.size()) return fail(ErrorCode::fenced_member_epoch, "a settled group is not any more");
    }
    return {};
}

Result<void> GroupLoad::leave_one(double seconds_max) {
    const std::int64_t now = now_ns();
    const std::int64_t deadline = now + static_cast<std::int64_t>(seconds_max * 1e9);
    Group& group = groups_.front();
    const std::size_t leaver = group.members.back();
    Place& place = members_[leaver];
    group.members.pop_back();
    place.is_gone = true;
    disown(group, place.member->owned());
    --group.by_epoch[place.member->settled_epoch()];
    place.member->leave(lanes_[place.lane], leaver, now);
    to_flush_.push_back(place.lane);
    update_settled(group, now);
    while (settled_ < groups_.size()) {
        ODR_CHECK(turn(deadline));
        if (now_ns() >= deadline) return fail(ErrorCode::request_timed_out, "the group does not settle again");
    }
    return {};
}

void GroupLoad::start_next_group(std::size_t slot, std::int64_t now) {
    const std::size_t next = next_of_slot_[slot];
    if (next >= groups_.size()) return;
    next_of_slot_[slot] += next_of_slot_.size();
    Group& group = groups_[next];
    group.by_epoch[-1] = static_cast<int>(group.members.size());
    for (const std::size_t place : group.members) send(place, now);
}

// --- one turn

Result<void> GroupLoad::turn(std::int64_t until_ns) {
    const std::int64_t now = now_ns();
    while (!due_.empty() && due_.top().first <= now) {
        const auto [due, place] = due_.top();
        due_.pop();
        if (!members_[place].is_gone) send(place, due);
    }
    ODR_CHECK(flush());
    const std::int64_t next = due_.empty() ? now + kTurnNsMax : due_.top().first;
    for (void* const ready : poller_.wait(std::min(next, until_ns))) {
        auto drained = static_cast<RequestLane*>(ready)->drain(
            [this](const RequestLane::InFlight& done, protocol::Reader& body) { return take(done, body); });
        if (!drained) return std::unexpected{drained.error()};
    }
    return flush();
}

Result<void> GroupLoad::flush() {
    for (const std::size_t lane : to_flush_) ODR_CHECK(lanes_[lane].flush());
    to_flush_.clear();
    return {};
}

void GroupLoad::send(std::size_t place, std::int64_t due_ns) {
    Place& at = members_[place];
    at.due_ns = due_ns;
    at.member->send(lanes_[at.lane], place, due_ns);
    to_flush_.push_back(at.lane);
}

void GroupLoad::schedule(std::size_t place, std::int64_t due_ns) {
    members_[place].due_ns = due_ns;
    due_.emplace(due_ns, place);
}

// From one due time to the next, so that a slow answer does not make the load milder.
std::int64_t GroupLoad::interval_ns(const Place& place) const {
    const bool is_eager = !groups_[place.group].is_settled && shape_.unsettled_ms > 0;
    return (is_eager ? shape_.unsettled_ms : place.member->heartbeat_ms()) * kNsPerMs;
}

// Members that joined at one time would come at one time for ever.
std::int64_t GroupLoad::spread(std::int64_t interval_ns) {
    return static_cast<std::int64_t>(random_.next() % static_cast<std::uint64_t>(interval_ns));
}

Result<void> GroupLoad::take(const RequestLane::InFlight& done, protocol::Reader& body) {
    const auto index = static_cast<std::size_t>(done.tag);
    Place& place = members_[index];
    Group& group = groups_[place.group];
    const std::int64_t now = now_ns();
    ++phase_.requests;
    if (place.is_gone) return {};  // it has left, so it owns and says nothing
    const std::int32_t epoch_before = place.member->settled_epoch();
    const std::vector<std::int32_t> owned_before = place.member->owned();
    ODR_TRY(next, place.member->take(done, body));
    if (GroupMember::is_heartbeat(done)) {
        ++phase_.heartbeats;
        phase_.heartbeat.add(now - done.due_ns);
    }
    if (owned_before != place.member->owned()) {
        disown(group, owned_before);
        ODR_CHECK(own(group, place.member->owned()));
    }
    if (epoch_before != place.member->settled_epoch()) {
        if (--group.by_epoch[epoch_before] == 0) group.by_epoch.erase(epoch_before);
        ++group.by_epoch[place.member->settled_epoch()];
    }
    const bool was_settled = group.is_settled;
    update_settled(group, now);
    switch (next) {
        case GroupMember::Next::again:
            send(index, now);
            break;
        case GroupMember::Next::retry:
            schedule(index, now + kRetryNs);
            break;
        case GroupMember::Next::wait:
            schedule(index, was_settled ? done.due_ns + interval_ns(place) : now + spread(interval_ns(place)));
            break;
    }
    return {};
}

// --- who owns what

Result<void> GroupLoad::own(Group& group, const std::vector<std::int32_t>& partitions) {
    for (const std::int32_t partition : partitions) {
        if (partition < 0 || partition >= setup_.topic.partitions) {
            return fail(ErrorCode::unknown_topic_or_partition, "a member was given a partition that is not there");
        }
        if (++group.owners[static_cast<std::size_t>(partition)] > 1) {
            return fail(ErrorCode::unknown_server_error, "a partition has two owners");
        }
        ++group.owned_once;
    }
    return {};
}

void GroupLoad::disown(Group& group, const std::vector<std::int32_t>& partitions) {
    for (const std::int32_t partition : partitions) --group.owners[static_cast<std::size_t>(partition)];
    group.owned_once -= static_cast<std::int32_t>(partitions.size());
}

// A broker that assigns at intervals (KIP-848, group.consumer.assignment.interval.ms) leaves newcomers without
// partitions until then, and everything looks settled.
bool GroupLoad::has_equal_shares(const Group& group) const {
    const std::size_t least = static_cast<std::size_t>(setup_.topic.partitions) / group.members.size();
    return std::ranges::all_of(group.members, [&](std::size_t place) {
        const std::size_t owned = members_[place].member->owned().size();
        return owned == least || owned == least + 1;
    });
}

void GroupLoad::update_settled(Group& group, std::int64_t now) {
    std::erase_if(group.by_epoch, [](const auto& each) { return each.second == 0; });
    const bool is_settled = group.owned_once == setup_.topic.partitions && group.by_epoch.size() == 1 &&
                            group.by_epoch.begin()->first >= 0 && has_equal_shares(group);
    if (is_settled == group.is_settled) return;
    group.is_settled = is_settled;
    settled_ = is_settled ? settled_ + 1 : settled_ - 1;
    if (is_settled) start_next_group(group.slot, now);
}

}  // namespace odr::bench
