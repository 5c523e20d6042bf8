#pragma once

#include <sys/epoll.h>

#include <deque>
#include <map>
#include <vector>

#include "load/commands.h"
#include "load/histogram.h"
#include "load/produce_lane.h"

namespace odr::bench {

// How requests are spread over connections, and when they are sent.
struct LoadShape {
    int in_flight = 1;          // on each connection
    int in_flight_in_turn = 0;  // not 0: over all connections, which then take turns with one request each
    double rate = 0;            // requests a second, sent when due; 0: the next one follows an answer
    bool expects_answers = true;
};

struct Phase {
    Histogram latency;  // from when a request was due (with a rate) or queued to its answer
    Histogram service;  // the same without the time for which all connections were full
    std::uint64_t requests = 0;
    std::uint64_t bytes = 0;  // of record batches
    std::uint64_t records = 0;
    double seconds = 0;
    std::map<ErrorCode, std::uint64_t> errors;
};

// Many producing connections in one thread.
//
// Owner:   of its lanes; prepared requests are the caller's and outlive it.
// Threads: one.
class ProduceLoad {
public:
    // Needs: at least one request; lane i starts with request i modulo their number and goes round.
    ProduceLoad(LoadShape shape, std::vector<Socket> sockets, const std::vector<PreparedProduce>& requests);

    // Sends until a limit is reached, then waits for all answers.
    // Errors: those of the network; request_timed_out where nothing is answered for half a minute.
    Result<Phase> run(const Limits& limits);

    // Records acknowledged by all phases so far, by partition.
    const std::map<std::int32_t, std::uint64_t>& acknowledged() const { return acknowledged_; }

private:
    bool may_send(const Limits& limits, std::int64_t now) const;
    Result<void> send_more(const Limits& limits, std::int64_t now, ProduceLane* answered);
    Result<void> fill(const Limits& limits, ProduceLane& lane, std::int64_t now);
    Result<void> send_in_turn(const Limits& limits, std::int64_t now);
    Result<void> send_due(const Limits& limits, std::int64_t now);
    void enqueue(ProduceLane& lane, std::int64_t due_ns, std::int64_t now_ns);
    Result<void> handle_events(const Limits& limits);
    void wait();
    bool is_idle() const { return in_flight_ == 0 && backlog_.empty(); }
    std::size_t index_of(const ProduceLane& lane) const { return static_cast<std::size_t>(&lane - lanes_.data()); }

    LoadShape shape_;
    Socket epoll_;
    std::vector<ProduceLane> lanes_;
    const std::vector<PreparedProduce>& requests_;
    std::vector<std::size_t> next_request_;  // by lane
    std::size_t next_lane_ = 0;
    std::vector<std::uint8_t> scratch_;
    std::vector<epoll_event> events_;
    std::size_t event_count_ = 0;

    // Of the phase under way.
    Phase phase_;
    std::int64_t started_ns_ = 0;
    std::int64_t last_answer_ns_ = 0;
    std::int64_t next_due_ns_ = 0;
    std::deque<std::int64_t> backlog_;  // due, but every lane is full
    std::uint64_t issued_ = 0;
    std::uint64_t issued_bytes_ = 0;
    int in_flight_ = 0;
    std::map<std::int32_t, std::uint64_t> acknowledged_;
};

}  // namespace odr::bench
