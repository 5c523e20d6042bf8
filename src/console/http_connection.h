#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace odr::console {

struct HttpAnswer {
    int status = 200;
    std::string_view content_type = "text/plain; charset=utf-8";
    std::string body;
};
// What stands under a path. May wait for a disk, and may throw: the client is then told 500.
using HttpPages = std::function<HttpAnswer(std::string_view path)>;

// One client: reads one request, answers it, and waits until the client has closed. Whatever the client does, it is
// over at the deadline and holds no more than a request's head and one answer.
//
// Owner:   HttpListener.
// Threads: one.
class HttpConnection {
public:
    static constexpr std::int64_t kLifeMsMax = 10'000;
    static constexpr std::size_t kDrainBytesMax = std::size_t{64} << 10;

    // Takes the socket, which must not block.
    HttpConnection(int socket, std::int64_t now_ms) : socket_{socket}, deadline_ms_{now_ms + kLifeMsMax} {}
    ~HttpConnection();
    HttpConnection(const HttpConnection&) = delete;
    HttpConnection& operator=(const HttpConnection&) = delete;

    int socket() const { return socket_; }
    short awaited() const;  // POLLIN or POLLOUT
    std::int64_t deadline_ms() const { return deadline_ms_; }
    // Goes on as far as it can without waiting for the client.
    void on_ready(const HttpPages& pages);
    bool is_over(std::int64_t now_ms) const { return state_ == State::over || now_ms >= deadline_ms_; }

private:
    // draining: a socket that is closed with bytes unread is reset, and the client may lose the end of the answer.
    enum class State { reading, writing, draining, over };
    void read(const HttpPages& pages);
    void write();
    void drain();
    void answer(const HttpPages& pages);

    const int socket_;
    const std::int64_t deadline_ms_;
    State state_ = State::reading;
    std::string received_;
    std::string to_send_;
    std::size_t sent_ = 0;
    std::size_t drained_ = 0;
};

}  // namespace odr::console
