#include "storage/producer_state_manager.h"

#include <algorithm>
#include <limits>

#include "base/crc32c.h"
#include "record/record.h"

namespace odr::storage {
namespace {

constexpr std::int16_t kSnapshotVersion = 1;
constexpr std::size_t kSnapshotCrcAt = 2;
constexpr std::size_t kSnapshotEntriesAt = 6;  // what the CRC covers starts here: the count
constexpr std::size_t kSnapshotEntryBytes = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8;

bool in_sequence(std::int32_t last, std::int32_t next) {
    return next == std::int64_t{last} + 1 || (next == 0 && last == std::numeric_limits<std::int32_t>::max());
}

template <class T>
void put(std::string& out, T value) {
    std::uint8_t bytes[sizeof(T)];
    store_be(bytes, value);
    out.append(reinterpret_cast<const char*>(bytes), sizeof bytes);
}

}  // namespace

const BatchMetadata* ProducerStateEntry::find_duplicate(const record::RecordBatchHeader& batch) const {
    if (batch.producer_epoch() != producer_epoch) return nullptr;
    for (std::size_t i = 0; i < batch_count; ++i) {
        const BatchMetadata& known = batches[i];
        if (known.first_sequence() == batch.base_sequence() && known.last_sequence == batch.last_sequence())
            return &known;
    }
    return nullptr;
}

void ProducerStateEntry::set_epoch(ProducerEpoch epoch) {
    if (producer_epoch == epoch) return;
    batch_count = 0;
    producer_epoch = epoch;
}

void ProducerStateEntry::add(ProducerEpoch epoch, const BatchMetadata& batch) {
    set_epoch(epoch);
    if (batch_count == kBatchesRetained) {
        std::ranges::rotate(batches, batches.begin() + 1);
        --batch_count;
    }
    batches[batch_count++] = batch;
    last_timestamp = batch.timestamp;
}

const ProducerStateEntry* ProducerStateManager::find(ProducerId id) const {
    const auto found = producers_.find(id);
    return found == producers_.end() ? nullptr : &found->second;
}

Result<void> ProducerStateManager::append(const record::RecordBatchView& batch, Origin origin,
                                          std::optional<CompletedTransaction>& ended) {
    ended.reset();
    const auto found = producers_.find(batch.producer_id());
    ProducerStateEntry updated = found == producers_.end() ? ProducerStateEntry{} : found->second;
    if (origin != Origin::replication && batch.producer_epoch() < updated.producer_epoch) {
        return fail(ErrorCode::invalid_producer_epoch, "producer epoch is smaller than the last seen one");
    }
    if (batch.is_control()) {
        ODR_CHECK(append_marker(updated, batch, origin, ended));
    } else {
        ODR_CHECK(append_data(updated, batch, origin));
    }
    if (found != producers_.end()) {
        found->second = updated;
    } else {
        producers_.emplace(batch.producer_id(), updated);
    }
    return {};
}

Result<void> ProducerStateManager::append_marker(ProducerStateEntry& entry, const record::RecordBatchView& batch,
                                                 Origin origin, std::optional<CompletedTransaction>& ended) {
    record::RecordIterator records{batch};
    ODR_TRY(record, records.next());
    if (!record) return {};
    ODR_TRY(type, record::parse_control_record_key(record->key));
    if (type != record::ControlRecordType::abort && type != record::ControlRecordType::commit) return {};
    ODR_TRY(marker, record::EndTxnMarker::parse(record->value));
    if (origin != Origin::replication && entry.coordinator_epoch > marker.coordinator_epoch) {
        return fail(ErrorCode::transaction_coordinator_fenced, "marker of an older transaction coordinator");
    }
    if (entry.current_txn_first_offset != kNoOffset) {
        ended = CompletedTransaction{.producer_id = batch.producer_id(),
                                     .first_offset = entry.current_txn_first_offset,
                                     .last_offset = batch.base_offset(),
                                     .aborted = type == record::ControlRecordType::abort};
    }
    entry.set_epoch(batch.producer_epoch());
    entry.coordinator_epoch = marker.coordinator_epoch;
    entry.current_txn_first_offset = kNoOffset;
    entry.last_timestamp = record->timestamp(batch);
    return {};
}

Result<void> ProducerStateManager::append_data(ProducerStateEntry& entry, const record::RecordBatchHeader& batch,
                                               Origin origin) {
    if (origin == Origin::client && entry.producer_epoch != kNoProducerEpoch) {
        const bool fits = batch.producer_epoch() == entry.producer_epoch
                              ? in_sequence(entry.last_sequence(), batch.base_sequence())
                              : batch.base_sequence() == 0;
        if (!fits) return fail(ErrorCode::out_of_order_sequence_number, "sequence number does not follow the last one");
    }
    const bool open = entry.current_txn_first_offset != kNoOffset;
    if (open && !batch.is_transactional() && origin != Origin::replication) {
        return fail(ErrorCode::invalid_txn_state, "a transaction is open, but the batch is not transactional");
    }
    entry.add(batch.producer_epoch(), {.last_offset = batch.last_offset(),
                                       .timestamp = batch.max_timestamp(),
                                       .last_sequence = batch.last_sequence(),
                                       .offset_delta = batch.last_offset_delta()});
    if (!open && batch.is_transactional()) entry.current_txn_first_offset = batch.base_offset();
    return {};
}

void ProducerStateManager::restore(ProducerId id, const std::optional<ProducerStateEntry>& before) {
    if (before) {
        producers_.insert_or_assign(id, *before);
    } else {
        producers_.erase(id);
    }
}

void ProducerStateManager::begin_transaction(ProducerId id, Offset first_offset) {
    ongoing_.insert_or_assign(first_offset, Transaction{.producer_id = id, .last_offset = kNoOffset});
}

void ProducerStateManager::complete_transaction(const CompletedTransaction& ended) {
    ongoing_.erase(ended.first_offset);
    unreplicated_.insert_or_assign(ended.first_offset,
                                   Transaction{.producer_id = ended.producer_id, .last_offset = ended.last_offset});
}

Offset ProducerStateManager::last_stable_offset_after(const CompletedTransaction& ended) const {
    for (const auto& [first_offset, transaction] : ongoing_) {
        if (transaction.producer_id != ended.producer_id) return first_offset;
    }
    return ended.last_offset + 1;
}

void ProducerStateManager::on_high_watermark(Offset high_watermark) {
    std::erase_if(unreplicated_, [&](const auto& item) { return item.second.last_offset < high_watermark; });
}

std::optional<Offset> ProducerStateManager::first_unstable_offset() const {
    std::optional<Offset> out;
    if (!ongoing_.empty()) out = ongoing_.begin()->first;
    if (!unreplicated_.empty() && (!out || unreplicated_.begin()->first < *out)) out = unreplicated_.begin()->first;
    return out;
}

std::optional<ProducerId> ProducerStateManager::oldest_open_transaction() const {
    if (ongoing_.empty()) return std::nullopt;
    return ongoing_.begin()->second.producer_id;
}

void ProducerStateManager::clear() {
    producers_.clear();
    ongoing_.clear();
    unreplicated_.clear();
}

void ProducerStateManager::load(ProducerId id, const ProducerStateEntry& entry) {
    producers_.insert_or_assign(id, entry);
    if (entry.current_txn_first_offset != kNoOffset) begin_transaction(id, entry.current_txn_first_offset);
}

void ProducerStateManager::remove_expired(TimestampMs now, std::int64_t expiration_ms) {
    std::erase_if(producers_, [&](const auto& item) {
        const ProducerStateEntry& entry = item.second;
        return entry.current_txn_first_offset == kNoOffset && now.raw() - entry.last_timestamp.raw() >= expiration_ms;
    });
}

std::unordered_map<ProducerId, LastProducerRecord> ProducerStateManager::last_records() const {
    std::unordered_map<ProducerId, LastProducerRecord> out;
    out.reserve(producers_.size());
    for (const auto& [id, entry] : producers_) {
        out.emplace(id, LastProducerRecord{entry.empty() ? kNoOffset : entry.last().last_offset, entry.producer_epoch});
    }
    return out;
}

std::vector<ActiveProducer> ProducerStateManager::active_producers() const {
    std::vector<ActiveProducer> out;
    for (const auto& [id, entry] : producers_) {
        out.push_back({.producer_id = id,
                       .producer_epoch = entry.producer_epoch,
                       .last_sequence = entry.last_sequence(),
                       .last_timestamp = entry.last_timestamp,
                       .coordinator_epoch = entry.coordinator_epoch,
                       .current_txn_start_offset = entry.current_txn_first_offset});
    }
    return out;
}

std::string ProducerStateManager::encode_snapshot() const {
    std::vector<ProducerSnapshotEntry> entries;
    entries.reserve(producers_.size());
    for (const auto& [id, state] : producers_) entries.push_back({id, state});
    return encode_producer_snapshot(entries);
}

std::string encode_producer_snapshot(const std::vector<ProducerSnapshotEntry>& entries) {
    std::string out;
    out.reserve(kSnapshotEntriesAt + 4 + entries.size() * kSnapshotEntryBytes);
    put(out, kSnapshotVersion);
    put(out, std::uint32_t{0});  // the CRC comes last
    put(out, static_cast<std::int32_t>(entries.size()));
    for (const auto& [id, state] : entries) {
        put(out, id.raw());
        put(out, state.producer_epoch.raw());
        put(out, state.last_sequence());
        put(out, state.empty() ? std::int64_t{-1} : state.last().last_offset.raw());
        put(out, state.empty() ? std::int32_t{0} : state.last().offset_delta);
        put(out, state.last_timestamp.raw());
        put(out, state.coordinator_epoch);
        put(out, state.current_txn_first_offset.raw());
    }
    store_be(reinterpret_cast<std::uint8_t*>(out.data()) + kSnapshotCrcAt,
             crc32c(as_bytes(std::string_view{out}.substr(kSnapshotEntriesAt))));
    return out;
}

Result<std::vector<ProducerSnapshotEntry>> decode_producer_snapshot(ByteView bytes) {
    const auto corrupt = [](std::string_view what) { return fail(ErrorCode::kafka_storage_error, what); };
    if (bytes.size() < kSnapshotEntriesAt + 4) return corrupt("producer snapshot is too short");
    if (load_be<std::int16_t>(bytes.data()) != kSnapshotVersion)
        return corrupt("producer snapshot of an unknown version");
    if (load_be<std::uint32_t>(bytes.data() + kSnapshotCrcAt) != crc32c(bytes.subspan(kSnapshotEntriesAt))) {
        return corrupt("producer snapshot has a wrong CRC");
    }
    const auto count = load_be<std::int32_t>(bytes.data() + kSnapshotEntriesAt);
    const std::size_t room = (bytes.size() - kSnapshotEntriesAt - 4) / kSnapshotEntryBytes;
    if (count < 0 || static_cast<std::size_t>(count) > room) return corrupt("producer snapshot ends early");
    std::vector<ProducerSnapshotEntry> out;
    out.reserve(static_cast<std::size_t>(count));
    const std::uint8_t* at = bytes.data() + kSnapshotEntriesAt + 4;
    for (std::int32_t i = 0; i < count; ++i, at += kSnapshotEntryBytes) {
        ProducerSnapshotEntry entry{ProducerId{load_be<std::int64_t>(at)}, {}};
        ProducerStateEntry& state = entry.state;
        state.producer_epoch = ProducerEpoch{load_be<std::int16_t>(at + 8)};
        state.last_timestamp = TimestampMs{load_be<std::int64_t>(at + 26)};
        state.coordinator_epoch = load_be<std::int32_t>(at + 34);
        const auto txn = load_be<std::int64_t>(at + 38);
        if (txn >= 0) state.current_txn_first_offset = Offset{txn};
        if (const auto last_offset = load_be<std::int64_t>(at + 14); last_offset >= 0) {
            state.batches[0] = {.last_offset = Offset{last_offset},
                                .timestamp = state.last_timestamp,
                                .last_sequence = load_be<std::int32_t>(at + 10),
                                .offset_delta = load_be<std::int32_t>(at + 22)};
            state.batch_count = 1;
        }
        out.push_back(entry);
    }
    return out;
}

}  // namespace odr::storage
