#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/log.h"
#include "storage/log_directory.h"
#include "storage/parallel_for.h"

namespace odr::storage {
namespace {

constexpr std::size_t kClosingThreads = 8;

bool has_unflushed(const Log& log) { return log.recovery_point() < log.log_end_offset(); }

void report_unclosed(const Log& log, const Error& why) {
    log::error("{}: closing failed: {}", log.topic_partition().to_string(), why.what);
}

// Makes the volume durable. Whatever failed to reach it makes the stop an unclean one, whichever file it was of.
bool sync_volume(io::MayBlock may_block, LogDirectory& directory) {
    const auto synced = directory.volume->sync(may_block);
    if (synced) return true;
    log::error("{}: {}: {}; the next start checks every log", directory.path, synced.error().what,
               std::strerror(synced.error().os_errno));
    return false;
}

}  // namespace

// They wait for the disk, which serves many that wait at once.
std::size_t LogManager::Impl::closing_threads() const {
    return std::max<std::size_t>(kClosingThreads, static_cast<std::size_t>(recovery_threads));
}

bool LogManager::Impl::close_each(io::MayBlock may_block, const std::vector<Entry>& entries) {
    std::atomic<bool> clean{true};
    parallel_for(entries.size(), closing_threads(), [&](std::size_t i) {
        const auto closed = entries[i].log->close(may_block);
        if (closed) return;
        clean = false;
        report_unclosed(*entries[i].log, closed.error());
    });
    return clean;
}

// Thousands of logs wait for the disk twice together, and not several times each (ADR 0019).
bool LogManager::Impl::close_together(io::MayBlock may_block, LogDirectory& directory,
                                      const std::vector<Entry>& entries) {
    std::vector<std::atomic<bool>> failed(entries.size());
    std::atomic<bool> clean{true};
    std::atomic<bool> has_new_names{false};
    const auto note = [&](std::size_t i, const Error& why) {
        failed[i] = true;
        clean = false;
        report_unclosed(*entries[i].log, why);
    };
    parallel_for(entries.size(), closing_threads(), [&](std::size_t i) {
        if (const auto written = entries[i].log->write_for_close(may_block); !written) note(i, written.error());
    });
    if (!sync_volume(may_block, directory)) return false;
    parallel_for(entries.size(), closing_threads(), [&](std::size_t i) {
        if (failed[i]) return;
        const auto named = entries[i].log->name_for_close(may_block);
        if (!named) return note(i, named.error());
        if (*named) has_new_names = true;
    });
    if (has_new_names && !sync_volume(may_block, directory)) return false;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        if (!failed[i]) entries[i].log->end_close();
    }
    return clean;
}

void LogManager::Impl::close_directory(io::MayBlock may_block, LogDirectory& directory, std::int64_t broker_epoch) {
    const std::vector<Entry> entries = entries_in(directory);
    const auto unflushed = std::ranges::count_if(entries, [](const Entry& each) { return has_unflushed(*each.log); });
    const bool together =
        directory.volume && !directory.offline && static_cast<std::size_t>(unflushed) >= config.volume_sync_from;
    const bool all_closed = together ? close_together(may_block, directory, entries) : close_each(may_block, entries);
    if (directory.offline) return;
    for (const auto which : {Checkpoint::recovery_points, Checkpoint::log_start_offsets, Checkpoint::high_watermarks}) {
        (void)write_checkpoint(may_block, directory, which);
    }
    if (!all_closed || !directory.loaded || directory.offline) return;
    const std::string text = encode_clean_shutdown(broker_epoch);
    const auto written = files.replace_file(may_block, directory.path_of(kCleanShutdown), as_bytes(text));
    if (!written) log::warn("cannot write {}/{}", directory.path, kCleanShutdown);
}

void LogManager::stop(io::MayBlock may_block, std::int64_t broker_epoch) {
    Impl& manager = *impl_;
    if (std::exchange(manager.stopped, true)) return;
    manager.end_periodic_work();
    parallel_for(manager.directories.size(), manager.directories.size(), [&](std::size_t i) {
        LogDirectory& directory = *manager.directories[i];
        manager.close_directory(may_block, directory, broker_epoch);
        directory.lock.reset();
    });
}

}  // namespace odr::storage
