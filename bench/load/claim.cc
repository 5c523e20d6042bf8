// odradek-load claim: connections that announce a large frame and send none of it. A broker that believes them is out
// of memory; one that does not still answers others.
#include <array>
#include <chrono>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "load/commands.h"

namespace odr::bench {
namespace {

constexpr int kConnectSecondsMax = 5;
constexpr auto kRetryPause = std::chrono::milliseconds{20};

// One greeting over a connection of its own, again and again until one is answered. Gives: after how many seconds.
Result<double> await_answer(const ClaimOptions& options) {
    const std::int64_t started = system_clock().monotonic_ns();
    for (;;) {
        const auto greeted = [&]() -> Result<void> {
            ODR_TRY(client, Client::connect(options.broker, static_cast<int>(options.answer_seconds_max) + 1));
            return hello(client);
        }();
        const double passed_s = static_cast<double>(system_clock().monotonic_ns() - started) / 1e9;
        if (greeted) return passed_s;
        if (passed_s > options.answer_seconds_max) return std::unexpected{greeted.error()};
        std::this_thread::sleep_for(kRetryPause);
    }
}

}  // namespace

Result<Report> run_claim(const ClaimOptions& options) {
    Report report;
    std::array<std::uint8_t, 4> claim{};
    store_be(claim.data(), options.frame_bytes);
    ODR_TRY(before_s, await_answer(options));
    report.set("answer_before_s", before_s);

    const Usage before = usage_of(options.broker_pid);
    // A broker that takes no more connections has been asked for enough.
    std::vector<Socket> sockets;
    while (std::cmp_less(sockets.size(), options.connections)) {
        auto socket = Socket::connect(options.broker, kConnectSecondsMax);
        if (!socket || !socket->send_all(claim)) break;
        sockets.push_back(std::move(*socket));
    }
    const auto answered = await_answer(options);
    const Usage after = usage_of(options.broker_pid);
    report.set("claims", static_cast<double>(sockets.size()));
    report.set("still_answers", answered ? 1 : 0);
    if (answered) report.set("answer_s", *answered);
    report.set("rss_growth_mb", static_cast<double>(after.rss_bytes - before.rss_bytes) / 1e6);
    report.set_usage(before, after, 0, 0);
    return report;
}

}  // namespace odr::bench
