#pragma once

#include <cstdint>
#include <deque>
#include <mutex>

#include "base/result.h"
#include "base/types.h"
#include "io/task.h"
#include "server/services.h"

namespace odr::server {

// Gives out producer ids from blocks of 1000 that the controller grants, so that none is ever given twice in a cluster.
//
// Threads: any reactor.
// Kafka:   RPCProducerIdManager (KIP-730).
class ProducerIdManager {
public:
    explicit ProducerIdManager(const Services& services) : services_{services} {}

    // Errors: coordinator_load_in_progress when the controller cannot be asked, as in Kafka: the client tries again.
    io::Task<Result<ProducerId>> next();

private:
    struct Waiting {
        io::Reactor* home;
        std::coroutine_handle<> coroutine;
    };
    struct BlockAwaiter;
    io::Task<Result<void>> allocate_block();

    const Services& services_;
    std::mutex mutex_;
    std::int64_t next_ = 0;        // under mutex_
    std::int64_t block_end_ = 0;   // under mutex_
    bool is_allocating_ = false;   // under mutex_: one request asks for all
    std::deque<Waiting> waiting_;  // under mutex_
};

}  // namespace odr::server
