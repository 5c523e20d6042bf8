#include "metadata/snapshot_generator.h"

#include <fmt/format.h>

#include "base/log.h"
#include "metadata/image_writer.h"

namespace odr::metadata {

Result<bool> SnapshotGenerator::run_if_due(io::MayBlock may_block) {
    const std::uint64_t bytes = loader_.bytes_since_snapshot();
    const bool by_size = bytes >= options_.max_record_bytes;
    const bool by_time =
        bytes > 0 && options_.max_interval_ms > 0 && clock_.monotonic_ms() - last_ms_ >= options_.max_interval_ms;
    if (!by_size && !by_time) return false;
    return run_now(may_block);
}

Result<bool> SnapshotGenerator::run_now(io::MayBlock may_block) {
    const std::uint64_t bytes = loader_.bytes_since_snapshot();
    const std::shared_ptr<const MetadataImage> image = holder_.current();
    const MetadataProvenance& at = image->provenance();
    if (at.last_contained_offset.raw() < 0 || !at.is_offset_batch_aligned) return false;
    const raft::OffsetAndEpoch id{at.last_contained_offset + 1, at.last_contained_epoch};
    ODR_TRY(writer, log_.create_snapshot(may_block, id, at.last_contained_log_timestamp));
    if (writer == nullptr) return false;
    ODR_CHECK(write_image(*image, [&](std::span<const ByteView> records) { return writer->append(records); }));
    ODR_CHECK(writer->freeze(may_block));
    loader_.forget_bytes(bytes);
    last_ms_ = clock_.monotonic_ms();
    log::info("wrote metadata snapshot {} of {} bytes", raft::snapshot_file_name(id), writer->size_in_bytes());
    ODR_CHECK(log_.clean(may_block));
    return true;
}

}  // namespace odr::metadata
