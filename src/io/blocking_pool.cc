#include "io/blocking_pool.h"

#include <pthread.h>

namespace odr::io {

void BlockingPool::close() {
    std::vector<std::thread> ending;
    {
        std::lock_guard guard{mutex_};
        stopping_ = true;
        ending.swap(threads_);
    }
    not_empty_.notify_all();
    for (std::thread& thread : ending) thread.join();
}

void BlockingPool::submit(Job job) {
    {
        std::lock_guard guard{mutex_};
        queue_.push_back(std::move(job));
        if (queue_.size() > idle_ && threads_.size() < threads_max_ && !stopping_) {
            threads_.emplace_back([this] { work(); });
            pthread_setname_np(threads_.back().native_handle(), "odr-blocking");
        }
    }
    not_empty_.notify_one();
}

void BlockingPool::work() {
    for (;;) {
        Job job;
        {
            std::unique_lock guard{mutex_};
            ++idle_;
            not_empty_.wait(guard, [this] { return stopping_ || !queue_.empty(); });
            --idle_;
            if (queue_.empty()) return;
            job = std::move(queue_.front());
            queue_.pop_front();
        }
        job(MayBlock{});
    }
}

}  // namespace odr::io
