// floor-uring DIR: the same as floor-echo --gather on io_uring: multishot accept and receive into a ring of buffers,
// sends queued, one enter a turn. What docs/adr holds against epoll.
#include <fcntl.h>
#include <fmt/core.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <unordered_map>

#include "floor/produce_frames.h"
#include "load/socket.h"

namespace odr::bench {
namespace {

constexpr unsigned kEntries = 4096;
constexpr unsigned kBuffers = 1024;  // a power of two
constexpr std::size_t kBufferBytes = 4096;
constexpr int kGroup = 1;

enum class Work : std::uint64_t { accept, receive, send };

struct Connection {
    explicit Connection(int fd) : socket{fd} {}
    Socket socket;
    std::vector<std::uint8_t> rest;     // a frame that is not whole yet
    std::vector<std::uint8_t> answers;  // of this turn
    std::vector<std::uint8_t> sending;  // handed to the kernel
    bool is_sending = false;
    bool is_touched = false;
};

class UringServer {
public:
    UringServer(const FloorProduce& options, int file) : frames_{options, file} {}

    Result<void> serve() {
        ODR_CHECK(prepare());
        ODR_TRY(listener, Socket::listen(0));
        fmt::print("port {}\n", listener.local_port());
        std::fflush(stdout);
        io_uring_sqe* const accepts = entry();
        io_uring_prep_multishot_accept(accepts, listener.fd(), nullptr, nullptr, 0);
        tag(*accepts, Work::accept, listener.fd());
        for (;;) {
            const int submitted = io_uring_submit_and_wait(&ring_, 1);
            if (submitted < 0 && submitted != -EINTR)
                return fail_errno(ErrorCode::network_exception, -submitted, "io_uring");
            handle_completions();
            frames_.write_pieces();
            for (Connection* each : touched_) send(*each);
            touched_.clear();
        }
    }

private:
    Result<void> prepare() {
        io_uring_params params{};
        params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE;
        params.cq_entries = 4 * kEntries;
        if (const int failed = io_uring_queue_init_params(kEntries, &ring_, &params); failed < 0) {
            return fail_errno(ErrorCode::network_exception, -failed, "io_uring is not to be had");
        }
        buffers_.resize(kBuffers * kBufferBytes);
        void* memory = nullptr;
        if (::posix_memalign(&memory, 4096, kBuffers * sizeof(io_uring_buf)) != 0) {
            return fail_errno(ErrorCode::network_exception, ENOMEM, "the ring of buffers");
        }
        buffer_ring_ = static_cast<io_uring_buf_ring*>(memory);
        io_uring_buf_reg registration{};
        registration.ring_addr = reinterpret_cast<std::uint64_t>(memory);
        registration.ring_entries = kBuffers;
        registration.bgid = kGroup;
        if (const int failed = io_uring_register_buf_ring(&ring_, &registration, 0); failed < 0) {
            return fail_errno(ErrorCode::network_exception, -failed, "the ring of buffers");
        }
        io_uring_buf_ring_init(buffer_ring_);
        for (unsigned i = 0; i < kBuffers; ++i) put_back(i);
        return {};
    }

    void put_back(unsigned id) {
        io_uring_buf_ring_add(buffer_ring_, buffers_.data() + id * kBufferBytes, kBufferBytes,
                              static_cast<unsigned short>(id), io_uring_buf_ring_mask(kBuffers), 0);
        io_uring_buf_ring_advance(buffer_ring_, 1);
    }

    io_uring_sqe* entry() {
        io_uring_sqe* const sqe = io_uring_get_sqe(&ring_);
        if (sqe != nullptr) return sqe;
        io_uring_submit(&ring_);
        return io_uring_get_sqe(&ring_);
    }
    static void tag(io_uring_sqe& sqe, Work work, int fd) {
        io_uring_sqe_set_data64(&sqe, static_cast<std::uint64_t>(work) << 32 | static_cast<std::uint32_t>(fd));
    }

