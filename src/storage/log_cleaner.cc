#include "storage/log_cleaner.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>

#include "base/log.h"
#include "storage/cleaner_checkpoints.h"
#include "storage/disk_failure.h"

namespace odr::storage {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;
constexpr std::int64_t kBurstNs = 300 * kNsPerMs;      // what the throttle lets through after a pause
constexpr std::int64_t kWaitMaxNs = 1'000 * kNsPerMs;  // between two looks at the clock
constexpr std::size_t kIoBytesMin = std::size_t{4} << 10;
constexpr double kUnlimitedRate = 1e300;

double mib(std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }
double rate(std::uint64_t bytes, std::int64_t ms) { return ms > 0 ? mib(bytes) * 1'000 / static_cast<double>(ms) : 0; }

void say_what_was_done(const LogToClean& target, Offset clean_to, const CleaningFigures& figures) {
    const double kept = figures.bytes_read == 0
                            ? 1
                            : static_cast<double>(figures.bytes_written) / static_cast<double>(figures.bytes_read);
    log::info(
        "{}: cleaned offsets {} to {}: {:.1f} MiB and {} records became {:.1f} MiB and {} ({:.1f}% less) in {} ms, "
        "{:.1f} "
        "MiB/s; {} keys of {:.1f} MiB indexed in {} ms, {:.1f}% of the map",
        target.log->topic_partition().to_string(), target.first_dirty, clean_to, mib(figures.bytes_read),
        figures.records_read, mib(figures.bytes_written), figures.records_kept, 100 * (1 - kept), figures.total_ms,
        rate(figures.bytes_read, figures.total_ms), figures.map_entries, mib(figures.map_bytes_read), figures.map_ms,
        100 * figures.map_utilization);
    if (figures.records_without_key != 0) {
        log::warn("{}: {} records without a key were dropped", target.log->topic_partition().to_string(),
                  figures.records_without_key);
    }
}

}  // namespace

LogCleaner::LogCleaner(LogManager& logs, io::FileSystem& files, const Clock& clock, Random& random,
                       LogCleanerConfig config)
    : logs_{logs}, files_{files}, clock_{clock}, random_{random}, config_{config}, last_run_{clock.now()} {}

LogCleaner::~LogCleaner() { stop(); }

// --- threads
// ------------------------------------------------------------------------------------------------------------

void LogCleaner::start() {
    const std::lock_guard threads{threads_mutex_};
    is_started_ = true;
    start_missing_threads();
}

void LogCleaner::start_missing_threads() {
    std::int32_t wanted = 0;
    {
        const std::lock_guard guard{mutex_};
        if (!config_.enable || is_stopping_) return;
        wanted = config_.threads;
    }
    for (std::int32_t i = 0; i < wanted; ++i) {
        if (threads_.contains(i)) continue;
        std::thread& thread = threads_.emplace(i, std::thread{[this, i] { run_thread(i); }}).first->second;
        pthread_setname_np(thread.native_handle(), fmt::format("odr-cleaner-{}", i % 100).c_str());
    }
}

void LogCleaner::stop() {
    const std::lock_guard threads{threads_mutex_};
    {
        const std::lock_guard guard{mutex_};
        is_stopping_ = true;
    }
    changed_.notify_all();
    for (auto& [index, thread] : threads_) thread.join();
    threads_.clear();
}

void LogCleaner::reconfigure(const LogCleanerConfig& config) {
    {
        const std::lock_guard guard{mutex_};
        if (config == config_) return;
        const bool enable = config_.enable;
        config_ = config;
        config_.enable = enable;
        paced_until_ns_ = 0;
    }
    changed_.notify_all();
    const std::lock_guard threads{threads_mutex_};
    if (is_started_) start_missing_threads();
}

// Threads beyond the number wanted stay, asleep.
void LogCleaner::run_thread(std::int32_t index) {
    const io::MayBlock may_block = io::MayBlock::on_own_thread();
    Lock lock{mutex_};
    for (;;) {
        changed_.wait(lock, [&] { return is_stopping_ || index < config_.threads; });
        if (is_stopping_) return;
        lock.unlock();
        const bool cleaned = turn(may_block, true);
        lock.lock();
        if (cleaned) continue;
        const LogCleanerConfig before = config_;
        changed_.wait_for(lock, std::chrono::milliseconds{config_.backoff_ms},
                          [&] { return is_stopping_ || config_ != before; });
    }
}

Result<void> LogCleaner::pace(const TopicPartition& log, std::size_t bytes, bool waits) {
    Lock lock{mutex_};
    const auto must_end = [&] {
        const auto found = busy_.find(log);
        return is_stopping_ || (found != busy_.end() && found->second.pauses != 0);
    };
    if (config_.io_max_bytes_per_second < kUnlimitedRate) {
        const auto cost = static_cast<std::int64_t>(static_cast<double>(bytes) * 1e9 / config_.io_max_bytes_per_second);
        paced_until_ns_ = std::max(paced_until_ns_, clock_.monotonic_ns() - kBurstNs) + cost;
    }
    while (waits && !must_end()) {
        const std::int64_t left = paced_until_ns_ - clock_.monotonic_ns();
        if (left <= 0) break;
        changed_.wait_for(lock, std::chrono::nanoseconds{std::min(left, kWaitMaxNs)});
    }
    if (must_end()) return fail(kCleaningAborted);
    return {};
}

// --- one turn
// -----------------------------------------------------------------------------------------------------------

bool LogCleaner::turn(io::MayBlock may_block, bool waits) {
    std::int64_t delay_max_ms = 0;
    const auto target = grab_dirtiest(may_block, delay_max_ms);
    if (target) {
        clean(may_block, *target, delay_max_ms, waits);
        let_go(*target->log);
    }
    delete_old(may_block);
    forget_deleted();
    logs_.cleaner_checkpoints().write_what_is_owed(may_block);
    return target.has_value();
}

bool LogCleaner::take(const Log& log) {
    {
        const std::lock_guard guard{mutex_};
        if (uncleanable_.contains(log.topic_partition())) return false;
        Busy& busy = busy_[log.topic_partition()];
        if (busy.in_progress || busy.pauses != 0) return false;
        busy.in_progress = true;
    }
    // Asked only now: a move that begins later has to wait for this log, one that began before is seen here.
    if (logs_.future_of(log.topic_partition()) == nullptr) return true;
    let_go(log);
    return false;
}

void LogCleaner::let_go(const Log& log) {
    {
        const std::lock_guard guard{mutex_};
        const auto found = busy_.find(log.topic_partition());
        if (found == busy_.end()) return;
        found->second.in_progress = false;
        if (found->second.pauses == 0) busy_.erase(found);
    }
    changed_.notify_all();
}

void LogCleaner::pause(const TopicPartition& log) {
    Lock lock{mutex_};
    ++busy_[log].pauses;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !busy_[log].in_progress; });
}

