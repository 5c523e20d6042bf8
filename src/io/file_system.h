#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "io/may_block.h"

namespace odr::io {

using FilePos = std::uint64_t;  // bytes from the start of a file

enum class OpenMode {
    read,        // must exist
    read_write,  // must exist
    create,      // read and write; made when missing, kept when there
    create_new,  // read and write; must not exist
    truncate,    // read and write; made when missing, emptied when there
};

// One open file. Closed when destroyed.
//
// Threads: any; reads and writes at positions do not share a cursor. Two writes to one range must be kept apart by the
// caller. Errors:  kafka_storage_error with the errno, unless said otherwise.
class File {
public:
    virtual ~File() = default;

    // Fills `into` from `pos`. Gives: bytes read, less than asked only at the end of the file.
    // May wait for the disk where pages are not resident: on a reactor ask resident() first.
    virtual Result<std::size_t> read_at(MutableByteView into, FilePos pos) const = 0;
    // Writes all pieces one behind the other from `pos` with one system call where possible. Goes to the page cache.
    virtual Result<void> write_at(std::span<const ByteView> pieces, FilePos pos) = 0;
    virtual Result<void> truncate(FilePos size) = 0;
    virtual Result<FilePos> size() const = 0;
    // fdatasync: microseconds to seconds.
    virtual Result<void> sync(MayBlock) = 0;
    // Starts write-back of a range without waiting for it.
    virtual void start_write_back(FilePos pos, FilePos length) = 0;
    // Waits until what start_write_back() began in this range is on the disk. Promises nothing of durability: that is
    // sync()'s, whose next call tells of a failure here.
    virtual void wait_written_back(MayBlock, FilePos pos, FilePos length) = 0;
    // Whether every page of the range has come to the page cache, as the kernel says. False also when it cannot tell.
    virtual bool resident(FilePos pos, FilePos length) const = 0;
    // Brings the range into the page cache.
    virtual Result<void> read_ahead(MayBlock, FilePos pos, FilePos length) const = 0;
    // For sendfile; -1 for files that the kernel does not know (simulated ones).
    virtual int native_handle() const = 0;

    Result<void> write_at(ByteView piece, FilePos pos) { return write_at(std::span{&piece, 1}, pos); }
};

// An exclusive lock on a file as Java's FileChannel.lock takes it (a POSIX record lock), released when destroyed.
class FileLock {
public:
    virtual ~FileLock() = default;
};

struct DirectoryEntry {
    std::string name;  // without the folder
    bool is_directory;
};

struct Space {
    std::uint64_t total_bytes;
    std::uint64_t usable_bytes;  // for this user
};

struct PartRemoved {
    FilePos bytes;  // freed now
    bool removed;   // the file is gone
};

// What a folder lies on, to be made durable as a whole: cheaper than file by file where thousands were written.
class Volume {
public:
    virtual ~Volume() = default;
    // Every write and every change of a name that came before is durable, whoever made it: others' data takes its time.
    // Errors: kafka_storage_error; also when any write to the volume failed to reach the disk since it was opened.
    virtual Result<void> sync(MayBlock) = 0;
};

// The files of the machine, or simulated ones. Paths are absolute or relative to the working directory.
//
// Threads: any.
// Errors:  kafka_storage_error with the errno.
class FileSystem {
public:
    virtual ~FileSystem() = default;

    virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
    virtual bool exists(const std::string& path) = 0;
    virtual Result<std::vector<DirectoryEntry>> list(const std::string& directory) = 0;
    virtual Result<void> create_directories(const std::string& path) = 0;
    virtual Result<void> rename(const std::string& from, const std::string& to) = 0;  // replaces `to`
    virtual Result<void> remove(const std::string& path) = 0;                         // no error when missing
    virtual Result<void> remove_tree(MayBlock, const std::string& path) = 0;
    // Takes at most `bytes_max` off the end of a file, and removes it with the last of them. No error when missing.
    // Errors: EBUSY when somebody has a larger file open: what they read would vanish under them.
    virtual Result<PartRemoved> remove_part(MayBlock, const std::string& path, FilePos bytes_max) = 0;
    virtual Result<void> sync_directory(MayBlock, const std::string& path) = 0;
    virtual Result<FilePos> size_of(const std::string& path) = 0;
    virtual Result<Space> space(const std::string& path) = 0;
    // To be opened before anything is written that its sync shall answer for.
    // Gives: null where such a sync could keep a failure to itself: an old kernel, a file system that is not known.
    virtual Result<std::unique_ptr<Volume>> open_volume(const std::string& directory) = 0;
    // Errors: kafka_storage_error with EAGAIN when another process holds it.
    virtual Result<std::unique_ptr<FileLock>> lock(const std::string& path) = 0;
    // File modification time, milliseconds since 1970.
    virtual Result<std::int64_t> modified_ms(const std::string& path) = 0;
    virtual Result<void> set_modified_ms(const std::string& path, std::int64_t ms) = 0;

    // The whole file. Errors: as open(); a file over `bytes_max` is refused.
    Result<std::string> read_file(const std::string& path, std::size_t bytes_max = std::size_t{64} << 20);
    // Writes beside, syncs, renames, syncs the folder: readers see the old or the new file, never a half.
    Result<void> replace_file(MayBlock, const std::string& path, ByteView contents);
};

// The machine's own files.
FileSystem& real_file_system();

}  // namespace odr::io
