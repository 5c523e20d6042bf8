#include "storage/cleaning_scan.h"

#include <algorithm>

#include "io/file_hints.h"

namespace odr::storage {

void ColdBlocks::look(const io::File& file, io::FilePos start, io::FilePos end, io::FilePos size) {
    if (blocks_.empty()) blocks_.resize((size + kBlock - 1) / kBlock, Block::unknown);
    for (std::size_t i = start / kBlock; i < blocks_.size() && i * kBlock < end; ++i) {
        if (blocks_[i] != Block::unknown) continue;
        const bool warm = file.resident(i * kBlock, std::min(kBlock, size - i * kBlock));
        blocks_[i] = warm ? Block::warm : Block::cold;
        cold_ += warm ? 0 : 1;
    }
}

void ColdBlocks::drop_below(const io::File& file, io::FilePos end) {
    const std::size_t stop = std::min<std::size_t>(blocks_.size(), end / kBlock + (end % kBlock == 0 ? 0 : 1));
    for (; dropped_below_ < stop; ++dropped_below_) {
        if ((dropped_below_ + 1) * kBlock > end && dropped_below_ + 1 < blocks_.size()) return;
        if (blocks_[dropped_below_] != Block::cold) continue;
        io::forget_cached(file, dropped_below_ * kBlock, kBlock);
        blocks_[dropped_below_] = Block::dropped;
    }
}

Result<ByteView> CleaningScan::at_least(std::size_t bytes) {
    bytes = std::min<io::FilePos>(bytes, end_ - next_);
    if (next_ < window_start_ || next_ + bytes > window_start_ + window_size_) {
        const std::size_t length = std::min<io::FilePos>(std::max(bytes, read_bytes_), end_ - next_);
        if (before_read_) ODR_CHECK(before_read_(next_, length));
        if (buffer_.size() < length) buffer_.resize(length);
        ODR_TRY(got, file_.read_at({buffer_.data(), length}, next_));
        window_start_ = next_;
        window_size_ = got;
        if (got < bytes) return fail(ErrorCode::corrupt_message, "the file is shorter than the segment");
    }
    const std::size_t skip = next_ - window_start_;
    return ByteView{buffer_.data() + skip, window_size_ - skip};
}

Result<std::optional<record::RecordBatchView>> CleaningScan::next() {
    using Found = std::optional<record::RecordBatchView>;
    position_ = next_;
    if (next_ >= end_) return Found{};
    if (end_ - next_ < record::kHeaderSizeUpToMagic) {
        return fail(ErrorCode::corrupt_message, "the segment ends within a batch");
    }
    ODR_TRY(head, at_least(record::kRecordBatchOverhead));
    ODR_TRY(header, record::RecordBatchHeader::parse(head));
    const std::size_t size = header.size_in_bytes();
    if (size > end_ - next_) return fail(ErrorCode::corrupt_message, "the segment ends within a batch");
    ODR_TRY(whole, at_least(size));
    ODR_TRY(batch, record::RecordBatchView::parse(whole));
    const bool goes_back =
        batch.last_offset() < next_offset_ ||
        (!batch.is_legacy() && (batch.base_offset() < next_offset_ || batch.last_offset_delta() < 0));
    if (goes_back || batch.last_offset() >= offset_behind_) {
        return fail(ErrorCode::corrupt_message, "the offsets go back or leave the segment");
    }
    next_offset_ = batch.next_offset();
    next_ += size;
    return Found{batch};
}

}  // namespace odr::storage
