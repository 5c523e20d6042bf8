#include "server/socket_server.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <future>

#include "base/log.h"
#include "server/connection_quotas.h"

namespace odr::server {
namespace {

// More than any kernel grants by default: net.core.somaxconn is what limits it then. Kafka asks for 50.
constexpr int kListenQueue = 65'535;
constexpr int kAcceptsPerTurn = 256;
constexpr std::int64_t kRetryAcceptMs = 20;

std::string address_text(const sockaddr_storage& address) {
    char text[NI_MAXHOST] = "";
    ::getnameinfo(reinterpret_cast<const sockaddr*>(&address), sizeof address, text, sizeof text, nullptr, 0,
                  NI_NUMERICHOST);
    std::string out{text};
    constexpr std::string_view kMapped = "::ffff:";  // IPv4 on a socket for both
    return out.starts_with(kMapped) ? out.substr(kMapped.size()) : out;
}

void set_option(int socket, int level, int option, int value) {
    ::setsockopt(socket, level, option, &value, sizeof value);
}

struct Bound {
    int socket = -1;
    int os_errno = 0;
};

Bound bind_one(const addrinfo& candidate, const ListenAddress& address, const ConnectionLimits& limits) {
    const int socket = ::socket(candidate.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket < 0) return {-1, errno};
    set_option(socket, SOL_SOCKET, SO_REUSEADDR, 1);
    if (candidate.ai_family == AF_INET6) set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, address.host.empty() ? 0 : 1);
    if (limits.receive_buffer_bytes > 0) set_option(socket, SOL_SOCKET, SO_RCVBUF, limits.receive_buffer_bytes);
    if (::bind(socket, candidate.ai_addr, candidate.ai_addrlen) == 0 && ::listen(socket, kListenQueue) == 0) {
        return {socket, 0};
    }
    const int failed = errno;
    ::close(socket);
    return {-1, failed};
}

std::string bind_failure(const ListenAddress& address, int os_errno) {
    const std::string cure =
        os_errno == EADDRINUSE ? "the port is in use by another process: stop that, or choose another port in listeners"
        : os_errno == EACCES   ? "this user may not bind that port: choose one above 1023 in listeners"
        : os_errno == EADDRNOTAVAIL ? "no interface of this machine has that address: correct the host in listeners"
                                    : std::strerror(os_errno);
    return fmt::format("listeners={}://{}:{}: cannot listen: {}", address.listener, address.host, address.port, cure);
}

}  // namespace

class Acceptor final : public io::Watcher {
public:
    Acceptor(SocketServer& server, const Services& services, int socket, ListenAddress address, ConnectionLimits limits)
        : server_{server}, services_{services}, socket_{socket}, address_{std::move(address)}, limits_{limits} {}
    ~Acceptor() override { ::close(socket_); }

    // On the first reactor.
    void start(io::Reactor& reactor) {
        reactor_ = &reactor;
        watch();
    }
    void stop() {
        retry_.cancel();
        if (std::exchange(is_watched_, false)) reactor_->unwatch(socket_, *this);
    }

    void on_events(std::uint32_t) override {
        for (int i = 0; i < kAcceptsPerTurn; ++i) {
            if (!services_.connection_quotas->has_room(address_.listener)) return pause();
            sockaddr_storage peer{};
            socklen_t length = sizeof peer;
            const int accepted =
                ::accept4(socket_, reinterpret_cast<sockaddr*>(&peer), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (accepted >= 0) {
                take(accepted, peer);
            } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
                log::error("{}: cannot accept: {}; raise the limit of open files (ulimit -n)", address_.listener,
                           std::strerror(errno));
                return pause();
            } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
                return;
            }
        }
    }

private:
    void watch() {
        is_watched_ = true;
        reactor_->watch(socket_, *this, EPOLLIN);
    }
    // The others wait in the kernel's queue until there is room.
    void pause() {
        stop();
        reactor_->arm(retry_, kRetryAcceptMs, [](void* self) { static_cast<Acceptor*>(self)->watch(); }, this);
    }
    void take(int accepted, const sockaddr_storage& peer) {
        ConnectionInfo info;
        info.listener = address_.listener;
        info.is_controller = address_.is_controller;
        info.peer_address = address_text(peer);
        if (services_.connection_quotas->admit(info.listener, info.peer_address) !=
            ConnectionQuotas::Verdict::accepted) {
            log::info("{}: refused a connection from {}: max.connections.per.ip is reached", info.listener,
                      info.peer_address);
            ::close(accepted);
            return;
        }
        set_option(accepted, IPPROTO_TCP, TCP_NODELAY, 1);
        set_option(accepted, SOL_SOCKET, SO_KEEPALIVE, 1);
        if (limits_.send_buffer_bytes > 0) set_option(accepted, SOL_SOCKET, SO_SNDBUF, limits_.send_buffer_bytes);
        server_.next_processor().adopt(accepted, std::move(info));
    }

    SocketServer& server_;
    const Services& services_;
    const int socket_;
    const ListenAddress address_;
    const ConnectionLimits limits_;
    io::Reactor* reactor_ = nullptr;
    io::Timer retry_;
    bool is_watched_ = false;
};

