#pragma once

#include <coroutine>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/assert.h"
#include "coordinator/group_shard.h"
#include "coordinator/outbox.h"
#include "io/reactor.h"

namespace odr::coordinator {

class ShardRuntime;

// What an operation gave, without its answer.
struct OperationRecords {
    CoordinatorRecords records;
    std::move_only_function<void(ErrorCode)> on_appended;
    bool replay = true;
    bool is_atomic = true;
};
template <class Response>
OperationRecords records_of(CoordinatorResult<Response>& result) {
    return {std::move(result.records), std::move(result.on_appended), result.replay, result.is_atomic};
}

// One operation on its way through a shard.
//
// Owner:   whoever submits it; lives until finish(), which may destroy it.
// Threads: run() and finish() on the shard's reactor.
class PendingOperation {
public:
    virtual Result<OperationRecords> run(GroupShard& shard) = 0;
    // Once: when the records are committed, or with the error that the client gets.
    virtual void finish(Result<void> outcome) = 0;

    std::shared_ptr<ShardRuntime> shard;  // where it was submitted

protected:
    ~PendingOperation() = default;
};

// An operation that nobody waits for: of a timer, or of a metadata change.
class DetachedOperation final : public PendingOperation {
public:
    using Run = std::move_only_function<Result<CoordinatorResult<Nothing>>(GroupShard&)>;
    // Needs: to be submitted; it then deletes itself.
    static PendingOperation& make(std::string what, Run run) {
        return *new DetachedOperation{std::move(what), std::move(run)};
    }
    Result<OperationRecords> run(GroupShard& at) override;
    void finish(Result<void> outcome) override;

private:
    DetachedOperation(std::string what, Run run) : what_{std::move(what)}, run_{std::move(run)} {}
    const std::string what_;
    Run run_;
};

void submit_to_shard(PendingOperation& operation);

// Brings the coroutine that waits for an operation back to its reactor, once.
class OperationCaller {
public:
    template <class Submit>
    bool suspend(std::coroutine_handle<> caller, const io::Reactor& shard_reactor, Submit submit) {
        caller_ = caller;
        home_ = io::Reactor::current();
        if (home_ != &shard_reactor) {
            submit();  // another thread resumes us, maybe already
            return true;
        }
        is_submitting_ = true;
        submit();
        is_submitting_ = false;
        return !is_done_;
    }
    void resume() {
        // Never from inside another operation: the caller's next request would run on a state in the midst of a change.
        if (io::Reactor::current() != home_) return Outbox::resume(*home_, caller_);
        if (!is_submitting_) return home_->resume(caller_);
        is_done_ = true;
    }

    // Never from inside whoever calls this.
    void resume_later() { io::Reactor::current() == home_ ? home_->resume(caller_) : Outbox::resume(*home_, caller_); }

private:
    std::coroutine_handle<> caller_;
    io::Reactor* home_ = nullptr;
    bool is_submitting_ = false;
    bool is_done_ = false;
};

// co_await of an operation that answers when its records are committed.
//   Function: Result<CoordinatorResult<Response>>(GroupShard&)
template <class Response, class Function>
class WriteAwaiter final : public PendingOperation {
    static_assert(std::is_trivially_destructible_v<Function>, "capture by reference: see io::BlockingPool::run");

public:
    WriteAwaiter(Result<std::shared_ptr<ShardRuntime>> found, io::Reactor* reactor, Function function)
        : reactor_{reactor}, function_{std::move(function)} {
        if (found) {
            shard = std::move(*found);
        } else {
            result_ = fail(found.error());
        }
    }

    bool await_ready() const { return shard == nullptr; }
    bool await_suspend(std::coroutine_handle<> caller) {
        return caller_.suspend(caller, *reactor_, [this] { submit_to_shard(*this); });
    }
    Result<Response> await_resume() { return std::move(*result_); }

    Result<OperationRecords> run(GroupShard& at) override {
        Result<CoordinatorResult<Response>> result = function_(at);
        if (!result) return fail(result.error());
        result_.emplace(std::move(result->response));
        return records_of(*result);
    }
    void finish(Result<void> outcome) override {
        if (!outcome) result_ = fail(outcome.error());
        caller_.resume();
    }

private:
    io::Reactor* const reactor_;
    Function function_;
    std::optional<Result<Response>> result_;
    OperationCaller caller_;
};

// co_await of an operation that answers when it sees fit: JoinGroup, SyncGroup.
//   Function: Result<CoordinatorResult<Nothing>>(GroupShard&, Deferred<Response>)
// A Deferred that nobody completes and nobody keeps any more stands for not_coordinator.
template <class Response, class Function>
class DeferredAwaiter final : public PendingOperation {
    static_assert(std::is_trivially_destructible_v<Function>, "capture by reference: see io::BlockingPool::run");

public:
    DeferredAwaiter(Result<std::shared_ptr<ShardRuntime>> found, io::Reactor* reactor, Function function)
        : reactor_{reactor}, function_{std::move(function)} {
        if (found) {
            shard = std::move(*found);
        } else {
            error_ = found.error();
        }
    }

    bool await_ready() const { return shard == nullptr; }
    bool await_suspend(std::coroutine_handle<> caller) {
        caller_.suspend(caller, *reactor_, [this] { submit_to_shard(*this); });
        return true;
    }
    Result<Response> await_resume() {
        if (response_) return std::move(*response_);
        return fail(error_);
    }

    Result<OperationRecords> run(GroupShard& at) override {
        ++missing_;
        Result<CoordinatorResult<Nothing>> result = function_(at, Deferred<Response>{Delivery{this}});
        if (!result) return fail(result.error());
        return records_of(*result);
    }
    void finish(Result<void> outcome) override {
        if (!outcome) error_ = outcome.error();
        complete_one();
    }

private:
    class Delivery {
    public:
        explicit Delivery(DeferredAwaiter* to) : to_{to} {}
        Delivery(Delivery&& other) noexcept : to_{std::exchange(other.to_, nullptr)} {}
        Delivery& operator=(Delivery&&) = delete;
        ~Delivery() {
            if (to_ != nullptr) to_->complete_one();
        }
        void operator()(Response response) {
            DeferredAwaiter* const to = std::exchange(to_, nullptr);
            to->response_.emplace(std::move(response));
            to->complete_one();
        }

    private:
        DeferredAwaiter* to_;
    };

    void complete_one() {
        if (--missing_ == 0) caller_.resume_later();
    }

    io::Reactor* const reactor_;
    Function function_;
    std::optional<Response> response_;
    Error error_{.code = ErrorCode::not_coordinator, .what = "the coordinator of the group moved"};
    int missing_ = 1;  // finish(), and once it runs the Deferred
    OperationCaller caller_;
};

}  // namespace odr::coordinator
