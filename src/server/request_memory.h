#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace odr::server {

// Bytes of requests that have arrived and are not answered, in all connections. Over the limit
// (queued.max.request.bytes) connections stop reading until some are answered.
//
// Threads: any.
class RequestMemory {
public:
    // Smaller frames are counted by SmallRequestBytes.
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

// Bytes of one connection's small requests. The process is told in steps of kCountedFrom, so that few requests touch a
// line that all share, and a connection holds less than a step that nobody knows of.
//
// Threads: the connection's.
class SmallRequestBytes {
public:
    // Gives: whether the process was told.
    bool add(RequestMemory& memory, std::size_t bytes) {
        bytes_ += static_cast<std::int64_t>(bytes);
        if (bytes_ - told_ < step()) return false;
        memory.take(static_cast<std::size_t>(bytes_ - told_));
        told_ = bytes_;
        return true;
    }
    void remove(RequestMemory& memory, std::size_t bytes) {
        bytes_ -= static_cast<std::int64_t>(bytes);
        if (told_ <= bytes_ || (told_ - bytes_ < step() && bytes_ > 0)) return;
        memory.give_back(static_cast<std::size_t>(told_ - bytes_));
        told_ = bytes_;
    }

private:
    static constexpr std::int64_t step() { return RequestMemory::kCountedFrom; }
    std::int64_t bytes_ = 0;
    std::int64_t told_ = 0;  // of them, to the process; more than bytes_ by less than a step after some have gone
};

}  // namespace odr::server
