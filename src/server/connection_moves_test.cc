#include <array>

#include "server/balancer.h"
#include "server/connection_test_support.h"

namespace odr::server {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

// CPU time as the tests tell it, for each reactor.
std::array<std::int64_t, 2> used_cpu_ns{};
int cpu_questions = 0;
std::int64_t told_cpu_ns() {
    ++cpu_questions;
    return used_cpu_ns[static_cast<std::size_t>(io::Reactor::current()->index())];
}

// Two reactors, turned by hand; sockets arrive at the first.
class ConnectionMovesTest : public ConnectionTest {
protected:
    ConnectionMovesTest() {
        used_cpu_ns = {};
        open_processor({});
        second_ = std::make_unique<Processor>(1, services_, ConnectionLimits{}, &balancer_);
        balancer_.set_processors({processor_.get(), second_.get()});
    }
    ~ConnectionMovesTest() override {
        replicas_->close_all();
        for (auto& [id, socket] : sockets_) ::close(std::exchange(socket, -1));
        settle();
        sockets_.clear();
    }
    Balancer* balancer() override { return &balancer_; }
    bool turn() override {
        const bool first = processor_->reactor().run_ready();
        const bool second = second_ && second_->reactor().run_ready();
        return first || second;
    }
    // A window in which the reactors use so much of a core, and each of these connections sends a request.
    void window(int first_percent, int second_percent, const std::vector<Id>& senders) {
        for (const Id each : senders) send_all(each, api_versions(next_++));
        used_cpu_ns[0] += first_percent * Balancer::kWindowMs * 10'000;
        used_cpu_ns[1] += second_percent * Balancer::kWindowMs * 10'000;
        pass(Balancer::kWindowMs);
    }
    std::array<std::size_t, 2> counts() const { return {processor_->connection_count(), second_->connection_count()}; }
    using Counts = std::array<std::size_t, 2>;

    Balancer balancer_{2, &told_cpu_ns};
    std::unique_ptr<Processor> second_;
    std::int32_t next_ = 0;
};

TEST_F(ConnectionMovesTest, ABusyReactorGivesHalfOfItsWorkToTheOther) {
    const Id one = connect();
    const Id two = connect();
    window(90, 0, {one, two});
    EXPECT_EQ(counts(), (Counts{1, 1}));
    window(45, 45, {one, two});
    EXPECT_EQ(counts(), (Counts{1, 1}));
    EXPECT_EQ(answers(one), (Ids{0, 2}));
    EXPECT_EQ(answers(two), (Ids{1, 3}));
}

TEST_F(ConnectionMovesTest, AConnectionThatIsAllTheWorkStays) {
    const Id busy = connect();
    connect();
    window(100, 0, {busy});
    EXPECT_EQ(counts(), (Counts{2, 0}));
}

TEST_F(ConnectionMovesTest, WorkThatFitsOnTheFirstReactorComesBackWhenItHasFittedForAWhile) {
    const Id one = connect();
    const Id two = connect();
    window(90, 0, {one, two});
    window(45, 45, {one, two});
    for (int i = 1; i < Balancer::kMergeAfterWindows; ++i) window(5, 5, {one, two});
    EXPECT_EQ(counts(), (Counts{1, 1}));
    window(5, 5, {one, two});
    EXPECT_EQ(counts(), (Counts{2, 0}));
}

TEST_F(ConnectionMovesTest, APauseDoesNotCountAsFitting) {
    const Id one = connect();
    const Id two = connect();
    window(90, 0, {one, two});
    window(45, 45, {one, two});
    for (int i = 1; i < Balancer::kMergeAfterWindows; ++i) window(5, 5, {one, two});
    window(45, 45, {one, two});
    window(5, 5, {one, two});
    EXPECT_EQ(counts(), (Counts{1, 1}));
}

TEST_F(ConnectionMovesTest, AConnectionMovesOnlyOnceItsRequestIsAnswered) {
    const Id waiting = connect();
    const Id busy = connect();
    send_all(waiting, produce(90));
    EXPECT_EQ(answers(waiting), Ids{90});
    send_all(waiting, fetch(91, 1, 1000));
    window(90, 0, {busy, busy, busy});
    EXPECT_EQ(counts(), (Counts{2, 0})) << "the fetch still waits, and it is what should go";
    send_all(busy, produce(92));
    EXPECT_EQ(counts(), (Counts{1, 1}));
    EXPECT_EQ(answers(waiting), (Ids{90, 91}));
    send_all(waiting, api_versions(93));
    EXPECT_EQ(answers(waiting), (Ids{90, 91, 93}));
}

class HalfAFrame : public ConnectionMovesTest, public ::testing::WithParamInterface<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(SmallAndLarge, HalfAFrame, ::testing::Values(10, 200'000));

TEST_P(HalfAFrame, GoesAlong) {
    const Id one = connect();
    const Id two = connect();
    const Bytes whole = produce(50, GetParam());
    const auto half = whole.begin() + static_cast<std::ptrdiff_t>(whole.size() / 2);
    for (const Id each : {one, two}) send_all(each, api_versions(49) + Bytes{whole.begin(), half});
    window(90, 0, {});
    EXPECT_EQ(counts(), (Counts{1, 1}));
    for (const Id each : {one, two}) {
        send_all(each, Bytes{half, whole.end()});
        EXPECT_EQ(answers(each), (Ids{49, 50}));
    }
}

TEST_F(ConnectionMovesTest, OnceMovesAreForbiddenConnectionsStay) {
    const Id one = connect();
    const Id two = connect();
    balancer_.forbid_moves();
    window(90, 0, {one, two});
    EXPECT_EQ(counts(), (Counts{2, 0}));
}

TEST_F(ConnectionMovesTest, WhileNothingHappensNothingIsMeasured) {
    window(10, 0, {connect()});
    pass(10 * Balancer::kWindowMs);
    const int before = cpu_questions;
    for (int i = 0; i < 10; ++i) pass(10 * Balancer::kWindowMs);
    EXPECT_EQ(cpu_questions, before);
    EXPECT_EQ(balancer_.loads(), (std::vector<int>{0, 0}));
}

}  // namespace
}  // namespace odr::server
