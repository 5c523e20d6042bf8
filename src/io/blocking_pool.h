#pragma once

#include <condition_variable>
#include <coroutine>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <vector>

#include "base/assert.h"
#include "io/may_block.h"
#include "io/reactor.h"

namespace odr::io {

// Threads that may wait for disks, so that reactors never do.
//
// A thread starts when a job comes and none is idle, until there are `threads_max`.
//
// Threads: submit() and run() from any. run() brings the awaiting coroutine back to the reactor that it came from.
// Stop:    close(), which the destructor calls, runs what is queued, then ends.
class BlockingPool {
public:
    using Job = std::move_only_function<void(MayBlock)>;

    explicit BlockingPool(std::size_t threads_max) : threads_max_{threads_max} {}
    ~BlockingPool() { close(); }
    BlockingPool(const BlockingPool&) = delete;
    BlockingPool& operator=(const BlockingPool&) = delete;

    void submit(Job job);
    // Nothing may be submitted afterwards, but by the jobs themselves.
    void close();

    // const Result<void> done = co_await pool.run([&](MayBlock may_block) { return log.flush(may_block); });
    // Capture by reference: the coroutine waits, so its locals outlive the job.
    template <class Function>
    auto run(Function function) {
        using Value = std::invoke_result_t<Function&, MayBlock>;
        static_assert(std::is_trivially_destructible_v<Function>,
                      "GCC 12 destroys a lambda twice that stands in a co_await and owns what it captured");
        static_assert(!std::is_void_v<Value>, "give a Result, so that nobody forgets the failure");
        struct Awaiter {
            BlockingPool& pool;
            Function function;
            std::optional<Value> value;

            bool await_ready() const { return false; }
            void await_suspend(std::coroutine_handle<> caller) {
                Reactor* const home = Reactor::current();
                ODR_ASSERT(home != nullptr, "run() is for coroutines on a reactor");
                pool.submit([this, home, caller](MayBlock may_block) {
                    value.emplace(function(may_block));
                    home->resume(caller);
                });
            }
            Value await_resume() { return std::move(*value); }
        };
        return Awaiter{*this, std::move(function), std::nullopt};
    }

private:
    void work();

    const std::size_t threads_max_;
    std::mutex mutex_;
    std::condition_variable not_empty_;
    std::deque<Job> queue_;             // under mutex_
    std::size_t idle_ = 0;              // under mutex_: threads that wait for a job
    bool stopping_ = false;             // under mutex_
    std::vector<std::thread> threads_;  // under mutex_
};

}  // namespace odr::io
