#include "io/timer_wheel.h"

#include <algorithm>
#include <bit>

namespace odr::io {

void Timer::cancel() {
    if (previous_ == nullptr || wheel_ == nullptr) return;
    --wheel_->armed_;
    TimerWheel::unlink(*this);
}

TimerWheel::TimerWheel(std::int64_t now_ms) : now_ms_{now_ms} {
    for (Slot& slot : slots_) slot.head.next_ = slot.head.previous_ = &slot.head;
}

TimerWheel::~TimerWheel() {
    for (Slot& slot : slots_) {
        while (slot.head.next_ != &slot.head) unlink(*slot.head.next_);
        slot.head.next_ = slot.head.previous_ = nullptr;
    }
}

void TimerWheel::unlink(Timer& timer) {
    timer.previous_->next_ = timer.next_;
    timer.next_->previous_ = timer.previous_;
    timer.next_ = timer.previous_ = nullptr;
    timer.wheel_ = nullptr;
}

void TimerWheel::arm(Timer& timer, std::int64_t deadline_ms, Timer::Fire fire, void* argument) {
    timer.cancel();
    timer.deadline_ms_ = std::max(deadline_ms, now_ms_ + 1);
    timer.fire_ = fire;
    timer.argument_ = argument;
    timer.wheel_ = this;
    const std::size_t slot = slot_of(timer.deadline_ms_);
    Timer& head = slots_[slot].head;
    timer.next_ = &head;
    timer.previous_ = head.previous_;
    head.previous_->next_ = &timer;
    head.previous_ = &timer;
    occupied_[slot / 64] |= std::uint64_t{1} << (slot % 64);
    ++armed_;
}

void TimerWheel::advance(std::int64_t now_ms) {
    if (armed_ == 0) {
        now_ms_ = std::max(now_ms_, now_ms);
        return;
    }
    // After a long sleep each slot is looked at once, however many turns of the wheel have passed.
    std::int64_t at = std::max(now_ms_ + 1, now_ms - static_cast<std::int64_t>(kSlots) + 1);
    for (; at <= now_ms; ++at) {
        now_ms_ = at;
        const std::size_t slot = slot_of(at);
        if ((occupied_[slot / 64] >> (slot % 64)) & 1) fire_slot(slot, now_ms);
    }
    now_ms_ = std::max(now_ms_, now_ms);
}

void TimerWheel::fire_slot(std::size_t slot, std::int64_t now_ms) {
    // Taken off as a whole first, so that a timer which arms itself again is not seen twice.
    Timer due;
    due.next_ = due.previous_ = &due;
    Timer& head = slots_[slot].head;
    for (Timer* timer = head.next_; timer != &head;) {
        Timer* next = timer->next_;
        if (timer->deadline_ms_ <= now_ms) {
            timer->previous_->next_ = timer->next_;
            timer->next_->previous_ = timer->previous_;
            timer->next_ = &due;
            timer->previous_ = due.previous_;
            due.previous_->next_ = timer;
            due.previous_ = timer;
        }
        timer = next;
    }
    if (head.next_ == &head) occupied_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
    while (due.next_ != &due) {
        Timer& timer = *due.next_;
        --armed_;
        unlink(timer);
        timer.fire_(timer.argument_);  // may cancel others in `due`: they unlink themselves
    }
    due.next_ = due.previous_ = nullptr;
}

std::int64_t TimerWheel::wait_ms(std::int64_t now_ms) const {
    if (armed_ == 0) return -1;
    const std::int64_t from = now_ms_ + 1;
    for (std::size_t step = 0; step < kSlots;) {
        const std::size_t slot = slot_of(from + static_cast<std::int64_t>(step));
        const std::uint64_t word = occupied_[slot / 64] >> (slot % 64);
        if (word != 0) {
            step += static_cast<std::size_t>(std::countr_zero(word));
            return std::max<std::int64_t>(0, from + static_cast<std::int64_t>(step) - now_ms);
        }
        step += 64 - slot % 64;
    }
    return static_cast<std::int64_t>(kSlots);
}

}  // namespace odr::io
