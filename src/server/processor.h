#pragma once

#include <cstdint>
#include <memory>
#include <thread>
#include <unordered_set>
#include <vector>

#include "io/reactor.h"
#include "server/balancer.h"
#include "server/chunk.h"
#include "server/request_context.h"
#include "server/request_memory.h"

namespace odr::server {

class Connection;

struct ConnectionLimits {
    std::int32_t request_bytes_max = 100 << 20;     // socket.request.max.bytes
    std::int64_t idle_ms_max = 600'000;             // connections.max.idle.ms; -1: never
    std::int32_t send_buffer_bytes = 100 << 10;     // socket.send.buffer.bytes; -1: the kernel's
    std::int32_t receive_buffer_bytes = 100 << 10;  // socket.receive.buffer.bytes; -1: the kernel's
};

// One reactor, its thread and its connections. Kafka: SocketServer.Processor and the request handlers, in one.
//
// Owner:   SocketServer. Threads: start(), stop() and adopt() from any; the rest on the reactor's.
class Processor {
public:
    // `balancer`: none where there is one reactor only.
    Processor(int index, const Services& services, ConnectionLimits limits, Balancer* balancer = nullptr);
    ~Processor();
    Processor(const Processor&) = delete;
    Processor& operator=(const Processor&) = delete;

    void start();
    // Closes all connections, waits until no request is in flight, ends the thread.
    void stop();
    // Takes over an accepted socket.
    void adopt(int socket, ConnectionInfo info);
    // Takes over another processor's connection.
    void receive(Connection& connection);

    io::Reactor& reactor() { return reactor_; }
    const Services& services() const { return services_; }
    ReactorState& state() { return state_; }
    const ConnectionLimits& limits() const { return limits_; }
    RequestMemory& memory() { return *services_.request_memory; }
    // A large chunk to read into, warm in the cache, not referred to by any request.
    const ChunkRef& scratch();

    // For Connection.
    void touch(Connection& connection);   // is the most recently active now
    void forget(Connection& connection);  // its socket is closed
    void bury(Connection& connection);    // nobody refers to it any more: it goes at the end of the turn
    void await_memory(Connection& connection);
    // Something has happened on this reactor: its load is measured from now on, until it rests.
    void note_activity() {
        if (balancer_ != nullptr && !balance_timer_.is_armed()) begin_window();
    }
    // One answer a turn may leave before the others. Gives: whether it is this one.
    bool take_first_place();
    std::size_t connection_count() const { return connections_.size(); }
    std::uint32_t window() const { return window_; }
    bool may_move_connections() const { return balancer_ != nullptr && balancer_->may_move(); }
    // Lets go of a connection, for another processor.
    void give_away(Connection& connection, Processor& to);

private:
    static constexpr std::size_t kScratchBytes = std::size_t{256} << 10;
    void plan_idle_check();
    void close_idle();
    void retry_memory();
    void link(Connection& connection);
    void unlink(Connection& connection);
    void clear_buried();
    void stop_on_reactor();
    void take_in(Connection& connection);
    void begin_window();
    void end_window();
    void balance(int percent);
    std::vector<Connection*> active_connections() const;
    void shed(const Shedding& plan, int percent);

    const Services& services_;
    const ConnectionLimits limits_;
    io::Reactor reactor_;
    ReactorState state_;
    ChunkRef scratch_;
    std::thread thread_;
    io::Timer idle_timer_;
    io::Timer memory_timer_;
    Balancer* const balancer_;
    io::Timer balance_timer_;
    std::uint32_t window_ = 0;  // counts windows
    std::int64_t window_began_ms_ = 0;
    std::int64_t window_cpu_ns_ = 0;  // this thread's CPU time when it began
    int windows_to_merge_ = Balancer::kMergeAfterWindows;
    Connection* idle_first_ = nullptr;  // least recently active
    Connection* idle_last_ = nullptr;
    std::unordered_set<Connection*> connections_;  // all that are not buried
    std::vector<Connection*> waiting_for_memory_;
    std::vector<Connection*> buried_;
    bool is_stopping_ = false;
    bool is_first_place_taken_ = false;
};

}  // namespace odr::server
