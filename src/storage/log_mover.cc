#include "storage/log_mover.h"

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "record/record_batch.h"
#include "storage/log_cleaner.h"

namespace odr::storage {
namespace {

constexpr std::size_t kFolderNameMax = 255;
constexpr std::size_t kMarkLength = std::string_view{".0123456789abcdef0123456789abcdef-future"}.size();
constexpr std::size_t kChunksPerRun = 16;

}  // namespace

Result<void> LogMover::alter(io::MayBlock may_block, const TopicPartition& topic_partition,
                             const std::string& log_dir) {
    if (topic_partition.to_string().size() + kMarkLength > kFolderNameMax) {
        return fail(ErrorCode::invalid_topic_exception, "The topic name is too long.");
    }
    const std::vector<LogDirInfo> all = logs_.log_dirs();
    const auto directory = std::ranges::find(all, log_dir, &LogDirInfo::path);
    if (directory == all.end()) return fail(ErrorCode::log_dir_not_found, "it is none of log.dirs");
    if (directory->offline) return fail(ErrorCode::kafka_storage_error, "the log directory is offline");
    if (logs_.is_cordoned(log_dir)) return fail(ErrorCode::invalid_replica_assignment, "the log directory is cordoned");

    const std::shared_ptr<Log> log = logs_.get(topic_partition);
    const auto future_id = logs_.future_directory_id_of(topic_partition);
    if (log != nullptr && future_id && *future_id != directory->directory_id) {
        const bool was_noted = directory_of_(topic_partition) == future_id;
        ODR_CHECK(logs_.drop_future(may_block, topic_partition));
        const auto stays = logs_.directory_id_of(topic_partition);
        if (was_noted && stays) propose_(topic_partition, log->topic_id(), *stays);
    }
    if (log == nullptr) {
        logs_.prefer_directory(topic_partition, log_dir);
        return fail(ErrorCode::replica_not_available, "there is no such log yet");
    }
    if (log->parent_directory() == log_dir || future_id == directory->directory_id) return {};
    if (cleaner_ != nullptr) cleaner_->pause(topic_partition);
    auto made = logs_.create_future(may_block, topic_partition, log_dir);
    if (cleaner_ != nullptr) cleaner_->resume(topic_partition);
    return made;
}

// A second's worth may have gathered.
void LogMover::refill(std::int64_t now_ms) {
    const auto rate = static_cast<double>(bytes_per_second_.load());
    tokens_ = std::min(rate, tokens_ + rate * static_cast<double>(now_ms - refilled_ms_) / 1000.0);
    refilled_ms_ = now_ms;
}

std::int64_t LogMover::run_once(io::MayBlock may_block) {
    const std::int64_t now_ms = clock_.monotonic_ms();
    refill(now_ms);
    const std::vector<TopicPartition> moving = logs_.moving();
    std::erase_if(moves_, [&](const auto& item) { return std::ranges::find(moving, item.first) == moving.end(); });
    bool has_copied = false;
    for (std::size_t chunks = 0; chunks < kChunksPerRun;) {
        bool any = false;
        for (const TopicPartition& name : moving) {
            Move& move = moves_[name];
            // Another move of the same log, begun since the last turn, owes nothing to the one before.
            if (const auto future = logs_.future_of(name); move.future.lock() != future) move = {.future = future};
            if (move.not_before_ms > now_ms) continue;
            if (tokens_ <= 0) break;
            const auto step = advance(may_block, name, move, now_ms);
            if (!step) {
                log::error("{}: moving it to another log directory failed: {} ({}); trying again", name.to_string(),
                           step.error().what, std::strerror(step.error().os_errno));
                move.not_before_ms = now_ms + kAfterErrorMs;
            }
            if (!step || *step != Step::copied) continue;
            any = has_copied = true;
            ++chunks;
        }
        if (!any) break;
    }
    if (has_copied && tokens_ > 0) return 0;
    if (has_copied) {
        const auto rate = static_cast<double>(std::max<std::int64_t>(1, bytes_per_second_.load()));
        return std::clamp<std::int64_t>(static_cast<std::int64_t>(-tokens_ * 1000.0 / rate) + 1, 1, kIdleMs);
    }
    return moving.empty() ? kNothingMs : kIdleMs;
}

Result<LogMover::Step> LogMover::advance(io::MayBlock may_block, const TopicPartition& name, Move& move,
                                         std::int64_t now_ms) {
    const std::shared_ptr<Log> source = logs_.get(name);
    const std::shared_ptr<Log> future = logs_.future_of(name);
    if (source == nullptr || future == nullptr || source->is_offline() || future->is_offline()) return Step::waiting;
    ODR_TRY(copied, copy_some(may_block, *source, *future));
    tokens_ -= static_cast<double>(copied.bytes);
    // The end of a move holds appends up for what is left, so that is to be less than was just copied at once.
    if (source->log_end_offset() - future->log_end_offset() > copied.records) return Step::copied;
    const auto directory_id = logs_.future_directory_id_of(name);
    if (directory_id && directory_of_(name) == directory_id) return finish(may_block, name, *source, *future);
    if (directory_id && now_ms >= move.next_ask_ms) {
        propose_(name, source->topic_id(), *directory_id);
        move.next_ask_ms = now_ms + kAskAgainMs;
    }
    return copied.bytes != 0 ? Step::copied : Step::caught_up;
}

Result<LogMover::Step> LogMover::finish(io::MayBlock may_block, const TopicPartition& name, Log& source, Log& future) {
    const auto catch_up = [&]() -> Result<void> {
        for (;;) {
            ODR_TRY(copied, copy_some(may_block, source, future));
            if (copied.bytes == 0) return {};
            tokens_ -= static_cast<double>(copied.bytes);
        }
    };
    ODR_CHECK(logs_.replace_by_future(may_block, name, catch_up));
    return Step::caught_up;
}

// The future log as a prefix of the other, whatever happened to that meanwhile.
Result<void> LogMover::align(io::MayBlock may_block, Log& source, Log& future) const {
    if (future.log_end_offset() < source.log_start_offset()) {
        ODR_CHECK(future.truncate_fully_and_start_at(may_block, source.log_start_offset()));
    }
    Offset shared = std::min(future.log_end_offset(), source.log_end_offset());
    if (const LeaderEpoch latest = future.latest_epoch(); latest != kNoLeaderEpoch) {
        const EpochEndOffset agreed = source.end_offset_for(latest);
        if (agreed.end_offset != kNoOffset) shared = std::min(shared, agreed.end_offset);
    }
    if (shared < future.log_end_offset()) ODR_CHECK(future.truncate_to(may_block, shared));
    return {};
}

Result<ByteView> LogMover::read_batches(io::MayBlock may_block, Log& source, const Log& future, AppendDemand& demand) {
    const Offset from = future.log_end_offset();
    // Small enough to come several times a second where the rate is low.
    const auto paced = static_cast<std::size_t>(
        std::clamp<std::int64_t>(bytes_per_second_ / 8, kChunkBytesMin, std::int64_t{kChunkBytes}));
    const std::size_t bytes_max =
        std::min(paced, static_cast<std::size_t>(std::max(1, source.config()->segment_bytes)));
    ODR_TRY(plan,
            source.read(
                may_block,
                {.from = from, .bytes_max = bytes_max, .upper_bound = source.log_end_offset(), .min_one_message = true},
                0));
    if (plan.slice.length == 0) return ByteView{};
    buffer_.resize(plan.slice.length);
    ODR_TRY(got, plan.slice.file->read_at(buffer_, plan.slice.position));
    record::BatchIterator walk{ByteView{buffer_}.first(got)};
    std::size_t end = 0;
    for (;;) {
        ODR_TRY(batch, walk.next());
        if (!batch) break;
        if (!batch->is_crc_valid()) return fail(ErrorCode::corrupt_message, "a record batch's CRC does not match");
        if (end == 0) demand.first_offset = batch->base_offset();
        demand.add(*batch);
        end = walk.position();
    }
    return ByteView{buffer_}.first(end);
}

Result<LogMover::Copied> LogMover::copy_some(io::MayBlock may_block, Log& source, Log& future) {
    ODR_CHECK(align(may_block, source, future));
    if (future.log_end_offset() >= source.log_end_offset()) return Copied{};
    AppendDemand demand;
    ODR_TRY(bytes, read_batches(may_block, source, future, demand));
    if (bytes.empty()) return fail(ErrorCode::kafka_storage_error, "nothing can be read where something is missing");
    // DeleteRecords may have moved the log start into a batch, which is copied whole.
    if (demand.first_offset < future.log_end_offset()) {
        ODR_CHECK(future.truncate_fully_and_start_at(may_block, demand.first_offset));
    }
    const TimestampMs now = clock_.now();
    for (;;) {
        {
            const AppendLock lock = future.lock_for_append();
            if (future.ready_to_append(lock, demand, now)) {
                ODR_CHECK(future.append_as_follower(lock, bytes, now));
                break;
            }
        }
        ODR_CHECK(future.prepare_append(may_block, demand, now));
    }
    future.set_high_watermark(source.high_watermark());
    const Offset start = std::min(source.log_start_offset(), future.high_watermark());
    if (start > future.log_start_offset()) ODR_CHECK(future.advance_log_start_offset(start));
    return Copied{.bytes = bytes.size(), .records = demand.records};
}

}  // namespace odr::storage
