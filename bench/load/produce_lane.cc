#include "load/produce_lane.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

#include "base/assert.h"

namespace odr::bench {
namespace {

constexpr int kRequestsPerSend = 32;
constexpr std::int32_t kAnswerBytesMax = 16384;

}  // namespace

ProduceLane::ProduceLane(Socket socket, int capacity, bool expects_answers)
    : socket_{std::move(socket)}, expects_answers_{expects_answers}, ring_(static_cast<std::size_t>(capacity)) {
    socket_.set_nonblocking();
    socket_.reset_on_close();
}

void ProduceLane::enqueue(const PreparedProduce& request, std::int64_t due_ns, std::int64_t now_ns) {
    ODR_ASSERT(has_room(), "count={}", count_);
    at(count_++) = InFlight{.request = &request,
                            .due_ns = due_ns,
                            .given_ns = now_ns,
                            .head = frame_head(request.frame, next_correlation_id_++)};
}

Result<void> ProduceLane::flush() {
    while (has_unsent()) {
        std::array<iovec, 2 * kRequestsPerSend> pieces;
        std::size_t used = 0, wanted = 0, skip = partly_sent_;
        for (int i = sent_; i < count_ && i < sent_ + kRequestsPerSend; ++i) {
            InFlight& entry = at(i);
            const auto& frame = entry.request->frame;
            if (skip < kFrameHeadBytes) pieces[used++] = {entry.head.data() + skip, kFrameHeadBytes - skip};
            const std::size_t from = std::max(skip, kFrameHeadBytes);
            pieces[used++] = {const_cast<std::uint8_t*>(frame.data()) + from, frame.size() - from};
            wanted += frame.size() - skip;
            skip = 0;
        }
        msghdr message{};
        message.msg_iov = pieces.data();
        message.msg_iovlen = used;
        const ssize_t sent = ::sendmsg(fd(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno == EAGAIN || errno == EINTR) return {};
            return fail_errno(ErrorCode::network_exception, errno, "sendmsg");
        }
        advance_sent(static_cast<std::size_t>(sent));
        if (static_cast<std::size_t>(sent) < wanted) return {};
    }
    return {};
}

void ProduceLane::advance_sent(std::size_t bytes) {
    bytes += partly_sent_;
    while (sent_ < count_ && bytes >= at(sent_).request->frame.size()) {
        bytes -= at(sent_).request->frame.size();
        ++sent_;
        if (!expects_answers_) pop();
    }
    partly_sent_ = bytes;
}

void ProduceLane::pop() {
    first_ = (first_ + 1) % static_cast<int>(ring_.size());
    --count_;
    --sent_;
}

Result<ByteView> ProduceLane::receive(MutableByteView scratch, bool& is_empty) {
    std::ranges::copy(leftover_, scratch.begin());
    const MutableByteView room = scratch.subspan(leftover_.size());
    const ssize_t got = ::recv(fd(), room.data(), room.size(), MSG_DONTWAIT);
    if (got == 0) return fail(ErrorCode::network_exception, "the broker closed the connection");
    if (got < 0) {
        if (errno != EAGAIN && errno != EINTR) return fail_errno(ErrorCode::network_exception, errno, "recv");
        is_empty = true;
        return ByteView{scratch.first(leftover_.size())};
    }
    // Less than asked for: nothing is left, so an edge-triggered poll will tell of the next bytes.
    is_empty = static_cast<std::size_t>(got) < room.size();
    return ByteView{scratch.first(leftover_.size() + static_cast<std::size_t>(got))};
}

ByteView ProduceLane::next_answer(ByteView& rest) {
    if (rest.size() < 4) return {};
    const auto size = static_cast<std::size_t>(load_be<std::uint32_t>(rest.data()));
    if (rest.size() - 4 < size) return {};
    const ByteView answer = rest.subspan(4, size);
    rest = rest.subspan(4 + size);
    return answer;
}

Result<void> ProduceLane::keep(ByteView rest) {
    if (rest.size() >= 4) {
        const auto size = load_be<std::int32_t>(rest.data());
        if (size < 4 || size > kAnswerBytesMax) return fail(ErrorCode::invalid_request, "an answer of an absurd size");
    }
    leftover_.assign(rest.begin(), rest.end());
    return {};
}

}  // namespace odr::bench
