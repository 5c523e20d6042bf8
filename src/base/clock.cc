#include "base/clock.h"

#include <ctime>

#include "base/thread_cpu.h"

namespace odr {
namespace {

std::int64_t read_ns(clockid_t id) {
    timespec time{};
    clock_gettime(id, &time);
    return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

class SystemClock final : public Clock {
public:
    TimestampMs now() const override { return TimestampMs{read_ns(CLOCK_REALTIME) / 1'000'000}; }
    std::int64_t monotonic_ns() const override { return read_ns(CLOCK_MONOTONIC); }
};

}  // namespace

const Clock& system_clock() {
    static const SystemClock clock;
    return clock;
}

std::int64_t thread_cpu_ns() { return read_ns(CLOCK_THREAD_CPUTIME_ID); }

}  // namespace odr
