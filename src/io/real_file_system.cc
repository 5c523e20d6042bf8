#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <set>

#include "io/file_hints.h"
#include "io/file_system.h"

namespace odr::io {
namespace {

namespace fs = std::filesystem;

std::unexpected<Error> storage_error(int os_errno, std::string_view what) {
    return fail_errno(ErrorCode::kafka_storage_error, os_errno, what);
}

// The kernel's cachestat (6.5 and newer), which glibc 2.36 does not wrap yet.
constexpr long kCachestatCall = 451;
struct CachestatRange {
    std::uint64_t offset, length;
};
struct Cachestat {
    std::uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

class RealFile final : public File {
public:
    explicit RealFile(int fd) : fd_{fd} {}
    ~RealFile() override { ::close(fd_); }
    RealFile(const RealFile&) = delete;
    RealFile& operator=(const RealFile&) = delete;

    Result<std::size_t> read_at(MutableByteView into, FilePos pos) const override {
        std::size_t done = 0;
        while (done < into.size()) {
            const ssize_t n = ::pread(fd_, into.data() + done, into.size() - done, static_cast<off_t>(pos + done));
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return storage_error(errno, "cannot read file");
            if (n == 0) break;
            done += static_cast<std::size_t>(n);
        }
        return done;
    }

    Result<void> write_at(std::span<const ByteView> pieces, FilePos pos) override {
        constexpr std::size_t kBatch = 64;
        std::array<iovec, kBatch> vectors;
        std::size_t skip = 0;  // bytes of pieces[0] already written
        while (!pieces.empty()) {
            std::size_t count = 0;
            for (; count < pieces.size() && count < kBatch; ++count) {
                const std::size_t from = count == 0 ? skip : 0;
                vectors[count] = {const_cast<std::uint8_t*>(pieces[count].data()) + from, pieces[count].size() - from};
            }
            const ssize_t n = ::pwritev(fd_, vectors.data(), static_cast<int>(count), static_cast<off_t>(pos));
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return storage_error(errno, "cannot write file");
            pos += static_cast<FilePos>(n);
            skip += static_cast<std::size_t>(n);
            while (!pieces.empty() && skip >= pieces.front().size()) {
                skip -= pieces.front().size();
                pieces = pieces.subspan(1);
            }
        }
        return {};
    }

    Result<void> truncate(FilePos size) override {
        if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) return storage_error(errno, "cannot truncate file");
        return {};
    }
    Result<FilePos> size() const override {
        struct stat info{};
        if (::fstat(fd_, &info) != 0) return storage_error(errno, "cannot stat file");
        return static_cast<FilePos>(info.st_size);
    }
    Result<void> sync(MayBlock) override {
        const int failed_before = write_back_errno_.exchange(0);
        if (failed_before != 0) return storage_error(failed_before, "cannot write file back");
        if (::fdatasync(fd_) != 0) return storage_error(errno, "cannot sync file");
        return {};
    }
    void start_write_back(FilePos pos, FilePos length) override {
        ::sync_file_range(fd_, static_cast<off64_t>(pos), static_cast<off64_t>(length), SYNC_FILE_RANGE_WRITE);
    }
    void wait_written_back(MayBlock, FilePos pos, FilePos length) override {
        const auto from = static_cast<off64_t>(pos);
        if (::sync_file_range(fd_, from, static_cast<off64_t>(length), SYNC_FILE_RANGE_WAIT_BEFORE) == 0) return;
        // The kernel tells a failed write-back once: the next fdatasync would not hear of it.
        write_back_errno_ = errno;
    }
    bool resident(FilePos pos, FilePos length) const override;
    Result<void> read_ahead(MayBlock, FilePos pos, FilePos length) const override {
        // readahead() only starts the reading; a read through a small window waits for it without a large copy.
        ::posix_fadvise(fd_, static_cast<off_t>(pos), static_cast<off_t>(length), POSIX_FADV_WILLNEED);
        std::array<std::uint8_t, 16384> window;
        for (FilePos done = 0; done < length; done += window.size()) {
            ODR_TRY(got, read_at({window.data(), std::min<FilePos>(window.size(), length - done)}, pos + done));
            if (got == 0) break;
        }
        return {};
    }
    int native_handle() const override { return fd_; }

private:
    bool has_arrived(FilePos pos, FilePos length) const;
    bool is_on_its_way(FilePos pos) const;
    bool comes_without_waiting(FilePos pos) const;

