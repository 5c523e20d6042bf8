#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "base/types.h"
#include "io/may_block.h"

namespace odr::storage {

class Log;

// What the checkpoints of its directory say of a log.
struct CheckpointedOffsets {
    Offset recovery_point = kNoOffset, log_start = kNoOffset, first_segment = kNoOffset, high_watermark = kNoOffset;
    friend bool operator==(const CheckpointedOffsets&, const CheckpointedOffsets&) = default;
};

// The few among many logs that something happens to: those that changed lately, so that periodic work costs nothing
// for idle ones; and those that hold their active segment open, only so many, for each is a descriptor.
//
// Owner:   Disk: each log directory has one, so that nobody closes a file of a slow disk for a log elsewhere.
// Threads: any; one short lock, the last of all.
class LiveLogs {
public:
    // Whether a log is in one of the lists. Each log has one.
    struct Membership {
        std::atomic<bool> is_changed{false};
        std::atomic<bool> is_open{false};
    };
    struct Changed {
        std::shared_ptr<Log> log;
        CheckpointedOffsets seen;  // at the last look
    };

    explicit LiveLogs(std::size_t open_max) : open_max_{open_max} {}

    // May be called under any lock of the log.
    void add_changed(Log& log, Membership& membership);
    // Takes all out for a look; each then goes to keep() or settle().
    std::vector<Changed> take_changed();
    void keep(const Changed& looked_at);
    // Nothing is due for it before it changes again. Whatever changes it from here on adds it.
    void settle(const Changed& looked_at);

    // The log opened its active segment.
    void add_open(Log& log, Membership& membership, TimestampMs now);
    // The log came here from another directory, whose lists may still have it: there it counts until its turn comes.
    void add_moved(Log& log, Membership& membership);
    // Before one more is opened: closes what was used least lately, nearly so (the clock algorithm). Logs that are busy
    // stay open. Needs: no lock of any log is held, but by Log::move_to().
    void make_room(io::MayBlock, TimestampMs now);
    // The same when the process has no descriptor left.
    void close_some(io::MayBlock, TimestampMs now);

private:
    struct ChangedEntry {
        std::weak_ptr<Log> log;
        CheckpointedOffsets seen;
    };
    struct OpenEntry {
        std::weak_ptr<Log> log;
        TimestampMs since;  // when it was opened, or found used
    };
    void close_down_to(io::MayBlock, TimestampMs now, std::size_t open_max);

    const std::size_t open_max_;
    mutable std::mutex mutex_;
    std::vector<ChangedEntry> changed_;
    std::deque<OpenEntry> open_;  // the oldest first; those closed otherwise stay until their turn comes
};

}  // namespace odr::storage
