#include "storage/log_segment.h"

#include <fmt/format.h>

#include <charconv>

namespace odr::storage {
namespace {

constexpr std::size_t kOffsetDigits = 20;

}  // namespace

std::string segment_file_name(Offset base_offset, std::string_view suffix) {
    return fmt::format("{:020}{}", base_offset.raw(), suffix);
}

std::optional<Offset> offset_of_file_name(std::string_view name) {
    if (name.size() <= kOffsetDigits || name[kOffsetDigits] != '.') return std::nullopt;
    std::int64_t offset = 0;
    const auto [stop, error] = std::from_chars(name.data(), name.data() + kOffsetDigits, offset);
    if (error != std::errc{} || stop != name.data() + kOffsetDigits || offset < 0) return std::nullopt;
    return Offset{offset};
}

std::string_view suffix_of(SegmentFileKind kind) {
    switch (kind) {
        case SegmentFileKind::log:
            return kLogSuffix;
        case SegmentFileKind::offset_index:
            return kOffsetIndexSuffix;
        case SegmentFileKind::time_index:
            return kTimeIndexSuffix;
        case SegmentFileKind::txn_index:
            return kTxnIndexSuffix;
    }
    return {};
}

void LogSegment::index_batch(Offset last_offset, TimestampMs timestamp, std::uint64_t position, std::uint64_t bytes,
                             std::int32_t index_interval_bytes) {
    note_timestamp(timestamp, last_offset);
    const auto last = offset_index.last();
    const bool rises = !last || relative(last_offset) > last->relative_offset;
    if (bytes_since_index_entry > static_cast<std::uint64_t>(index_interval_bytes) && rises) {
        offset_index.append({relative(last_offset), static_cast<std::uint32_t>(position)});
        index_max_timestamp();
        bytes_since_index_entry = 0;
    }
    bytes_since_index_entry += bytes;
}

void LogSegment::index_max_timestamp() {
    if (max_timestamp < TimestampMs{0}) return;
    const auto last = time_index.last();
    if (last && last->timestamp >= max_timestamp.raw()) return;
    time_index.append({max_timestamp.raw(), relative(offset_of_max_timestamp)});
}

}  // namespace odr::storage
