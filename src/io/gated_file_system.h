#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "io/file_system.h"
#include "io/reactor.h"

namespace odr::io {

// Files of another file system whose disk answers when a test says so: while the gate of a folder is shut, everything
// that may wait for a disk waits there. A reactor never waits: what it asked of a disk is noted instead, and done.
//
// Threads: any. What waits at the gate must be let through before this is destroyed.
// Kafka:   none.
class GatedFileSystem final : public FileSystem {
public:
    explicit GatedFileSystem(FileSystem& inner) : inner_{inner} {}

    // --- the gate
    void shut(std::string folder) {
        std::lock_guard guard{mutex_};
        shut_ = std::move(folder);
    }
    void open_gate() {
        std::lock_guard guard{mutex_};
        shut_.clear();
        changed_.notify_all();
    }
    // Returns once so many wait at the gate.
    void await_waiting(std::size_t count) {
        std::unique_lock guard{mutex_};
        changed_.wait(guard, [&] { return waiting_.size() >= count; });
    }
    // What waits at the gate: "write /slow/orders-0/00000000000000000000.log".
    std::vector<std::string> waiting() const {
        std::lock_guard guard{mutex_};
        return waiting_;
    }
    // Called before each write to an open file. For tests whose clock a write moves on.
    void on_write(std::function<void()> told) {
        std::lock_guard guard{mutex_};
        told_of_write_ = std::move(told);
    }
    // What reactors asked of a disk while its gate was shut. Writes are here too.
    std::vector<std::string> stalls() const {
        std::lock_guard guard{mutex_};
        return stalls_;
    }
    // What reactors asked of any disk at any time, but for writes to open files.
    std::vector<std::string> asked_by_reactors() const {
        std::lock_guard guard{mutex_};
        return asked_by_reactors_;
    }
    std::size_t writes_by_reactors() const {
        std::lock_guard guard{mutex_};
        return writes_by_reactors_;
    }

    // --- FileSystem
    Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
    bool exists(const std::string& path) override { return pass("exists", path), inner_.exists(path); }
    Result<std::vector<DirectoryEntry>> list(const std::string& directory) override {
        return pass("list", directory), inner_.list(directory);
    }
    Result<void> create_directories(const std::string& path) override {
        return pass("create", path), inner_.create_directories(path);
    }
    Result<void> rename(const std::string& from, const std::string& to) override {
        return pass("rename", from), inner_.rename(from, to);
    }
    Result<void> remove(const std::string& path) override { return pass("remove", path), inner_.remove(path); }
    Result<void> remove_tree(MayBlock may_block, const std::string& path) override {
        return pass("remove", path), inner_.remove_tree(may_block, path);
    }
    Result<PartRemoved> remove_part(MayBlock may_block, const std::string& path, FilePos bytes_max) override {
        return pass("remove", path), inner_.remove_part(may_block, path, bytes_max);
    }
    Result<void> sync_directory(MayBlock may_block, const std::string& path) override {
        return pass("sync", path), inner_.sync_directory(may_block, path);
    }
    Result<FilePos> size_of(const std::string& path) override { return pass("size", path), inner_.size_of(path); }
    Result<Space> space(const std::string& path) override { return pass("space", path), inner_.space(path); }
    // A volume knows no folders, so no gate: there is none.
    Result<std::unique_ptr<Volume>> open_volume(const std::string&) override { return std::unique_ptr<Volume>{}; }
    Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
        return pass("lock", path), inner_.lock(path);
    }
    Result<std::int64_t> modified_ms(const std::string& path) override {
        return pass("modified", path), inner_.modified_ms(path);
    }
    Result<void> set_modified_ms(const std::string& path, std::int64_t ms) override {
        return pass("modified", path), inner_.set_modified_ms(path, ms);
    }

    // Waits while the gate is shut.
    void pass(const char* what, const std::string& path, bool is_write = false) {
        std::unique_lock guard{mutex_};
        if (is_write && told_of_write_) told_of_write_();
        const auto is_shut = [&] { return !shut_.empty() && path.starts_with(shut_); };
        const std::string name = std::string{what} + " " + path;
        if (Reactor::current() != nullptr) {
            if (is_write) ++writes_by_reactors_;
            if (!is_write) asked_by_reactors_.push_back(name);
            if (is_shut()) stalls_.push_back(name);
            return;
        }
        if (!is_shut()) return;
        waiting_.push_back(name);
        changed_.notify_all();
        changed_.wait(guard, [&] { return !is_shut(); });
        std::erase(waiting_, name);
    }

private:
    FileSystem& inner_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::string shut_;  // the folder; empty: none
    std::function<void()> told_of_write_;
    std::size_t writes_by_reactors_ = 0;
    std::vector<std::string> waiting_, stalls_, asked_by_reactors_;
};

class GatedFile final : public File {
public:
    GatedFile(GatedFileSystem& gate, std::string path, std::unique_ptr<File> inner)
        : gate_{gate}, path_{std::move(path)}, inner_{std::move(inner)} {}

    Result<std::size_t> read_at(MutableByteView into, FilePos pos) const override {
        if (!inner_->resident(pos, into.size())) gate_.pass("read", path_);
        return inner_->read_at(into, pos);
    }
    Result<void> write_at(std::span<const ByteView> pieces, FilePos pos) override {
        gate_.pass("write", path_, true);
        return inner_->write_at(pieces, pos);
    }
    Result<void> truncate(FilePos size) override { return gate_.pass("truncate", path_), inner_->truncate(size); }
    Result<FilePos> size() const override { return inner_->size(); }
    Result<void> sync(MayBlock may_block) override { return gate_.pass("sync", path_), inner_->sync(may_block); }
    void start_write_back(FilePos pos, FilePos length) override {
        gate_.pass("write-back", path_);
        inner_->start_write_back(pos, length);
    }
    void wait_written_back(MayBlock may_block, FilePos pos, FilePos length) override {
        gate_.pass("write-back", path_);
        inner_->wait_written_back(may_block, pos, length);
    }
    bool resident(FilePos pos, FilePos length) const override { return inner_->resident(pos, length); }
    Result<void> read_ahead(MayBlock may_block, FilePos pos, FilePos length) const override {
        return gate_.pass("read", path_), inner_->read_ahead(may_block, pos, length);
    }
    int native_handle() const override { return inner_->native_handle(); }

private:
    GatedFileSystem& gate_;
    const std::string path_;
    const std::unique_ptr<File> inner_;
};

inline Result<std::unique_ptr<File>> GatedFileSystem::open(const std::string& path, OpenMode mode) {
    pass("open", path);
    ODR_TRY(inner, inner_.open(path, mode));
    return std::make_unique<GatedFile>(*this, path, std::move(inner));
}

}  // namespace odr::io
