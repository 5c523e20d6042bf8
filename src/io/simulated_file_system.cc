#include "io/simulated_file_system.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/random.h"

namespace odr::io {
namespace {

constexpr FilePos kPage = 4096;

std::unexpected<Error> storage_error(int os_errno, std::string_view what) {
    return fail_errno(ErrorCode::kafka_storage_error, os_errno, what);
}

std::string folder_of(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? "." : path.substr(0, slash);
}

// One file's bytes, by whatever names.
struct Inode {
    std::string bytes;
    std::string synced;
    int opens = 0;
    std::int64_t modified_ms = 0;
};
using Names = std::map<std::string, std::shared_ptr<Inode>>;

}  // namespace

struct SimulatedFileSystem::State {
    mutable std::mutex mutex;
    Names names;
    std::set<std::string> folders{".", "/"};
    // Names changed since their folder was synced, oldest first: before the change, the name stood for this.
    struct NameChange {
        std::string path;
        std::shared_ptr<Inode> before;
        std::shared_ptr<Inode> after;
        std::uint64_t operation;
    };
    std::vector<NameChange> unsynced_names;
    std::set<std::string> locks;
    std::uint64_t operation = 0;
    std::uint64_t incarnation = 0;  // files opened before the last crash are dead
    std::uint64_t capacity = UINT64_MAX;
    bool resident = true;
    std::function<std::int64_t(const std::string&)> modified;
    int failing_writes = 0, write_errno = 0;
    std::size_t kept_bytes = 0;
    int failing_truncates = 0, truncate_errno = 0;
    int failing_syncs = 0, sync_errno = 0;
    int volume_syncs_before_failure = -1, volume_sync_errno = 0;
    std::uint64_t changes_left = UINT64_MAX;  // until fail_after() strikes
    std::size_t open_files = 0;
    Counts counts;

    std::uint64_t used() const {
        std::uint64_t bytes = 0;
        for (const auto& [path, inode] : names) bytes += inode->bytes.size();
        return bytes;
    }
    bool is_dead() const { return changes_left == 0; }
    // Whether a change may still happen.
    bool spend() {
        if (changes_left == 0) return false;
        if (changes_left != UINT64_MAX) --changes_left;
        return true;
    }
    void set_name(const std::string& path, std::shared_ptr<Inode> inode) {
        auto& slot = names[path];
        unsynced_names.push_back({path, slot, inode, operation});
        slot = std::move(inode);
        if (!slot) names.erase(path);
    }
};

namespace {

using State = SimulatedFileSystem::State;

class SimulatedFile final : public File {
public:
    SimulatedFile(std::shared_ptr<State> state, std::shared_ptr<Inode> inode)
        : state_{std::move(state)}, inode_{std::move(inode)}, incarnation_{state_->incarnation} {
        ++state_->open_files;
        ++inode_->opens;
    }
    ~SimulatedFile() override {
        std::lock_guard guard{state_->mutex};
        --inode_->opens;
        if (incarnation_ == state_->incarnation) --state_->open_files;
    }
    SimulatedFile(const SimulatedFile&) = delete;
    SimulatedFile& operator=(const SimulatedFile&) = delete;

