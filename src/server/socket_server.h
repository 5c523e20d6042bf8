#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "server/processor.h"

namespace odr::server {

// Where to listen, as in `listeners`.
struct ListenAddress {
    std::string listener;    // its name
    std::string host;        // empty: every interface, IPv4 and IPv6
    std::uint16_t port = 0;  // 0: any free one
    bool is_controller = false;
};

// A bound socket that hands accepted ones to the processors.
class Acceptor;

// The network side of the broker: listeners, reactors, connections.
//
// Owner:   the server. Threads: one.
// Kafka:   SocketServer.
class SocketServer {
public:
    SocketServer(const Services& services, ConnectionLimits limits, std::size_t reactor_count);
    ~SocketServer();
    SocketServer(const SocketServer&) = delete;
    SocketServer& operator=(const SocketServer&) = delete;

    // Binds and listens; nobody is accepted yet, clients wait in the kernel's queue.
    // Gives:  the port bound. Errors: network_exception; `reason` gets a line that names the address and the cure.
    Result<std::uint16_t> bind(const ListenAddress& address, std::string& reason);
    // Starts the reactors. Between this and accept() work may be posted to them.
    void start();
    void accept();
    // Nobody new is accepted; then the connections are closed, and the reactors end when no request is in flight.
    void stop_accepting();
    void stop();

    std::vector<std::unique_ptr<Processor>>& processors() { return processors_; }

private:
    friend class Acceptor;
    Processor& next_processor();
    void forbid_moves();

    const Services& services_;
    Balancer balancer_;
    std::vector<std::unique_ptr<Processor>> processors_;
    std::vector<std::unique_ptr<Acceptor>> acceptors_;
    bool is_running_ = false;
};

}  // namespace odr::server
