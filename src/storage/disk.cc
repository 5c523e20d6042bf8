#include "storage/disk.h"

#include <algorithm>

#include "base/log.h"

namespace odr::storage {
namespace {

constexpr std::int64_t kSaidAgainNs = 60'000'000'000;  // the operator is told at most once in this time

}  // namespace

void Disk::end_write(std::int64_t began_ns) {
    const std::int64_t now_ns = clock_.monotonic_ns();
    const bool is_slow = now_ns - began_ns > kSlowWriteNs;
    if (is_slow || is_behind(now_ns)) [[unlikely]] {
        note_pressure(now_ns, is_slow);
    } else if (holds_back()) [[unlikely]] {
        note_ease(now_ns);
    }
}

void Disk::note_pressure(std::int64_t now_ns, bool is_slow_write) {
    bool must_say = false;
    {
        std::lock_guard guard{mutex_};
        if (!holds_back_.exchange(true, std::memory_order_relaxed)) {
            const bool was_too_short = released_at_ns_ != 0 && now_ns - released_at_ns_ < 2 * calm_ns_;
            calm_ns_ = was_too_short ? std::min(2 * calm_ns_, kCalmMaxNs) : kCalmNs;
            must_say = said_at_ns_ == INT64_MIN || now_ns - said_at_ns_ >= kSaidAgainNs;
            if (must_say) said_at_ns_ = now_ns;
        }
        calm_at_ns_.store(now_ns + calm_ns_, std::memory_order_relaxed);
    }
    if (must_say) {
        log::warn("log directory {} does not keep up with what is written to it ({}): its appends wait, others do not",
                  path_, is_slow_write ? "a write had to wait" : "write-back is behind");
    }
}

void Disk::note_ease(std::int64_t now_ns) {
    if (now_ns < calm_at_ns_.load(std::memory_order_relaxed)) return;
    std::lock_guard guard{mutex_};
    if (now_ns < calm_at_ns_.load(std::memory_order_relaxed)) return;
    if (holds_back_.exchange(false, std::memory_order_relaxed)) released_at_ns_ = now_ns;
}

void Disk::write_back(std::shared_ptr<io::File> file, io::FilePos position, io::FilePos length) {
    {
        std::lock_guard guard{mutex_};
        const std::int64_t now_ns = clock_.monotonic_ns();
        asked_.push_back({std::move(file), position, length, now_ns});
        if (std::exchange(is_writing_back_, true)) return;
        oldest_ns_.store(now_ns, std::memory_order_relaxed);
    }
    write_back_.submit([this](io::MayBlock may_block) { write_back_until_none_waits(may_block); });
}

bool Disk::take_asked(Range& out) {
    std::lock_guard guard{mutex_};
    if (asked_.empty()) return false;
    out = std::move(asked_.front());
    asked_.pop_front();
    return true;
}

void Disk::write_back_until_none_waits(io::MayBlock may_block) {
    std::deque<Range> in_flight;
    io::FilePos bytes = 0;
    for (;;) {
        Range next;
        const bool has_next = bytes < kInFlightBytes && take_asked(next);
        if (has_next) {
            next.file->start_write_back(next.position, next.length);
            bytes += next.length;
            in_flight.push_back(std::move(next));
            continue;
        }
        if (!in_flight.empty()) {
            const Range& oldest = in_flight.front();
            oldest.file->wait_written_back(may_block, oldest.position, oldest.length);
            bytes -= oldest.length;
            in_flight.pop_front();
        }
        std::lock_guard guard{mutex_};
        const Range* const oldest = !in_flight.empty() ? &in_flight.front()
                                    : asked_.empty()   ? nullptr
                                                       : &asked_.front();
        oldest_ns_.store(oldest == nullptr ? 0 : oldest->asked_ns, std::memory_order_relaxed);
        if (oldest != nullptr) continue;
        is_writing_back_ = false;
        return;
    }
}

void Disk::close() {
    write_back_.close();
    commits_.close();
    small_commits_.close();
    waits_.close();
    reads_.close();
}

}  // namespace odr::storage
