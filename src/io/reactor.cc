#include "io/reactor.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/assert.h"

namespace odr::io {
namespace {

constexpr int kEventsPerTurn = 256;
thread_local Reactor* current_reactor = nullptr;

}  // namespace

Reactor* Reactor::current() { return current_reactor; }

Reactor::Reactor(int index, const Clock& clock)
    : index_{index}, clock_{clock}, now_ms_{clock.monotonic_ms()}, timers_{now_ms_} {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ODR_ASSERT(epoll_ >= 0 && event_ >= 0, "cannot make epoll or eventfd: errno {}", errno);
    epoll_event interest{};
    interest.events = EPOLLIN;
    interest.data.ptr = nullptr;  // nullptr stands for our own eventfd
    ODR_ASSERT(::epoll_ctl(epoll_, EPOLL_CTL_ADD, event_, &interest) == 0);
}

Reactor::~Reactor() {
    ::close(event_);
    ::close(epoll_);
}

void Reactor::run() {
    current_reactor = this;
    while (!stopped_.load(std::memory_order_acquire)) turn(true);
    current_reactor = nullptr;
}

void Reactor::stop() {
    stopped_.store(true, std::memory_order_release);
    wake();
}

bool Reactor::run_ready() {
    Reactor* const outer = current_reactor;
    current_reactor = this;
    did_something_ = false;
    turn(false);
    current_reactor = outer;
    return did_something_;
}

void Reactor::refresh_time() { now_ms_ = clock_.monotonic_ms(); }

void Reactor::turn(bool may_wait) {
    run_posted();
    run_end_of_turn();
    int timeout_ms = 0;
    if (may_wait) {
        asleep_.store(true, std::memory_order_seq_cst);
        const bool busy = has_posted_.load(std::memory_order_seq_cst) || stopped_.load(std::memory_order_acquire);
        const std::int64_t wait_ms = timers_.wait_ms(now_ms_);
        timeout_ms = busy ? 0 : static_cast<int>(wait_ms);
    }
    const int count = wait_for_kernel(timeout_ms);
    asleep_.store(false, std::memory_order_relaxed);
    refresh_time();
    did_something_ |= count > 0;
    run_posted();
    const std::size_t before = timers_.size();
    timers_.advance(now_ms_);
    did_something_ |= timers_.size() != before;
    run_end_of_turn();
}

int Reactor::wait_for_kernel(int timeout_ms) {
    std::array<epoll_event, kEventsPerTurn> events;
    const int count = ::epoll_wait(epoll_, events.data(), kEventsPerTurn, timeout_ms);
    if (count < 0) {
        ODR_ASSERT(errno == EINTR, "epoll_wait: errno {}", errno);
        return 0;
    }
    batch_.resize(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i)
        batch_[static_cast<std::size_t>(i)] = static_cast<Watcher*>(events[static_cast<std::size_t>(i)].data.ptr);
    asleep_.store(false, std::memory_order_relaxed);
    if (count > 0) refresh_time();
    int handled = 0;
    for (int i = 0; i < count; ++i) {
        const auto at = static_cast<std::size_t>(i);
        if (events[at].data.ptr == nullptr) {
            std::uint64_t ignored;
            [[maybe_unused]] const ssize_t n = ::read(event_, &ignored, sizeof ignored);
        } else if (batch_[at] != nullptr) {
            ++handled;
            batch_[at]->on_events(events[at].events);
        }
    }
    batch_.clear();
    return handled;
}

bool Reactor::run_posted() {
    if (!has_posted_.load(std::memory_order_acquire)) return false;
    std::vector<Job> jobs;
    std::vector<EndOfTurn> calls;
    {
        std::lock_guard guard{posted_mutex_};
        jobs.swap(posted_);
        calls.swap(called_);
        has_posted_.store(false, std::memory_order_relaxed);
    }
    for (const EndOfTurn& each : calls) each.fire(each.argument);
    for (Job& job : jobs) job();
    did_something_ = true;
    return true;
}

bool Reactor::run_end_of_turn() {
    const bool any = !end_of_turn_.empty();
    // What runs here may put off more; that belongs to this turn as well.
    for (std::size_t i = 0; i < end_of_turn_.size(); ++i) {
        const EndOfTurn job = end_of_turn_[i];
        job.fire(job.argument);
    }
    end_of_turn_.clear();
    did_something_ |= any;
    return any;
}

void Reactor::wake() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(event_, &one, sizeof one);
}

void Reactor::post(Job job) {
    {
        std::lock_guard guard{posted_mutex_};
        posted_.push_back(std::move(job));
        has_posted_.store(true, std::memory_order_seq_cst);
    }
    if (current_reactor != this && asleep_.exchange(false, std::memory_order_seq_cst)) wake();
}

void Reactor::call(Timer::Fire fire, void* argument) {
    if (current_reactor == this) return at_end_of_turn(fire, argument);
    {
        std::lock_guard guard{posted_mutex_};
        called_.push_back({fire, argument});
        has_posted_.store(true, std::memory_order_seq_cst);
    }
    if (asleep_.exchange(false, std::memory_order_seq_cst)) wake();
}

void Reactor::watch(int fd, Watcher& watcher, std::uint32_t events) {
    epoll_event interest{};
    interest.events = events;
    interest.data.ptr = &watcher;
    ODR_ASSERT(::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &interest) == 0, "fd={} errno={}", fd, errno);
}

void Reactor::change(int fd, Watcher& watcher, std::uint32_t events) {
    epoll_event interest{};
    interest.events = events;
    interest.data.ptr = &watcher;
    ODR_ASSERT(::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &interest) == 0, "fd={} errno={}", fd, errno);
}

void Reactor::unwatch(int fd, Watcher& watcher) {
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
    std::replace(batch_.begin(), batch_.end(), &watcher, static_cast<Watcher*>(nullptr));
}

void Reactor::arm(Timer& timer, std::int64_t delay_ms, Timer::Fire fire, void* argument) {
    timers_.arm(timer, now_ms_ + std::max<std::int64_t>(delay_ms, 1), fire, argument);
}

void Reactor::at_end_of_turn(Timer::Fire fire, void* argument) { end_of_turn_.push_back({fire, argument}); }

}  // namespace odr::io
