#include "storage/segment_scanner.h"

#include <algorithm>

#include "base/crc32c.h"
#include "io/file_hints.h"
#include "record/compression.h"
#include "record/record.h"
#include "record/record_reader.h"

namespace odr::storage {
namespace {

constexpr std::size_t kResidencyBlock = std::size_t{64} << 10;
constexpr std::size_t kMagicAt = 16;
constexpr std::size_t kLengthAt = 8;
constexpr std::size_t kCrcFrom = 21;  // magic 2: the attributes
constexpr std::size_t kCrcAt = 17;
// A search for the next batch computes no more CRCs than this: bytes may be made to look like one batch after another.
constexpr std::uint64_t kSearchCrcBytesMax = std::uint64_t{1} << 30;

}  // namespace

SegmentScanner::SegmentScanner(io::File& file, io::FilePos start, io::FilePos end, Offset base, Offset next)
    : file_{file}, end_{end}, base_{base}, at_{start}, next_{next} {
    io::expect_scattered_reads(file_);
}

Result<void> SegmentScanner::read_chunk(io::FilePos position, std::uint8_t* into, std::size_t length) {
    // Blocks that others keep in the page cache stay there; what this read brings in goes again.
    std::vector<bool> was_resident((length + kResidencyBlock - 1) / kResidencyBlock, true);
    if (!file_.resident(position, length)) {
        for (std::size_t i = 0; i < was_resident.size(); ++i) {
            const std::size_t from = i * kResidencyBlock;
            was_resident[i] = file_.resident(position + from, std::min(kResidencyBlock, length - from));
        }
    }
    ODR_TRY(got, file_.read_at({into, length}, position));
    for (std::size_t i = 0; i < was_resident.size(); ++i) {
        if (was_resident[i]) continue;
        const std::size_t from = i * kResidencyBlock;
        io::forget_cached(file_, position + from, std::min(kResidencyBlock, length - from));
    }
    if (got < length) return fail(ErrorCode::kafka_storage_error, "the file became shorter while it was read");
    return {};
}

Result<ByteView> SegmentScanner::window_at(io::FilePos position, std::size_t wanted) {
    wanted = static_cast<std::size_t>(std::min<io::FilePos>(wanted, end_ - position));
    if (position < window_start_ || position > window_start_ + window_size_) {
        window_start_ = position;
        window_size_ = 0;
    }
    if (position + wanted > window_start_ + window_size_) {
        const auto skip = static_cast<std::size_t>(position - window_start_);
        const std::size_t kept = window_size_ - skip;
        std::copy_n(window_.begin() + static_cast<std::ptrdiff_t>(skip), kept, window_.begin());
        window_start_ = position;
        window_size_ = kept;
        const io::FilePos from = position + kept;
        const std::size_t more =
            static_cast<std::size_t>(std::min<io::FilePos>(end_ - from, std::max<std::size_t>(kChunk, wanted - kept)));
        if (window_.size() < kept + more) window_.resize(kept + more);
        ODR_CHECK(read_chunk(from, window_.data() + kept, more));
        window_size_ = kept + more;
    }
    const auto skip = static_cast<std::size_t>(position - window_start_);
    return ByteView{window_.data() + skip, window_size_ - skip};
}

Result<bool> SegmentScanner::crc_is_valid(const record::RecordBatchHeader& header, io::FilePos position,
                                          std::size_t size) {
    if (size <= kBatchInMemoryMax) {
        ODR_TRY(bytes, window_at(position, size));
        ODR_TRY(batch, record::RecordBatchView::parse(bytes));
        batch_ = batch;
        header_ = batch;
        return batch.is_crc_valid();
    }
    if (header.is_legacy()) return false;  // never that large
    std::uint8_t fixed[record::kRecordBatchOverhead];
    ODR_TRY(got, file_.read_at(fixed, position));
    if (got < sizeof fixed) return false;
    std::uint32_t crc = 0;
    for (io::FilePos from = kCrcFrom; from < size;) {
        const auto piece = static_cast<std::size_t>(std::min<io::FilePos>(kChunk, size - from));
        ODR_TRY(bytes, window_at(position + from, piece));
        crc = crc32c(bytes.first(piece), crc);
        from += piece;
    }
    ODR_TRY(head, window_at(position, sizeof fixed));
    ODR_TRY(again, record::RecordBatchHeader::parse(head));
    header_ = again;
    return crc == load_be<std::uint32_t>(fixed + kCrcAt);
}

std::string_view SegmentScanner::fault_of(const record::RecordBatchHeader& header) const {
    if (header.last_offset_delta() < 0) return "negative last offset delta";
    if (header.last_offset() < next_ || (!header.is_legacy() && header.base_offset() < next_)) return "offsets go back";
    if (header.last_offset() - base_ > INT32_MAX) return "offset too far from the segment's base offset";
    return {};
}

bool SegmentScanner::could_follow(const record::RecordBatchHeader& header) const {
    return header.last_offset_delta() >= 0 && header.base_offset() >= next_ && header.last_offset() >= next_ &&
           header.last_offset() - base_ <= INT32_MAX;
}

Result<bool> SegmentScanner::is_batch_start(io::FilePos position) {
    if (position == end_) return true;
    ODR_TRY(head, window_at(position, record::kRecordBatchOverhead));
    if (head.size() < record::kHeaderSizeUpToMagic) return false;
    const auto header = record::RecordBatchHeader::parse(head);
    return header && could_follow(*header);
}

Result<io::FilePos> SegmentScanner::find_batch(io::FilePos position) {
    search_crc_bytes_ = 0;
    for (io::FilePos from = position; end_ - from >= record::kRecordBatchOverhead;) {
        ODR_TRY(window, window_at(from, std::min<io::FilePos>(kChunk, end_ - from)));
        const std::size_t last = window.size() - record::kRecordBatchOverhead;
        std::optional<std::size_t> candidate;
        for (std::size_t i = 0; i <= last && !candidate; ++i) {
            if (window[i + kMagicAt] != 2) continue;
            const auto length = load_be<std::int32_t>(window.data() + i + kLengthAt);
            const auto size = std::int64_t{length} + static_cast<std::int64_t>(record::kLogOverhead);
            if (size < static_cast<std::int64_t>(record::kRecordBatchOverhead) ||
                static_cast<std::uint64_t>(size) > end_ - (from + i)) {
                continue;
            }
            const auto header = record::RecordBatchHeader::parse(window.subspan(i));
            if (header && could_follow(*header)) candidate = i;
        }
        if (!candidate) {
            from += last + 1;
            continue;
        }
        const io::FilePos found = from + *candidate;
        ODR_TRY(header, record::RecordBatchHeader::parse(window.subspan(*candidate)));
        search_crc_bytes_ += header.size_in_bytes();
        if (search_crc_bytes_ > kSearchCrcBytesMax) return end_;
        ODR_TRY(is_sound, crc_is_valid(header, found, header.size_in_bytes()));
        if (is_sound) return found;
        from = found + 1;
    }
    return end_;
}

Result<bool> SegmentScanner::is_zero_from(io::FilePos position) {
    while (position < end_) {
        ODR_TRY(window, window_at(position, kChunk));
        if (!std::ranges::all_of(window, [](std::uint8_t byte) { return byte == 0; })) return false;
        position += window.size();
    }
    return true;
}

Result<Offset> SegmentScanner::offset_at(io::FilePos position) {
    if (position >= end_) return kNoOffset;
    ODR_TRY(head, window_at(position, record::kRecordBatchOverhead));
    if (head.size() < record::kHeaderSizeUpToMagic) return kNoOffset;
    const auto header = record::RecordBatchHeader::parse(head);
    return header && could_follow(*header) ? header->base_offset() : kNoOffset;
}

Result<SegmentScanner::Step> SegmentScanner::broken(io::FilePos position, std::optional<std::uint64_t> believed,
                                                    std::string_view what) {
    Step step{.kind = Kind::damage, .position = position, .length = 0, .first = next_, .last = kNoOffset, .what = what};
    io::FilePos next = end_;
    if (believed) {
        ODR_TRY(follows, is_batch_start(position + *believed));
        if (follows) next = position + *believed;
    }
    if (!believed || next == end_) {
        ODR_TRY(found, find_batch(position + 1));
        if (!believed || position + *believed != end_ || found != end_) next = found;
    }
    step.length = next - position;
    if (next == end_) {
        ODR_TRY(zero, is_zero_from(position));
        if (zero) step.what = "only zeros";
        if (zero || !believed) step.kind = Kind::torn_tail;
    } else {
        ODR_TRY(offset, offset_at(next));
        if (offset > next_) step.last = offset - 1;
    }
    batch_.reset();
    header_.reset();
    next_before_.reset();
    at_ = next;
    return step;
}

Result<SegmentScanner::Step> SegmentScanner::next() {
    if (at_ >= end_) return Step{.kind = Kind::end, .position = at_};
    batch_.reset();
    header_.reset();
    const io::FilePos position = at_;
    ODR_TRY(head, window_at(position, record::kRecordBatchOverhead));
    if (head.size() < record::kHeaderSizeUpToMagic) return broken(position, {}, "the file ends within a batch header");
    const auto parsed = record::RecordBatchHeader::parse(head);
    if (!parsed) return broken(position, {}, parsed.error().what);
    const std::size_t size = parsed->size_in_bytes();
    if (size > end_ - position) return broken(position, {}, "the file ends before the batch does");
    const std::int32_t delta = parsed->last_offset_delta();
    const Offset claimed = parsed->base_offset();
    ODR_TRY(is_sound, crc_is_valid(*parsed, position, size));
    if (!is_sound) {
        Offset last = kNoOffset;
        if (claimed == next_ && delta >= 0) last = next_ + delta;
        auto step = broken(position, size, "wrong CRC");
        if (step && step->last == kNoOffset && step->length == size) step->last = last;
        return step;
    }
    const std::string_view fault = fault_of(*header_);
    if (!fault.empty() && next_before_ && header_->base_offset() >= *next_before_ && header_->base_offset() < next_) {
        // The base offset is not under the CRC. This batch fits to the one before the last: the last one is wrong.
        Step step{.kind = Kind::damage,
                  .position = previous_at_,
                  .length = previous_size_,
                  .first = *next_before_,
                  .last = header_->base_offset() - 1,
                  .what = "base offset higher than the next batch's"};
        next_ = *next_before_;
        next_before_.reset();
        return step;
    }
    if (!fault.empty()) {
        at_ = position + size;
        return Step{.kind = Kind::damage,
                    .position = position,
                    .length = size,
                    .first = header_->base_offset(),
                    .last = header_->last_offset(),
                    .what = fault};
    }
    next_before_ = next_;
    previous_at_ = position;
    previous_size_ = size;
    next_ = header_->next_offset();
    at_ = position + size;
    return Step{.kind = Kind::batch,
                .position = position,
                .length = size,
                .first = header_->base_offset(),
                .last = header_->last_offset()};
}

namespace {

constexpr std::size_t kUnpackedBytesMax = std::size_t{2} << 30;

std::string_view control_fault(const record::RecordBatchView& batch) {
    if (batch.is_compressed()) return {};
    record::RecordIterator records{batch};
    for (;;) {
        const auto record = records.next();
        if (!record) return record.error().what;
        if (!*record) return {};
        const auto type = record::parse_control_record_key((*record)->key);
        if (!type) return type.error().what;
        if (*type != record::ControlRecordType::abort && *type != record::ControlRecordType::commit) continue;
        const auto marker = record::EndTxnMarker::parse((*record)->value);
        if (!marker) return marker.error().what;
    }
}

template <class Source>
std::string_view walk_records(Source& in, const record::RecordBatchView& batch, std::int64_t& records) {
    std::int64_t previous = -1;
    for (std::int32_t i = 0; i < batch.record_count(); ++i) {
        record::Record record;
        const std::string_view wrong = record::read_record(in, record);
        if (!wrong.empty()) return in.error(wrong).what;
        if (record.offset_delta <= previous) return "offsets of records go back";
        if (record.offset_delta > batch.last_offset_delta()) return "a record's offset lies behind its batch";
        previous = record.offset_delta;
        ++records;
    }
    if (!in.is_at_end()) return in.error("bytes behind the last record").what;
    return {};
}

}  // namespace

std::string_view records_fault(const record::RecordBatchView& batch, std::int64_t& records) {
    if (!record::is_known(batch.compression())) return "unknown compression codec";
    if (batch.is_legacy()) {
        records += batch.is_compressed() ? 0 : 1;
        return {};
    }
    if (batch.record_count() < 0) return "negative record count";
    if (batch.record_count() > std::int64_t{batch.last_offset_delta()} + 1) return "more records than offsets";
    std::string_view fault;
    if (batch.is_compressed()) {
        const auto unpacked = record::make_decompressor(batch.compression(), batch.payload(), kUnpackedBytesMax);
        if (!unpacked) return unpacked.error().what;
        // An empty batch that compaction leaves behind has no payload to unpack.
        if (batch.record_count() == 0) return {};
        record::StreamSource in{**unpacked};
        fault = walk_records(in, batch, records);
    } else {
        record::MemorySource in{batch.payload()};
        fault = walk_records(in, batch, records);
    }
    if (fault.empty() && batch.is_control()) fault = control_fault(batch);
    return fault;
}

}  // namespace odr::storage
