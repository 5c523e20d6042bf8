#pragma once

#include <cstdint>

namespace odr {

// CPU time that the calling thread has used, nanoseconds. As a parameter, because it is a clock.
using ThreadCpuClock = std::int64_t (*)();
std::int64_t thread_cpu_ns();

}  // namespace odr
