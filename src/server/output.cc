#include "server/output.h"

#include <sys/sendfile.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace odr::server {

void Output::add_slice(std::size_t position, storage::FileSlice slice) {
    slice_bytes_ += slice.length;
    slices_.push_back({position, std::move(slice)});
}

void Output::append(Output&& other) {
    const std::size_t base = bytes_.size();
    bytes_.append(other.bytes_.view());
    for (Slice& each : other.slices_) add_slice(base + each.position, std::move(each.slice));
    other.slices_.clear();
    other.slice_bytes_ = 0;
    other.bytes_.clear();
}

void Output::release() {
    if (!empty()) return;
    sent_ = 0;
    if (bytes_.capacity() > kKeptCapacity) {
        bytes_ = protocol::Buffer{};
    } else {
        bytes_.clear();
    }
}

Output::Progress Output::flush(int socket, std::int64_t now_ms) {
    std::size_t budget = kBytesPerTurn;
    while (!empty()) {
        const std::size_t until = !slices_.empty() ? slices_.front().position : bytes_.size();
        const Progress progress =
            sent_ < until ? send_bytes(socket, until, budget) : send_slice(socket, budget, now_ms);
        if (progress != Progress::done || (budget == 0 && !empty())) {
            forget_sent();
            return progress != Progress::done ? progress : Progress::more;
        }
    }
    release();
    return Progress::done;
}

// A client that always has something to come never lets the buffer be empty.
void Output::forget_sent() {
    if (sent_ <= kSentBytesMax || sent_ < bytes_.size() / 2) return;
    protocol::Buffer rest;
    rest.append(bytes_.view().subspan(sent_));
    for (Slice& each : slices_) each.position -= sent_;
    bytes_ = std::move(rest);
    sent_ = 0;
}

Output::Progress Output::send_bytes(int socket, std::size_t until, std::size_t& budget) {
    // Without MSG_MORE, even before a slice: docs/adr/0010-no-msg-more.md.
    const ssize_t n = ::send(socket, bytes_.data() + sent_, until - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) return Progress::done;
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? Progress::blocked : Progress::failed;
    const bool all = static_cast<std::size_t>(n) == until - sent_;
    sent_ += static_cast<std::size_t>(n);
    budget -= std::min(budget, static_cast<std::size_t>(n));
    return all ? Progress::done : Progress::blocked;
}

bool Output::make_sure_of_warmth(Slice& next, std::int64_t now_ms) {
    if (next.warm_since_ms < 0) next.warm_since_ms = now_ms;
    storage::FileSlice& slice = next.slice;
    if (slice.warm > 0 && now_ms - next.warm_since_ms <= kWarmMs) return true;
    const std::size_t wanted = std::min(slice.length, kWarmBytes);
    if (!slice.file->resident(slice.position, wanted)) return false;
    slice.warm = wanted;
    next.warm_since_ms = now_ms;
    return true;
}

storage::FileSlice Output::next_cold() const {
    storage::FileSlice out = slices_.front().slice;
    out.length = std::min(out.length, kWarmBytes);
    return out;
}

void Output::note_warm(std::int64_t now_ms) {
    Slice& next = slices_.front();
    next.slice.warm = std::min(next.slice.length, kWarmBytes);
    next.warm_since_ms = now_ms;
}

Output::Progress Output::send_slice(int socket, std::size_t& budget, std::int64_t now_ms) {
    Slice& next = slices_.front();
    std::size_t sent = 0;
    if (next.slice.length > 0) {
        if (!make_sure_of_warmth(next, now_ms)) return Progress::cold;
        if (next.slice.file->native_handle() < 0) return copy_slice(socket, next, budget);
        auto offset = static_cast<off_t>(next.slice.position);
        const ssize_t n =
            ::sendfile(socket, next.slice.file->native_handle(), &offset, std::min(next.slice.warm, budget));
        if (n < 0 && errno == EINTR) return Progress::done;
        if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? Progress::blocked : Progress::failed;
        if (n == 0) return Progress::failed;  // the file was cut: the client was promised more
        sent = static_cast<std::size_t>(n);
    }
    next.slice.position += sent;
    next.slice.length -= sent;
    next.slice.warm -= std::min(next.slice.warm, sent);
    slice_bytes_ -= sent;
    budget -= sent;
    if (next.slice.length == 0) slices_.pop_front();
    return Progress::done;
}

// For files that the kernel does not know: simulated ones.
Output::Progress Output::copy_slice(int socket, Slice& next, std::size_t& budget) {
    std::array<std::uint8_t, 16384> window;
    const std::size_t wanted = std::min({next.slice.warm, window.size(), budget});
    const Result<std::size_t> got = next.slice.file->read_at({window.data(), wanted}, next.slice.position);
    if (!got || *got == 0) return Progress::failed;
    const ssize_t n = ::send(socket, window.data(), *got, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? Progress::blocked : Progress::failed;
    const auto sent = static_cast<std::size_t>(n);
    next.slice.position += sent;
    next.slice.length -= sent;
    next.slice.warm -= std::min(next.slice.warm, sent);
    slice_bytes_ -= sent;
    budget -= sent;
    if (next.slice.length == 0) slices_.pop_front();
    return Progress::done;
}

}  // namespace odr::server
