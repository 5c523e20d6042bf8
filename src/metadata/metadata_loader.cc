#include "metadata/metadata_loader.h"

#include <fmt/format.h>

#include "base/log.h"
#include "protocol/metadata_records.h"

namespace odr::metadata {

MetadataDelta& MetadataLoader::delta() {
    if (!delta_) delta_.emplace(image_);
    return *delta_;
}

void MetadataLoader::publish(const MetadataProvenance& provenance) {
    MetadataDelta done = std::move(delta());
    delta_.reset();
    image_ = done.apply(provenance);
    if (caught_up_) holder_.publish(done.changes(), image_);
}

Result<void> MetadataLoader::handle_load_snapshot(io::MayBlock may_block, raft::SnapshotReader& snapshot) {
    delta_.reset();
    transaction_start_.reset();
    delta().begin_snapshot();
    for (;;) {
        ODR_TRY(records, snapshot.next(may_block));
        if (records.empty()) break;
        has_seen_record_ = true;
        for (const ByteView record : records) ODR_CHECK(delta().replay(record));
    }
    delta().set_kraft_version(snapshot.kraft_version());
    delta().finish_snapshot();
    publish({.last_contained_offset = snapshot.id().offset - 1,
             .last_contained_epoch = snapshot.id().epoch,
             .last_contained_log_timestamp = snapshot.last_contained_log_timestamp()});
    bytes_since_snapshot_ = 0;
    return {};
}

Result<void> MetadataLoader::handle_commit(io::MayBlock, const raft::CommittedBatch& batch) {
    Offset offset = batch.base_offset;
    for (const ByteView record : batch.records) {
        ODR_CHECK(replay(record, offset, batch.epoch, batch.append_timestamp, offset == batch.base_offset));
        offset = offset + 1;
    }
    bytes_since_snapshot_.fetch_add(batch.size_in_bytes, std::memory_order_relaxed);
    if (transaction_start_) return {};
    // While catching up, an image for each batch would be work for nobody.
    if (caught_up_) {
        publish({.last_contained_offset = batch.last_offset,
                 .last_contained_epoch = batch.epoch,
                 .last_contained_log_timestamp = batch.append_timestamp});
    } else {
        delta().set_provenance({.last_contained_offset = batch.last_offset,
                                .last_contained_epoch = batch.epoch,
                                .last_contained_log_timestamp = batch.append_timestamp});
    }
    return {};
}

Result<void> MetadataLoader::replay(ByteView record, Offset offset, LeaderEpoch epoch, TimestampMs timestamp,
                                    bool starts_batch) {
    using Type = protocol::MetadataRecordType;
    has_seen_record_ = true;
    ODR_TRY(frame, protocol::decode_metadata_frame(record));
    switch (static_cast<Type>(frame.type)) {
        case Type::begin_transaction:
            if (transaction_start_) return fail(ErrorCode::invalid_record, "BeginTransactionRecord in a transaction");
            // What stands before the transaction must not vanish with it.
            publish({.last_contained_offset = offset - 1,
                     .last_contained_epoch = starts_batch ? image_->provenance().last_contained_epoch : epoch,
                     .last_contained_log_timestamp = timestamp,
                     .is_offset_batch_aligned = starts_batch});
            transaction_start_ = offset;
            return {};
        case Type::end_transaction:
        case Type::abort_transaction:
            if (!transaction_start_)
                return fail(ErrorCode::invalid_record, "a metadata transaction ends that never began");
            if (static_cast<Type>(frame.type) == Type::abort_transaction) delta_.reset();
            transaction_start_.reset();
            return {};
        default:
            return delta().replay(record);
    }
}

void MetadataLoader::handle_leader_change(const raft::LeaderAndEpoch& leader, std::int16_t kraft_version) {
    if (!caught_up_) {
        caught_up_ = true;
        // An open transaction stays out of it; the new controller will abort it.
        if (delta_ && !transaction_start_) {
            const MetadataProvenance provenance = delta_->current().provenance();
            image_ = std::move(*delta_).apply(provenance);
            delta_.reset();
        }
        MetadataDelta first{image_};
        first.set_kraft_version(kraft_version);
        image_ = first.apply(image_->provenance());
        if (transaction_start_) delta_.emplace(image_);
        holder_.publish(whole_image_changes(*image_), image_);
    }
    holder_.announce_controller(leader.leader.value_or(kNoBroker), leader.epoch);
}

}  // namespace odr::metadata