    Result<std::size_t> read_at(MutableByteView into, FilePos pos) const override {
        std::lock_guard guard{state_->mutex};
        if (dead()) return storage_error(EIO, "the machine crashed");
        ++state_->counts.reads;
        if (pos >= inode_->bytes.size()) return std::size_t{0};
        const std::size_t n = std::min<std::size_t>(into.size(), inode_->bytes.size() - pos);
        if (n > 0) std::memcpy(into.data(), inode_->bytes.data() + pos, n);  // null is no place for memcpy
        return n;
    }
    Result<void> write_at(std::span<const ByteView> pieces, FilePos pos) override {
        std::lock_guard guard{state_->mutex};
        if (dead() || !state_->spend()) return storage_error(EIO, "the machine crashed");
        ++state_->counts.writes;
        std::string all;
        for (const ByteView piece : pieces) all.append(as_text(piece));
        int failed = 0;
        if (state_->failing_writes > 0) {
            --state_->failing_writes;
            failed = state_->write_errno;
            all.resize(std::min(all.size(), state_->kept_bytes));
        }
        const FilePos growth = pos + all.size() > inode_->bytes.size() ? pos + all.size() - inode_->bytes.size() : 0;
        if (growth != 0 && state_->capacity != UINT64_MAX) {
            const std::uint64_t used = state_->used();
            const std::uint64_t room = state_->capacity > used ? state_->capacity - used : 0;
            if (growth > room) {
                failed = ENOSPC;
                all.resize(all.size() - std::min<std::uint64_t>(all.size(), growth - room));
            }
        }
        if (!all.empty()) {
            if (inode_->bytes.size() < pos + all.size()) inode_->bytes.resize(pos + all.size());
            std::memcpy(inode_->bytes.data() + pos, all.data(), all.size());
        }
        if (failed != 0) return storage_error(failed, "cannot write file");
        return {};
    }
    Result<void> truncate(FilePos size) override {
        std::lock_guard guard{state_->mutex};
        if (dead() || !state_->spend()) return storage_error(EIO, "the machine crashed");
        if (state_->failing_truncates > 0) {
            --state_->failing_truncates;
            return storage_error(state_->truncate_errno, "cannot truncate file");
        }
        inode_->bytes.resize(size);
        return {};
    }
    Result<FilePos> size() const override {
        std::lock_guard guard{state_->mutex};
        if (dead()) return storage_error(EIO, "the machine crashed");
        return FilePos{inode_->bytes.size()};
    }
    Result<void> sync(MayBlock) override {
        std::lock_guard guard{state_->mutex};
        if (dead() || !state_->spend()) return storage_error(EIO, "the machine crashed");
        ++state_->counts.syncs;
        if (state_->failing_syncs > 0) {
            --state_->failing_syncs;
            return storage_error(state_->sync_errno, "cannot sync file");
        }
        inode_->synced = inode_->bytes;
        return {};
    }
    void start_write_back(FilePos, FilePos) override {}
    void wait_written_back(MayBlock, FilePos, FilePos) override {}
    bool resident(FilePos, FilePos) const override {
        std::lock_guard guard{state_->mutex};
        ++state_->counts.resident_questions;
        return state_->resident;
    }
    Result<void> read_ahead(MayBlock, FilePos, FilePos) const override { return {}; }
    int native_handle() const override { return -1; }

private:
    bool dead() const { return incarnation_ != state_->incarnation || state_->is_dead(); }
    std::shared_ptr<State> state_;
    std::shared_ptr<Inode> inode_;
    std::uint64_t incarnation_;
};

class SimulatedVolume final : public Volume {
public:
    explicit SimulatedVolume(std::shared_ptr<State> state)
        : state_{std::move(state)}, incarnation_{state_->incarnation} {}

