#pragma once

#include <array>
#include <cstdint>

#include "base/assert.h"

namespace odr::io {

// A timer that hangs in a TimerWheel. Embed it in what waits; destroying it cancels it.
class Timer {
public:
    using Fire = void (*)(void* argument);
    Timer() = default;
    ~Timer() { cancel(); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    void cancel();
    bool is_armed() const { return previous_ != nullptr; }

private:
    friend class TimerWheel;
    Timer* next_ = nullptr;
    Timer* previous_ = nullptr;
    std::int64_t deadline_ms_ = 0;
    Fire fire_ = nullptr;
    void* argument_ = nullptr;
    class TimerWheel* wheel_ = nullptr;
};

// Timers of one reactor: arming and cancelling cost a few stores, whatever hangs there.
//
// Threads: one.
// Units:   milliseconds of the monotonic clock; a timer fires in the first advance() at or after its deadline.
class TimerWheel {
public:
    explicit TimerWheel(std::int64_t now_ms);
    ~TimerWheel();
    TimerWheel(const TimerWheel&) = delete;
    TimerWheel& operator=(const TimerWheel&) = delete;

    void arm(Timer& timer, std::int64_t deadline_ms, Timer::Fire fire, void* argument);
    // Fires what is due. A fired timer may arm itself or others again.
    void advance(std::int64_t now_ms);
    // Gives: milliseconds until advance() has something to look at, -1 when nothing hangs here.
    std::int64_t wait_ms(std::int64_t now_ms) const;
    std::size_t size() const { return armed_; }

private:
    friend class Timer;
    static constexpr std::size_t kSlots = 4096;  // one per millisecond; later deadlines go around
    struct Slot {
        Timer head;
    };

    void fire_slot(std::size_t slot, std::int64_t now_ms);
    static void unlink(Timer& timer);
    std::size_t slot_of(std::int64_t deadline_ms) const { return static_cast<std::size_t>(deadline_ms) % kSlots; }

    std::array<Slot, kSlots> slots_;
    std::array<std::uint64_t, kSlots / 64> occupied_{};  // a bit per slot; may be set for a slot emptied by cancel
    std::int64_t now_ms_;                                // all slots up to here have been fired
    std::size_t armed_ = 0;
};

}  // namespace odr::io
