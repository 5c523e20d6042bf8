#pragma once

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <vector>

#include "base/types.h"
#include "io/reactor.h"
#include "replication/change_feed.h"

namespace odr::replication {

class FetchWaiter;

// A waiting fetch's place in one partition's feed.
class FetchWaitEntry final : public ChangeSubscriber {
public:
    FetchWaiter* waiter = nullptr;
    void on_change(const Change& change) override;
};

// A fetch that waits for bytes (fetch.min.bytes) or for its time (fetch.max.wait.ms). Kafka: DelayedFetch.
// Hang an entry on each partition with Partition::wait_for_data(), then co_await until_ready(ms), then take the entries
// off with Partition::stop_waiting(). Who hung it somewhere and would rather not wait asks give_up() first. One without
// entries is told by whom it is given to: see FetchSession.
//
// Threads: made, awaited and destroyed on one reactor; note(), advanced() and wake() from any, under the lock that it
// is taken off under.
class FetchWaiter {
public:
    FetchWaiter(io::Reactor& home, std::int64_t bytes_missing, std::size_t partitions)
        : home_{home}, bytes_missing_{bytes_missing}, entries_(partitions) {
        for (FetchWaitEntry& entry : entries_) entry.waiter = this;
    }
    FetchWaiter(const FetchWaiter&) = delete;
    FetchWaiter& operator=(const FetchWaiter&) = delete;

    std::vector<FetchWaitEntry>& entries() { return entries_; }

    void note(const Change& change) {
        if (change.is_urgent) return wake();
        if (change.bytes > 0) advanced(change.bytes);
    }
    // A partition has `bytes` more to give.
    void advanced(std::int64_t bytes) {
        if (bytes_missing_.fetch_sub(bytes, std::memory_order_acq_rel) <= bytes) wake();
    }
    // Something other than bytes: the partition is gone, or led elsewhere.
    void wake() {
        if (fired_.exchange(true, std::memory_order_acq_rel)) return;
        home_.call(&FetchWaiter::resume, this);
    }
    // Instead of waiting. Gives: false when another reactor's wake-up is on its way here; that must be awaited.
    bool give_up() { return !fired_.exchange(true, std::memory_order_acq_rel); }

    auto until_ready(std::int64_t wait_ms) {
        struct Awaiter {
            FetchWaiter& waiter;
            std::int64_t wait_ms;
            bool await_ready() const { return false; }
            void await_suspend(std::coroutine_handle<> caller) {
                waiter.sleeping_ = caller;
                waiter.home_.arm(waiter.timer_, wait_ms, &FetchWaiter::time_is_up, &waiter);
            }
            void await_resume() const { waiter.timer_.cancel(); }
        };
        return Awaiter{*this, wait_ms};
    }

private:
    static void resume(void* self) { static_cast<FetchWaiter*>(self)->sleeping_.resume(); }
    static void time_is_up(void* self) {
        auto* waiter = static_cast<FetchWaiter*>(self);
        if (!waiter->fired_.exchange(true, std::memory_order_acq_rel)) waiter->sleeping_.resume();
    }

    io::Reactor& home_;
    std::atomic<std::int64_t> bytes_missing_;
    std::atomic<bool> fired_{false};
    std::coroutine_handle<> sleeping_;
    io::Timer timer_;
    std::vector<FetchWaitEntry> entries_;
};

inline void FetchWaitEntry::on_change(const Change& change) { waiter->note(change); }

}  // namespace odr::replication
