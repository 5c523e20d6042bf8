#pragma once

#include <fmt/core.h>

#include <string>

namespace odr {

[[noreturn]] void assert_failed(const char* condition, const char* file, int line, const std::string& context);

}  // namespace odr

// A broken invariant of ours: stops the process, in release builds too. Never for what a peer or a file controls.
// ODR_ASSERT(a <= b, "a={} b={}", a, b)
#define ODR_ASSERT(condition, ...)                                                               \
    do {                                                                                         \
        if (!(condition)) [[unlikely]]                                                           \
            ::odr::assert_failed(#condition, __FILE__, __LINE__, ::fmt::format("" __VA_ARGS__)); \
    } while (false)

// The same for checks too slow for release builds.
#ifdef ODR_SLOW_ASSERTS
#define ODR_ASSERT_SLOW(condition, ...) ODR_ASSERT(condition __VA_OPT__(, ) __VA_ARGS__)
#else
#define ODR_ASSERT_SLOW(condition, ...) \
    do {                                \
    } while (false)
#endif