    int fd_;
    std::atomic<int> write_back_errno_{0};  // of a write-back that failed, until a sync tells
};

// Pages that the kernel is reading count as cached too, and whoever sends them waits for the disk. What is read ahead
// comes in pieces of 128 KiB and more, so a byte of every piece tells.
bool RealFile::has_arrived(FilePos pos, FilePos length) const {
    constexpr FilePos kPiece = FilePos{128} << 10;
    const FilePos last = pos + length - 1;
    for (FilePos at = pos; at < last; at += kPiece) {
        if (is_on_its_way(at)) return false;
    }
    return !is_on_its_way(last);
}

bool RealFile::is_on_its_way(FilePos pos) const { return !comes_without_waiting(pos) && errno == EAGAIN; }

bool RealFile::comes_without_waiting(FilePos pos) const {
    std::uint8_t byte = 0;
    iovec vector{&byte, 1};
    return ::preadv2(fd_, &vector, 1, static_cast<off_t>(pos), RWF_NOWAIT) == 1;
}

bool RealFile::resident(FilePos pos, FilePos length) const {
    if (length == 0) return true;
    constexpr FilePos kPage = 4096;
    const FilePos first = pos / kPage;
    const FilePos last = (pos + length - 1) / kPage;
    CachestatRange range{first * kPage, (last - first + 1) * kPage};
    Cachestat answer{};
    if (::syscall(kCachestatCall, fd_, &range, &answer, 0) == 0) {
        return answer.cached >= last - first + 1 && has_arrived(pos, length);
    }
    // Older kernels: a byte from each page that must come without waiting.
    for (FilePos page = first; page <= last; ++page) {
        if (!comes_without_waiting(page == first ? pos : page * kPage)) return false;
    }
    return true;
}

// POSIX record locks belong to the process: a second lock() here would succeed, and closing either would drop both.
// So the paths held by this process are remembered, as Java does.
class HeldPaths {
public:
    bool take(const std::string& path) {
        std::lock_guard guard{mutex_};
        return paths_.insert(path).second;
    }
    void give_back(const std::string& path) {
        std::lock_guard guard{mutex_};
        paths_.erase(path);
    }
    bool has(const std::string& path) {
        std::lock_guard guard{mutex_};
        return paths_.contains(path);
    }

private:
    std::mutex mutex_;
    std::set<std::string> paths_;
};

HeldPaths& held_paths() {
    static HeldPaths paths;
    return paths;
}

class RealFileLock final : public FileLock {
public:
    RealFileLock(int fd, std::string path) : fd_{fd}, path_{std::move(path)} {}
    ~RealFileLock() override {
        ::close(fd_);
        held_paths().give_back(path_);
    }
    RealFileLock(const RealFileLock&) = delete;
    RealFileLock& operator=(const RealFileLock&) = delete;

private:
    int fd_;
    std::string path_;
};

// The kernel counts failed write-backs of a file system; a descriptor hears of those since it was opened, and of one
// before that nobody has heard of.
class RealVolume final : public Volume {
public:
    explicit RealVolume(int fd) : fd_{fd} {}
    ~RealVolume() override { ::close(fd_); }
    RealVolume(const RealVolume&) = delete;
    RealVolume& operator=(const RealVolume&) = delete;

