#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "io/file_system.h"

namespace odr::io {

// Files in memory that lose what was never synced when the power goes, and fail on demand. For tests and simulations.
//
// What survives crash(): the bytes of each file as of its last sync, and of each write since then a part that the seed
// chooses, down to pages of it, so that tails are torn and holes are zero. Names survive as of the last sync of their
// folder, or as they are now, as the seed chooses: rename, unlink and creation are each lost or kept whole, in order.
//
// Threads: any; one lock.
// Kafka:   none.
class SimulatedFileSystem final : public FileSystem {
public:
    SimulatedFileSystem();
    ~SimulatedFileSystem() override;

    Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
    bool exists(const std::string& path) override;
    Result<std::vector<DirectoryEntry>> list(const std::string& directory) override;
    Result<void> create_directories(const std::string& path) override;
    Result<void> rename(const std::string& from, const std::string& to) override;
    Result<void> remove(const std::string& path) override;
    Result<void> remove_tree(MayBlock, const std::string& path) override;
    Result<PartRemoved> remove_part(MayBlock, const std::string& path, FilePos bytes_max) override;
    Result<void> sync_directory(MayBlock, const std::string& path) override;
    Result<FilePos> size_of(const std::string& path) override;
    Result<Space> space(const std::string& path) override;
    // One that makes all there is durable.
    Result<std::unique_ptr<Volume>> open_volume(const std::string& directory) override;
    Result<std::unique_ptr<FileLock>> lock(const std::string& path) override;
    Result<std::int64_t> modified_ms(const std::string& path) override;  // 0 until set
    Result<void> set_modified_ms(const std::string& path, std::int64_t ms) override;

    // --- faults
    // -------------------------------------------------------------------------------------------------------- The
    // power goes: files open now keep failing with EIO, locks are gone, and what is left is drawn from the seed.
    void crash(std::uint64_t seed);
    // The next `count` writes fail with `os_errno` after `bytes_kept` of their bytes were written.
    void fail_writes(int count, int os_errno, std::size_t bytes_kept = 0);
    void fail_truncates(int count, int os_errno);
    void fail_syncs(int count, int os_errno);  // of files
    // The sync of a volume after `before` more fails.
    void fail_volume_sync(int before, int os_errno);
    // Writes that would take all files together over this fail with ENOSPC, as much as fits being written.
    void set_capacity(std::uint64_t bytes);
    // After `count` more changes (a write, truncation or sync, a name made, renamed or removed) everything fails with
    // EIO, as when the machine dies there; crash() then draws what is left.
    void fail_after(std::uint64_t count);
    // Answers modified_ms() for a path, where set. May use the files: what others do while one asks.
    void set_modified(std::function<std::int64_t(const std::string&)> answer);
    // What resident() says from now on. True at first.
    void set_resident(bool resident);

    // --- what happened
    // -------------------------------------------------------------------------------------------------
    struct Counts {
        std::uint64_t opens = 0, reads = 0, writes = 0, syncs = 0, volume_syncs = 0, resident_questions = 0;
    };
    Counts counts() const;
    std::size_t open_file_count() const;
    // The whole file as it is now, and a new content for it, without faults.
    std::string contents(const std::string& path) const;
    void set_contents(const std::string& path, std::string_view bytes);

    struct State;

private:
    std::shared_ptr<State> state_;
};

}  // namespace odr::io
