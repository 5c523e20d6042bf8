#include "storage/log.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "storage/checkpoint_file.h"
#include "storage/log_impl.h"

namespace odr::storage {
namespace {

constexpr std::int64_t kLateTransactionBufferMs = 5 * 60 * 1000;

}  // namespace

Log::Log(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}

Log::~Log() {
    for (const auto& segment : impl_->segments) impl_->environment.open_files->drop_segment(segment->id);
}

std::string Log::Impl::path_of(std::string_view file_name) const {
    std::string out;
    out.reserve(options.directory.size() + 1 + file_name.size());
    out.append(options.directory).append("/").append(file_name);
    return out;
}

void Log::Impl::report_disk_failure(const Error& error) {
    if (!environment.on_disk_failure) return;
    const auto slash = options.directory.rfind('/');
    environment.on_disk_failure(options.directory.substr(0, slash), error);
}

std::unexpected<Error> Log::Impl::go_offline(const Error& error) {
    if (!offline.exchange(true)) {
        log::error("{}: offline: {} (errno {})", options.topic_partition.to_string(), error.what, error.os_errno);
        report_disk_failure(error);
    }
    return fail_errno(ErrorCode::kafka_storage_error, error.os_errno, error.what);
}

const TopicPartition& Log::topic_partition() const { return impl_->options.topic_partition; }

Uuid Log::topic_id() const {
    std::lock_guard state{impl_->state_mutex};
    return impl_->topic_id;
}

std::string Log::directory() const {
    std::lock_guard state{impl_->state_mutex};
    return impl_->options.directory;
}

std::string Log::parent_directory() const {
    const std::string path = directory();
    return path.substr(0, path.rfind('/'));
}

const config::LogConfig* Log::config() const { return impl_->config.load(); }

void Log::update_config(std::shared_ptr<const config::LogConfig> config) {
    std::lock_guard state{impl_->state_mutex};
    impl_->config.store(std::move(config));
    impl_->note_change();  // flush.ms may be due now
}

Result<void> Log::assign_topic_id(io::MayBlock may_block, const Uuid& topic_id) {
    std::lock_guard maintenance{impl_->maintenance_mutex};
    if (impl_->topic_id == topic_id) return {};
    if (!impl_->topic_id.is_zero()) {
        return fail(ErrorCode::inconsistent_topic_id, "the log belongs to another topic of that name");
    }
    const std::string text = encode_partition_metadata(topic_id);
    ODR_CHECK(impl_->environment.files->replace_file(may_block, impl_->path_of(kPartitionMetadata), as_bytes(text)));
    std::lock_guard state{impl_->state_mutex};
    impl_->topic_id = topic_id;
    return {};
}

Offset Log::log_start_offset() const { return Offset{impl_->log_start_offset.load(std::memory_order_acquire)}; }
Offset Log::log_end_offset() const { return impl_->end(); }
Offset Log::recovery_point() const { return Offset{impl_->recovery_point.load(std::memory_order_acquire)}; }
Offset Log::high_watermark() const { return Offset{impl_->high_watermark.load(std::memory_order_acquire)}; }
Disk* Log::disk() const { return impl_->disk.load(std::memory_order_acquire); }
CheckpointedOffsets Log::checkpointed_offsets() const {
    return {.recovery_point = recovery_point(),
            .log_start = log_start_offset(),
            .first_segment = first_segment_offset(),
            .high_watermark = high_watermark()};
}
TimestampMs Log::last_used() const { return TimestampMs{impl_->last_used_ms.load(std::memory_order_relaxed)}; }
LiveLogs::Membership& Log::membership() { return impl_->membership; }
bool Log::is_offline() const { return impl_->offline.load(std::memory_order_acquire); }

Offset Log::local_log_start_offset() const {
    std::lock_guard state{impl_->state_mutex};
    return std::max(log_start_offset(), impl_->segments.front()->base_offset);
}

Offset Log::last_stable_offset() const {
    const Offset high = high_watermark();
    const std::int64_t unstable = impl_->first_unstable_offset.load(std::memory_order_acquire);
    if (unstable < 0) return high;
    // A transaction may have begun in records that were deleted since.
    return std::min(high, std::max(Offset{unstable}, log_start_offset()));
}

Offset Log::first_segment_offset() const {
    std::lock_guard state{impl_->state_mutex};
    return impl_->segments.front()->base_offset;
}

Offset Log::active_segment_offset() const {
    std::lock_guard state{impl_->state_mutex};
    return impl_->active()->base_offset;
}

std::uint64_t Log::size_in_bytes() const {
    std::lock_guard state{impl_->state_mutex};
    std::uint64_t bytes = 0;
    for (const auto& segment : impl_->segments) bytes += segment->size.load(std::memory_order_relaxed);
    return bytes;
}

std::size_t Log::segment_count() const {
    std::lock_guard state{impl_->state_mutex};
    return impl_->segments.size();
}

void Log::set_high_watermark(Offset offset) {
    Impl& log = *impl_;
    const Offset clamped = std::clamp(offset, log_start_offset(), std::max(log_start_offset(), log_end_offset()));
    log.high_watermark.store(clamped.raw(), std::memory_order_release);
    log.note_change();
    if (log.first_unstable_offset.load(std::memory_order_acquire) < 0) return;
    std::lock_guard state{log.state_mutex};
    log.producers.on_high_watermark(clamped);
    log.refresh_first_unstable();
}

void Log::set_listener(LogListener* listener) {
    std::lock_guard state{impl_->state_mutex};
    impl_->listener = listener;
}

void Log::remove_listener(const LogListener& listener) {
    std::lock_guard state{impl_->state_mutex};
    if (impl_->listener == &listener) impl_->listener = nullptr;
}

LeaderEpoch Log::epoch_for_offset(Offset offset) const {
    std::lock_guard state{impl_->state_mutex};
    return impl_->epochs.epoch_for(offset);
}

LeaderEpoch Log::latest_epoch() const {
    std::lock_guard state{impl_->state_mutex};
    return impl_->epochs.latest();
}

EpochEndOffset Log::end_offset_for(LeaderEpoch epoch) const {
    std::lock_guard state{impl_->state_mutex};
    return impl_->epochs.end_offset_for(epoch, impl_->end());
}

void Log::assign_epoch_start_offset(const AppendLock&, LeaderEpoch epoch, Offset start) {
    std::lock_guard state{impl_->state_mutex};
    impl_->epochs.assign(epoch, start);
}

std::vector<ActiveProducer> Log::active_producers(io::MayBlock) const {
    std::lock_guard append{impl_->append_mutex};
    return impl_->producers.active_producers();
}

bool Log::has_late_transaction(io::MayBlock, TimestampMs now, std::int64_t transaction_timeout_max_ms) const {
    std::lock_guard append{impl_->append_mutex};
    std::optional<ProducerId> oldest;
    {
        std::lock_guard state{impl_->state_mutex};
        oldest = impl_->producers.oldest_open_transaction();
    }
    if (!oldest) return false;
    const ProducerStateEntry* entry = impl_->producers.find(*oldest);
    const std::int64_t patience = transaction_timeout_max_ms + kLateTransactionBufferMs;
    return entry != nullptr && now.raw() - entry->last_timestamp.raw() > patience;
}

void Log::remove_expired_producers(io::MayBlock, TimestampMs now, std::int64_t expiration_ms) {
    std::lock_guard append{impl_->append_mutex};
    impl_->producers.remove_expired(now, expiration_ms);
}

}  // namespace odr::storage
