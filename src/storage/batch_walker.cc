#include "storage/batch_walker.h"

#include <algorithm>

#include "base/crc32c.h"

namespace odr::storage {
namespace {

constexpr std::size_t kScanWindow = std::size_t{256} << 10;

}  // namespace

Result<std::optional<record::RecordBatchHeader>> HeaderWalker::next() {
    using Found = std::optional<record::RecordBatchHeader>;
    if (next_ >= end_) return Found{};
    const std::size_t wanted = std::min<io::FilePos>(record::kRecordBatchOverhead, end_ - next_);
    const bool inside = next_ >= window_start_ && next_ + wanted <= window_start_ + window_size_;
    if (!inside) {
        const std::size_t length = std::min<io::FilePos>(kWindow, end_ - next_);
        if (access_ == Access::resident_only && !file_->resident(next_, length)) return fail(kNeedsDisk);
        ODR_TRY(got, file_->read_at({window_, length}, next_));
        window_start_ = next_;
        window_size_ = got;
    }
    const ByteView bytes{window_ + (next_ - window_start_), window_size_ - (next_ - window_start_)};
    if (bytes.size() < record::kHeaderSizeUpToMagic) return Found{};
    const auto header = record::RecordBatchHeader::parse(bytes);
    if (!header && wanted < record::kRecordBatchOverhead) return Found{};  // cut within its header
    ODR_CHECK(header);
    if (next_ + header->size_in_bytes() > end_) return Found{};
    position_ = next_;
    next_ += header->size_in_bytes();
    return Found{*header};
}

Result<ByteView> BatchScanner::at_least(std::size_t bytes) {
    bytes = std::min<io::FilePos>(bytes, end_ - next_);
    if (next_ < window_start_ || next_ + bytes > window_start_ + window_size_) {
        const std::size_t length = std::min<io::FilePos>(std::max(bytes, kScanWindow), end_ - next_);
        if (window_.size() < length) window_.resize(length);
        ODR_TRY(got, file_->read_at({window_.data(), length}, next_));
        window_start_ = next_;
        window_size_ = got;
    }
    const std::size_t skip = next_ - window_start_;
    return ByteView{window_.data() + skip, window_size_ - skip};
}

Result<void> BatchScanner::check_large(const record::RecordBatchHeader& header, std::size_t size) {
    const std::uint32_t said = header.crc();
    if (header.is_legacy()) return {};
    constexpr std::size_t kCrcFrom = 21;  // the attributes
    std::uint32_t crc = 0;
    for (io::FilePos at = next_ + kCrcFrom; at < next_ + size;) {
        const std::size_t wanted = std::min<io::FilePos>(window_.size(), next_ + size - at);
        ODR_TRY(got, file_->read_at({window_.data(), wanted}, at));
        window_size_ = 0;
        if (got == 0) break;
        crc = crc32c(ByteView{window_.data(), got}, crc);
        at += got;
    }
    if (crc != said) return fail(ErrorCode::corrupt_message, "wrong CRC");
    return {};
}

Result<std::optional<record::RecordBatchView>> BatchScanner::next() {
    using Found = std::optional<record::RecordBatchView>;
    if (next_ >= end_) return Found{};
    ODR_TRY(head, at_least(record::kRecordBatchOverhead));
    if (head.size() < record::kHeaderSizeUpToMagic) return Found{};
    const auto header = record::RecordBatchHeader::parse(head);
    if (!header && end_ - next_ < record::kRecordBatchOverhead) return Found{};  // cut within its header
    ODR_CHECK(header);
    const std::size_t size = header->size_in_bytes();
    if (next_ + size > end_) return Found{};
    // A length that is a lie is not a reason to take the memory it asks for.
    if (size > kScanWindow && large_ == LargeDamaged::refused) ODR_CHECK(check_large(*header, size));
    ODR_TRY(whole, at_least(size));
    if (whole.size() < size) return Found{};
    ODR_TRY(batch, record::RecordBatchView::parse(whole));
    position_ = next_;
    next_ += size;
    return Found{batch};
}

}  // namespace odr::storage
