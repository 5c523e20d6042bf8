#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "io/file_system.h"
#include "record/record_batch.h"

namespace odr::storage {

// Reads one .log (or .checkpoint) file front to back, checks each batch, and goes on behind what is broken: where a
// length cannot be believed it looks for the next batch whose CRC fits.
//
// What is checked: header, CRC, order of offsets, span of offsets. See records_fault() for the records inside.
//
// Threads: one. Memory: kChunk, or the largest batch up to kBatchInMemoryMax; larger batches have their CRC computed
//          piece by piece and are given without their records.
// Cache:   pages that were not in the page cache before are let go of again.
class SegmentScanner {
public:
    static constexpr std::size_t kChunk = std::size_t{512} << 10;
    static constexpr std::size_t kBatchInMemoryMax = std::size_t{64} << 20;

    enum class Kind : std::uint8_t {
        batch,      // sound; batch() has it
        damage,     // broken bytes, with more behind them or not
        torn_tail,  // the file ends within a batch, or in zeros: what a crash leaves behind
        end,
    };
    struct Step {
        Kind kind = Kind::end;
        io::FilePos position = 0;
        std::uint64_t length = 0;
        // Damage: the offsets that may be concerned, as far as what stands around tells; `last` may be unknown.
        Offset first = kNoOffset;
        Offset last = kNoOffset;
        std::string_view what = {};
    };

    // [start, end) of the file, which must outlive the scanner. `next`: no offset below it may come.
    SegmentScanner(io::File& file, io::FilePos start, io::FilePos end, Offset base, Offset next);

    // Errors: kafka_storage_error: the file cannot be read.
    Result<Step> next();
    // Of the last step, if it was a batch. Valid until the next call.
    const record::RecordBatchHeader& header() const { return *header_; }
    // The whole batch; nullptr when it is larger than kBatchInMemoryMax.
    const record::RecordBatchView* batch() const { return batch_ ? &*batch_ : nullptr; }
    Offset next_offset() const { return next_; }
    io::FilePos next_position() const { return at_; }

private:
    Result<ByteView> window_at(io::FilePos position, std::size_t wanted);
    Result<void> read_chunk(io::FilePos position, std::uint8_t* into, std::size_t length);
    Result<bool> crc_is_valid(const record::RecordBatchHeader& header, io::FilePos position, std::size_t size);
    std::string_view fault_of(const record::RecordBatchHeader& header) const;
    bool could_follow(const record::RecordBatchHeader& header) const;
    Result<bool> is_batch_start(io::FilePos position);
    Result<Step> broken(io::FilePos position, std::optional<std::uint64_t> believed, std::string_view what);
    // The first sound batch at or behind `position`; `end_` when there is none.
    Result<io::FilePos> find_batch(io::FilePos position);
    Result<bool> is_zero_from(io::FilePos position);
    Result<Offset> offset_at(io::FilePos position);

    io::File& file_;
    const io::FilePos end_;
    const Offset base_;
    io::FilePos at_;
    Offset next_;
    // Of the batch before: a base offset that is too high shows only by the one that follows it.
    std::optional<Offset> next_before_;
    io::FilePos previous_at_ = 0;
    std::uint64_t previous_size_ = 0;

    std::uint64_t search_crc_bytes_ = 0;
    std::optional<record::RecordBatchHeader> header_;
    std::optional<record::RecordBatchView> batch_;
    std::vector<std::uint8_t> window_;
    io::FilePos window_start_ = 0;
    std::size_t window_size_ = 0;
};

// What is wrong with the records inside a batch whose CRC is right: codec, count, lengths, offsets, the keys and values
// of control records. Empty where nothing is. Compressed ones are unpacked chunk by chunk.
// Gives in `records` how many there are.
std::string_view records_fault(const record::RecordBatchView& batch, std::int64_t& records);

}  // namespace odr::storage
