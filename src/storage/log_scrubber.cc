#include "storage/log_scrubber.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>

#include "base/log.h"
#include "storage/log_segment.h"
#include "storage/producer_replay.h"
#include "storage/segment_scanner.h"
#include "storage/topic_partition.h"

namespace odr::storage {
namespace {

constexpr std::int64_t kSaveEveryMs = 60'000;
constexpr std::int64_t kCatchUpMs = 1'000;   // a slice that comes late reads no more than this much time's bytes
constexpr double kFoldersPerSecond = 1'000;  // listed at most

}  // namespace

// One log directory: its state, and where the reading stands. Used by one slice at a time.
class LogScrubber::Directory {
public:
    Directory(LogScrubber& owner, std::string path) : owner_{owner}, path_{std::move(path)} {
        const auto text = owner_.files_.read_file(path_ + "/" + kScrubStateFile);
        if (!text) return;  // the first time
        if (auto known = decode_scrub_state(*text)) {
            state_ = std::move(*known);
        } else {
            log::warn("{}/{} is of no use ({}); the scrub starts anew", path_, kScrubStateFile, known.error().what);
        }
    }

    bool is_under_way = false;  // under mutex_ of the owner

    const std::string& path() const { return path_; }

    ScrubState state() const {
        std::lock_guard guard{mutex_};
        return state_;
    }
    bool is_due(std::int64_t now_ms) const {
        std::lock_guard guard{mutex_};
        return is_in_cycle() || state_.cycle_started.raw() < 0 ||
               now_ms - state_.cycle_started.raw() >= owner_.config_.interval_ms || now_ms < state_.cycle_started.raw();
    }
    void run(io::MayBlock may_block);
    void save(io::MayBlock may_block);

private:
    bool is_in_cycle() const { return state_.cycle_started.raw() >= 0 && state_.cycle_ended.raw() < 0; }
    void begin_cycle();
    bool list_folders();
    bool open_next_segment();
    void close_segment();
    void end_cycle(io::MayBlock may_block);
    void on_broken(io::MayBlock may_block, const SegmentScanner::Step& step);
    bool is_still_broken(const SegmentScanner::Step& step);
    void on_unreadable(io::MayBlock may_block, const Error& error);
    void note(io::MayBlock may_block, ScrubFinding finding);
    std::string segment_path() const { return path_ + "/" + state_.folder + "/" + state_.segment; }

