#include "io/reactor.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>

#include "base/random.h"
#include "base/result.h"
#include "io/blocking_pool.h"
#include "io/task.h"

namespace odr::io {
namespace {

class ReactorTest : public testing::Test {
protected:
    void advance(std::int64_t ms) {
        clock_.advance_ms(ms);
        while (reactor_.run_ready()) {
        }
    }
    ManualClock clock_;
    Reactor reactor_{0, clock_};
};

TEST_F(ReactorTest, ATimerFiresAtItsDeadlineAndNotBefore) {
    int fired = 0;
    Timer timer;
    reactor_.arm(timer, 100, [](void* count) { ++*static_cast<int*>(count); }, &fired);
    advance(99);
    EXPECT_EQ(fired, 0);
    advance(1);
    EXPECT_EQ(fired, 1);
    advance(10'000);
    EXPECT_EQ(fired, 1);
}

TEST_F(ReactorTest, ADestroyedTimerNeverFires) {
    int fired = 0;
    {
        Timer timer;
        reactor_.arm(timer, 5, [](void* count) { ++*static_cast<int*>(count); }, &fired);
    }
    advance(10);
    EXPECT_EQ(fired, 0);
}

TEST_F(ReactorTest, TimersBeyondOneTurnOfTheWheelKeepTheirDeadline) {
    SeededRandom random{11};
    struct Shot {
        Timer timer;
        std::int64_t fired_at = -1;
        Reactor* reactor = nullptr;
    };
    std::vector<Shot> shots(500);
    std::vector<std::int64_t> wanted(shots.size());
    const std::int64_t start = reactor_.now_ms();
    for (std::size_t i = 0; i < shots.size(); ++i) {
        const auto delay = static_cast<std::int64_t>(1 + random.next() % 20'000);
        wanted[i] = start + delay;
        shots[i].reactor = &reactor_;
        reactor_.arm(
            shots[i].timer, delay,
            [](void* at) {
                auto* shot = static_cast<Shot*>(at);
                shot->fired_at = shot->reactor->now_ms();
            },
            &shots[i]);
    }
    for (int i = 0; i < 20'001; ++i) advance(1);
    for (std::size_t i = 0; i < shots.size(); ++i) EXPECT_EQ(shots[i].fired_at, wanted[i]) << i;
}

TEST_F(ReactorTest, WaitingTimeIsThatOfTheNextTimer) {
    TimerWheel wheel{1000};
    Timer timer;
    EXPECT_EQ(wheel.wait_ms(1000), -1);
    wheel.arm(timer, 1250, [](void*) {}, nullptr);
    EXPECT_EQ(wheel.wait_ms(1000), 250);
}

TEST_F(ReactorTest, WorkPutOffToTheEndOfTheTurnSeesAllThatTheTurnBrought) {
    std::string order;
    reactor_.post([&] {
        reactor_.at_end_of_turn([](void* text) { *static_cast<std::string*>(text) += "end"; }, &order);
        order += "a";
    });
    reactor_.post([&] { order += "b"; });
    advance(0);
    EXPECT_EQ(order, "abend");
}

Task<int> doubled(int value) { co_return value * 2; }
Task<int> sum_of_doubles(Reactor* reactor) {
    const int a = co_await doubled(1);
    co_await reactor->sleep(50);
    const int b = co_await doubled(2);
    co_return a + b;
}

TEST_F(ReactorTest, ATaskThatWaitsTellsWhenItIsDone) {
    bool told = false;
    Task<int> task = sum_of_doubles(&reactor_);
    ASSERT_FALSE(task.start([](void* flag) { *static_cast<bool*>(flag) = true; }, &told));
    advance(49);
    EXPECT_FALSE(told);
    advance(1);
    ASSERT_TRUE(told);
    EXPECT_EQ(task.take(), 6);
}

Task<void> cross_threads(BlockingPool* pool, Reactor* reactor, std::set<std::thread::id>* seen) {
    seen->insert(std::this_thread::get_id());
    const Result<int> got = co_await pool->run([](MayBlock) -> Result<int> { return 7; });
    seen->insert(std::this_thread::get_id());
    if (*got == 7) reactor->stop();
}

TEST(BlockingPoolTest, AwaitingAJobComesBackToTheReactorsThread) {
    Reactor reactor{0, system_clock()};
    BlockingPool pool{2};
    std::set<std::thread::id> seen;
    reactor.post([&] { spawn(cross_threads(&pool, &reactor, &seen)); });
    reactor.run();
    EXPECT_EQ(seen, std::set{std::this_thread::get_id()});
}

TEST(BlockingPoolTest, ASleepingReactorIsWokenByAPost) {
    Reactor reactor{0, system_clock()};
    std::thread loop{[&] { reactor.run(); }};
    for (int i = 0; i < 1000; ++i) {
        std::atomic<bool> seen{false};
        reactor.post([&] {
            seen.store(true);
            seen.notify_one();
        });
        seen.wait(false);
    }
    reactor.stop();
    loop.join();
}

}  // namespace
}  // namespace odr::io
