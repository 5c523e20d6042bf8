#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/thread_cpu.h"

namespace odr::server {

class Processor;

// Where connections live: on as few reactors as keep up. Connections on one reactor share its wake-ups and its writes,
// and a fetch that waits for another's append is served in the same turn; spread out they wake each other's threads for
// every request or two. (docs/adr/0009-connections-on-few-reactors.md)
//
// The rules, as functions of the reactors' loads in percent of a core:
struct Shedding {
    std::size_t to;
    int percent;  // of a core; so much of the work is to move
};
// A busy reactor gives work to the least busy one, until both have as much.
std::optional<Shedding> plan_shedding(std::span<const int> loads, std::size_t self);
// A reactor whose work fits beside another's, further to the front, gives it all.
std::optional<std::size_t> plan_merging(std::span<const int> loads, std::size_t self);
// A new connection goes to the first reactor with room.
std::size_t plan_placement(std::span<const int> loads);

// What the reactors know of each other's load, and whether connections may move.
//
// Owner:   SocketServer. Threads: any.
class Balancer {
public:
    static constexpr std::int64_t kWindowMs = 100;
    static constexpr int kMergeAfterWindows = 5;   // so long the work must fit, so that a pause moves nothing
    static constexpr std::size_t kMovesMax = 512;  // in one window: a move costs a few system calls

    explicit Balancer(std::size_t reactor_count, ThreadCpuClock cpu = &thread_cpu_ns);

    std::vector<int> loads() const;
    void publish(std::size_t reactor, int percent) { loads_[reactor].store(percent, std::memory_order_relaxed); }
    // Until the next measurement, so that not everybody gives to the same one.
    void note_move(std::size_t from, std::size_t to, int percent);
    std::int64_t cpu_ns() const { return cpu_(); }

    // False once the broker stops: a connection must not arrive where nobody reads any more.
    bool may_move() const { return may_move_.load(std::memory_order_acquire); }
    void forbid_moves() { may_move_.store(false, std::memory_order_release); }
    Processor& processor(std::size_t index) const { return *processors_[index]; }
    void set_processors(std::vector<Processor*> processors);

private:
    const ThreadCpuClock cpu_;
    std::vector<Processor*> processors_;
    std::vector<std::atomic<int>> loads_;
    std::atomic<bool> may_move_{false};
};

}  // namespace odr::server
