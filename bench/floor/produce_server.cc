#include "floor/produce_server.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <unordered_map>
#include <vector>

#include "floor/produce_frames.h"
#include "load/socket.h"

namespace odr::bench {
namespace {

constexpr std::size_t kBufferBytes = 16384;
constexpr std::size_t kLargeBufferBytes = 1 << 20;

class Connection {
public:
    explicit Connection(int fd) : socket{fd}, input(kBufferBytes) {}
    Socket socket;
    std::vector<std::uint8_t> input;
    std::size_t begin = 0;  // of the input: what is not taken yet
    std::size_t end = 0;
};

class Server {
public:
    Server(const FloorProduce& options, int file) : options_{options}, file_{file}, frames_{options, file} {}

    Result<void> serve() {
        ODR_TRY(listener, Socket::listen(0));
        fmt::print("port {}\n", listener.local_port());
        std::fflush(stdout);
        listener.set_nonblocking();
        watch(listener.fd());
        std::vector<epoll_event> events(256);
        for (;;) {
            const int got = ::epoll_wait(epoll_.fd(), events.data(), static_cast<int>(events.size()), -1);
            for (int i = 0; i < got; ++i) {
                const int fd = events[static_cast<std::size_t>(i)].data.fd;
                if (fd == listener.fd()) {
                    accept_all(listener);
                } else if (!receive(*connections_.at(fd))) {
                    connections_.erase(fd);
                }
            }
            sync_and_answer();
        }
    }

private:
    void watch(int fd) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        ::epoll_ctl(epoll_.fd(), EPOLL_CTL_ADD, fd, &event);
    }

    void accept_all(const Socket& listener) {
        for (;;) {
            const int fd = ::accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0) return;
            const int one = 1;
            ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            connections_[fd] = std::make_unique<Connection>(fd);
            watch(fd);
        }
    }

    // Gives: whether the connection goes on.
    bool receive(Connection& connection) {
        make_room(connection);
        const ssize_t got = ::recv(connection.socket.fd(), connection.input.data() + connection.end,
                                   connection.input.size() - connection.end, 0);
        if (got < 0) return errno == EAGAIN || errno == EINTR;
        if (got == 0) return false;
        connection.end += static_cast<std::size_t>(got);
        answers_.clear();
        while (const std::size_t taken = frames_.take(
                   {connection.input.data() + connection.begin, connection.end - connection.begin}, answers_)) {
            connection.begin += taken;
        }
        frames_.write_pieces();
        if (connection.begin == connection.end) connection.begin = connection.end = 0;
        if (answers_.empty()) return true;
        if (options_.syncs) {
            held_.emplace_back(&connection, answers_);
            return true;
        }
        // Answers are so small that they always fit the socket's buffer.
        return ::send(connection.socket.fd(), answers_.data(), answers_.size(), MSG_NOSIGNAL) >= 0;
    }

    void sync_and_answer() {
        if (held_.empty()) return;
        if (::fdatasync(file_.fd()) != 0) ::abort();
        for (const auto& [connection, answers] : held_) {
            // A client that is gone is noticed by its next recv.
            static_cast<void>(::send(connection->socket.fd(), answers.data(), answers.size(), MSG_NOSIGNAL));
        }
        held_.clear();
    }

    static void make_room(Connection& connection) {
        const std::size_t waiting = connection.end - connection.begin;
        if (waiting >= 4 && connection.input.size() < kLargeBufferBytes) {
            const std::size_t frame = load_be<std::uint32_t>(connection.input.data() + connection.begin);
            if (frame > connection.input.size() / 2) connection.input.resize(kLargeBufferBytes);
        }
        if (connection.input.size() - connection.end >= connection.input.size() / 2) return;
        std::memmove(connection.input.data(), connection.input.data() + connection.begin, waiting);
        connection.begin = 0;
        connection.end = waiting;
    }

    const FloorProduce& options_;
    Socket file_;
    ProduceFrames frames_;
    Socket epoll_{::epoll_create1(EPOLL_CLOEXEC)};
    std::unordered_map<int, std::unique_ptr<Connection>> connections_;
    std::vector<std::uint8_t> answers_;
    std::vector<std::pair<Connection*, std::vector<std::uint8_t>>> held_;  // answers that wait for the sync
};

}  // namespace

Result<void> serve_floor_produce(const FloorProduce& options) {
    raise_descriptor_limit();
    const int file = ::open(options.data_dir.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0) return fail_errno(ErrorCode::kafka_storage_error, errno, "a file without a name");
    return Server{options, file}.serve();
}

}  // namespace odr::bench
