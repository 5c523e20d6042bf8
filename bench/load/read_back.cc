#include "load/read_back.h"

#include <array>

#include "load/payload.h"
#include "record/record.h"

namespace odr::bench {
namespace {

constexpr std::int32_t kReadBytesMax = 8 << 20;
constexpr std::size_t kUnpackedBytesMax = std::size_t{256} << 20;

Result<void> count_records(const record::RecordBatchView& batch) {
    std::vector<std::uint8_t> unpacked;
    ByteView payload = batch.payload();
    if (batch.is_compressed()) {
        ODR_CHECK(record::decompress(batch.compression(), payload, kUnpackedBytesMax, unpacked));
        payload = unpacked;
    }
    record::RecordIterator records{payload, batch.record_count()};
    for (;;) {
        ODR_TRY(next, records.next());
        if (!next) return {};
    }
}

}  // namespace

Result<void> check_batches(ByteView bytes, ReadBack& so_far) {
    record::BatchIterator batches{bytes};
    for (;;) {
        ODR_TRY(batch, batches.next());
        if (!batch) return {};
        if (!batch->is_crc_valid()) return fail(ErrorCode::corrupt_message, "a batch with a wrong CRC");
        if (batch->base_offset().raw() != so_far.next_offset) {
            return fail(ErrorCode::corrupt_message, "offsets do not follow each other");
        }
        if (batch->last_offset_delta() + 1 != batch->record_count()) {
            return fail(ErrorCode::corrupt_message, "offsets and records do not agree");
        }
        ODR_CHECK(count_records(*batch));
        so_far.next_offset += batch->record_count();
        so_far.records += static_cast<std::uint64_t>(batch->record_count());
        so_far.bytes += batch->size_in_bytes();
        ++so_far.batches;
    }
}

Result<ReadBack> read_back(const Address& broker, const TopicTarget& topic, std::int32_t partition,
                           const ReadRange& range) {
    ODR_TRY(client, Client::connect(broker));
    ReadBack read{.next_offset = range.from};
    std::int64_t end = 0;
    if (range.to) {
        end = *range.to;
    } else {
        ODR_TRY(ends, end_offsets(client, topic));
        end = ends.at(static_cast<std::size_t>(partition));
    }
    std::vector<std::uint8_t> answer;
    for (std::int32_t correlation_id = 0; read.next_offset < end; ++correlation_id) {
        protocol::Buffer request;
        encode_fetch(request, topic, {.partition = partition, .offset = read.next_offset, .max_bytes = kReadBytesMax},
                     correlation_id);
        ODR_CHECK(client.socket().send_all(request.view()));
        std::array<std::uint8_t, 4> size{};
        ODR_CHECK(client.socket().receive_exactly(size));
        answer.resize(load_be<std::uint32_t>(size.data()));
        ODR_CHECK(client.socket().receive_exactly(answer));
        ODR_TRY(head, read_fetch_head(answer));
        if (head.error != ErrorCode::none) return fail(head.error, "Fetch");
        if (head.records_at + head.records_bytes > answer.size()) {
            return fail(ErrorCode::invalid_request, "records beyond the answer's end");
        }
        const std::int64_t before = read.next_offset;
        ODR_CHECK(check_batches(ByteView{answer}.subspan(head.records_at, head.records_bytes), read));
        if (read.next_offset == before) return fail(ErrorCode::corrupt_message, "nothing is read before the end");
    }
    return read;
}

Result<ReadBack> verify_acknowledged(const Address& broker, const TopicTarget& topic,
                                     const std::map<std::int32_t, std::uint64_t>& acknowledged) {
    ReadBack all;
    for (const auto& [partition, records] : acknowledged) {
        ODR_TRY(read, read_back(broker, topic, partition, {.from = 0, .to = std::nullopt}));
        if (read.records != records) {
            return fail(ErrorCode::corrupt_message, "the partition holds other than the acknowledged records");
        }
        all.records += read.records;
        all.batches += read.batches;
        all.bytes += read.bytes;
    }
    return all;
}

}  // namespace odr::bench
