#include "record/record.h"

#include <fmt/format.h>

#include "base/assert.h"
#include "record/record_reader.h"

namespace odr::record {

namespace {

constexpr std::size_t kBatchBytesMax = 0x7fffffff;
constexpr std::size_t kRecordOverheadMax = 21;  // length, attributes, timestamp and offset, at their longest

std::size_t field_size_max(const std::optional<ByteView>& field) {
    return kVarintBytesMax + (field ? field->size() : 0);
}

// Writes into room that was made for the longest form.
class RecordWriter {
public:
    explicit RecordWriter(std::uint8_t* to) : to_{to} {}
    void byte(std::uint8_t value) { *to_++ = value; }
    void varint(std::int32_t value) { to_ += write_varint(to_, value); }
    void varlong(std::int64_t value) { to_ += write_varlong(to_, value); }
    void bytes(ByteView bytes) { to_ = std::copy(bytes.begin(), bytes.end(), to_); }
    void field(const std::optional<ByteView>& field) {
        varint(field ? static_cast<std::int32_t>(field->size()) : -1);
        if (field) bytes(*field);
    }
    std::uint8_t* position() const { return to_; }

private:
    std::uint8_t* to_;
};

std::size_t varint_size(std::int32_t value) {
    std::uint8_t scratch[kVarintBytesMax];
    return write_varint(scratch, value);
}
std::size_t varlong_size(std::int64_t value) {
    std::uint8_t scratch[kVarlongBytesMax];
    return write_varlong(scratch, value);
}
std::size_t field_size(const std::optional<ByteView>& field) {
    return field ? varint_size(static_cast<std::int32_t>(field->size())) + field->size() : 1;
}

std::size_t body_size(const Record& record, std::span<const Header> headers) {
    std::size_t size = 1 + varlong_size(record.timestamp_delta) + varint_size(record.offset_delta) +
                       field_size(record.key) + field_size(record.value) +
                       varint_size(static_cast<std::int32_t>(headers.size()));
    for (const Header& header : headers) size += field_size(header.key) + field_size(header.value);
    return size;
}

}  // namespace

std::optional<Header> HeaderIterator::next() {
    if (left_ == 0) return std::nullopt;
    --left_;
    MemorySource in{bytes_};
    std::optional<ByteView> key;
    Header header;
    const bool is_read = read_field(in, key) && key && read_field(in, header.value);
    ODR_ASSERT(is_read, "headers were read once before");
    header.key = *key;
    bytes_ = bytes_.subspan(static_cast<std::size_t>(in.position()));
    return header;
}

std::vector<Header> Record::header_list() const {
    std::vector<Header> list;
    HeaderIterator all = headers();
    while (auto header = all.next()) list.push_back(*header);
    return list;
}

TimestampMs Record::timestamp(const RecordBatchHeader& batch) const {
    if (batch.timestamp_type() == TimestampType::log_append_time) return batch.max_timestamp();
    const auto base = static_cast<std::uint64_t>(batch.base_timestamp().raw());
    return TimestampMs{static_cast<std::int64_t>(base + static_cast<std::uint64_t>(timestamp_delta))};
}

RecordIterator::RecordIterator(const RecordBatchView& batch) : RecordIterator{batch.payload(), batch.record_count()} {
    ODR_ASSERT(!batch.is_legacy(), "magic={}", batch.magic());
    ODR_ASSERT(!batch.is_compressed(), "compression={}", to_string(batch.compression()));
}

Result<std::optional<Record>> RecordIterator::next() {
    if (left_ < 0) return fail(ErrorCode::invalid_record, "a batch has a negative record count");
    if (left_ == 0) {
        if (!rest_.empty()) return fail(ErrorCode::invalid_record, "a batch goes on after its last record");
        return std::nullopt;
    }
    MemorySource in{rest_};
    Record record;
    if (const auto wrong = read_record(in, record); !wrong.empty()) return std::unexpected{in.error(wrong)};
    rest_ = rest_.subspan(static_cast<std::size_t>(in.position()));
    --left_;
    return record;
}

Result<ControlRecordType> parse_control_record_key(const std::optional<ByteView>& key) {
    if (!key || key->size() < kControlRecordKeyBytes) {
        return fail(ErrorCode::invalid_record, "a control record has too short a key");
    }
    if (load_be<std::int16_t>(key->data()) < 0) {
        return fail(ErrorCode::invalid_record, "a control record has a key of a negative version");
    }
    const auto type = load_be<std::int16_t>(key->data() + 2);
    const bool is_ours = type >= 0 && type <= static_cast<std::int16_t>(ControlRecordType::kraft_voters);
    return is_ours ? static_cast<ControlRecordType>(type) : ControlRecordType::unknown;
}

std::array<std::uint8_t, kControlRecordKeyBytes> control_record_key(ControlRecordType type) {
    std::array<std::uint8_t, kControlRecordKeyBytes> key{};
    store_be(key.data() + 2, static_cast<std::int16_t>(type));
    return key;
}

Result<EndTxnMarker> EndTxnMarker::parse(const std::optional<ByteView>& value) {
    if (!value || value->size() < 6)
        return fail(ErrorCode::invalid_record, "a transaction marker has too short a value");
    if (load_be<std::int16_t>(value->data()) < 0) {
        return fail(ErrorCode::invalid_record, "a transaction marker has a value of a negative version");
    }
    return EndTxnMarker{.coordinator_epoch = load_be<std::int32_t>(value->data() + 2)};
}

RecordBatchBuilder::RecordBatchBuilder(const Options& options)
    : options_{options}, bytes_(kRecordBatchOverhead), next_offset_{options.base_offset} {
    if (options.delete_horizon) base_timestamp_ = *options.delete_horizon;
}

std::size_t RecordBatchBuilder::size_upper_bound(std::optional<ByteView> key, std::optional<ByteView> value,
                                                 std::span<const Header> headers) {
    std::size_t size = kRecordOverheadMax + field_size_max(key) + field_size_max(value) + kVarintBytesMax;
    for (const Header& header : headers) size += field_size_max(header.key) + field_size_max(header.value);
    return size;
}

void RecordBatchBuilder::append(TimestampMs timestamp, std::optional<ByteView> key, std::optional<ByteView> value,
                                std::span<const Header> headers) {
    append_at(next_offset_, timestamp, key, value, headers);
}

void RecordBatchBuilder::append_at(Offset offset, TimestampMs timestamp, std::optional<ByteView> key,
                                   std::optional<ByteView> value, std::span<const Header> headers) {
    const std::int64_t offset_delta = offset - options_.base_offset;
    ODR_ASSERT(offset >= next_offset_ && offset_delta <= 0x7fffffff, "offset={} next={}", offset, next_offset_);
    if (is_empty() && !options_.delete_horizon) base_timestamp_ = timestamp;
    Record record{.offset_delta = static_cast<std::int32_t>(offset_delta), .key = key, .value = value};
    record.timestamp_delta = static_cast<std::int64_t>(static_cast<std::uint64_t>(timestamp.raw()) -
                                                       static_cast<std::uint64_t>(base_timestamp_.raw()));
    const std::size_t body = body_size(record, headers);
    const std::size_t before = bytes_.size();
    bytes_.resize(before + kVarintBytesMax + body);

    RecordWriter to{bytes_.data() + before};
    to.varint(static_cast<std::int32_t>(body));
    to.byte(record.attributes);
    to.varlong(record.timestamp_delta);
    to.varint(record.offset_delta);
    to.field(key);
    to.field(value);
    to.varint(static_cast<std::int32_t>(headers.size()));
    for (const Header& header : headers) {
        to.field(header.key);
        to.field(header.value);
    }
    bytes_.resize(static_cast<std::size_t>(to.position() - bytes_.data()));
    ++record_count_;
    next_offset_ = offset + 1;
    max_timestamp_ = std::max(max_timestamp_, timestamp);
}

void RecordBatchBuilder::append_copy(Offset offset, TimestampMs timestamp, const Record& record) {
    const std::int64_t offset_delta = offset - options_.base_offset;
    ODR_ASSERT(offset >= next_offset_ && offset_delta <= 0x7fffffff, "offset={} next={}", offset, next_offset_);
    if (is_empty() && !options_.delete_horizon) base_timestamp_ = timestamp;
    const auto timestamp_delta = static_cast<std::int64_t>(static_cast<std::uint64_t>(timestamp.raw()) -
                                                           static_cast<std::uint64_t>(base_timestamp_.raw()));
    const std::size_t body = 1 + varlong_size(timestamp_delta) + varint_size(static_cast<std::int32_t>(offset_delta)) +
                             field_size(record.key) + field_size(record.value) + varint_size(record.header_count) +
                             record.header_bytes.size();
    const std::size_t before = bytes_.size();
    bytes_.resize(before + kVarintBytesMax + body);

    RecordWriter to{bytes_.data() + before};
    to.varint(static_cast<std::int32_t>(body));
    to.byte(0);
    to.varlong(timestamp_delta);
    to.varint(static_cast<std::int32_t>(offset_delta));
    to.field(record.key);
    to.field(record.value);
    to.varint(record.header_count);
    to.bytes(record.header_bytes);
    bytes_.resize(static_cast<std::size_t>(to.position() - bytes_.data()));
    ++record_count_;
    next_offset_ = offset + 1;
    max_timestamp_ = std::max(max_timestamp_, timestamp);
}

void RecordBatchBuilder::append_control(TimestampMs timestamp, ControlRecordType type, ByteView value) {
    ODR_ASSERT(options_.is_control && type != ControlRecordType::unknown, "type={}", static_cast<int>(type));
    const auto key = control_record_key(type);
    append(timestamp, ByteView{key}, value);
}

void RecordBatchBuilder::append_end_txn_marker(TimestampMs timestamp, ControlRecordType commit_or_abort,
                                               EndTxnMarker marker) {
    ODR_ASSERT(options_.is_transactional && options_.producer_id > kNoProducerId, "producer_id={}",
               options_.producer_id);
    ODR_ASSERT(commit_or_abort == ControlRecordType::commit || commit_or_abort == ControlRecordType::abort);
    std::array<std::uint8_t, 6> value{};  // version 0, coordinator epoch
    store_be(value.data() + 2, marker.coordinator_epoch);
    append_control(timestamp, commit_or_abort, value);
}

Result<std::vector<std::uint8_t>> RecordBatchBuilder::build() {
    RecordBatchFields fields{.base_offset = options_.base_offset,
                             .partition_leader_epoch = options_.partition_leader_epoch,
                             .compression = options_.compression.type,
                             .timestamp_type = options_.timestamp_type,
                             .is_transactional = options_.is_transactional,
                             .is_control = options_.is_control,
                             .has_delete_horizon = options_.delete_horizon.has_value()};
    const Offset last_offset = options_.last_offset.value_or(next_offset_ - 1);
    ODR_ASSERT(last_offset >= next_offset_ - 1, "last_offset={} next={}", last_offset, next_offset_);
    fields.last_offset_delta = static_cast<std::int32_t>(last_offset - options_.base_offset);
    fields.base_timestamp = base_timestamp_;
    const bool is_log_append_time = options_.timestamp_type == TimestampType::log_append_time;
    fields.max_timestamp = is_log_append_time ? options_.log_append_time : max_timestamp_;
    fields.producer_id = options_.producer_id;
    fields.producer_epoch = options_.producer_epoch;
    fields.base_sequence = options_.base_sequence;
    fields.record_count = record_count_;

    std::vector<std::uint8_t> batch;
    if (options_.compression.type == CompressionType::none) {
        batch = std::move(bytes_);
    } else {
        batch.resize(kRecordBatchOverhead);
        ODR_CHECK(compress(options_.compression, ByteView{bytes_}.subspan(kRecordBatchOverhead), batch));
    }
    if (batch.size() > kBatchBytesMax) return fail(ErrorCode::record_list_too_large, "a batch of more than 2 GiB");
    write_batch_header(batch, fields);
    return batch;
}

}  // namespace odr::record
