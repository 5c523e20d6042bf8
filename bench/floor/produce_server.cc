#include "floor/produce_server.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/crc32c.h"
#include "load/payload.h"
#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"

namespace odr::bench {
namespace {

using namespace protocol;

constexpr std::size_t kBufferBytes = 16384;
constexpr std::size_t kLargeBufferBytes = 1 << 20;
constexpr std::size_t kFrameBytesMax = 512 << 10;

// Where the batch stands in frames of one size: a load sends all requests alike.
struct FrameShape {
    std::size_t batch_at = 0;
    std::size_t batch_bytes = 0;
};

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
    Server(const FloorProduce& options, int file) : options_{options}, file_{file} { make_answer(); }

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
        pieces_.clear();
        while (take_frame(connection)) {
        }
        write_pieces();
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

    bool take_frame(Connection& connection) {
        const std::uint8_t* frame = connection.input.data() + connection.begin;
        const std::size_t waiting = connection.end - connection.begin;
        if (waiting < 4) return false;
        const std::size_t size = load_be<std::uint32_t>(frame);
        if (size > kFrameBytesMax || waiting < 4 + size) return false;
        const FrameShape& shape = shape_of({frame, 4 + size});
        const ByteView batch{frame + shape.batch_at, shape.batch_bytes};
        if (options_.checks_crc && crc32c(batch.subspan(21)) != load_be<std::uint32_t>(batch.data() + 17)) ::abort();
        pieces_.push_back({const_cast<std::uint8_t*>(batch.data()), batch.size()});
        if (options_.writes_each) write_pieces();
        std::memcpy(answer_.data() + 4, frame + 8, 4);
        answers_.insert(answers_.end(), answer_.begin(), answer_.end());
        connection.begin += 4 + size;
        return true;
    }

    const FrameShape& shape_of(ByteView frame) {
        auto [found, is_new] = shapes_.try_emplace(frame.size());
        if (!is_new) return found->second;
        Reader reader{frame.subspan(4)};
        ProduceRequest request;
        if (!decode_request_header(reader) || !decode(reader, kProduceVersion, request)) ::abort();
        const ByteView batch = request.topic_data.at(0).partition_data.at(0).records.bytes();
        found->second = {.batch_at = static_cast<std::size_t>(batch.data() - frame.data()),
                         .batch_bytes = batch.size()};
        return found->second;
    }

    void write_pieces() {
        constexpr std::size_t kPiecesPerWrite = 512;
        for (std::size_t i = 0; i < pieces_.size(); i += kPiecesPerWrite) {
            const auto count = static_cast<int>(std::min(kPiecesPerWrite, pieces_.size() - i));
            const ssize_t written = ::pwritev(file_.fd(), pieces_.data() + i, count, position_);
            if (written < 0) ::abort();
            position_ += written;
            if (position_ > options_.file_bytes_max) position_ = 0;
        }
        pieces_.clear();
    }

    void make_answer() {
        ProduceResponse response;
        response.responses.emplace_back().partition_responses.emplace_back();
        Buffer out;
        Writer writer{out};
        writer.begin_frame();
        encode_response_header(writer, *find_api(ProduceRequest::kApiKey), kProduceVersion, 0);
        encode(writer, kProduceVersion, response);
        writer.end_frame();
        answer_.assign(out.data(), out.data() + out.size());
    }

    const FloorProduce& options_;
    Socket file_;
    Socket epoll_{::epoll_create1(EPOLL_CLOEXEC)};
    std::unordered_map<int, std::unique_ptr<Connection>> connections_;
    std::unordered_map<std::size_t, FrameShape> shapes_;
    std::vector<std::uint8_t> answer_;
    std::vector<std::uint8_t> answers_;
    std::vector<iovec> pieces_;
    std::vector<std::pair<Connection*, std::vector<std::uint8_t>>> held_;  // answers that wait for the sync
    off_t position_ = 0;
};

}  // namespace

Result<void> serve_floor_produce(const FloorProduce& options) {
    raise_descriptor_limit();
    const int file = ::open(options.data_dir.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0) return fail_errno(ErrorCode::kafka_storage_error, errno, "a file without a name");
    return Server{options, file}.serve();
}

}  // namespace odr::bench
