// floor-relay DIR: one thread between a producer and a consumer. It receives a Produce, writes the batch to a file,
// answers, reads the batch back for the Fetch that waits, and sends it. What a record that goes from end to end costs
// at least.
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

#include "load/payload.h"
#include "load/socket.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"
#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"

namespace odr::bench {
namespace {

using namespace protocol;

constexpr std::size_t kInputBytes = 65536;
constexpr std::size_t kCorrelationAt = 8;  // in a request
constexpr std::size_t kBatchCountAt = 57;  // in a batch: its records
constexpr std::int64_t kFileBytesMax = 1 << 30;

struct Connection {
    explicit Connection(int fd) : socket{fd}, input(kInputBytes) {}
    Socket socket;
    std::vector<std::uint8_t> input;
    std::size_t filled = 0;
};

class Relay {
public:
    explicit Relay(int file) : file_{file} {}

    Result<void> serve() {
        ODR_TRY(listener, Socket::listen(0));
        fmt::print("port {}\n", listener.local_port());
        std::fflush(stdout);
        watch(listener.fd());
        std::array<epoll_event, 16> events;
        for (;;) {
            const int got = ::epoll_wait(epoll_.fd(), events.data(), static_cast<int>(events.size()), -1);
            for (int i = 0; i < got; ++i) {
                const int fd = events[static_cast<std::size_t>(i)].data.fd;
                if (fd == listener.fd()) {
                    accept(listener);
                } else if (!receive(*connections_.at(fd))) {
                    if (waiting_ == connections_.at(fd).get()) waiting_ = nullptr;
                    connections_.erase(fd);
                }
            }
        }
    }

private:
    void watch(int fd) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        ::epoll_ctl(epoll_.fd(), EPOLL_CTL_ADD, fd, &event);
    }

    void accept(const Socket& listener) {
        const int fd = ::accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        const int one = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connections_[fd] = std::make_unique<Connection>(fd);
        watch(fd);
    }

    // Gives: whether the connection goes on.
    bool receive(Connection& from) {
        const ssize_t got =
            ::recv(from.socket.fd(), from.input.data() + from.filled, from.input.size() - from.filled, 0);
        if (got < 0) return errno == EAGAIN || errno == EINTR;
        if (got == 0) return false;
        from.filled += static_cast<std::size_t>(got);
        std::size_t used = 0;
        while (from.filled - used >= 4) {
            const std::size_t size = 4 + load_be<std::uint32_t>(from.input.data() + used);
            if (size > from.input.size()) return false;
            if (from.filled - used < size) break;
            if (!take(from, ByteView{from.input}.subspan(used, size))) return false;
            used += size;
        }
        std::copy(from.input.begin() + static_cast<std::ptrdiff_t>(used),
                  from.input.begin() + static_cast<std::ptrdiff_t>(from.filled), from.input.begin());
        from.filled -= used;
        return true;
    }

    bool take(Connection& from, ByteView frame) {
        if (load_be<std::int16_t>(frame.data() + 4) == ProduceRequest::kApiKey) return append(from, frame);
        waiting_ = &from;
        waiting_correlation_ = load_be<std::int32_t>(frame.data() + kCorrelationAt);
        return answer_waiting();
    }

    // Writes the batch. The consumer goes first, as at the broker: docs/adr/0024-the-consumer-first.md.
    bool append(Connection& from, ByteView frame) {
        Reader reader{frame.subspan(4)};
        ProduceRequest request;
        if (!decode_request_header(reader) || !decode(reader, kProduceVersion, request)) return false;
        const ByteView batch = request.topic_data.at(0).partition_data.at(0).records.bytes();
        store_be(const_cast<std::uint8_t*>(batch.data()), next_offset_);
        const ssize_t written = ::pwrite(file_, batch.data(), batch.size(), end_);
        if (written != static_cast<ssize_t>(batch.size())) return false;
        end_ += written;
        next_offset_ += load_be<std::int32_t>(batch.data() + kBatchCountAt);
        if (!answer_waiting()) return false;

        ProduceResponse response;
        response.responses.emplace_back().partition_responses.emplace_back();
        out_.clear();
        Writer writer{out_};
        writer.begin_frame();
        encode_response_header(writer, *find_api(ProduceRequest::kApiKey), kProduceVersion,
                               load_be<std::int32_t>(frame.data() + kCorrelationAt));
        encode(writer, kProduceVersion, response);
        writer.end_frame();
        return send(from);
    }

    bool answer_waiting() {
        if (waiting_ == nullptr || sent_ == end_) return true;
        std::vector<std::uint8_t>& batches = read_back_;
        batches.resize(static_cast<std::size_t>(end_ - sent_));
        const ssize_t got = ::pread(file_, batches.data(), batches.size(), sent_);
        if (got != static_cast<ssize_t>(batches.size())) return false;
        sent_ = end_;
        if (end_ > kFileBytesMax) sent_ = end_ = 0;

        FetchResponse response;
        auto& partition = response.responses.emplace_back().partitions.emplace_back();
        partition.high_watermark = next_offset_;
        partition.records = Records{ByteView{batches}};
        out_.clear();
        Writer writer{out_};
        writer.begin_frame();
        encode_response_header(writer, *find_api(FetchRequest::kApiKey), kFetchVersion, waiting_correlation_);
        encode(writer, kFetchVersion, response);
        writer.end_frame();
        return send(*std::exchange(waiting_, nullptr));
    }

    // Answers are so small that they always fit the socket's buffer.
    bool send(const Connection& to) const {
        return ::send(to.socket.fd(), out_.data(), out_.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(out_.size());
    }

    const int file_;
    Socket epoll_{::epoll_create1(EPOLL_CLOEXEC)};
    std::unordered_map<int, std::unique_ptr<Connection>> connections_;
    Connection* waiting_ = nullptr;
    std::int32_t waiting_correlation_ = 0;
    off_t sent_ = 0;  // of the file, to the consumer
    off_t end_ = 0;
    std::int64_t next_offset_ = 0;
    std::vector<std::uint8_t> read_back_;
    Buffer out_;
};

Result<void> serve(const char* dir) {
    const Socket file{::open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
    if (file.fd() < 0) return fail_errno(ErrorCode::kafka_storage_error, errno, "a file without a name");
    return Relay{file.fd()}.serve();
}

}  // namespace
}  // namespace odr::bench

int main(int argc, char** argv) {
    const auto done = odr::bench::serve(argc > 1 ? argv[1] : ".");
    fmt::print(stderr, "floor-relay: {}\n", done.error().what);
    return 1;
}
