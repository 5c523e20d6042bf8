#include "load/request_lane.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/clock.h"

namespace odr::bench {
namespace {

constexpr std::size_t kReadBytes = 16384;
constexpr std::size_t kAnswerBytesMax = std::size_t{64} << 20;
constexpr int kFlushSecondsMax = 30;
constexpr std::size_t kEventsPerPoll = 512;
constexpr std::int64_t kPollNsMax = 50'000'000;

}  // namespace

RequestLane::RequestLane(Socket socket) : socket_{std::move(socket)} {
    socket_.set_nonblocking();
    socket_.reset_on_close();
}

void RequestLane::make_room() {
    if (has_unsent()) return;
    out_.clear();
    sent_ = 0;
}

std::int32_t RequestLane::begin(std::int16_t api_key, std::int16_t version, std::uint64_t tag, std::int64_t due_ns) {
    const std::int32_t id = next_correlation_id_++;
    waiting_.push_back({.tag = tag, .due_ns = due_ns, .api_key = api_key, .version = version, .correlation_id = id});
    return id;
}

void RequestLane::enqueue_frame(ByteView frame, std::int16_t api_key, std::int16_t version, std::uint64_t tag,
                                std::int64_t due_ns) {
    constexpr std::size_t kCorrelationAt = 8;
    make_room();
    const std::size_t start = out_.size();
    out_.append(frame);
    store_be(out_.data() + start + kCorrelationAt, begin(api_key, version, tag, due_ns));
}

Result<void> RequestLane::flush() {
    for (int waited = 0; has_unsent();) {
        const ByteView rest = out_.view().subspan(sent_);
        const ssize_t sent = ::send(fd(), rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            sent_ += static_cast<std::size_t>(sent);
        } else if (errno == EAGAIN) {
            // Requests are small and in flight only so many: a full socket is rare, so waiting for it is no loss.
            pollfd wait{.fd = fd(), .events = POLLOUT, .revents = 0};
            if (::poll(&wait, 1, 1000) != 1 && ++waited == kFlushSecondsMax) {
                return fail(ErrorCode::request_timed_out, "the broker takes no more requests");
            }
        } else if (errno != EINTR) {
            return fail_errno(ErrorCode::network_exception, errno, "send");
        }
    }
    return {};
}

Result<void> RequestLane::receive(bool& is_empty) {
    if (in_.size() < filled_ + kReadBytes) in_.resize(filled_ + kReadBytes);
    const ssize_t got = ::recv(fd(), in_.data() + filled_, in_.size() - filled_, MSG_DONTWAIT);
    if (got == 0) return fail(ErrorCode::network_exception, "the broker closed the connection");
    if (got < 0) {
        if (errno != EAGAIN && errno != EINTR) return fail_errno(ErrorCode::network_exception, errno, "recv");
        is_empty = true;
        return {};
    }
    filled_ += static_cast<std::size_t>(got);
    is_empty = filled_ < in_.size();  // less than asked for: nothing is left
    return {};
}

ByteView RequestLane::next_answer(std::size_t& at) const {
    const ByteView rest = ByteView{in_}.first(filled_).subspan(at);
    if (rest.size() < 4) return {};
    const auto size = static_cast<std::size_t>(load_be<std::uint32_t>(rest.data()));
    if (rest.size() - 4 < size) return {};
    at += 4 + size;
    return rest.subspan(4, size);
}

Result<RequestLane::InFlight> RequestLane::match(ByteView answer) {
    if (answer.size() < 4 || answer.size() > kAnswerBytesMax) {
        return fail(ErrorCode::invalid_request, "an answer of an absurd size");
    }
    if (waiting_.empty() || waiting_.front().correlation_id != load_be<std::int32_t>(answer.data())) {
        return fail(ErrorCode::invalid_request, "an answer out of turn");
    }
    const InFlight done = waiting_.front();
    waiting_.pop_front();
    return done;
}

Result<void> RequestLane::skip_header(protocol::Reader& body, const InFlight& of) {
    ODR_TRY(id, protocol::decode_response_header(body, *protocol::find_api(of.api_key), of.version));
    static_cast<void>(id);
    return {};
}

void RequestLane::drop(std::size_t bytes) {
    if (bytes == 0) return;
    std::copy(in_.begin() + static_cast<std::ptrdiff_t>(bytes), in_.begin() + static_cast<std::ptrdiff_t>(filled_),
              in_.begin());
    filled_ -= bytes;
}

Poller::Poller() : epoll_{::epoll_create1(EPOLL_CLOEXEC)} {
    // The kernel rounds a sleep up by 50 us unless told otherwise: a due request would start late.
    ::prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
}

void Poller::watch(int fd, void* tag) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = tag;
    ::epoll_ctl(epoll_.fd(), EPOLL_CTL_ADD, fd, &event);
}

const std::vector<void*>& Poller::wait(std::int64_t until_ns) {
    std::array<epoll_event, kEventsPerPoll> events;
    const std::int64_t wait_ns = std::clamp<std::int64_t>(until_ns - system_clock().monotonic_ns(), 0, kPollNsMax);
    const timespec timeout{.tv_sec = 0, .tv_nsec = wait_ns};
    const int got = ::epoll_pwait2(epoll_.fd(), events.data(), static_cast<int>(events.size()), &timeout, nullptr);
    ready_.clear();
    for (int i = 0; i < got; ++i) ready_.push_back(events[static_cast<std::size_t>(i)].data.ptr);
    return ready_;
}

}  // namespace odr::bench
