#include "storage/cleaned_transactions.h"

namespace odr::storage {

void CleanedTransactions::add_aborted(const std::vector<TxnIndexEntry>& transactions) {
    for (const TxnIndexEntry& each : transactions) ahead_.push(each);
}

void CleanedTransactions::begin_aborted_up_to(Offset offset) {
    while (!ahead_.empty() && ahead_.top().first_offset <= offset.raw()) {
        aborted_.try_emplace(ProducerId{ahead_.top().producer_id}, Aborted{.transaction = ahead_.top()});
        ahead_.pop();
    }
}

bool CleanedTransactions::on_batch(const record::RecordBatchHeader& batch) {
    begin_aborted_up_to(batch.last_offset());
    if (!batch.is_transactional()) return false;
    if (const auto found = aborted_.find(batch.producer_id()); found != aborted_.end()) {
        found->second.has_batches = true;
        return true;
    }
    committed_.insert(batch.producer_id());
    return false;
}

Result<bool> CleanedTransactions::on_control_batch(const record::RecordBatchHeader& batch,
                                                   const record::Record* marker) {
    begin_aborted_up_to(batch.last_offset());
    if (marker == nullptr) return true;
    ODR_TRY(type, record::parse_control_record_key(marker->key));
    switch (type) {
        case record::ControlRecordType::abort: {
            const auto found = aborted_.find(batch.producer_id());
            if (found == aborted_.end()) return true;
            const Aborted ended = found->second;
            aborted_.erase(found);
            if (ended.has_batches && index_ != nullptr) index_->push_back(ended.transaction);
            return !ended.has_batches;
        }
        case record::ControlRecordType::commit:
            return committed_.erase(batch.producer_id()) == 0;
        default:
            return false;
    }
}

}  // namespace odr::storage
