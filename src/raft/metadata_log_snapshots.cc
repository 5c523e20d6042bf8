#include <fmt/format.h>

#include "base/assert.h"
#include "base/log.h"
#include "raft/metadata_log_impl.h"

namespace odr::raft {

Result<std::unique_ptr<SnapshotWriter>> MetadataLog::create_snapshot(io::MayBlock may_block, OffsetAndEpoch id,
                                                                     TimestampMs last_contained_log_timestamp) {
    Impl& impl = *impl_;
    ODR_ASSERT(id.offset <= high_watermark(), "offset={} high_watermark={}", id.offset, high_watermark());
    SnapshotWriter::Options options;
    options.path = impl.snapshot_path(id);
    options.id = id;
    options.last_contained_log_timestamp = last_contained_log_timestamp;
    options.now = impl.clock.now();
    options.on_frozen = [&impl](OffsetAndEpoch frozen) {
        const auto size = impl.files.size_of(impl.snapshot_path(frozen));
        const std::lock_guard guard{impl.state_mutex};
        impl.snapshots.insert_or_assign(frozen, size ? *size : 0);
    };
    {
        const std::lock_guard guard{impl.state_mutex};
        if (impl.snapshots.contains(id)) return std::unique_ptr<SnapshotWriter>{};
        options.kraft_version = impl.quorum.kraft_version;
        options.voters = *impl.quorum.voters;
    }
    return SnapshotWriter::create(may_block, impl.files, std::move(options));
}

Result<std::size_t> MetadataLog::clean(io::MayBlock may_block) {
    Impl& impl = *impl_;
    std::size_t removed = 0;
    for (;;) {
        OffsetAndEpoch oldest;
        OffsetAndEpoch next;
        std::uint64_t total = impl.log->size_in_bytes();
        {
            const std::lock_guard guard{impl.state_mutex};
            if (impl.snapshots.size() < 2) break;
            oldest = impl.snapshots.begin()->first;
            next = std::next(impl.snapshots.begin())->first;
            for (const auto& [id, size] : impl.snapshots) total += size;
        }
        bool is_due =
            impl.options.retention_bytes >= 0 && total > static_cast<std::uint64_t>(impl.options.retention_bytes);
        if (!is_due && impl.options.retention_ms >= 0) {
            ODR_TRY(reader, SnapshotReader::open(may_block, impl.files, impl.snapshot_path(oldest), oldest));
            ODR_CHECK(reader->next(may_block));
            is_due = impl.clock.now().raw() - reader->last_contained_log_timestamp().raw() > impl.options.retention_ms;
        }
        if (!is_due) break;
        if (next.offset > impl.log->log_start_offset()) ODR_CHECK(impl.log->advance_log_start_offset(next.offset));
        {
            const std::lock_guard guard{impl.state_mutex};
            impl.snapshots.erase(oldest);
        }
        ODR_CHECK(impl.files.remove(impl.snapshot_path(oldest)));
        ODR_TRY(segments, impl.log->delete_old_segments(may_block, impl.clock.now()));
        removed += 1 + segments;
    }
    return removed;
}

}  // namespace odr::raft