    void handle_completions() {
        unsigned head = 0;
        unsigned count = 0;
        io_uring_cqe* cqe = nullptr;
        io_uring_for_each_cqe(&ring_, head, cqe) {
            ++count;
            const auto work = static_cast<Work>(cqe->user_data >> 32);
            const int fd = static_cast<int>(cqe->user_data & 0xffffffff);
            if (work == Work::accept) {
                if (cqe->res >= 0) welcome(cqe->res);
            } else if (work == Work::receive) {
                received(fd, *cqe);
            } else if (const auto found = connections_.find(fd); found != connections_.end()) {
                found->second->is_sending = false;
                if (!found->second->answers.empty()) touch(*found->second);
            }
        }
        io_uring_cq_advance(&ring_, count);
    }

    void welcome(int fd) {
        const int one = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connections_[fd] = std::make_unique<Connection>(fd);
        arm(fd);
    }

    void arm(int fd) {
        io_uring_sqe* const sqe = entry();
        io_uring_prep_recv_multishot(sqe, fd, nullptr, 0, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = kGroup;
        tag(*sqe, Work::receive, fd);
    }

    void received(int fd, const io_uring_cqe& cqe) {
        const auto found = connections_.find(fd);
        if (found == connections_.end()) return;
        if (cqe.res <= 0 && cqe.res != -ENOBUFS) {
            connections_.erase(found);
            return;
        }
        if (cqe.res > 0) {
            const unsigned id = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
            take(*found->second, {buffers_.data() + id * kBufferBytes, static_cast<std::size_t>(cqe.res)});
            put_back(id);
        }
        if ((cqe.flags & IORING_CQE_F_MORE) == 0) arm(fd);
    }

    void take(Connection& connection, ByteView bytes) {
        if (!connection.rest.empty()) {
            connection.rest.insert(connection.rest.end(), bytes.begin(), bytes.end());
            bytes = connection.rest;
        }
        std::size_t used = 0;
        while (const std::size_t taken = frames_.take(bytes.subspan(used), connection.answers)) used += taken;
        frames_.write_pieces();  // the buffer goes back
        if (used < bytes.size() || !connection.rest.empty()) {
            connection.rest = std::vector<std::uint8_t>(bytes.begin() + static_cast<std::ptrdiff_t>(used), bytes.end());
        }
        if (!connection.answers.empty()) touch(connection);
    }

    void touch(Connection& connection) {
        if (std::exchange(connection.is_touched, true)) return;
        touched_.push_back(&connection);
    }

    void send(Connection& connection) {
        connection.is_touched = false;
        if (connection.is_sending || connection.answers.empty()) return;
        connection.sending.swap(connection.answers);
        connection.answers.clear();
        connection.is_sending = true;
        io_uring_sqe* const sqe = entry();
        io_uring_prep_send(sqe, connection.socket.fd(), connection.sending.data(), connection.sending.size(),
                           MSG_NOSIGNAL | MSG_WAITALL);
        tag(*sqe, Work::send, connection.socket.fd());
    }

    ProduceFrames frames_;
    io_uring ring_{};
    io_uring_buf_ring* buffer_ring_ = nullptr;
    std::vector<std::uint8_t> buffers_;
    std::unordered_map<int, std::unique_ptr<Connection>> connections_;
    std::vector<Connection*> touched_;
};

Result<void> serve(const FloorProduce& options) {
    raise_descriptor_limit();
    const int file = ::open(options.data_dir.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0) return fail_errno(ErrorCode::kafka_storage_error, errno, "a file without a name");
    return UringServer{options, file}.serve();
}

}  // namespace
}  // namespace odr::bench

int main(int argc, char** argv) {
    const auto done = odr::bench::serve({.data_dir = argc > 1 ? argv[1] : ".", .writes_each = false});
    fmt::print(stderr, "floor-uring: {}\n", done.error().what);
    return 1;
}
