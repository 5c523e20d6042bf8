#pragma once

#include <atomic>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/config/endpoint.h"
#include "console/http_connection.h"

namespace odr::console {

// A small HTTP server: one thread, kConnectionsMax clients, one request each. Further clients wait in the kernel's
// queue until one is done, which the deadline of a connection sees to; nothing here is shared with the broker's own
// sockets.
//
// Owner:   whoever starts the process.
// Threads: open, start and stop from one; pages are asked on the listener's own.
// Errors:  a client's are its own; short of descriptors it takes nobody in for a while.
class HttpListener {
public:
    static constexpr std::size_t kConnectionsMax = 16;
    static constexpr std::int64_t kAcceptAgainMs = 1'000;

    // Binds; clients may connect from here on, and are answered once start() was called.
    // Errors: why not, for the end of a line that names the key.
    static std::expected<std::unique_ptr<HttpListener>, std::string> open(const config::HostPort& address,
                                                                          const Clock& clock);
    ~HttpListener();
    HttpListener(const HttpListener&) = delete;
    HttpListener& operator=(const HttpListener&) = delete;

    void start(HttpPages pages);
    // Returns when the answer that is being made, if any, is made; open connections are closed, and those
    // that wait to be taken in.
    void stop();

    // "127.0.0.1:9404", the port in use.
    std::string address() const;

private:
    HttpListener(int socket, int wake, config::HostPort address, const Clock& clock);
    void run();
    void turn();
    void accept_all();
    int wait_ms(std::int64_t now_ms) const;
    bool may_accept(std::int64_t now_ms) const;

    int socket_;      // -1: stopped
    const int wake_;  // an eventfd: stop() was called
    const config::HostPort address_;
    const Clock& clock_;
    HttpPages pages_;
    std::thread thread_;
    std::atomic<bool> is_stopping_{false};
    std::int64_t accept_again_ms_ = INT64_MIN;                  // the listener's thread, as what follows
    std::vector<std::unique_ptr<HttpConnection>> connections_;  // at most kConnectionsMax
};

}  // namespace odr::console
