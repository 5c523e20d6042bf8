#include "load/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

namespace odr::bench {
namespace {

constexpr int kListenBacklog = 4096;
constexpr std::size_t kDiscardBytesMax = std::size_t{16} << 20;

std::unexpected<Error> network_failure(int os_errno, std::string_view what) {
    return fail_errno(ErrorCode::network_exception, os_errno, what);
}

Result<in_addr> resolve(const std::string& host) {
    in_addr numeric{};
    if (::inet_pton(AF_INET, host.c_str(), &numeric) == 1) return numeric;
    addrinfo hints{};
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0 || found == nullptr) {
        return fail(ErrorCode::network_exception, "the host's name does not resolve");
    }
    numeric = reinterpret_cast<const sockaddr_in*>(found->ai_addr)->sin_addr;
    ::freeaddrinfo(found);
    return numeric;
}

}  // namespace

Result<Address> Address::parse(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    Address address;
    if (colon == std::string_view::npos) return fail(ErrorCode::invalid_request, "an address is host:port");
    address.host = std::string{text.substr(0, colon)};
    const std::string_view port = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(port.begin(), port.end(), address.port);
    if (error != std::errc{} || end != port.end()) return fail(ErrorCode::invalid_request, "the port is no number");
    return address;
}

Result<Socket> Socket::connect(const Address& address, int seconds_max) {
    ODR_TRY(host, resolve(address.host));
    Socket socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (socket.fd() < 0) return network_failure(errno, "socket");
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(address.port);
    where.sin_addr = host;
    const int one = 1;
    ::setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    const timeval wait{.tv_sec = seconds_max, .tv_usec = 0};
    ::setsockopt(socket.fd(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    ::setsockopt(socket.fd(), SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0) {
        return network_failure(errno, "connect");
    }
    return socket;
}

Result<Socket> Socket::listen(std::uint16_t port) {
    Socket socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (socket.fd() < 0) return network_failure(errno, "socket");
    const int one = 1;
    ::setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(port);
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(socket.fd(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0) {
        return network_failure(errno, "bind");
    }
    if (::listen(socket.fd(), kListenBacklog) != 0) return network_failure(errno, "listen");
    return socket;
}

std::uint16_t Socket::local_port() const {
    sockaddr_in where{};
    socklen_t size = sizeof where;
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&where), &size);
    return ntohs(where.sin_port);
}

void Socket::set_nonblocking() { ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK); }

void Socket::reset_on_close() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void Socket::close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
}

Result<void> Socket::send_all(ByteView bytes) const {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) continue;
            return network_failure(errno, "send");
        }
        bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
    return {};
}

Result<void> Socket::receive_exactly(MutableByteView into) const {
    while (!into.empty()) {
        const ssize_t got = ::recv(fd_, into.data(), into.size(), 0);
        if (got == 0) return network_failure(0, "the broker closed the connection");
        if (got < 0) {
            if (errno == EINTR) continue;
            return network_failure(errno, "recv");
        }
        into = into.subspan(static_cast<std::size_t>(got));
    }
    return {};
}

Result<void> Socket::discard_exactly(std::size_t bytes) const {
    while (bytes > 0) {
        const ssize_t got = ::recv(fd_, nullptr, std::min(bytes, kDiscardBytesMax), MSG_TRUNC);
        if (got == 0) return network_failure(0, "the broker closed the connection");
        if (got < 0) {
            if (errno == EINTR) continue;
            return network_failure(errno, "recv");
        }
        bytes -= static_cast<std::size_t>(got);
    }
    return {};
}

void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace odr::bench