SocketServer::SocketServer(const Services& services, ConnectionLimits limits, std::size_t reactor_count)
    : services_{services}, balancer_{reactor_count} {
    std::vector<Processor*> all;
    for (std::size_t i = 0; i < reactor_count; ++i) {
        Balancer* const balancer = reactor_count > 1 ? &balancer_ : nullptr;
        processors_.push_back(std::make_unique<Processor>(static_cast<int>(i), services, limits, balancer));
        all.push_back(processors_.back().get());
    }
    balancer_.set_processors(std::move(all));
}

SocketServer::~SocketServer() { stop(); }

Result<std::uint16_t> SocketServer::bind(const ListenAddress& address, std::string& reason) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    hints.ai_family = AF_UNSPEC;
    addrinfo* found = nullptr;
    const std::string port = std::to_string(address.port);
    const std::string host = address.host.empty() ? "::" : address.host;
    const int failed = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
    if (failed != 0) {
        reason = fmt::format("listeners={}://{}:{}: cannot find the address of the host: {}", address.listener,
                             address.host, address.port, ::gai_strerror(failed));
        return fail(ErrorCode::network_exception, "unknown host");
    }
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned{found, &::freeaddrinfo};
    const ConnectionLimits& limits = processors_.front()->limits();
    Bound bound = bind_one(*found, address, limits);
    if (bound.socket < 0 && address.host.empty() && bound.os_errno == EAFNOSUPPORT) {  // a machine without IPv6
        sockaddr_in any{};
        any.sin_family = AF_INET;
        any.sin_port = htons(address.port);
        addrinfo ipv4{};
        ipv4.ai_family = AF_INET;
        ipv4.ai_addr = reinterpret_cast<sockaddr*>(&any);
        ipv4.ai_addrlen = sizeof any;
        bound = bind_one(ipv4, address, limits);
    }
    if (bound.socket < 0) {
        reason = bind_failure(address, bound.os_errno);
        return fail_errno(ErrorCode::network_exception, bound.os_errno, "cannot listen");
    }
    sockaddr_storage actual{};
    socklen_t length = sizeof actual;
    ::getsockname(bound.socket, reinterpret_cast<sockaddr*>(&actual), &length);
    const auto actual_port = actual.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(actual).sin6_port
                                                          : reinterpret_cast<sockaddr_in&>(actual).sin_port;
    acceptors_.push_back(std::make_unique<Acceptor>(*this, services_, bound.socket, address, limits));
    return ntohs(actual_port);
}

void SocketServer::start() {
    is_running_ = true;
    for (const auto& processor : processors_) processor->start();
}

void SocketServer::accept() {
    io::Reactor& first = processors_.front()->reactor();
    first.post([this, &first] {
        for (const auto& acceptor : acceptors_) acceptor->start(first);
    });
}

void SocketServer::stop_accepting() {
    if (!is_running_) return;
    std::promise<void> stopped;
    processors_.front()->reactor().post([this, &stopped] {
        for (const auto& acceptor : acceptors_) acceptor->stop();
        stopped.set_value();
    });
    stopped.get_future().wait();
}

void SocketServer::stop() {
    if (!std::exchange(is_running_, false)) return;
    forbid_moves();
    for (const auto& processor : processors_) processor->stop();
    acceptors_.clear();
}

Processor& SocketServer::next_processor() { return *processors_[plan_placement(balancer_.loads())]; }

// When this returns, every connection that was on its way has been handed to a reactor that still runs.
void SocketServer::forbid_moves() {
    balancer_.forbid_moves();
    for (const auto& processor : processors_) {
        std::promise<void> turned;
        processor->reactor().post([&turned] { turned.set_value(); });
        turned.get_future().wait();
    }
}

}  // namespace odr::server
