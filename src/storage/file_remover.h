#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/types.h"
#include "io/file_system.h"

namespace odr::storage {

// Removes what retention and topic deletion left behind, a little in each turn, so that the disk goes on serving
// others: freeing a large file is one long transaction of the file system, and a deleted topic leaves thousands of
// files.
//
// Owner:   LogManager.
// Threads: add() from any; run_once() from one at a time, which may wait for the disk.
// Units:   bytes.
// Kafka:   LogManager.deleteLogs and LocalLog.deleteSegmentFiles, which remove all at once.
class FileRemover {
public:
    // What one turn takes at most.
    struct Pace {
        std::size_t files = 256;
        std::uint64_t bytes = std::uint64_t{512} << 20;
        std::uint64_t step_bytes = std::uint64_t{64} << 20;  // freed by one call
    };
    // A file that somebody still reads is waited for so long, then unlinked: its bytes go when the reader lets go.
    static constexpr std::int64_t kPatienceMs = 600'000;

    FileRemover(io::FileSystem& files, Pace pace) : files_{files}, pace_{pace} {}

    // A folder goes with all that is in it.
    void add(std::string path, TimestampMs not_before, bool is_folder);
    // The folder of a log deleted at `since`: goes when the delay is over, as it is then.
    void add_log(std::string path, TimestampMs since);
    void set_log_delay(std::int64_t ms) { log_delay_ms_ = ms; }
    // One turn. Gives: how many files and folders are gone.
    std::size_t run_once(io::MayBlock, TimestampMs now);
    // What waits, a folder counting as one.
    std::size_t waiting() const;

private:
    struct Item {
        std::string path;
        bool is_folder;
        TimestampMs due;  // when it was to go at first
    };
    struct Turn {
        io::MayBlock may_block;
        TimestampMs now;
        std::size_t files = 0;
        std::uint64_t bytes = 0;
        std::size_t removed = 0;
    };
    enum class Outcome { removed, in_use, out_of_pace };

    bool next(TimestampMs now, Item& out);
    void put_back(Item item, TimestampMs not_before);
    Outcome remove_folder(Turn& turn, const Item& item);
    Outcome remove_file(Turn& turn, const std::string& path, TimestampMs due);
    bool has_pace(const Turn& turn) const { return turn.files < pace_.files && turn.bytes < pace_.bytes; }

    io::FileSystem& files_;
    const Pace pace_;
    mutable std::mutex mutex_;
    std::multimap<TimestampMs, Item> waiting_;      // under mutex_; by the time before which nothing happens
    std::multimap<TimestampMs, std::string> logs_;  // under mutex_; folders, by the time of their deletion
    std::atomic<std::int64_t> log_delay_ms_{60'000};
};

}  // namespace odr::storage
