#include "raft/snapshot_reader.h"

#include <fmt/format.h>

#include <charconv>

#include "raft/control_records.h"
#include "record/compression.h"
#include "record/record.h"

namespace odr::raft {

static constexpr std::string_view kSnapshotSuffix = ".checkpoint";
static constexpr std::size_t kOffsetDigits = 20;
static constexpr std::size_t kEpochDigits = 10;
static constexpr std::size_t kPlainBytesMax = std::size_t{256} << 20;  // of one batch; Kafka's are at most 8 MiB

std::string snapshot_file_name(OffsetAndEpoch id) {
    return fmt::format("{:020d}-{:010d}{}", id.offset.raw(), id.epoch.raw(), kSnapshotSuffix);
}

template <class Number>
static bool parse_digits(std::string_view text, Number& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end == text.data() + text.size() && out >= 0;
}

std::optional<OffsetAndEpoch> parse_snapshot_file_name(std::string_view name) {
    if (name.size() != kOffsetDigits + 1 + kEpochDigits + kSnapshotSuffix.size() || !name.ends_with(kSnapshotSuffix) ||
        name[kOffsetDigits] != '-')
        return std::nullopt;
    std::int64_t offset = 0;
    std::int32_t epoch = 0;
    if (!parse_digits(name.substr(0, kOffsetDigits), offset) ||
        !parse_digits(name.substr(kOffsetDigits + 1, kEpochDigits), epoch))
        return std::nullopt;
    return OffsetAndEpoch{Offset{offset}, LeaderEpoch{epoch}};
}

Result<std::unique_ptr<SnapshotReader>> SnapshotReader::open(io::MayBlock, io::FileSystem& files,
                                                             const std::string& path, OffsetAndEpoch id) {
    std::unique_ptr<SnapshotReader> reader{new SnapshotReader};
    reader->id_ = id;
    ODR_TRY(file, files.open(path, io::OpenMode::read));
    reader->file_ = std::move(file);
    ODR_TRY(size, reader->file_->size());
    reader->size_ = size;
    return reader;
}

Result<std::span<const ByteView>> SnapshotReader::next(io::MayBlock) {
    records_.clear();
    while (records_.empty() && position_ < size_) {
        if (footer_seen_) return fail(ErrorCode::corrupt_message, "snapshot: something stands behind the footer");
        ODR_CHECK(read_next_batch());
    }
    if (records_.empty() && !footer_seen_) return fail(ErrorCode::corrupt_message, "snapshot: no footer at the end");
    return std::span<const ByteView>{records_};
}

Result<void> SnapshotReader::read_next_batch() {
    std::uint8_t head[record::kRecordBatchOverhead] = {};
    ODR_TRY(head_bytes, file_->read_at(head, position_));
    ODR_TRY(header, record::RecordBatchHeader::parse({head, head_bytes}));
    if (header.is_legacy() || header.size_in_bytes() > size_ - position_)
        return fail(ErrorCode::corrupt_message, "snapshot: a batch does not fit in the file");
    batch_.resize(header.size_in_bytes());
    ODR_TRY(got, file_->read_at(batch_, position_));
    if (got != batch_.size()) return fail(ErrorCode::corrupt_message, "snapshot: a batch ends early");
    position_ += got;

    ODR_TRY(batch, record::RecordBatchView::parse(batch_));
    if (!batch.is_crc_valid()) return fail(ErrorCode::corrupt_message, "snapshot: a batch has a wrong CRC");
    if (batch.is_control()) return read_control(batch);
    if (!header_seen_) return fail(ErrorCode::corrupt_message, "snapshot: no header at the start");
    ByteView payload = batch.payload();
    if (batch.is_compressed()) {
        plain_.clear();
        ODR_CHECK(record::decompress(batch.compression(), payload, kPlainBytesMax, plain_));
        payload = plain_;
    }
    record::RecordIterator records{payload, batch.record_count()};
    for (;;) {
        ODR_TRY(each, records.next());
        if (!each) return {};
        if (!each->value) return fail(ErrorCode::corrupt_message, "snapshot: a record has no value");
        records_.push_back(*each->value);
    }
}

Result<void> SnapshotReader::read_control(const record::RecordBatchView& batch) {
    if (batch.is_compressed()) return fail(ErrorCode::corrupt_message, "snapshot: a compressed control batch");
    record::RecordIterator records{batch};
    for (;;) {
        ODR_TRY(each, records.next());
        if (!each) return {};
        ODR_TRY(type, record::parse_control_record_key(each->key));
        const ByteView value = each->value.value_or(ByteView{});
        if (!header_seen_ && type != record::ControlRecordType::snapshot_header)
            return fail(ErrorCode::corrupt_message, "snapshot: no header at the start");
        if (type == record::ControlRecordType::snapshot_header) {
            ODR_TRY(timestamp, parse_snapshot_header(value));
            last_contained_log_timestamp_ = timestamp;
            header_seen_ = true;
        } else if (type == record::ControlRecordType::snapshot_footer) {
            footer_seen_ = true;
        } else if (type == record::ControlRecordType::kraft_version) {
            ODR_TRY(version, parse_kraft_version(value));
            kraft_version_ = version;
        } else if (type == record::ControlRecordType::kraft_voters) {
            ODR_TRY(voters, parse_voters(value));
            voters_ = std::move(voters);
        }
    }
}

}  // namespace odr::raft
