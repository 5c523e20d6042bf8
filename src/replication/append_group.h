#pragma once

#include <atomic>
#include <coroutine>
#include <deque>

#include "base/assert.h"
#include "io/reactor.h"
#include "storage/append_types.h"

namespace odr::replication {

class AppendGroup;

// One batch that waits in a partition's queue for the next write.
struct QueuedAppend {
    storage::PendingAppend pending;
    AppendGroup* group = nullptr;
    QueuedAppend* next = nullptr;  // in the partition's queue
};

// The batches of one produce request. Put each into its partition with Partition::enqueue(), then co_await done():
// the request waits once, however many partitions it has.
//
// Owner:   the request's coroutine; must outlive the wait.
// Threads: add() and done() on the reactor that made it; complete_one() from any.
class AppendGroup {
public:
    AppendGroup() : home_{io::Reactor::current()} {}
    AppendGroup(const AppendGroup&) = delete;
    AppendGroup& operator=(const AppendGroup&) = delete;

    QueuedAppend& add(storage::PendingAppend pending) {
        missing_.fetch_add(1, std::memory_order_relaxed);
        return appends_.emplace_back(QueuedAppend{.pending = pending, .group = this});
    }
    std::size_t size() const { return appends_.size(); }
    const QueuedAppend& at(std::size_t index) const { return appends_[index]; }

    // The result of one append is there. The group may be gone when this returns.
    void complete_one() {
        if (missing_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
        const std::coroutine_handle<> waiting = waiting_;
        if (io::Reactor::current() == home_) {
            waiting.resume();
        } else {
            home_->resume(waiting);
        }
    }

    auto done() {
        struct Awaiter {
            AppendGroup& group;
            bool await_ready() const { return group.appends_.empty(); }
            // The group itself counts as one until it waits, so that nobody resumes what does not sleep yet.
            bool await_suspend(std::coroutine_handle<> caller) {
                group.waiting_ = caller;
                return group.missing_.fetch_sub(1, std::memory_order_acq_rel) != 1;
            }
            void await_resume() const {}
        };
        return Awaiter{*this};
    }

private:
    io::Reactor* const home_;
    std::coroutine_handle<> waiting_;
    std::deque<QueuedAppend> appends_;  // addresses stay
    std::atomic<std::size_t> missing_{1};
};

}  // namespace odr::replication