void LogCleaner::resume(const TopicPartition& log) {
    const std::lock_guard guard{mutex_};
    const auto found = busy_.find(log);
    if (found == busy_.end() || found->second.pauses == 0) return;
    if (--found->second.pauses == 0 && !found->second.in_progress) busy_.erase(found);
}

std::vector<std::shared_ptr<Log>> LogCleaner::compacted_logs() const {
    std::vector<std::shared_ptr<Log>> out;
    for (const LogDirInfo& directory : logs_.log_dirs()) {
        if (directory.offline) continue;
        for (auto& log : logs_.logs_in(directory.path)) {
            if (!log->config()->cleanup_compact || log->is_offline()) continue;
            if (logs_.future_of(log->topic_partition()) != nullptr) continue;
            out.push_back(std::move(log));
        }
    }
    const std::lock_guard guard{mutex_};
    std::erase_if(out, [&](const auto& log) {
        const auto busy = busy_.find(log->topic_partition());
        return uncleanable_.contains(log->topic_partition()) || (busy != busy_.end());
    });
    return out;
}

std::optional<LogToClean> LogCleaner::grab_dirtiest(io::MayBlock may_block, std::int64_t& delay_max_ms) {
    const TimestampMs now = clock_.now();
    std::vector<LogToClean> due;
    double dirtiest = 0;
    for (const auto& log : compacted_logs()) {
        const std::string directory = log->parent_directory();
        CleanerCheckpoints& checkpoints = logs_.cleaner_checkpoints();
        auto target = LogCompaction::assess(may_block, log, checkpoints.find(directory, log->topic_partition()), now);
        if (!target) {
            give_up(log, target.error(), log->directory());
            continue;
        }
        if (target->resets_checkpoint) {
            checkpoints.update(may_block, directory, log->topic_partition(), target->first_dirty);
        }
        delay_max_ms = std::max(delay_max_ms, target->delay_ms);
        dirtiest = std::max(dirtiest, target->dirty_ratio());
        if (target->is_due(*log->config())) due.push_back(std::move(*target));
    }
    std::ranges::sort(due, std::greater{}, &LogToClean::dirty_ratio);
    {
        const std::lock_guard guard{mutex_};
        last_run_ = now;
        dirtiest_ratio_ = dirtiest;
    }
    for (LogToClean& target : due) {
        if (take(*target.log)) return std::move(target);
    }
    return std::nullopt;
}

