#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "io/blocking_pool.h"
#include "io/file_system.h"
#include "storage/live_logs.h"

namespace odr::storage {

// The disk behind one log directory, as those see it who append: whether it keeps up with them, and threads of its own
// for whatever waits for it, so that a slow disk holds up nobody but its own logs.
//
// Under write pressure the kernel lets writers wait, up to a fifth of a second at a time. Then appends are held back:
// they are written by commits() and no reactor waits. It begins when a write took longer than kSlowWriteNs or when what
// was appended kBehindNs ago is not on the disk yet, and ends when neither was so for a while (docs/adr/0018).
//
// Owner:   LogManager, one for each of log.dirs; outlives its logs.
// Threads: any.
class Disk {
public:
    // A longer write waited for the disk: the copy of 8 MiB into the page cache takes about 2 ms.
    static constexpr std::int64_t kSlowWriteNs = 10'000'000;
    static constexpr std::int64_t kBehindNs = 500'000'000;
    // Held back for so long after the last slow write; twice as long each time that was too short, up to the maximum.
    static constexpr std::int64_t kCalmNs = 1'000'000'000;
    static constexpr std::int64_t kCalmMaxNs = 64'000'000'000;
    // Write-back of a segment starts whenever so much of it is new.
    static constexpr io::FilePos kWriteBackBytes = io::FilePos{4} << 20;
    // So much is under way to the disk at once: enough to keep a fast one busy.
    static constexpr io::FilePos kInFlightBytes = io::FilePos{32} << 20;
    // A write of at most so much that is held back is a small one. A producer's usual batch, 16 KiB, is not.
    static constexpr std::size_t kSmallCommitBytes = std::size_t{8} << 10;

    // At most so many of its logs hold their active segment open.
    Disk(std::string path, const Clock& clock, std::size_t open_logs_max)
        : live_logs_{std::max<std::size_t>(open_logs_max, 1)}, path_{std::move(path)}, clock_{clock} {}
    ~Disk() { close(); }
    Disk(const Disk&) = delete;
    Disk& operator=(const Disk&) = delete;

    // Whether appends go to commits() instead of being written on the reactor.
    bool holds_back() const { return holds_back_.load(std::memory_order_relaxed); }
    // Before and after each write of batches.
    std::int64_t begin_write() const { return clock_.monotonic_ns(); }
    void end_write(std::int64_t began_ns);

    // Starts write-back of bytes that were appended. Needs: whole pages. Returns at once.
    // Errors: the file's next sync() tells.
    void write_back(std::shared_ptr<io::File> file, io::FilePos position, io::FilePos length);

    // For appends that are held back; syncs and reads never stand before them, and large writes not before small ones:
    // the kernel makes the thread wait that has written much, and small writes never share it.
    io::BlockingPool& commits() { return commits_; }
    io::BlockingPool& small_commits() { return small_commits_; }
    // For what else writes to this disk and waits: opening, rolling, syncs, the periodic work.
    io::BlockingPool& waits() { return waits_; }
    // For clients who read what is not in the page cache; however many there are, no append waits for them.
    io::BlockingPool& reads() { return reads_; }
    LiveLogs& live_logs() { return live_logs_; }
    // Ends its threads, once what they were given is done.
    void close();

private:
    struct Range {
        std::shared_ptr<io::File> file;
        io::FilePos position;
        io::FilePos length;
        std::int64_t asked_ns;
    };
    void note_pressure(std::int64_t now_ns, bool is_slow_write);
    void note_ease(std::int64_t now_ns);
    void write_back_until_none_waits(io::MayBlock);
    bool take_asked(Range& out);
    bool is_behind(std::int64_t now_ns) const {
        const std::int64_t oldest = oldest_ns_.load(std::memory_order_relaxed);
        return oldest != 0 && now_ns - oldest > kBehindNs;
    }

    LiveLogs live_logs_;
    const std::string path_;
    const Clock& clock_;
    std::atomic<bool> holds_back_{false};
    std::atomic<std::int64_t> calm_at_ns_{0};  // no sooner are appends written on reactors again
    std::atomic<std::int64_t> oldest_ns_{0};   // when the oldest range was asked that is not on the disk; 0: none

    std::mutex mutex_;                     // short: what follows
    std::deque<Range> asked_;              // not more than the kernel lets be dirty
    bool is_writing_back_ = false;         // a thread works asked_ off
    std::int64_t calm_ns_ = kCalmNs;       // how long the next calm lasts
    std::int64_t released_at_ns_ = 0;      // when appends were last let go
    std::int64_t said_at_ns_ = INT64_MIN;  // the operator was told

    io::BlockingPool waits_{8};
    io::BlockingPool reads_{8};
    io::BlockingPool commits_{4};
    io::BlockingPool small_commits_{4};
    io::BlockingPool write_back_{1};
};

}  // namespace odr::storage