    Result<void> sync(MayBlock) override {
        std::lock_guard guard{state_->mutex};
        if (incarnation_ != state_->incarnation || !state_->spend()) return storage_error(EIO, "the machine crashed");
        ++state_->counts.volume_syncs;
        if (state_->volume_syncs_before_failure >= 0 && state_->volume_syncs_before_failure-- == 0) {
            return storage_error(state_->volume_sync_errno, "cannot sync file system");
        }
        for (const auto& [path, inode] : state_->names) inode->synced = inode->bytes;
        state_->unsynced_names.clear();
        return {};
    }

private:
    std::shared_ptr<State> state_;
    std::uint64_t incarnation_;
};

class SimulatedLock final : public FileLock {
public:
    SimulatedLock(std::shared_ptr<State> state, std::string path)
        : state_{std::move(state)}, path_{std::move(path)}, incarnation_{state_->incarnation} {}
    ~SimulatedLock() override {
        std::lock_guard guard{state_->mutex};
        if (incarnation_ == state_->incarnation) state_->locks.erase(path_);
    }
    SimulatedLock(const SimulatedLock&) = delete;
    SimulatedLock& operator=(const SimulatedLock&) = delete;

private:
    std::shared_ptr<State> state_;
    std::string path_;
    std::uint64_t incarnation_;
};

}  // namespace

SimulatedFileSystem::SimulatedFileSystem() : state_{std::make_shared<State>()} {}
SimulatedFileSystem::~SimulatedFileSystem() = default;

Result<std::unique_ptr<File>> SimulatedFileSystem::open(const std::string& path, OpenMode mode) {
    std::lock_guard guard{state_->mutex};
    ++state_->counts.opens;
    const auto found = state_->names.find(path);
    const bool there = found != state_->names.end();
    if (state_->is_dead()) return storage_error(EIO, "the machine crashed");
    if (state_->folders.contains(path)) return storage_error(EISDIR, "cannot open file");
    if (!there && (mode == OpenMode::read || mode == OpenMode::read_write))
        return storage_error(ENOENT, "cannot open file");
    if (there && mode == OpenMode::create_new) return storage_error(EEXIST, "cannot open file");
    if (!there && !state_->folders.contains(folder_of(path))) return storage_error(ENOENT, "cannot open file");
    std::shared_ptr<Inode> inode = there ? found->second : std::make_shared<Inode>();
    if (!there) {
        if (!state_->spend()) return storage_error(EIO, "the machine crashed");
        ++state_->operation;
        state_->set_name(path, inode);
    }
    if (mode == OpenMode::truncate) inode->bytes.clear();
    return std::make_unique<SimulatedFile>(state_, inode);
}

bool SimulatedFileSystem::exists(const std::string& path) {
    std::lock_guard guard{state_->mutex};
    return state_->names.contains(path) || state_->folders.contains(path);
}

Result<std::vector<DirectoryEntry>> SimulatedFileSystem::list(const std::string& directory) {
    std::lock_guard guard{state_->mutex};
    if (!state_->folders.contains(directory)) return storage_error(ENOENT, "cannot list folder");
    std::vector<DirectoryEntry> out;
    for (const auto& [path, inode] : state_->names) {
        if (folder_of(path) == directory) out.push_back({path.substr(directory.size() + 1), false});
    }
    for (const std::string& path : state_->folders) {
        if (path != directory && path.size() > directory.size() && folder_of(path) == directory) {
            out.push_back({path.substr(directory.size() + 1), true});
        }
    }
    return out;
}

Result<void> SimulatedFileSystem::create_directories(const std::string& path) {
    std::lock_guard guard{state_->mutex};
    for (std::string at = path; !at.empty() && !state_->folders.contains(at); at = folder_of(at))
        state_->folders.insert(at);
    return {};
}

Result<void> SimulatedFileSystem::rename(const std::string& from, const std::string& to) {
    std::lock_guard guard{state_->mutex};
    if (!state_->spend()) return storage_error(EIO, "the machine crashed");
    ++state_->operation;
    if (const auto found = state_->names.find(from); found != state_->names.end()) {
        const std::shared_ptr<Inode> inode = found->second;
        state_->set_name(from, nullptr);
        state_->set_name(to, inode);
        return {};
    }
    if (!state_->folders.contains(from)) return storage_error(ENOENT, "cannot rename");
    // Folders are renamed durably at once: nobody here depends on the contrary.
    const auto moved = [&](const std::string& path) { return to + path.substr(from.size()); };
    const std::string prefix = from + "/";
    Names names;
    for (auto& [path, inode] : state_->names) names[path.starts_with(prefix) ? moved(path) : path] = inode;
    std::set<std::string> folders;
    for (const std::string& path : state_->folders) {
        folders.insert(path == from || path.starts_with(prefix) ? moved(path) : path);
    }
    for (auto& change : state_->unsynced_names) {
        if (change.path.starts_with(prefix)) change.path = moved(change.path);
    }
    state_->names = std::move(names);
    state_->folders = std::move(folders);
    return {};
}

Result<void> SimulatedFileSystem::remove(const std::string& path) {
    std::lock_guard guard{state_->mutex};
    if (!state_->names.contains(path)) return {};
    if (!state_->spend()) return storage_error(EIO, "the machine crashed");
    ++state_->operation;
    state_->set_name(path, nullptr);
    return {};
}

Result<void> SimulatedFileSystem::remove_tree(MayBlock, const std::string& path) {
    std::lock_guard guard{state_->mutex};
    const std::string prefix = path + "/";
    std::erase_if(state_->names,
                  [&](const auto& item) { return item.first == path || item.first.starts_with(prefix); });
    std::erase_if(state_->folders, [&](const auto& item) { return item == path || item.starts_with(prefix); });
    std::erase_if(state_->unsynced_names, [&](const auto& item) { return item.path.starts_with(prefix); });
    return {};
}

Result<PartRemoved> SimulatedFileSystem::remove_part(MayBlock, const std::string& path, FilePos bytes_max) {
    std::lock_guard guard{state_->mutex};
    const auto found = state_->names.find(path);
    if (found == state_->names.end()) return PartRemoved{.bytes = 0, .removed = true};
    Inode& inode = *found->second;
    const FilePos size = inode.bytes.size();
    if (size > bytes_max) {
        if (inode.opens != 0) return storage_error(EBUSY, "the file is open");
        inode.bytes.resize(size - bytes_max);
        return PartRemoved{.bytes = bytes_max, .removed = false};
    }
    ++state_->operation;
    state_->set_name(path, nullptr);
    return PartRemoved{.bytes = size, .removed = true};
}

Result<void> SimulatedFileSystem::sync_directory(MayBlock, const std::string& path) {
    std::lock_guard guard{state_->mutex};
    if (!state_->spend()) return storage_error(EIO, "the machine crashed");
    std::erase_if(state_->unsynced_names, [&](const auto& change) { return folder_of(change.path) == path; });
    return {};
}

Result<FilePos> SimulatedFileSystem::size_of(const std::string& path) {
    std::lock_guard guard{state_->mutex};
    const auto found = state_->names.find(path);
    if (found == state_->names.end()) return storage_error(ENOENT, "cannot stat file");
    return FilePos{found->second->bytes.size()};
}

Result<Space> SimulatedFileSystem::space(const std::string&) {
    std::lock_guard guard{state_->mutex};
    const std::uint64_t total = std::min<std::uint64_t>(state_->capacity, std::uint64_t{1} << 40);
    const std::uint64_t used = state_->used();
    return Space{.total_bytes = total, .usable_bytes = total > used ? total - used : 0};
}

Result<std::unique_ptr<Volume>> SimulatedFileSystem::open_volume(const std::string& directory) {
    std::lock_guard guard{state_->mutex};
    if (!state_->folders.contains(directory)) return storage_error(ENOENT, "cannot open folder");
    return std::make_unique<SimulatedVolume>(state_);
}

Result<std::unique_ptr<FileLock>> SimulatedFileSystem::lock(const std::string& path) {
    std::lock_guard guard{state_->mutex};
    if (!state_->locks.insert(path).second) return storage_error(EAGAIN, "another process holds the lock");
    auto& inode = state_->names[path];
    if (!inode) inode = std::make_shared<Inode>();
    return std::make_unique<SimulatedLock>(state_, path);
}

Result<std::int64_t> SimulatedFileSystem::modified_ms(const std::string& path) {
    std::function<std::int64_t(const std::string&)> answer;
    std::int64_t stored_ms = 0;
    {
        std::lock_guard guard{state_->mutex};
        const auto found = state_->names.find(path);
        if (found == state_->names.end()) return storage_error(ENOENT, "cannot stat file");
        stored_ms = found->second->modified_ms;
        answer = state_->modified;
    }
    return answer ? answer(path) : stored_ms;
}

Result<void> SimulatedFileSystem::set_modified_ms(const std::string& path, std::int64_t ms) {
    std::lock_guard guard{state_->mutex};
    const auto found = state_->names.find(path);
    if (found == state_->names.end()) return storage_error(ENOENT, "cannot set time");
    found->second->modified_ms = ms;
    return {};
}

namespace {

// What a disk may hold of bytes written since the last sync: page by page, the old or the new; a tail cut anywhere.
std::string after_power_loss(const Inode& inode, Random& random) {
    if (inode.bytes == inode.synced) return inode.bytes;
    const std::size_t shorter = std::min(inode.bytes.size(), inode.synced.size());
    const std::size_t longer = std::max(inode.bytes.size(), inode.synced.size());
    std::string out(shorter + random.next() % (longer - shorter + 1), '\0');
    const std::uint64_t mood = random.next() % 3;  // everything arrived, nothing did, or a mix
    for (std::size_t page = 0; page < out.size(); page += kPage) {
        const std::size_t end = std::min<std::size_t>(out.size(), page + kPage);
        const bool fresh = mood == 0 || (mood == 2 && random.next() % 2 == 0);
        const std::string& from = fresh ? inode.bytes : inode.synced;
        if (page < from.size()) std::memcpy(out.data() + page, from.data() + page, std::min(end, from.size()) - page);
    }
    return out;
}

}  // namespace

void SimulatedFileSystem::crash(std::uint64_t seed) {
    std::lock_guard guard{state_->mutex};
    SeededRandom random{seed};
    // A journal keeps operations in order: those after some point are lost, newest first.
    const auto& changes = state_->unsynced_names;
    const std::uint64_t first = changes.empty() ? 0 : changes.front().operation;
    const std::uint64_t lost_from = first + random.next() % (state_->operation - first + 2);
    for (auto it = changes.rbegin(); it != changes.rend() && it->operation >= lost_from; ++it) {
        if (it->before) {
            state_->names[it->path] = it->before;
        } else {
            state_->names.erase(it->path);
        }
    }
    state_->unsynced_names.clear();
    for (auto& [path, inode] : state_->names) {
        inode->bytes = after_power_loss(*inode, random);
        inode->synced = inode->bytes;
    }
    state_->locks.clear();
    state_->failing_writes = state_->failing_syncs = state_->failing_truncates = 0;
    state_->volume_syncs_before_failure = -1;
    state_->changes_left = UINT64_MAX;
    state_->open_files = 0;
    ++state_->incarnation;
}

void SimulatedFileSystem::fail_writes(int count, int os_errno, std::size_t bytes_kept) {
    std::lock_guard guard{state_->mutex};
    state_->failing_writes = count;
    state_->write_errno = os_errno;
    state_->kept_bytes = bytes_kept;
}
void SimulatedFileSystem::fail_truncates(int count, int os_errno) {
    std::lock_guard guard{state_->mutex};
    state_->failing_truncates = count;
    state_->truncate_errno = os_errno;
}
void SimulatedFileSystem::fail_syncs(int count, int os_errno) {
    std::lock_guard guard{state_->mutex};
    state_->failing_syncs = count;
    state_->sync_errno = os_errno;
}
void SimulatedFileSystem::fail_volume_sync(int before, int os_errno) {
    std::lock_guard guard{state_->mutex};
    state_->volume_syncs_before_failure = before;
    state_->volume_sync_errno = os_errno;
}
void SimulatedFileSystem::set_capacity(std::uint64_t bytes) {
    std::lock_guard guard{state_->mutex};
    state_->capacity = bytes;
}
void SimulatedFileSystem::fail_after(std::uint64_t count) {
    std::lock_guard guard{state_->mutex};
    state_->changes_left = count;
}

void SimulatedFileSystem::set_modified(std::function<std::int64_t(const std::string&)> answer) {
    std::lock_guard guard{state_->mutex};
    state_->modified = std::move(answer);
}

void SimulatedFileSystem::set_resident(bool resident) {
    std::lock_guard guard{state_->mutex};
    state_->resident = resident;
}

SimulatedFileSystem::Counts SimulatedFileSystem::counts() const {
    std::lock_guard guard{state_->mutex};
    return state_->counts;
}
std::size_t SimulatedFileSystem::open_file_count() const {
    std::lock_guard guard{state_->mutex};
    return state_->open_files;
}
std::string SimulatedFileSystem::contents(const std::string& path) const {
    std::lock_guard guard{state_->mutex};
    const auto found = state_->names.find(path);
    return found == state_->names.end() ? std::string{} : found->second->bytes;
}
void SimulatedFileSystem::set_contents(const std::string& path, std::string_view bytes) {
    std::lock_guard guard{state_->mutex};
    auto& inode = state_->names[path];
    if (!inode) inode = std::make_shared<Inode>();
    inode->bytes = inode->synced = std::string{bytes};
}

}  // namespace odr::io
