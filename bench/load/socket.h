#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"

namespace odr::bench {

// Where a broker listens: IPv4, as benchmarks run on one machine or in one rack.
struct Address {
    std::string host;
    std::uint16_t port = 0;

    // Needs: "host:port". Errors: invalid_request.
    static Result<Address> parse(std::string_view text);
};

// A TCP connection, or any descriptor that must be closed once.
//
// Threads: one at a time.
class Socket {
public:
    Socket() = default;
    explicit Socket(int fd) : fd_{fd} {}
    Socket(Socket&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
    Socket& operator=(Socket&& other) noexcept {
        close();
        fd_ = std::exchange(other.fd_, -1);
        return *this;
    }
    ~Socket() { close(); }

    // Connects and waits for it; Nagle's algorithm is off. This wait and later ones on the blocking socket end after
    // so many seconds.
    // Errors: network_exception.
    static Result<Socket> connect(const Address& address, int seconds_max = 60);
    // Listens on the loopback; port 0 takes a free one.
    static Result<Socket> listen(std::uint16_t port);

    int fd() const { return fd_; }
    std::uint16_t local_port() const;
    void set_nonblocking();
    // Closing then resets, which leaves no TIME_WAIT behind: thousands of connections use up the ports otherwise.
    void reset_on_close();
    void close();

    // Blocking. Errors: network_exception, also where the peer closed.
    Result<void> send_all(ByteView bytes) const;
    Result<void> receive_exactly(MutableByteView into) const;
    // Takes bytes off the socket without copying them (MSG_TRUNC).
    Result<void> discard_exactly(std::size_t bytes) const;

private:
    int fd_ = -1;
};

// A run of thousands of connections needs as many descriptors: raises the soft limit to the hard one.
void raise_descriptor_limit();

}  // namespace odr::bench
