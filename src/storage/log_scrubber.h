#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "io/file_system.h"
#include "storage/scrub_state.h"

namespace odr::storage {

struct ScrubConfig {
    std::int64_t bytes_per_second = 4'194'304;  // of each log directory; 0: no scrub
    std::int64_t interval_ms = 604'800'000;     // from the start of a cycle to that of the next, at least
};

// Since the process started, over all directories.
struct ScrubCounters {
    std::uint64_t bytes = 0, segments = 0, cycles = 0;
    std::uint64_t damaged_ranges = 0;  // that were not known yet
};

// Reads all sealed segments again and again, slowly, to find what the disk lost before a reader does: segments go to
// clients by sendfile, so nobody else looks at their CRCs.
//
// Owner:   the server.
// Threads: begin_slice() from one thread; run_slice() on the blocking pool, one at a time a directory, which it waits
//          for the disk in; stop() and counters() from any.
// Cache:   what was not in the page cache before is not there afterwards (SegmentScanner).
// Names:   a broken range is an error line with file, bytes and offsets, a count, and an entry in kScrubStateFile.
//          Before that it is read a second time: segments may be cut or replaced meanwhile.
// Kafka:   none.
class LogScrubber {
public:
    LogScrubber(io::FileSystem& files, const Clock& clock, std::vector<std::string> log_dirs, ScrubConfig config);
    ~LogScrubber();

    std::size_t directory_count() const { return directories_.size(); }
    // Whether a slice is due and none is under way or queued. True: run_slice() must be called.
    bool begin_slice(std::size_t directory);
    // Reads what the rate allows since the last slice.
    void run_slice(io::MayBlock, std::size_t directory);
    // Waits for slices under way, at most a chunk's reading, and writes the state files.
    void stop(io::MayBlock);

    ScrubCounters counters() const;
    const std::string& log_dir(std::size_t directory) const;
    // Of a directory; for tests and reports.
    ScrubState state(std::size_t directory) const;

private:
    class Directory;
    io::FileSystem& files_;
    const Clock& clock_;
    const ScrubConfig config_;
    std::atomic<bool> is_stopping_{false};
    std::atomic<std::uint64_t> bytes_{0}, segments_{0}, cycles_{0}, damaged_ranges_{0};
    mutable std::mutex mutex_;  // which slices are under way
    std::condition_variable idle_;
    std::vector<std::unique_ptr<Directory>> directories_;
};

}  // namespace odr::storage
