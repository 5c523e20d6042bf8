#include "console/http_connection.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <exception>

#include "base/log.h"
#include "console/http_request.h"

namespace odr::console {
namespace {

constexpr std::size_t kReadBytes = 2048;

std::string_view reason_of(int status) {
    switch (status) {
        case 200:
            return "OK";
        case 400:
            return "Bad Request";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 431:
            return "Request Header Fields Too Large";
        case 505:
            return "HTTP Version Not Supported";
        default:
            return "Internal Server Error";
    }
}

std::string encode(const HttpAnswer& answer, bool is_head) {
    std::string out = fmt::format(
        "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\nConnection: close\r\n{}\r\n",
        answer.status, reason_of(answer.status), answer.content_type, answer.body.size(),
        answer.status == 405 ? "Allow: GET, HEAD\r\n" : "");
    if (!is_head) out += answer.body;
    return out;
}

HttpAnswer plain(int status) { return {.status = status, .body = fmt::format("{}\n", reason_of(status))}; }

HttpAnswer answer_from(const HttpPages& pages, std::string_view path) {
    try {
        return pages(path);
    } catch (const std::exception& error) {
        log::error("GET {} cannot be answered: {}", path, error.what());
        return plain(500);
    }
}

bool is_temporary(int os_errno) { return os_errno == EAGAIN || os_errno == EWOULDBLOCK || os_errno == EINTR; }

}  // namespace

HttpConnection::~HttpConnection() { ::close(socket_); }

short HttpConnection::awaited() const { return state_ == State::writing ? POLLOUT : POLLIN; }

void HttpConnection::on_ready(const HttpPages& pages) {
    if (state_ == State::reading) read(pages);
    if (state_ == State::writing) write();
    if (state_ == State::draining) drain();
}

void HttpConnection::read(const HttpPages& pages) {
    std::array<char, kReadBytes> bytes;
    const ssize_t got = ::recv(socket_, bytes.data(), bytes.size(), 0);
    if (got > 0) {
        received_.append(bytes.data(), static_cast<std::size_t>(got));
        answer(pages);
    } else if (got == 0 || !is_temporary(errno)) {
        state_ = State::over;
    }
}

void HttpConnection::answer(const HttpPages& pages) {
    const auto request = parse_http_request(received_);
    if (!request) return;
    to_send_ = request->refused_with != 0 ? encode(plain(request->refused_with), false)
                                          : encode(answer_from(pages, request->path), request->is_head);
    received_ = {};
    state_ = State::writing;
}

void HttpConnection::write() {
    const ssize_t sent = ::send(socket_, to_send_.data() + sent_, to_send_.size() - sent_, MSG_NOSIGNAL);
    if (sent < 0) {
        if (!is_temporary(errno)) state_ = State::over;
        return;
    }
    sent_ += static_cast<std::size_t>(sent);
    if (sent_ < to_send_.size()) return;
    to_send_ = {};
    ::shutdown(socket_, SHUT_WR);
    state_ = State::draining;
}

void HttpConnection::drain() {
    std::array<char, kReadBytes> bytes;
    const ssize_t got = ::recv(socket_, bytes.data(), bytes.size(), 0);
    if (got > 0) drained_ += static_cast<std::size_t>(got);
    if (got == 0 || (got < 0 && !is_temporary(errno)) || drained_ > kDrainBytesMax) state_ = State::over;
}

}  // namespace odr::console
