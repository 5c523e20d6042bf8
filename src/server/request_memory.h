#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace odr::server {

// Bytes of large requests that have arrived and are not answered, in all connections. Over the limit
// (queued.max.request.bytes) connections stop reading until some are answered.
//
// Threads: any.
class RequestMemory {
public:
    // Smaller frames are not counted: a connection has few of them.
    static constexpr std::size_t kCountedFrom = std::size_t{32} << 10;

    explicit RequestMemory(std::int64_t bytes_max) : bytes_max_{bytes_max} {}
    void take(std::size_t bytes) { bytes_.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed); }
    void give_back(std::size_t bytes) { bytes_.fetch_sub(static_cast<std::int64_t>(bytes), std::memory_order_relaxed); }
    bool is_exhausted() const { return bytes_.load(std::memory_order_relaxed) >= bytes_max_; }
    std::int64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

private:
    const std::int64_t bytes_max_;
    std::atomic<std::int64_t> bytes_{0};
};

}  // namespace odr::server
