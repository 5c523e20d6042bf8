#include "coordinator/shard_loader.h"

#include <vector>

#include "base/log.h"
#include "protocol/coordinator_records.h"
#include "record/compression.h"
#include "record/record.h"

namespace odr::coordinator {
namespace {

constexpr std::size_t kReadBytes = std::size_t{4} << 20;
constexpr std::size_t kBatchBytesMax = std::size_t{256} << 20;  // unpacked

class Loader {
public:
    Loader(io::MayBlock may_block, const storage::Log& log, GroupShard& shard, const std::atomic<bool>& is_cancelled)
        : may_block_{may_block}, log_{log}, shard_{shard}, is_cancelled_{is_cancelled} {}

    Result<LoadedLog> run() {
        const Offset end = log_.log_end_offset();
        Offset from = log_.log_start_offset();
        while (from < end && !is_cancelled_.load(std::memory_order_relaxed)) {
            ODR_TRY(next, read_some(from, end));
            if (next == from) break;
            from = next;
        }
        loaded_.next_offset = end;
        loaded_.is_cancelled = is_cancelled_.load(std::memory_order_relaxed);
        return loaded_;
    }

private:
    // Gives: the offset after what was read; `from` at the end of the log.
    Result<Offset> read_some(Offset from, Offset end) {
        const storage::ReadRequest request{
            .from = from, .bytes_max = kReadBytes, .upper_bound = end, .min_one_message = true};
        ODR_TRY(plan, log_.read(may_block_, request, 0));
        if (plan.slice.empty()) return from;
        buffer_.resize(plan.slice.length);
        ODR_TRY(size, plan.slice.file->read_at(buffer_, plan.slice.position));
        ByteView rest{buffer_.data(), size};
        Offset next = from;
        while (rest.size() >= record::kRecordBatchOverhead) {
            const Result<record::RecordBatchHeader> header = record::RecordBatchHeader::parse(rest);
            if (!header) return fail(header.error());
            if (header->size_in_bytes() > rest.size()) break;
            ODR_TRY(batch, record::RecordBatchView::parse(rest));
            replay(batch, from);
            next = std::max(next, batch.next_offset());
            rest = rest.subspan(batch.size_in_bytes());
            if (is_cancelled_.load(std::memory_order_relaxed)) break;
        }
        return next;
    }

    void replay(const record::RecordBatchView& batch, Offset from) {
        if (batch.is_legacy()) return skip(batch.base_offset(), "a message of before Apache Kafka 0.11");
        if (!batch.is_crc_valid()) return skip(batch.base_offset(), "a batch whose CRC does not match");
        if (batch.is_control()) return replay_control(batch);
        ByteView payload = batch.payload();
        if (batch.is_compressed()) {
            unpacked_.clear();
            if (auto done = record::decompress(batch.compression(), payload, kBatchBytesMax, unpacked_); !done) {
                return skip(batch.base_offset(), done.error().what);
            }
            payload = unpacked_;
        }
        record::RecordIterator records{payload, batch.record_count()};
        for (;;) {
            const Result<std::optional<record::Record>> record = records.next();
            if (!record) return skip(batch.base_offset(), record.error().what);
            if (!*record) return;
            if ((*record)->offset(batch) >= from) replay(batch, **record);
        }
    }

    void replay(const record::RecordBatchView& batch, const record::Record& record) {
        const Offset offset = record.offset(batch);
        Result<ReplayedRecord> parsed = parse_record(record.key, record.value);
        if (!parsed) return skip(offset, parsed.error().what);
        parsed->offset = offset;
        parsed->timestamp = record.timestamp(batch);
        if (batch.is_transactional()) parsed->producer_id = batch.producer_id();
        if (const Result<void> done = shard_.replay(*parsed); !done) return skip(offset, done.error().what);
        ++loaded_.records;
    }

    void replay_control(const record::RecordBatchView& batch) {
        record::RecordIterator records{batch};
        const Result<std::optional<record::Record>> record = records.next();
        if (!record || !*record) return skip(batch.base_offset(), "an empty control batch");
        const auto type = record::parse_control_record_key((*record)->key);
        if (!type) return skip(batch.base_offset(), type.error().what);
        if (*type != record::ControlRecordType::commit && *type != record::ControlRecordType::abort) return;
        shard_.replay_end_transaction(batch.producer_id(), *type == record::ControlRecordType::commit);
        ++loaded_.records;
    }

    void skip(Offset offset, std::string_view why) {
        ++loaded_.skipped;
        log::warn("{}: the record at offset {} is left out: {}", log_.topic_partition().to_string(), offset.raw(), why);
    }

    const io::MayBlock may_block_;
    const storage::Log& log_;
    GroupShard& shard_;
    const std::atomic<bool>& is_cancelled_;
    LoadedLog loaded_;
    std::vector<std::uint8_t> buffer_;
    std::vector<std::uint8_t> unpacked_;
};

}  // namespace

Result<LoadedLog> load_log(io::MayBlock may_block, const storage::Log& log, GroupShard& shard,
                           const std::atomic<bool>& is_cancelled) {
    return Loader{may_block, log, shard, is_cancelled}.run();
}

Result<ReplayedRecord> parse_record(const std::optional<ByteView>& key, const std::optional<ByteView>& value) {
    if (!key) return fail(ErrorCode::invalid_record, "coordinator record: no key");
    ODR_TRY(key_frame, protocol::decode_coordinator_frame(*key));
    ReplayedRecord record;
    record.key_type = key_frame.number;
    record.key = key_frame.body;
    if (!value) return record;
    ODR_TRY(value_frame, protocol::decode_coordinator_frame(*value));
    record.value = ReplayedRecord::Value{.version = value_frame.number, .body = value_frame.body};
    return record;
}

}  // namespace odr::coordinator
