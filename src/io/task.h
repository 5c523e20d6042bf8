#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "base/assert.h"

namespace odr::io {

// A coroutine that gives one value. Lazy: it runs when awaited, or when start()ed by code that is no coroutine.
//
// Threads: one, that of the reactor where it was started. What it awaits brings it back there.
// Rules:   arguments by value; never a capturing lambda (the captures die before the coroutine does).
template <class T = void>
class Task;

namespace detail {

struct FinalAwaiter {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) const noexcept {
        auto& promise = self.promise();
        if (promise.continuation) return promise.continuation;
        if (promise.on_done != nullptr) promise.on_done(promise.on_done_argument);  // may destroy the coroutine
        return std::noop_coroutine();
    }
    void await_resume() const noexcept {}
};

struct PromiseBase {
    std::coroutine_handle<> continuation;
    void (*on_done)(void*) = nullptr;
    void* on_done_argument = nullptr;
    std::exception_ptr thrown;

    std::suspend_always initial_suspend() const noexcept { return {}; }
    FinalAwaiter final_suspend() const noexcept { return {}; }
    void unhandled_exception() { thrown = std::current_exception(); }
};

template <class T>
struct Promise : PromiseBase {
    std::optional<T> value;
    Task<T> get_return_object();
    template <class U>
    void return_value(U&& given) {
        value.emplace(std::forward<U>(given));
    }
    T take() {
        if (thrown) std::rethrow_exception(thrown);
        return std::move(*value);
    }
};

template <>
struct Promise<void> : PromiseBase {
    Task<void> get_return_object();
    void return_void() const noexcept {}
    void take() const {
        if (thrown) std::rethrow_exception(thrown);
    }
};

}  // namespace detail

template <class T>
class [[nodiscard]] Task {
public:
    using promise_type = detail::Promise<T>;
    using Handle = std::coroutine_handle<promise_type>;

    Task() = default;
    explicit Task(Handle handle) : handle_{handle} {}
    Task(Task&& other) noexcept : handle_{std::exchange(other.handle_, {})} {}
    Task& operator=(Task&& other) noexcept {
        if (this != &other) {
            if (handle_) handle_.destroy();
            handle_ = std::exchange(other.handle_, {});
        }
        return *this;
    }
    ~Task() {
        if (handle_) handle_.destroy();
    }

    // For code that is no coroutine: runs up to the first real wait. Gives: whether it is finished already.
    // If it is not, `on_done(argument)` is called when it is, on the same thread.
    bool start(void (*on_done)(void*), void* argument) {
        ODR_ASSERT(handle_ && !handle_.done(), "a task is started once");
        handle_.resume();
        if (handle_.done()) return true;
        handle_.promise().on_done = on_done;
        handle_.promise().on_done_argument = argument;
        return false;
    }
    bool done() const { return handle_ && handle_.done(); }
    // Needs: done(). Throws what the coroutine threw.
    T take() { return handle_.promise().take(); }

    auto operator co_await() && noexcept {
        struct Awaiter {
            Handle handle;
            bool await_ready() const noexcept { return false; }
            std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) const noexcept {
                handle.promise().continuation = caller;
                return handle;
            }
            T await_resume() const { return handle.promise().take(); }
        };
        return Awaiter{handle_};
    }

private:
    Handle handle_;
};

namespace detail {
template <class T>
Task<T> Promise<T>::get_return_object() {
    return Task<T>{std::coroutine_handle<Promise<T>>::from_promise(*this)};
}
inline Task<void> Promise<void>::get_return_object() {
    return Task<void>{std::coroutine_handle<Promise<void>>::from_promise(*this)};
}

struct Detached {
    struct promise_type {
        Detached get_return_object() const noexcept { return {}; }
        std::suspend_never initial_suspend() const noexcept { return {}; }
        std::suspend_never final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept { std::terminate(); }
    };
};
inline Detached run_detached(Task<void> task) { co_await std::move(task); }
}  // namespace detail

// Runs a task that nobody waits for. It must not throw and must own or outlive what it uses.
inline void spawn(Task<void> task) { detail::run_detached(std::move(task)); }

}  // namespace odr::io
