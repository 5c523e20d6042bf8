// odradek-load connect: many connections, opened one after another or all at once; then small requests over all of them
// in turn, or nothing but a greeting, to see what an idle one costs.
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.h"
#include "load/commands.h"
#include "load/produce_load.h"
#include "load/read_back.h"

namespace odr::bench {
namespace {

std::int64_t now_ns() { return system_clock().monotonic_ns(); }

Result<std::vector<Socket>> open_in_turn(const ConnectOptions& options, Histogram& latency) {
    std::vector<Socket> sockets;
    for (int i = 0; i < options.connections; ++i) {
        const std::int64_t started = now_ns();
        ODR_TRY(socket, Socket::connect(options.broker));
        socket.reset_on_close();
        sockets.push_back(std::move(socket));
        latency.add(now_ns() - started);
    }
    return sockets;
}

// Needs: an address in numbers.
Result<std::vector<Socket>> open_at_once(const ConnectOptions& options, Histogram& latency) {
    // One blocking connect resolves the address; its peer's name serves for the others.
    ODR_TRY(first, Socket::connect(options.broker));
    sockaddr_in where{};
    socklen_t size = sizeof where;
    ::getpeername(first.fd(), reinterpret_cast<sockaddr*>(&where), &size);
    std::vector<Socket> sockets;
    const std::int64_t started = now_ns();
    for (int i = 0; i < options.connections; ++i) {
        Socket socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
        if (socket.fd() < 0) return fail_errno(ErrorCode::network_exception, errno, "socket");
        const bool failed = ::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&where), size) != 0;
        if (failed && errno != EINPROGRESS) return fail_errno(ErrorCode::network_exception, errno, "connect");
        socket.reset_on_close();
        sockets.push_back(std::move(socket));
    }
    for (auto& socket : sockets) {
        pollfd wait{.fd = socket.fd(), .events = POLLOUT, .revents = 0};
        if (::poll(&wait, 1, 60'000) != 1) return fail(ErrorCode::network_exception, "not connected within a minute");
        int error = 0;
        socklen_t error_size = sizeof error;
        ::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &error_size);
        if (error != 0) return fail_errno(ErrorCode::network_exception, error, "connect");
        latency.add(now_ns() - started);
    }
    return sockets;
}

// An ApiVersions 0 exchange on each, as a client's first.
Result<void> greet(const std::vector<Socket>& sockets) {
    protocol::Buffer frame;
    protocol::Writer writer{frame};
    writer.begin_frame();
    protocol::encode_request_header(writer, *protocol::find_api(18), 0, 1, kClientId);
    writer.end_frame();
    std::array<std::uint8_t, 4> size{};
    for (const auto& socket : sockets) {
        ODR_CHECK(socket.send_all(frame.view()));
        ODR_CHECK(socket.receive_exactly(size));
        ODR_CHECK(socket.discard_exactly(load_be<std::uint32_t>(size.data())));
    }
    return {};
}

Result<void> produce_in_turn(const ConnectOptions& options, const TopicTarget& topic, std::vector<Socket> sockets,
                             Report& report) {
    ODR_TRY(batch, make_batch(options.batch));
    const std::vector<PreparedProduce> requests{prepare_produce(topic, 0, 1, batch)};
    ProduceLoad load{{.in_flight = 1, .in_flight_in_turn = options.in_flight}, std::move(sockets), requests};
    if (options.warmup_requests > 0) {
        const auto warm = load.run({.seconds = options.seconds, .requests = options.warmup_requests});
        if (!warm) return std::unexpected{warm.error()};
    }
    const Usage before = usage_of(options.broker_pid);
    ODR_TRY(phase, load.run({.seconds = options.seconds, .requests = options.requests}));
    const Usage after = usage_of(options.broker_pid);
    report.set("requests", static_cast<double>(phase.requests));
    report.set("requests_per_s", static_cast<double>(phase.requests) / phase.seconds);
    report.set_latency("latency", phase.latency);
    report.set_usage(before, after, phase.requests, 0);
    for (const auto& [code, times] : phase.errors) report.count_error(code, times);
    if (options.is_floor) return {};
    ODR_TRY(read, verify_acknowledged(options.broker, topic, load.acknowledged()));
    report.set("verified_records", static_cast<double>(read.records));
    return {};
}

}  // namespace

Result<Report> run_connect(const ConnectOptions& options) {
    TopicTarget topic;
    if (!options.hello) {
        ODR_TRY(made, set_up_topic(options, 1));
        topic = made;
    }
    Report report;
    Histogram latency;
    const Usage before = usage_of(options.broker_pid);
    const std::int64_t started = now_ns();
    auto sockets = options.all_at_once ? open_at_once(options, latency) : open_in_turn(options, latency);
    if (!sockets) return std::unexpected{sockets.error()};
    report.set("open_s", static_cast<double>(now_ns() - started) / 1e9);
    report.set_latency("open", latency);
    if (options.hello) {
        ODR_CHECK(greet(*sockets));
        const Usage after = usage_of(options.broker_pid);
        report.set_usage(before, after, static_cast<std::uint64_t>(options.connections), 0);
        report.set("rss_kb_per_connection", static_cast<double>(after.rss_bytes - before.rss_bytes) / 1e3 /
                                                static_cast<double>(options.connections));
        return report;
    }
    for (auto& socket : *sockets) ::fcntl(socket.fd(), F_SETFL, ::fcntl(socket.fd(), F_GETFL) & ~O_NONBLOCK);
    ODR_CHECK(produce_in_turn(options, topic, std::move(*sockets), report));
    tear_down_topic(options, topic);
    return report;
}

}  // namespace odr::bench
