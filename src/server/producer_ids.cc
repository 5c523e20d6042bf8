#include "server/producer_ids.h"

#include "base/config/broker_config.h"
#include "base/log.h"
#include "controller/controller.h"
#include "metadata/image_holder.h"
#include "protocol/generated/allocate_producer_ids_request.h"
#include "protocol/generated/allocate_producer_ids_response.h"

namespace odr::server {

// Waits until the request that is under way has brought its block, or failed.
struct ProducerIdManager::BlockAwaiter {
    ProducerIdManager& manager;
    bool await_ready() const { return false; }
    bool await_suspend(std::coroutine_handle<> caller) {
        std::lock_guard guard{manager.mutex_};
        if (!manager.is_allocating_) return false;
        manager.waiting_.push_back({io::Reactor::current(), caller});
        return true;
    }
    void await_resume() const {}
};

io::Task<Result<ProducerId>> ProducerIdManager::next() {
    for (;;) {
        bool is_mine = false;
        {
            std::lock_guard guard{mutex_};
            if (next_ < block_end_) co_return ProducerId{next_++};
            is_mine = !std::exchange(is_allocating_, true);
        }
        if (!is_mine) {
            co_await BlockAwaiter{*this};
            continue;
        }
        const Result<void> allocated = co_await allocate_block();
        if (!allocated) co_return fail(allocated.error());
    }
}

io::Task<Result<void>> ProducerIdManager::allocate_block() {
    const BrokerId self = services_.config->node_id();
    protocol::AllocateProducerIdsRequest request;
    request.broker_id = self.raw();
    const auto image = services_.images->current();
    if (const auto* broker = image->cluster().broker(self)) request.broker_epoch = broker->epoch.raw();

    const controller::RequestContext no_client;
    const auto answer = co_await services_.controller->call(no_client, std::move(request));
    const bool granted = answer && answer->response.error_code == 0;
    std::deque<Waiting> woken;
    {
        std::lock_guard guard{mutex_};
        if (granted) {
            next_ = answer->response.producer_id_start;
            block_end_ = next_ + answer->response.producer_id_len;
        }
        is_allocating_ = false;
        woken.swap(waiting_);
    }
    for (const Waiting& each : woken) each.home->resume(each.coroutine);
    if (granted) co_return Result<void>{};
    const auto code = answer ? static_cast<ErrorCode>(answer->response.error_code) : answer.error().code;
    log::warn("the controller grants no producer ids: {}", to_string(code));
    co_return fail(ErrorCode::coordinator_load_in_progress, "the controller grants no producer ids");
}

}  // namespace odr::server