    Result<void> sync(MayBlock) override {
        if (::syncfs(fd_) != 0) return storage_error(errno, "cannot sync file system");
        return {};
    }

private:
    int fd_;
};

// syncfs() tells of failed write-backs from Linux 5.8 on, and waits for the disk on the file systems known here.
bool sync_of_volume_is_reliable(int fd) {
    static const bool kernel_tells = [] {
        utsname name{};
        int major = 0;
        int minor = 0;
        if (::uname(&name) != 0 || std::sscanf(name.release, "%d.%d", &major, &minor) != 2) return false;
        return major > 5 || (major == 5 && minor >= 8);
    }();
    constexpr std::array<std::uint64_t, 4> kKnown{0xEF53 /* ext4 */, 0x58465342 /* xfs */, 0x9123683E /* btrfs */,
                                                  0x01021994 /* tmpfs */};
    struct statfs info{};
    if (!kernel_tells || ::fstatfs(fd, &info) != 0) return false;
    return std::ranges::find(kKnown, static_cast<std::uint64_t>(info.f_type)) != kKnown.end();
}

class RealFileSystem final : public FileSystem {
public:
    Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
        int flags = O_CLOEXEC;
        switch (mode) {
            case OpenMode::read:
                flags |= O_RDONLY;
                break;
            case OpenMode::read_write:
                flags |= O_RDWR;
                break;
            case OpenMode::create:
                flags |= O_RDWR | O_CREAT;
                break;
            case OpenMode::create_new:
                flags |= O_RDWR | O_CREAT | O_EXCL;
                break;
            case OpenMode::truncate:
                flags |= O_RDWR | O_CREAT | O_TRUNC;
                break;
        }
        const int fd = ::open(path.c_str(), flags, 0644);
        if (fd < 0) return storage_error(errno, "cannot open file");
        return std::make_unique<RealFile>(fd);
    }

    bool exists(const std::string& path) override { return ::access(path.c_str(), F_OK) == 0; }

    Result<std::vector<DirectoryEntry>> list(const std::string& directory) override;

    Result<void> create_directories(const std::string& path) override {
        if (::mkdir(path.c_str(), 0777) == 0) return {};  // the folder of one partition more
        std::error_code error;
        fs::create_directories(path, error);
        if (error) return storage_error(error.value(), "cannot create folder");
        return {};
    }
    Result<void> rename(const std::string& from, const std::string& to) override {
        if (::rename(from.c_str(), to.c_str()) != 0) return storage_error(errno, "cannot rename");
        return {};
    }
    Result<void> remove(const std::string& path) override {
        if (::unlink(path.c_str()) != 0 && errno != ENOENT) return storage_error(errno, "cannot remove file");
        return {};
    }
    Result<void> remove_tree(MayBlock, const std::string& path) override {
        std::error_code error;
        fs::remove_all(path, error);
        if (error) return storage_error(error.value(), "cannot remove folder");
        return {};
    }
    Result<PartRemoved> remove_part(MayBlock, const std::string& path, FilePos bytes_max) override;
    Result<void> sync_directory(MayBlock, const std::string& path) override {
        const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) return storage_error(errno, "cannot open folder");
        const int failed = ::fsync(fd) != 0 ? errno : 0;
        ::close(fd);
        if (failed != 0) return storage_error(failed, "cannot sync folder");
        return {};
    }
    Result<FilePos> size_of(const std::string& path) override {
        struct stat info{};
        if (::stat(path.c_str(), &info) != 0) return storage_error(errno, "cannot stat file");
        return static_cast<FilePos>(info.st_size);
    }
    Result<Space> space(const std::string& path) override {
        struct statvfs info{};
        if (::statvfs(path.c_str(), &info) != 0) return storage_error(errno, "cannot ask for free space");
        return Space{.total_bytes = info.f_blocks * info.f_frsize, .usable_bytes = info.f_bavail * info.f_frsize};
    }
    Result<std::unique_ptr<Volume>> open_volume(const std::string& directory) override {
        const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) return storage_error(errno, "cannot open folder");
        auto volume = std::make_unique<RealVolume>(fd);
        if (!sync_of_volume_is_reliable(fd)) return std::unique_ptr<Volume>{};
        return volume;
    }
    Result<std::int64_t> modified_ms(const std::string& path) override {
        struct stat info{};
        if (::stat(path.c_str(), &info) != 0) return storage_error(errno, "cannot stat file");
        return static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1000 + info.st_mtim.tv_nsec / 1'000'000;
    }

    Result<void> set_modified_ms(const std::string& path, std::int64_t ms) override {
        const timespec modified{.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1'000'000};
        const std::array<timespec, 2> times{timespec{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, modified};
        if (::utimensat(AT_FDCWD, path.c_str(), times.data(), 0) != 0) return storage_error(errno, "cannot set time");
        return {};
    }

    Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
        std::error_code ignored;
        const std::string key = fs::weakly_canonical(path, ignored).string();
        if (!held_paths().take(key)) return storage_error(EAGAIN, "this process holds the lock already");
        const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0) {
            const int failed = errno;
            held_paths().give_back(key);
            return storage_error(failed, "cannot open lock file");
        }
        struct flock whole{};
        whole.l_type = F_WRLCK;
        whole.l_whence = SEEK_SET;
        if (::fcntl(fd, F_SETLK, &whole) != 0) {
            ::close(fd);
            held_paths().give_back(key);
            return storage_error(EAGAIN, "another process holds the lock");
        }
        return std::make_unique<RealFileLock>(fd, key);
    }
};

