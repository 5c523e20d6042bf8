#include "storage/live_logs.h"

#include "storage/log.h"

namespace odr::storage {
namespace {

// Of those passed over because they were used since; then the oldest goes all the same.
constexpr std::size_t kPassedOverMax = 32;
constexpr std::size_t kBusyMax = 32;
constexpr std::size_t kClosedAtOnce = 64;

}  // namespace

void LiveLogs::add_changed(Log& log, Membership& membership) {
    if (membership.is_changed.exchange(true)) return;
    std::lock_guard guard{mutex_};
    changed_.push_back({log.weak_from_this(), {}});
}

std::vector<LiveLogs::Changed> LiveLogs::take_changed() {
    std::vector<ChangedEntry> taken;
    {
        std::lock_guard guard{mutex_};
        taken.swap(changed_);
    }
    std::vector<Changed> out;
    out.reserve(taken.size());
    for (const ChangedEntry& entry : taken) {
        if (auto log = entry.log.lock()) out.push_back({std::move(log), entry.seen});
    }
    return out;
}

void LiveLogs::keep(const Changed& looked_at) {
    std::lock_guard guard{mutex_};
    changed_.push_back({looked_at.log, looked_at.seen});
}

void LiveLogs::settle(const Changed& looked_at) {
    Log& log = *looked_at.log;
    log.membership().is_changed = false;
    // What changed before that was not added.
    if (log.checkpointed_offsets() != looked_at.seen) add_changed(log, log.membership());
}

void LiveLogs::add_open(Log& log, Membership& membership, TimestampMs now) {
    if (membership.is_open.exchange(true)) return;
    std::lock_guard guard{mutex_};
    open_.push_back({log.weak_from_this(), now});
}

void LiveLogs::add_moved(Log& log, Membership& membership) {
    membership.is_changed = membership.is_open = true;
    std::lock_guard guard{mutex_};
    changed_.push_back({log.weak_from_this(), {}});
    open_.push_back({log.weak_from_this(), log.last_used()});
}

void LiveLogs::make_room(io::MayBlock may_block, TimestampMs now) { close_down_to(may_block, now, open_max_ - 1); }

void LiveLogs::close_some(io::MayBlock may_block, TimestampMs now) {
    std::size_t open = 0;
    {
        std::lock_guard guard{mutex_};
        open = open_.size();
    }
    close_down_to(may_block, now, open > kClosedAtOnce ? open - kClosedAtOnce : 0);
}

void LiveLogs::close_down_to(io::MayBlock may_block, TimestampMs now, std::size_t open_max) {
    std::size_t passed_over = 0;
    std::size_t busy = 0;
    while (busy < kBusyMax) {
        OpenEntry oldest;
        {
            std::lock_guard guard{mutex_};
            if (open_.size() <= open_max) return;
            oldest = std::move(open_.front());
            open_.pop_front();
        }
        const std::shared_ptr<Log> log = oldest.log.lock();
        if (log == nullptr) continue;
        if (const TimestampMs used = log->last_used(); used > oldest.since && passed_over < kPassedOverMax) {
            ++passed_over;
            std::lock_guard guard{mutex_};
            open_.push_back({std::move(oldest.log), used});
            continue;
        }
        // Whoever opens it from here on adds it.
        log->membership().is_open = false;
        if (log->try_close_active(may_block)) continue;
        ++busy;
        add_open(*log, log->membership(), now);
    }
}

}  // namespace odr::storage
