#include "storage/batch_filter.h"

#include <algorithm>

namespace odr::storage {

bool BatchFilter::is_last_of_producer(const record::RecordBatchHeader& batch) const {
    if (!batch.has_producer_id()) return false;
    const auto found = rules_.producers->find(batch.producer_id());
    if (found == rules_.producers->end()) return false;
    const LastProducerRecord& last = found->second;
    // Of a producer that left nothing but a marker, the marker keeps the epoch that fences older ones.
    if (last.last_data_offset == kNoOffset) {
        return batch.is_control() && batch.producer_epoch() == last.producer_epoch;
    }
    return batch.last_offset() == last.last_data_offset;
}

BatchFilter::Retention BatchFilter::retention_of(const record::RecordBatchHeader& batch, bool drops_records) const {
    if (is_last_of_producer(batch)) return Retention::keep_even_empty;
    // The end of what was cleaned stays known, even if no record is left there.
    if (batch.next_offset() == rules_.upper_bound) return Retention::keep_even_empty;
    return drops_records ? Retention::drop : Retention::drop_when_empty;
}

bool BatchFilter::keeps(const record::RecordBatchHeader& batch, const record::Record& record,
                        const OffsetMap::Hash& hash) {
    const Offset offset = record.offset(batch);
    if (offset > rules_.latest->latest_offset()) return true;
    if (!record.key) {
        ++counts_.records_without_key;
        return false;
    }
    if (offset < rules_.latest->get(hash)) return false;
    if (record.value) return true;
    if (batch.is_legacy()) return rules_.retain_legacy_tombstones;
    return !batch.has_delete_horizon() || rules_.now < *batch.delete_horizon();
}

Result<std::optional<BatchFilter::Kept>> BatchFilter::filter(const record::RecordBatchView& batch) {
    ODR_CHECK(records_.read(batch));
    const std::vector<record::Record>& records = records_.all();
    bool may_drop = false;
    bool drops_records = false;
    if (batch.is_control()) {
        const auto discardable = transactions_.on_control_batch(batch, records.empty() ? nullptr : &records.front());
        if (!discardable) return fail(discardable.error());
        may_drop = *discardable;
        drops_records = may_drop && batch.has_delete_horizon() && *batch.delete_horizon() <= rules_.now;
    } else {
        may_drop = drops_records = transactions_.on_batch(batch);
    }
    const Retention retention = retention_of(batch, drops_records);
    if (retention == Retention::drop) return std::optional<Kept>{};

    counts_.records_read += records.size();
    kept_.clear();
    if (!drops_records && batch.is_control()) {
        for (const record::Record& record : records) kept_.push_back(&record);
    } else if (!drops_records) {
        hashes_.resize(records.size());
        for (std::size_t i = 0; i < records.size(); ++i) {
            if (!records[i].key) continue;
            hashes_[i] = rules_.latest->hash_of(*records[i].key);
            rules_.latest->prefetch(hashes_[i]);
        }
        for (std::size_t i = 0; i < records.size(); ++i) {
            if (keeps(batch, records[i], hashes_[i])) kept_.push_back(&records[i]);
        }
    }
    counts_.records_kept += kept_.size();
    if (kept_.empty()) {
        if (retention == Retention::drop_when_empty) return std::optional<Kept>{};
        if (batch.is_legacy()) return fail(ErrorCode::invalid_record, "a batch of an old format cannot be kept empty");
        return std::optional{empty(batch)};
    }
    const bool has_tombstones = std::ranges::any_of(kept_, [](const record::Record* each) { return !each->value; });
    const bool begins_to_go = has_tombstones || (batch.is_control() && may_drop);
    const bool needs_horizon = !batch.is_legacy() && begins_to_go && !batch.has_delete_horizon();
    const bool is_whole = kept_.size() == records.size();
    // A compressed message of an old format is not taken apart: it goes when none of its records is of use.
    if ((is_whole && !needs_horizon) || batch.is_legacy()) {
        return std::optional{Kept{.bytes = batch.bytes(), .records = static_cast<std::int32_t>(kept_.size())}};
    }
    auto horizon = batch.delete_horizon();
    if (needs_horizon) horizon = TimestampMs{rules_.now.raw() + rules_.delete_retention_ms};
    ODR_TRY(rebuilt, rebuild(batch, horizon));
    return std::optional{rebuilt};
}

Result<BatchFilter::Kept> BatchFilter::rebuild(const record::RecordBatchView& batch,
                                               std::optional<TimestampMs> delete_horizon) {
    // The last offset stays: with it the last sequence, or the producer's next batch would seem to leave a gap.
    record::RecordBatchBuilder builder{{.base_offset = batch.base_offset(),
                                        .partition_leader_epoch = batch.partition_leader_epoch(),
                                        .compression = record::Compression::of(batch.compression()),
                                        .timestamp_type = batch.timestamp_type(),
                                        .log_append_time = batch.max_timestamp(),
                                        .producer_id = batch.producer_id(),
                                        .producer_epoch = batch.producer_epoch(),
                                        .base_sequence = batch.base_sequence(),
                                        .is_transactional = batch.is_transactional(),
                                        .is_control = batch.is_control(),
                                        .delete_horizon = delete_horizon,
                                        .last_offset = batch.last_offset()}};
    for (const record::Record* each : kept_) builder.append_copy(each->offset(batch), each->timestamp(batch), *each);
    ODR_TRY(bytes, builder.build());
    rebuilt_ = std::move(bytes);
    return Kept{.bytes = rebuilt_, .records = static_cast<std::int32_t>(kept_.size())};
}

BatchFilter::Kept BatchFilter::empty(const record::RecordBatchView& batch) {
    record::RecordBatchFields fields = record::fields_of(batch);
    fields.compression = record::CompressionType::none;
    fields.has_delete_horizon = false;
    fields.base_timestamp = kNoTimestamp;
    fields.record_count = 0;
    rebuilt_.assign(record::kRecordBatchOverhead, 0);
    record::write_batch_header(rebuilt_, fields);
    return Kept{.bytes = rebuilt_, .records = 0};
}

}  // namespace odr::storage
