#pragma once

#include <sys/types.h>

#include <cstdint>

namespace odr::bench {

// What a process has used so far. All zero where there is no such process.
struct Usage {
    double cpu_s = 0;             // user and system
    std::int64_t rss_bytes = 0;   // resident, shared pages of mapped files included
    std::int64_t anon_bytes = 0;  // of them its own
};

Usage usage_of(pid_t pid);

}  // namespace odr::bench
