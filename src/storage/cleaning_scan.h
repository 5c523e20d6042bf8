#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "io/file_system.h"
#include "record/record_batch.h"

namespace odr::storage {

// Which parts of a file were in the page cache before somebody read through it, in blocks of 1 MiB.
class ColdBlocks {
public:
    static constexpr io::FilePos kBlock = io::FilePos{1} << 20;

    // Before [start, end) of a file of `size` bytes is read for the first time.
    void look(const io::File& file, io::FilePos start, io::FilePos end, io::FilePos size);
    // Gives the blocks below `end` that were not in the cache back to the kernel.
    void drop_below(const io::File& file, io::FilePos end);
    bool was_mostly_cold() const { return cold_ * 2 > blocks_.size(); }

private:
    enum class Block : std::uint8_t { unknown, warm, cold, dropped };
    std::vector<Block> blocks_;
    std::size_t dropped_below_ = 0;
    std::size_t cold_ = 0;
};

// Walks the batches of a sealed segment with large reads. Unlike a reader of a live log it takes what is not whole for
// damage.
//
// Threads: one. Memory: the buffer given, which grows with the largest batch.
class CleaningScan {
public:
    // [start, end) of the file, whose offsets are to ascend within [first, behind): no CRC covers them, and by a wrong
    // one the wrong record would count as a key's latest.
    struct Range {
        io::FilePos start = 0, end = 0;
        Offset first{0}, behind{0};
    };
    // `before_read` is told how much is read next, and may end the scan with an error.
    using BeforeRead = std::function<Result<void>(io::FilePos start, std::size_t bytes)>;
    CleaningScan(const io::File& file, const Range& range, std::size_t read_bytes, std::vector<std::uint8_t>& buffer,
                 const BeforeRead& before_read)
        : file_{file},
          next_{range.start},
          position_{range.start},
          end_{range.end},
          next_offset_{range.first},
          offset_behind_{range.behind},
          read_bytes_{read_bytes},
          buffer_{buffer},
          before_read_{before_read} {}

    // Gives:  the next batch, valid until the next call; nullopt at the end.
    // Errors: corrupt_message, kafka_storage_error, those of before_read.
    Result<std::optional<record::RecordBatchView>> next();
    io::FilePos position() const { return position_; }  // of the batch given last, or of the damage
    io::FilePos next_position() const { return next_; }

private:
    Result<ByteView> at_least(std::size_t bytes);

    const io::File& file_;
    io::FilePos next_;
    io::FilePos position_;
    const io::FilePos end_;
    Offset next_offset_;
    const Offset offset_behind_;
    const std::size_t read_bytes_;
    std::vector<std::uint8_t>& buffer_;
    const BeforeRead& before_read_;
    io::FilePos window_start_ = 0;
    std::size_t window_size_ = 0;
};

}  // namespace odr::storage
