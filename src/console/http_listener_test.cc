#include "console/http_listener.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

namespace odr::console {
namespace {

// A client that waits for whatever it is told.
class Client {
public:
    explicit Client(const HttpListener& listener) {
        const std::string address = listener.address();
        sockaddr_in where{};
        where.sin_family = AF_INET;
        where.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
        where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(::connect(socket_, reinterpret_cast<const sockaddr*>(&where), sizeof where), 0);
    }
    ~Client() { close(); }
    void close() {
        if (socket_ >= 0) ::close(std::exchange(socket_, -1));
    }
    void send(std::string_view text) { ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL); }
    std::string receive_all() {
        std::string out;
        std::array<char, 4096> bytes;
        for (ssize_t got = 0; (got = ::recv(socket_, bytes.data(), bytes.size(), 0)) > 0;) {
            out.append(bytes.data(), static_cast<std::size_t>(got));
        }
        return out;
    }

private:
    int socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
};

std::unique_ptr<HttpListener> opened(const Clock& clock, const std::string& host = "127.0.0.1") {
    auto listener = HttpListener::open({host, 0}, clock);
    EXPECT_TRUE(listener) << listener.error();
    return std::move(*listener);
}

HttpPages hello() {
    return [](std::string_view) -> HttpAnswer { return {.body = "hello\n"}; };
}

constexpr std::string_view kAsk = "GET /metrics HTTP/1.0\r\n\r\n";

TEST(HttpListener, AnswersThoseWhoConnectedBeforeItsStart) {
    const auto listener = opened(system_clock());
    Client client{*listener};
    client.send(kAsk);
    listener->start(hello());
    EXPECT_TRUE(client.receive_all().ends_with("\r\n\r\nhello\n"));
}

TEST(HttpListener, AnswersManyOneAfterTheOther) {
    const auto listener = opened(system_clock());
    listener->start(hello());
    for (int i = 0; i < 200; ++i) {
        Client client{*listener};
        client.send(kAsk);
        EXPECT_TRUE(client.receive_all().ends_with("hello\n"));
    }
}

// The clock stands still, so none of the silent clients ever reaches its deadline.
TEST(HttpListener, WithItsPlacesTakenLetsOthersWaitUntilOneIsFree) {
    const ManualClock clock;
    const auto listener = opened(clock);
    std::vector<std::unique_ptr<Client>> silent;
    for (std::size_t i = 0; i < HttpListener::kConnectionsMax; ++i) {
        silent.push_back(std::make_unique<Client>(*listener));
        silent.back()->send("GET");
    }
    Client late{*listener};
    late.send(kAsk);
    std::atomic<int> asked{0};
    listener->start([&](std::string_view) -> HttpAnswer {
        ++asked;
        return {.body = "hello\n"};
    });
    silent.back()->send(" / HTTP/1.0\r\n\r\n");
    EXPECT_TRUE(silent.back()->receive_all().ends_with("hello\n"));
    EXPECT_EQ(asked, 1);
    silent.back()->close();
    EXPECT_TRUE(late.receive_all().ends_with("hello\n"));
    EXPECT_EQ(asked, 2);
}

TEST(HttpListener, StopsWhileClientsAreConnected) {
    const ManualClock clock;
    const auto listener = opened(clock);
    listener->start(hello());
    Client silent{*listener};
    silent.send("GET");
    listener->stop();
    EXPECT_EQ(silent.receive_all(), "");
}

TEST(HttpListener, StopsWithoutEverHavingBeenStarted) { opened(system_clock())->stop(); }

TEST(HttpListener, SaysWhyItCannotListen) {
    const auto first = opened(system_clock());
    const std::string address = first->address();
    const auto port = static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    EXPECT_NE(port, 0);
    const auto second = HttpListener::open({"127.0.0.1", port}, system_clock());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error(), "cannot listen: the port is in use by another process; choose another");
    const auto elsewhere = HttpListener::open({"192.0.2.1", 0}, system_clock());
    ASSERT_FALSE(elsewhere);
    EXPECT_EQ(elsewhere.error(), "cannot listen: no interface of this machine has that address");
}

}  // namespace
}  // namespace odr::console
