#include "console/http_listener.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/log.h"

namespace odr::console {
namespace {

constexpr int kListenQueue = 64;

std::string why_not(int os_errno) {
    return os_errno == EADDRINUSE      ? "cannot listen: the port is in use by another process; choose another"
           : os_errno == EACCES        ? "cannot listen: this user may not bind that port; choose one above 1023"
           : os_errno == EADDRNOTAVAIL ? "cannot listen: no interface of this machine has that address"
                                       : fmt::format("cannot listen: {}", std::strerror(os_errno));
}

// Gives: a listening socket, or -1 with errno.
int listening_socket(const addrinfo& where) {
    const int socket = ::socket(where.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket < 0) return -1;
    const int on = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(socket, where.ai_addr, where.ai_addrlen) == 0 && ::listen(socket, kListenQueue) == 0) return socket;
    const int failed = errno;
    ::close(socket);
    errno = failed;
    return -1;
}

std::uint16_t port_of(int socket) {
    sockaddr_storage actual{};
    socklen_t length = sizeof actual;
    ::getsockname(socket, reinterpret_cast<sockaddr*>(&actual), &length);
    return ntohs(actual.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(actual).sin6_port
                                              : reinterpret_cast<sockaddr_in&>(actual).sin_port);
}

}  // namespace

std::expected<std::unique_ptr<HttpListener>, std::string> HttpListener::open(const config::HostPort& address,
                                                                             const Clock& clock) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const int failed = ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
    if (failed != 0) return std::unexpected{fmt::format("cannot find the host: {}", ::gai_strerror(failed))};
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned{found, &::freeaddrinfo};
    const int socket = listening_socket(*found);
    if (socket < 0) return std::unexpected{why_not(errno)};
    const int wake = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (wake < 0) {
        const int os_errno = errno;
        ::close(socket);
        return std::unexpected{why_not(os_errno)};
    }
    return std::unique_ptr<HttpListener>{new HttpListener{socket, wake, {address.host, port_of(socket)}, clock}};
}

HttpListener::HttpListener(int socket, int wake, config::HostPort address, const Clock& clock)
    : socket_{socket}, wake_{wake}, address_{std::move(address)}, clock_{clock} {}

HttpListener::~HttpListener() {
    stop();
    ::close(wake_);
}

std::string HttpListener::address() const {
    return config::is_ipv6(address_.host) ? fmt::format("[{}]:{}", address_.host, address_.port)
                                          : fmt::format("{}:{}", address_.host, address_.port);
}

void HttpListener::start(HttpPages pages) {
    pages_ = std::move(pages);
    thread_ = std::thread{[this] { run(); }};
}

void HttpListener::stop() {
    is_stopping_ = true;
    ::eventfd_write(wake_, 1);
    if (thread_.joinable()) thread_.join();
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));  // those who wait to be taken in would wait on
}

void HttpListener::run() {
    while (!is_stopping_) {
        try {
            turn();
        } catch (const std::exception& error) {  // memory is gone: so are the clients
            log::error("the console lost its clients: {}", error.what());
            connections_.clear();
        }
    }
    connections_.clear();
}

bool HttpListener::may_accept(std::int64_t now_ms) const {
    return connections_.size() < kConnectionsMax && now_ms >= accept_again_ms_;
}

int HttpListener::wait_ms(std::int64_t now_ms) const {
    std::int64_t until = INT64_MAX;
    if (now_ms < accept_again_ms_) until = accept_again_ms_;
    for (const auto& connection : connections_) until = std::min(until, connection->deadline_ms());
    return until == INT64_MAX ? -1 : static_cast<int>(std::clamp<std::int64_t>(until - now_ms, 0, 60'000));
}

void HttpListener::turn() {
    std::vector<pollfd> watched{{wake_, POLLIN, 0}};
    for (const auto& connection : connections_) watched.push_back({connection->socket(), connection->awaited(), 0});
    const std::int64_t before_ms = clock_.monotonic_ms();
    const bool accepts = may_accept(before_ms);
    if (accepts) watched.push_back({socket_, POLLIN, 0});
    if (::poll(watched.data(), watched.size(), wait_ms(before_ms)) < 0 || is_stopping_) return;
    for (std::size_t i = 0; i < connections_.size(); ++i) {
        if (watched[i + 1].revents != 0) connections_[i]->on_ready(pages_);
        if (is_stopping_) return;
    }
    const std::int64_t now_ms = clock_.monotonic_ms();
    std::erase_if(connections_, [&](const auto& connection) { return connection->is_over(now_ms); });
    if (accepts && watched.back().revents != 0) accept_all();
}

void HttpListener::accept_all() {
    const std::int64_t now_ms = clock_.monotonic_ms();
    while (connections_.size() < kConnectionsMax) {
        const int client = ::accept4(socket_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client >= 0) {
            connections_.push_back(std::make_unique<HttpConnection>(client, now_ms));
            continue;
        }
        // Short of descriptors or memory the socket stays readable, and would keep this thread busy.
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            accept_again_ms_ = now_ms + kAcceptAgainMs;
        }
        if (errno != ECONNABORTED && errno != EINTR) return;
    }
}

}  // namespace odr::console
