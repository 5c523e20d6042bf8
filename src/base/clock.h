#pragma once

#include <cstdint>

#include "base/types.h"

namespace odr {

// Time as a parameter: the real one, or a simulated one that a test moves by hand.
// Threads: any.
class Clock {
public:
    virtual ~Clock() = default;
    virtual TimestampMs now() const = 0;            // wall clock
    virtual std::int64_t monotonic_ns() const = 0;  // never steps back; its zero means nothing
    std::int64_t monotonic_ms() const { return monotonic_ns() / 1'000'000; }
};

// The machine's clock. The one place where the process asks the kernel for the time.
const Clock& system_clock();

class ManualClock final : public Clock {
public:
    explicit ManualClock(std::int64_t start_ms = 1'700'000'000'000) : ns_{start_ms * 1'000'000} {}
    TimestampMs now() const override { return TimestampMs{ns_ / 1'000'000}; }
    std::int64_t monotonic_ns() const override { return ns_; }
    void advance_ms(std::int64_t ms) { ns_ += ms * 1'000'000; }

private:
    std::int64_t ns_;
};

}  // namespace odr
