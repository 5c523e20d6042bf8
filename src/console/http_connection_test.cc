#include "console/http_connection.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

#include "base/clock.h"
#include "console/http_request.h"

namespace odr::console {
namespace {

// A client and the connection's end of a pair of sockets, moved by hand.
class HttpConnectionTest : public ::testing::Test {
protected:
    HttpConnectionTest() {
        std::array<int, 2> ends{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()) != 0) throw std::runtime_error{"pair"};
        client_ = ends[0];
        connection_ = std::make_unique<HttpConnection>(ends[1], clock_.monotonic_ms());
    }
    ~HttpConnectionTest() override {
        if (client_ >= 0) ::close(client_);
    }

    void send(std::string_view text) {
        ASSERT_EQ(::send(client_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    }
    void hang_up() { ::close(std::exchange(client_, -1)); }
    // As the listener does, while there is anything to do.
    void run() {
        while (!is_over()) {
            pollfd one{connection_->socket(), connection_->awaited(), 0};
            if (::poll(&one, 1, 0) <= 0) return;
            connection_->on_ready(pages_);
        }
    }
    std::string received() {
        std::string out;
        std::array<char, 4096> bytes;
        for (ssize_t got = 0; (got = ::recv(client_, bytes.data(), bytes.size(), 0)) > 0;) {
            out.append(bytes.data(), static_cast<std::size_t>(got));
        }
        return out;
    }
    std::string status() { return received().substr(0, 12); }
    bool is_over() const { return connection_->is_over(clock_.monotonic_ms()); }

    ManualClock clock_;
    int client_ = -1;
    std::unique_ptr<HttpConnection> connection_;
    int asked_ = 0;
    std::string body_ = "a 1\n";
    HttpPages pages_ = [this](std::string_view path) -> HttpAnswer {
        ++asked_;
        if (path == "/throws") throw std::runtime_error{"no"};
        if (path != "/metrics") return {.status = 404, .body = "no\n"};
        return {.content_type = "text/x", .body = body_};
    };
};

constexpr std::string_view kAsk = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";

TEST_F(HttpConnectionTest, AnswersWithLengthAndTypeAndEndsWhenTheClientHasClosed) {
    send(kAsk);
    run();
    EXPECT_EQ(received(),
              "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 4\r\nCache-Control: no-store\r\n"
              "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\na 1\n");
    EXPECT_FALSE(is_over());
    hang_up();
    run();
    EXPECT_TRUE(is_over());
}

TEST_F(HttpConnectionTest, AnswersHeadWithTheLengthAndWithoutTheBody) {
    send("HEAD /metrics HTTP/1.0\r\n\r\n");
    run();
    const std::string got = received();
    EXPECT_NE(got.find("Content-Length: 4\r\n"), std::string::npos);
    EXPECT_TRUE(got.ends_with("\r\n\r\n"));
}

TEST_F(HttpConnectionTest, RefusesWithoutAskingForThePage) {
    send("DELETE /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    run();
    const std::string got = received();
    EXPECT_TRUE(got.starts_with("HTTP/1.1 405 ")) << got;
    EXPECT_NE(got.find("\r\nAllow: GET, HEAD\r\n"), std::string::npos);
    EXPECT_EQ(asked_, 0);
}

TEST_F(HttpConnectionTest, TellsAPageThatThrowsAsAServersError) {
    send("GET /throws HTTP/1.0\r\n\r\n");
    run();
    EXPECT_EQ(status(), "HTTP/1.1 500");
}

TEST_F(HttpConnectionTest, TakesARequestByteByByte) {
    for (const char c : kAsk) {
        EXPECT_EQ(asked_, 0);
        send({&c, 1});
        run();
    }
    EXPECT_EQ(asked_, 1);
    EXPECT_EQ(status(), "HTTP/1.1 200");
}

TEST_F(HttpConnectionTest, AnswersTheFirstOfManyRequestsAndReadsNoMore) {
    std::string many;
    for (int i = 0; i < 100; ++i) many += kAsk;
    send(many);
    run();
    EXPECT_EQ(asked_, 1);
    const std::string got = received();
    EXPECT_EQ(got.rfind("HTTP/1.1 200"), 0U);
}

TEST_F(HttpConnectionTest, RefusesHeadersWithoutEndAtTheBound) {
    send("GET /metrics HTTP/1.1\r\nX: ");
    send(std::string(kHttpHeadBytesMax, 'x'));
    run();
    EXPECT_EQ(status(), "HTTP/1.1 431");
}

TEST_F(HttpConnectionTest, ReadsOnlySoMuchOfWhatComesAfterTheAnswer) {
    send(kAsk);
    run();
    for (std::size_t sent = 0; sent <= HttpConnection::kDrainBytesMax && !is_over(); sent += 4096) {
        send(std::string(4096, 'x'));
        run();
    }
    EXPECT_TRUE(is_over());
}

TEST_F(HttpConnectionTest, EndsAtTheDeadlineHoweverSlowlyTheClientSends) {
    const std::int64_t step_ms = HttpConnection::kLifeMsMax / 10;
    for (int i = 0; i < 9; ++i) {
        send("G");
        run();
        clock_.advance_ms(step_ms);
        EXPECT_FALSE(is_over());
    }
    send("G");
    run();
    clock_.advance_ms(step_ms);
    EXPECT_TRUE(is_over());
}

TEST_F(HttpConnectionTest, EndsAtTheDeadlineWhenTheClientDoesNotReadTheAnswer) {
    body_ = std::string(std::size_t{8} << 20, 'x');
    send(kAsk);
    run();
    EXPECT_EQ(connection_->awaited(), POLLOUT);
    EXPECT_FALSE(is_over());
    clock_.advance_ms(HttpConnection::kLifeMsMax);
    EXPECT_TRUE(is_over());
}

TEST_F(HttpConnectionTest, SendsALargeAnswerWholeToAClientThatReadsInPieces) {
    body_ = std::string(std::size_t{8} << 20, 'x');
    send(kAsk);
    std::size_t got = 0;
    for (int i = 0; i < 10'000; ++i) {
        run();
        const std::size_t piece = received().size();
        if (piece == 0) break;
        got += piece;
    }
    EXPECT_GT(got, body_.size());
    EXPECT_LT(got, body_.size() + 300);
}

TEST_F(HttpConnectionTest, EndsWhenTheClientHangsUpBeforeItHasAsked) {
    send("GET /metr");
    run();
    hang_up();
    run();
    EXPECT_TRUE(is_over());
    EXPECT_EQ(asked_, 0);
}

TEST_F(HttpConnectionTest, EndsWhenTheClientHangsUpAmidTheAnswer) {
    body_ = std::string(std::size_t{8} << 20, 'x');
    send(kAsk);
    run();
    hang_up();
    run();
    EXPECT_TRUE(is_over());
}

}  // namespace
}  // namespace odr::console
