#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "io/file_system.h"
#include "record/record_batch.h"

namespace odr::storage {

// Whether a read may wait for the disk, or must give up where pages are not in the page cache.
enum class Access { resident_only, may_wait };

// Tells "this needs a disk" from failures, inside the storage layer only.
inline constexpr Error kNeedsDisk{.code = ErrorCode::none, .os_errno = 0, .what = "the pages are not resident"};
inline bool needs_disk(const Error& error) { return error.code == ErrorCode::none; }

// Walks the headers of a segment's batches with small reads, several batches a read where they are small.
//
// Threads: one.
class HeaderWalker {
public:
    // [start, end) of the file; start is where a batch starts. The file must outlive the walker.
    HeaderWalker(const io::File& file, io::FilePos start, io::FilePos end, Access access)
        : file_{&file}, position_{start}, next_{start}, end_{end}, access_{access} {}

    // Gives:  the next header, valid until the next call; nullopt at the end, or where the tail is cut.
    // Errors: corrupt_message, kafka_storage_error, kNeedsDisk.
    Result<std::optional<record::RecordBatchHeader>> next();
    io::FilePos position() const { return position_; }  // of the header given last
    io::FilePos next_position() const { return next_; }

private:
    static constexpr std::size_t kWindow = 4096;
    const io::File* file_;
    io::FilePos position_;
    io::FilePos next_;
    io::FilePos end_;
    Access access_;
    io::FilePos window_start_ = 0;
    std::size_t window_size_ = 0;
    std::uint8_t window_[kWindow];
};

// Walks whole batches, in large reads: for recovery and for searches by timestamp.
//
// Threads: one. Memory: the largest batch whose CRC is right, at least 256 KiB.
class BatchScanner {
public:
    // What to do with a batch of more than 256 KiB whose CRC is wrong, so that its length may be a lie. `given` is for
    // tools that show what is there, and may take as much memory as the file is long.
    enum class LargeDamaged { refused, given };
    BatchScanner(const io::File& file, io::FilePos start, io::FilePos end, LargeDamaged large = LargeDamaged::refused)
        : file_{&file}, position_{start}, next_{start}, end_{end}, large_{large} {}

    // Gives:  the next batch, valid until the next call; nullopt at the end, or where the file ends within it.
    // Errors: corrupt_message where no batch can start, kafka_storage_error.
    Result<std::optional<record::RecordBatchView>> next();
    io::FilePos position() const { return position_; }
    io::FilePos next_position() const { return next_; }

private:
    Result<ByteView> at_least(std::size_t bytes);
    Result<void> check_large(const record::RecordBatchHeader& header, std::size_t size);
    const io::File* file_;
    io::FilePos position_;
    io::FilePos next_;
    io::FilePos end_;
    LargeDamaged large_;
    io::FilePos window_start_ = 0;
    std::size_t window_size_ = 0;
    std::vector<std::uint8_t> window_;
};

}  // namespace odr::storage
