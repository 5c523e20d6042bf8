#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace odr::storage {

// Runs work(0) ... work(count - 1) on at most `threads` threads, this one among them, and waits for all. For starts,
// stops and tools, whose threads are few and their own.
template <class Work>
void parallel_for(std::size_t count, std::size_t threads, Work work) {
    std::atomic<std::size_t> next{0};
    const auto run = [&] {
        for (std::size_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) work(i);
    };
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < std::min(threads, count); ++i) others.emplace_back(run);
    run();
}

}  // namespace odr::storage