// Fewer calls than opendir() makes, as a start lists the folder of every partition.
Result<std::vector<DirectoryEntry>> RealFileSystem::list(const std::string& directory) {
    const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return storage_error(errno, "cannot list folder");
    std::vector<DirectoryEntry> out;
    alignas(dirent64) std::array<char, 16384> window;
    long got = 0;
    while ((got = ::syscall(SYS_getdents64, fd, window.data(), window.size())) > 0) {
        for (long at = 0; at < got;) {
            const auto* entry = reinterpret_cast<const dirent64*>(window.data() + at);
            at += entry->d_reclen;
            const std::string_view name{entry->d_name};
            if (name == "." || name == "..") continue;
            bool is_directory = entry->d_type == DT_DIR;
            if (entry->d_type == DT_UNKNOWN || entry->d_type == DT_LNK) {
                struct stat info{};
                is_directory = ::fstatat(fd, entry->d_name, &info, 0) == 0 && S_ISDIR(info.st_mode);
            }
            out.push_back({std::string{name}, is_directory});
        }
    }
    const int failed = got < 0 ? errno : 0;
    ::close(fd);
    if (failed != 0) return storage_error(failed, "cannot list folder");
    return out;
}

// Whether nobody else has the file open. The kernel answers: it grants a lease for writing only then.
// Gives: 0; EBUSY when somebody has; another errno where the file system knows no leases.
int take_alone(int fd) {
    // Whoever opens the file while it is leased makes the kernel signal its holder; this signal is ignored by default.
    ::fcntl(fd, F_SETSIG, SIGURG);
    if (::fcntl(fd, F_SETLEASE, F_WRLCK) == 0) return 0;
    return errno == EAGAIN ? EBUSY : errno;
}

Result<PartRemoved> RealFileSystem::remove_part(MayBlock, const std::string& path, FilePos bytes_max) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) return PartRemoved{.bytes = 0, .removed = true};
    struct stat info{};
    int failed = fd < 0 || ::fstat(fd, &info) != 0 ? errno : 0;
    const auto size = static_cast<FilePos>(info.st_size);
    bool in_parts = failed == 0 && size > bytes_max;
    if (in_parts) {
        const int alone = take_alone(fd);
        if (alone == EBUSY) failed = alone;
        // Without leases nobody can tell, and it goes whole.
        if (alone != 0) in_parts = false;
        if (alone == 0 && ::ftruncate(fd, static_cast<off_t>(size - bytes_max)) != 0) failed = errno;
    }
    if (fd >= 0) ::close(fd);
    if (failed == EBUSY) return storage_error(EBUSY, "the file is open");
    if (in_parts && failed == 0) return PartRemoved{.bytes = bytes_max, .removed = false};
    // What cannot be opened or cut can perhaps still be unlinked.
    ODR_CHECK(remove(path));
    return PartRemoved{.bytes = size, .removed = true};
}

}  // namespace

void expect_scattered_reads(const File& file) {
    if (file.native_handle() >= 0) ::posix_fadvise(file.native_handle(), 0, 0, POSIX_FADV_RANDOM);
}

void forget_cached(const File& file, FilePos pos, FilePos length) {
    if (file.native_handle() < 0) return;
    ::posix_fadvise(file.native_handle(), static_cast<off_t>(pos), static_cast<off_t>(length), POSIX_FADV_DONTNEED);
}

bool is_locked(const std::string& path) {
    std::error_code ignored;
    // Closing any descriptor of a file drops the locks of this process on it: one of ours is not asked about.
    if (held_paths().has(fs::weakly_canonical(path, ignored).string())) return true;
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    struct flock whole{};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    const bool held = ::fcntl(fd, F_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
    ::close(fd);
    return held;
}

FileSystem& real_file_system() {
    static RealFileSystem files;
    return files;
}

}  // namespace odr::io
