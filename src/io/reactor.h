#pragma once

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "io/timer_wheel.h"

namespace odr::io {

// Something with a descriptor that the reactor watches.
class Watcher {
public:
    virtual ~Watcher() = default;
    // `events` are EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR. May unwatch and destroy itself.
    virtual void on_events(std::uint32_t events) = 0;
};

// One event loop, one thread, level-triggered epoll. (docs/adr/0002-reactor.md: why not Asio.)
// A turn: what other threads posted, what the kernel has, due timers, then what was put off to the end of the turn.
//
// Threads: post(), call() and resume() from any; everything else on the reactor's own.
// Tests:   without run(): move a ManualClock and call run_ready().
class Reactor {
public:
    using Job = std::move_only_function<void()>;

    Reactor(int index, const Clock& clock);
    ~Reactor();
    Reactor(const Reactor&) = delete;
    Reactor& operator=(const Reactor&) = delete;

    void run();   // until stop()
    void stop();  // any thread
    // One turn without waiting. Gives: whether anything was done.
    bool run_ready();

    void post(Job job);
    // Runs `fire(argument)` soon on this reactor: at the end of its turn when called from there.
    void call(Timer::Fire fire, void* argument);
    void resume(std::coroutine_handle<> coroutine) {
        call([](void* at) { std::coroutine_handle<>::from_address(at).resume(); }, coroutine.address());
    }

    void watch(int fd, Watcher& watcher, std::uint32_t events);
    void change(int fd, Watcher& watcher, std::uint32_t events);
    void unwatch(int fd, Watcher& watcher);

    void arm(Timer& timer, std::int64_t delay_ms, Timer::Fire fire, void* argument);
    // Runs `fire(argument)` once at the end of this turn, after all that the turn brought.
    void at_end_of_turn(Timer::Fire fire, void* argument);
    // Milliseconds, monotonic; read once a turn.
    std::int64_t now_ms() const { return now_ms_; }
    const Clock& clock() const { return clock_; }
    int index() const { return index_; }

    // The reactor that runs on this thread, or nullptr.
    static Reactor* current();

    // co_await reactor.sleep(ms)
    auto sleep(std::int64_t delay_ms) {
        struct Awaiter {
            Reactor& reactor;
            std::int64_t delay_ms;
            Timer timer;
            bool await_ready() const { return delay_ms <= 0; }
            void await_suspend(std::coroutine_handle<> caller) {
                reactor.arm(
                    timer, delay_ms, [](void* at) { std::coroutine_handle<>::from_address(at).resume(); },
                    caller.address());
            }
            void await_resume() const {}
        };
        return Awaiter{*this, delay_ms, {}};
    }

private:
    struct EndOfTurn {
        Timer::Fire fire;
        void* argument;
    };

    void turn(bool may_wait);
    int wait_for_kernel(int timeout_ms);
    bool run_posted();
    bool run_end_of_turn();
    void wake();
    void refresh_time();

    const int index_;
    const Clock& clock_;
    int epoll_ = -1;
    int event_ = -1;  // eventfd: another thread has posted
    std::int64_t now_ms_ = 0;
    TimerWheel timers_;
    std::vector<EndOfTurn> end_of_turn_;
    std::vector<Watcher*> batch_;  // watchers of the events at hand; unwatch() clears its own
    std::atomic<bool> stopped_{false};
    bool did_something_ = false;

    std::mutex posted_mutex_;
    std::vector<Job> posted_;        // under posted_mutex_
    std::vector<EndOfTurn> called_;  // under posted_mutex_
    std::atomic<bool> has_posted_{false};
    std::atomic<bool> asleep_{false};
};

}  // namespace odr::io
