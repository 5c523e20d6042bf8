#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "io/file_system.h"
#include "storage/checkpoint_file.h"

namespace odr::storage {

// Below which offset each compacted log is clean: cleaner-offset-checkpoint, one file in each log directory.
//
// Owner:   LogManager, whether or not a cleaner runs. Threads: any; one writes a directory's file at a time, and waits
// for no other disk. Errors:  a file that cannot be read counts as empty, which makes the logs wholly dirty; one that
// cannot be written is
//          told to `on_failure`, and the offset is kept in memory until write_what_is_owed() succeeds.
// Kafka:   the checkpoints of LogCleanerManager.
class CleanerCheckpoints {
public:
    using OnFailure = std::function<void(const std::string& log_dir, const Error&)>;
    CleanerCheckpoints(io::FileSystem& files, OnFailure on_failure)
        : files_{files}, on_failure_{std::move(on_failure)} {}

    // Reads a directory's file, or makes an empty one. What it says of a log for which `is_elsewhere` holds is dropped:
    // a crash amid a move left it, and it speaks of other bytes.
    void load(io::MayBlock, const std::string& log_dir, const std::function<bool(const TopicPartition&)>& is_elsewhere);
    // A directory whose disk failed: nothing is written there any more.
    void forget(const std::string& log_dir);

    std::optional<Offset> find(const std::string& log_dir, const TopicPartition& log) const;
    // Says nothing when `still_wanted`, asked under the lock, says no: the log was deleted meanwhile.
    void update(io::MayBlock, const std::string& log_dir, const TopicPartition& log, Offset clean_to,
                const std::function<bool()>& still_wanted = {});
    // The log was cut at `offset`: what is appended from there on is dirty.
    void truncate(io::MayBlock, const std::string& log_dir, const TopicPartition& log, Offset offset);
    void remove(io::MayBlock, const std::string& log_dir, const TopicPartition& log);
    // The log lives in another directory from now on; what that one's file said of it before is forgotten.
    void move(io::MayBlock, const std::string& from_dir, const std::string& to_dir, const TopicPartition& log);

    // The files that could not be written when something changed, as on a disk that was full.
    void write_what_is_owed(io::MayBlock);

private:
    // Writes the file when `how` says that something changed.
    void change(io::MayBlock, const std::string& log_dir, const std::function<bool(OffsetCheckpoint&)>& how);
    Result<void> write(io::MayBlock, const std::string& log_dir);
    void tell_of_failure(const std::string& log_dir, const Result<void>& written) const;

    io::FileSystem& files_;
    const OnFailure on_failure_;
    mutable std::mutex mutex_;  // short: what follows
    std::map<std::string, OffsetCheckpoint> by_directory_;
    std::map<std::string, std::shared_ptr<std::mutex>> writing_;  // before mutex_: whoever writes the directory's file
    std::set<std::string> owed_;                                  // directories whose file is older than what is here
};

}  // namespace odr::storage
