#include "io/blocking_pool.h"

#include <pthread.h>

namespace odr::io {

BlockingPool::BlockingPool(std::size_t thread_count) {
    for (std::size_t i = 0; i < thread_count; ++i) {
        threads_.emplace_back([this] { work(); });
        pthread_setname_np(threads_.back().native_handle(), "odr-blocking");
    }
}

BlockingPool::~BlockingPool() {
    {
        std::lock_guard guard{mutex_};
        stopping_ = true;
    }
    not_empty_.notify_all();
    for (std::thread& thread : threads_) thread.join();
}

void BlockingPool::submit(Job job) {
    {
        std::lock_guard guard{mutex_};
        queue_.push_back(std::move(job));
    }
    not_empty_.notify_one();
}

void BlockingPool::work() {
    for (;;) {
        Job job;
        {
            std::unique_lock guard{mutex_};
            not_empty_.wait(guard, [this] { return stopping_ || !queue_.empty(); });
            if (queue_.empty()) return;
            job = std::move(queue_.front());
            queue_.pop_front();
        }
        job(MayBlock{});
    }
}

}  // namespace odr::io