    LogScrubber& owner_;
    const std::string path_;
    mutable std::mutex mutex_;  // state_, which others may ask for
    ScrubState state_;
    bool folders_are_listed_ = false;
    std::deque<std::string> folders_;  // of this cycle, still to be read; the first one is being read
    std::deque<Offset> segments_;      // of the first folder, still to be opened
    bool segments_are_listed_ = false;
    std::unique_ptr<io::File> file_;
    std::uint64_t size_ = 0;
    Offset base_{0};
    std::unique_ptr<SegmentScanner> scanner_;
    std::int64_t last_slice_ms_ = -1, last_save_ms_ = 0;
    double credit_bytes_ = 1;  // what may be read now; negative after a large batch
};

void LogScrubber::Directory::begin_cycle() {
    std::lock_guard guard{mutex_};
    if (is_in_cycle()) return;
    ++state_.cycle;
    state_.cycle_started = owner_.clock_.now();
    state_.cycle_ended = TimestampMs{-1};
    state_.cycle_bytes = state_.cycle_segments = 0;
    state_.folder.clear();
    state_.segment.clear();
    folders_are_listed_ = segments_are_listed_ = false;
}

// Gives: false where the directory cannot be read; the next slice tries again.
bool LogScrubber::Directory::list_folders() {
    const auto entries = owner_.files_.list(path_);
    if (!entries) return false;
    folders_.clear();
    for (const io::DirectoryEntry& entry : *entries) {
        if (!entry.is_directory || parse_log_folder_name(entry.name).kind != LogFolderKind::log) continue;
        if (entry.name >= state_.folder) folders_.push_back(entry.name);
    }
    std::ranges::sort(folders_);
    folders_are_listed_ = true;
    segments_are_listed_ = false;
    return true;
}

// One step towards the next segment, so that a directory of very many logs is listed over many slices.
// Gives: whether there is a segment to read now.
bool LogScrubber::Directory::open_next_segment() {
    if (!segments_are_listed_) {
        const auto all = list_segments(owner_.files_, path_ + "/" + folders_.front());
        credit_bytes_ -= static_cast<double>(owner_.config_.bytes_per_second) / kFoldersPerSecond;
        segments_.clear();
        // The last segment is being written, and checked as it is.
        if (all && !all->empty()) segments_.assign(all->begin(), all->end() - 1);
        if (folders_.front() == state_.folder && !state_.segment.empty()) {
            const Offset from = offset_of_file_name(state_.segment).value_or(Offset{0});
            std::erase_if(segments_, [&](Offset base) { return base < from; });
        }
        segments_are_listed_ = true;
    }
    if (segments_.empty()) {
        folders_.pop_front();
        segments_are_listed_ = false;
        return false;
    }
    base_ = segments_.front();
    segments_.pop_front();
    {
        std::lock_guard guard{mutex_};
        state_.folder = folders_.front();
        state_.segment = segment_file_name(base_, kLogSuffix);
    }
    auto opened = owner_.files_.open(segment_path(), io::OpenMode::read);
    const auto size = opened ? (*opened)->size() : fail(opened.error());
    if (!size || *size == 0) return false;  // deleted or compacted away meanwhile
    file_ = std::move(*opened);
    size_ = *size;
    scanner_ = std::make_unique<SegmentScanner>(*file_, 0, size_, base_, base_);
    return true;
}

void LogScrubber::Directory::close_segment() {
    scanner_.reset();
    file_.reset();
    ++owner_.segments_;
    std::lock_guard guard{mutex_};
    ++state_.segments;
    ++state_.cycle_segments;
}

void LogScrubber::Directory::end_cycle(io::MayBlock may_block) {
    {
        std::lock_guard guard{mutex_};
        state_.cycle_ended = owner_.clock_.now();
        state_.folder.clear();
        state_.segment.clear();
        // Restored, deleted or compacted since.
        std::erase_if(state_.findings, [&](const ScrubFinding& finding) { return finding.cycle < state_.cycle; });
    }
    folders_are_listed_ = false;
    folders_.clear();
    ++owner_.cycles_;
    log::debug("{}: the scrub read {} segments, {} bytes; {} ranges are broken", path_, state_.cycle_segments,
               state_.cycle_bytes, state_.findings.size());
    save(may_block);
}

void LogScrubber::Directory::run(io::MayBlock may_block) {
    const std::int64_t now_ms = owner_.clock_.monotonic_ms();
    const auto rate = static_cast<double>(owner_.config_.bytes_per_second);
    if (last_slice_ms_ >= 0) {
        const double earned = rate * static_cast<double>(now_ms - last_slice_ms_) / 1000;
        credit_bytes_ = std::min(credit_bytes_ + earned, rate * kCatchUpMs / 1000);
    }
    last_slice_ms_ = now_ms;
    if (credit_bytes_ <= 0) return;
    begin_cycle();
    if (!folders_are_listed_ && !list_folders()) return;
    while (credit_bytes_ > 0 && !owner_.is_stopping_) {
        if (!scanner_ && folders_.empty()) return end_cycle(may_block);
        if (!scanner_ && !open_next_segment()) continue;
        const io::FilePos before = scanner_->next_position();
        const auto step = scanner_->next();
        const std::uint64_t read = scanner_->next_position() - before;
        credit_bytes_ -= static_cast<double>(read);
        owner_.bytes_ += read;
        {
            std::lock_guard guard{mutex_};
            state_.bytes += read;
            state_.cycle_bytes += read;
        }
        if (!step) {
            on_unreadable(may_block, step.error());
            close_segment();
        } else if (step->kind == SegmentScanner::Kind::end) {
            close_segment();
        } else if (step->kind != SegmentScanner::Kind::batch) {
            on_broken(may_block, *step);
        }
    }
    if (now_ms - last_save_ms_ >= kSaveEveryMs) save(may_block);
}

// Truncation, compaction and deletion change segments under a reader; the file that stands there now decides.
bool LogScrubber::Directory::is_still_broken(const SegmentScanner::Step& step) {
    const auto again = owner_.files_.open(segment_path(), io::OpenMode::read);
    const auto size = again ? (*again)->size() : fail(again.error());
    if (!size || *size != size_) return false;
    SegmentScanner second{**again, 0, *size, base_, base_};
    for (;;) {
        const auto other = second.next();
        if (!other || other->kind == SegmentScanner::Kind::end || other->position > step.position) return false;
        if (other->kind != SegmentScanner::Kind::batch && other->position == step.position) return true;
        if (owner_.is_stopping_) return false;
    }
}

void LogScrubber::Directory::on_broken(io::MayBlock may_block, const SegmentScanner::Step& step) {
    if (!is_still_broken(step)) return;
    note(may_block, {.file = state_.folder + "/" + state_.segment,
                     .position = step.position,
                     .length = step.length,
                     .first_offset = step.first,
                     .last_offset = step.last,
                     .found = owner_.clock_.now(),
                     .cycle = state_.cycle,
                     .what = std::string{step.what}});
}

void LogScrubber::Directory::on_unreadable(io::MayBlock may_block, const Error& error) {
    if (error.os_errno == 0) return;  // cut shorter meanwhile
    note(may_block, {.file = state_.folder + "/" + state_.segment,
                     .position = scanner_->next_position(),
                     .length = 0,
                     .first_offset = scanner_->next_offset(),
                     .last_offset = kNoOffset,
                     .found = owner_.clock_.now(),
                     .cycle = state_.cycle,
                     .what = fmt::format("{} ({})", error.what, std::strerror(error.os_errno))});
}

void LogScrubber::Directory::note(io::MayBlock may_block, ScrubFinding finding) {
    log::error(
        "{}/{}: bytes {} to {}, offsets from {} to {}: {}; found by the scrub. Restore the file from a replica "
        "or a backup",
        path_, finding.file, finding.position, finding.position + finding.length, finding.first_offset,
        finding.last_offset == kNoOffset ? std::string{"the next batch"} : fmt::to_string(finding.last_offset.raw()),
        finding.what);
    {
        std::lock_guard guard{mutex_};
        const auto known = std::ranges::find_if(state_.findings, [&](const ScrubFinding& other) {
            return other.file == finding.file && other.position == finding.position;
        });
        if (known != state_.findings.end()) {
            known->cycle = finding.cycle;
        } else {
            ++state_.damaged_ranges;
            ++owner_.damaged_ranges_;
            if (state_.findings.size() < ScrubState::kFindingsMax) state_.findings.push_back(std::move(finding));
        }
    }
    save(may_block);
}

void LogScrubber::Directory::save(io::MayBlock may_block) {
    if (state_.cycle == 0) return;  // nothing was done yet
    last_save_ms_ = owner_.clock_.monotonic_ms();
    const std::string text = encode_scrub_state(state());
    const auto saved = owner_.files_.replace_file(may_block, path_ + "/" + kScrubStateFile, as_bytes(text));
    if (!saved) log::debug("{}/{} cannot be written: {}", path_, kScrubStateFile, saved.error().what);
}

LogScrubber::LogScrubber(io::FileSystem& files, const Clock& clock, std::vector<std::string> log_dirs,
                         ScrubConfig config)
    : files_{files}, clock_{clock}, config_{config} {
    if (config_.bytes_per_second <= 0) return;
    for (std::string& path : log_dirs) directories_.push_back(std::make_unique<Directory>(*this, std::move(path)));
}
LogScrubber::~LogScrubber() = default;

bool LogScrubber::begin_slice(std::size_t directory) {
    Directory& one = *directories_[directory];
    if (is_stopping_ || !one.is_due(clock_.now().raw())) return false;
    std::lock_guard guard{mutex_};
    return !std::exchange(one.is_under_way, true);
}

void LogScrubber::run_slice(io::MayBlock may_block, std::size_t directory) {
    Directory& one = *directories_[directory];
    if (!is_stopping_) one.run(may_block);
    // Told under the lock: stop() may destroy this object as soon as it is let go.
    std::lock_guard guard{mutex_};
    one.is_under_way = false;
    idle_.notify_all();
}

void LogScrubber::stop(io::MayBlock may_block) {
    is_stopping_ = true;
    std::unique_lock guard{mutex_};
    idle_.wait(guard, [this] {
        return std::ranges::none_of(directories_, [](const auto& one) { return one->is_under_way; });
    });
    for (const auto& one : directories_) one->save(may_block);
}

ScrubCounters LogScrubber::counters() const {
    return {.bytes = bytes_, .segments = segments_, .cycles = cycles_, .damaged_ranges = damaged_ranges_};
}

const std::string& LogScrubber::log_dir(std::size_t directory) const { return directories_[directory]->path(); }

ScrubState LogScrubber::state(std::size_t directory) const { return directories_[directory]->state(); }

}  // namespace odr::storage