void LogCleaner::clean(io::MayBlock may_block, const LogToClean& target, std::int64_t delay_max_ms, bool waits) {
    Log& log = *target.log;
    const std::string directory = log.parent_directory();
    // What cleaning leaves out must lie below the recovery point, or a start after a crash would take it for loss.
    if (!log.flush(may_block, target.durable_to)) return;
    logs_.checkpoint_recovery_points(may_block, directory);
    LogCompaction::Means means;
    means.files = &files_;
    means.clock = &clock_;
    {
        const std::lock_guard guard{mutex_};
        means.hash_key = {random_.next(), random_.next()};
        const auto threads = static_cast<std::size_t>(std::max(1, config_.threads));
        means.map_bytes_max =
            std::min<std::size_t>(static_cast<std::size_t>(config_.dedupe_buffer_size) / threads, INT32_MAX);
        means.map_load_factor = config_.dedupe_buffer_load_factor;
        means.io_bytes = std::max(kIoBytesMin, static_cast<std::size_t>(config_.io_buffer_size) / threads / 2);
    }
    means.pace = [&](std::size_t bytes) { return pace(log.topic_partition(), bytes, waits); };
    try {
        LogCompaction compaction{may_block, target, means};
        const auto clean_to = compaction.run();
        if (!clean_to) return give_up(target.log, clean_to.error(), compaction.place_of_damage());
        logs_.cleaner_checkpoints().update(may_block, directory, log.topic_partition(), *clean_to,
                                           [&] { return compaction.is_unchanged(); });
        const CleaningFigures& figures = compaction.figures();
        say_what_was_done(target, *clean_to, figures);
        const std::lock_guard guard{mutex_};
        last_[std::this_thread::get_id()] = {figures, delay_max_ms};
        ++cleanings_;
        bytes_read_ += figures.map_bytes_read + figures.bytes_read;
        bytes_written_ += figures.bytes_written;
    } catch (const std::bad_alloc&) {
        log::warn("{}: not cleaned, there is no memory for the offset map", log.topic_partition().to_string());
    }
}

void LogCleaner::give_up(const std::shared_ptr<Log>& log, const Error& error, const std::string& place) {
    const std::string name = log->topic_partition().to_string();
    if (is_aborted(error) || log->is_offline()) return;
    if (error.os_errno != 0 && is_passing_failure(error)) {
        log::warn("{}: cleaning ended: {} ({}); it is tried again", name, error.what, std::strerror(error.os_errno));
        return;
    }
    if (error.code == ErrorCode::kafka_storage_error) {
        log::error("{}: cleaning failed: {} ({})", name, error.what, std::strerror(error.os_errno));
        logs_.set_offline(log->parent_directory(), error);
        return;
    }
    log::error(
        "{}: {}: {}; nothing is cleaned or deleted in this partition until the next start. `odradek log verify` says "
        "what "
        "is damaged",
        name, place, error.what);
    const std::lock_guard guard{mutex_};
    uncleanable_[log->topic_partition()] = log;
}

void LogCleaner::delete_old(io::MayBlock may_block) {
    for (const auto& log : compacted_logs()) {
        if (!take(*log)) continue;
        const auto deleted = log->delete_old_segments(may_block, clock_.now());
        if (!deleted) give_up(log, deleted.error(), log->directory());
        let_go(*log);
    }
}

void LogCleaner::forget_deleted() {
    const std::lock_guard guard{mutex_};
    std::erase_if(uncleanable_, [&](const auto& item) {
        const auto log = item.second.lock();
        return log == nullptr || logs_.get(item.first) != log;
    });
}

// --- figures
// ------------------------------------------------------------------------------------------------------------

bool LogCleaner::is_uncleanable(const TopicPartition& log) const {
    const std::lock_guard guard{mutex_};
    return uncleanable_.contains(log);
}

LogCleanerFigures LogCleaner::figures(io::MayBlock may_block) const {
    LogCleanerFigures out;
    std::vector<std::shared_ptr<Log>> uncleanable;
    {
        const std::lock_guard guard{mutex_};
        std::uint64_t read = 0, written = 0;
        for (const auto& [thread, last] : last_) {
            read += last.figures.bytes_read;
            written += last.figures.bytes_written;
            out.max_buffer_utilization_percent = std::max(
                out.max_buffer_utilization_percent, static_cast<std::int32_t>(last.figures.map_utilization * 100));
            out.max_clean_time_secs =
                std::max(out.max_clean_time_secs, static_cast<std::int32_t>(last.figures.total_ms / 1'000));
            out.max_compaction_delay_secs =
                std::max(out.max_compaction_delay_secs, static_cast<std::int32_t>(last.delay_ms / 1'000));
        }
        out.cleaner_recopy_percent = static_cast<std::int32_t>(100 * written / std::max<std::uint64_t>(read, 1));
        out.max_dirty_percent = static_cast<std::int32_t>(100 * dirtiest_ratio_);
        out.time_since_last_run_ms = clock_.now().raw() - last_run_.raw();
        out.cleanings = cleanings_;
        out.bytes_read = bytes_read_;
        out.bytes_written = bytes_written_;
        for (const auto& [name, log] : uncleanable_) {
            if (auto alive = log.lock()) uncleanable.push_back(std::move(alive));
        }
    }
    for (const LogDirInfo& directory : logs_.log_dirs()) out.directories[directory.path];
    for (const auto& log : uncleanable) {
        const std::string path = log->parent_directory();
        LogCleanerFigures::Directory& directory = out.directories[path];
        ++directory.uncleanable_partitions;
        const auto clean_to = logs_.cleaner_checkpoints().find(path, log->topic_partition());
        const auto target = LogCompaction::assess(may_block, log, clean_to, clock_.now());
        if (target) directory.uncleanable_bytes += target->cleanable_bytes;
    }
    return out;
}

}  // namespace odr::storage
