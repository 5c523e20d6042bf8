#include "storage/producer_replay.h"

#include <algorithm>

#include "storage/log_segment.h"
#include "storage/segment_scanner.h"

namespace odr::storage {
namespace {

Result<std::vector<Offset>> list_offsets(io::FileSystem& files, const std::string& folder, std::string_view suffix) {
    ODR_TRY(entries, files.list(folder));
    std::vector<Offset> out;
    for (const io::DirectoryEntry& entry : entries) {
        const auto offset = offset_of_file_name(entry.name);
        if (offset && !entry.is_directory && entry.name == segment_file_name(*offset, suffix)) out.push_back(*offset);
    }
    std::ranges::sort(out);
    return out;
}

}  // namespace

Result<std::vector<Offset>> list_segments(io::FileSystem& files, const std::string& folder) {
    return list_offsets(files, folder, kLogSuffix);
}

Result<void> ProducerReplay::start_at_or_below(Offset offset) {
    ODR_TRY(segments, list_segments(files_, folder_));
    ODR_TRY(snapshots, list_offsets(files_, folder_, kSnapshotSuffix));
    at_ = segments.empty() ? offset : segments.front();
    knows_all_ = at_ == Offset{0};
    for (auto it = snapshots.rbegin(); it != snapshots.rend(); ++it) {
        if (*it > offset || *it < at_) continue;
        const auto bytes = files_.read_file(folder_ + "/" + segment_file_name(*it, kSnapshotSuffix));
        const auto entries = bytes ? decode_producer_snapshot(as_bytes(*bytes)) : fail(bytes.error());
        if (!entries) continue;
        for (const ProducerSnapshotEntry& entry : *entries) producers_.load(entry.producer_id, entry.state);
        at_ = *it;
        knows_all_ = true;
        break;
    }
    return {};
}

Result<void> ProducerReplay::read_segment(Offset base, Offset up_to) {
    ODR_TRY(file, files_.open(folder_ + "/" + segment_file_name(base, kLogSuffix), io::OpenMode::read));
    ODR_TRY(size, file->size());
    SegmentScanner scanner{*file, 0, size, base, base};
    for (;;) {
        ODR_TRY(step, scanner.next());
        if (step.kind == SegmentScanner::Kind::end) return {};
        if (step.kind != SegmentScanner::Kind::batch || scanner.batch() == nullptr)
            return fail(ErrorCode::kafka_storage_error, "a segment that it would be made from is damaged");
        const record::RecordBatchView& batch = *scanner.batch();
        if (batch.base_offset() >= up_to) return {};
        if (batch.last_offset() < at_) continue;
        at_ = batch.next_offset();
        if (!batch.has_producer_id()) continue;
        const ProducerStateEntry* known = producers_.find(batch.producer_id());
        const bool was_open = known != nullptr && known->current_txn_first_offset != kNoOffset;
        std::optional<CompletedTransaction> ended;
        ODR_CHECK(producers_.append(batch, ProducerStateManager::Origin::replication, ended));
        if (!batch.is_control() && batch.is_transactional() && !was_open)
            producers_.begin_transaction(batch.producer_id(), batch.base_offset());
        if (!ended) continue;
        if (ended->aborted) {
            aborted_.push_back({ended->producer_id.raw(), ended->first_offset.raw(), ended->last_offset.raw(),
                                producers_.last_stable_offset_after(*ended).raw()});
        }
        producers_.complete_transaction(*ended);
    }
}

Result<void> ProducerReplay::advance_to(Offset offset) {
    ODR_TRY(segments, list_segments(files_, folder_));
    for (std::size_t i = 0; i < segments.size(); ++i) {
        if (segments[i] >= offset) break;
        if (i + 1 < segments.size() && segments[i + 1] <= at_) continue;
        ODR_CHECK(read_segment(segments[i], offset));
    }
    at_ = std::max(at_, offset);
    return {};
}

Result<void> ProducerReplay::finish_segment(Offset base) { return read_segment(base, Offset{INT64_MAX}); }

}  // namespace odr::storage
