#include "storage/cleaner_checkpoints.h"

#include "base/log.h"

namespace odr::storage {

void CleanerCheckpoints::load(io::MayBlock may_block, const std::string& log_dir,
                              const std::function<bool(const TopicPartition&)>& is_elsewhere) {
    const std::string path = log_dir + "/" + kCleanerOffsetCheckpoint;
    const bool is_there = files_.exists(path);
    if (!is_there) tell_of_failure(log_dir, files_.replace_file(may_block, path, ByteView{}));
    OffsetCheckpoint offsets;
    const auto text = is_there ? files_.read_file(path) : Result<std::string>{std::string{}};
    auto decoded = text ? decode_offset_checkpoint(*text) : fail(text.error());
    if (decoded) {
        offsets = std::move(*decoded);
    } else if (!text || !text->empty()) {
        log::warn("{} is of no use ({}); compacted logs there are cleaned from their start", path,
                  decoded.error().what);
    }
    std::erase_if(offsets, [&](const auto& item) { return is_elsewhere(item.first); });
    const std::lock_guard guard{mutex_};
    by_directory_[log_dir] = std::move(offsets);
}

void CleanerCheckpoints::forget(const std::string& log_dir) {
    const std::lock_guard guard{mutex_};
    by_directory_.erase(log_dir);
    owed_.erase(log_dir);
}

std::optional<Offset> CleanerCheckpoints::find(const std::string& log_dir, const TopicPartition& log) const {
    const std::lock_guard guard{mutex_};
    const auto directory = by_directory_.find(log_dir);
    if (directory == by_directory_.end()) return std::nullopt;
    const auto found = directory->second.find(log);
    return found == directory->second.end() ? std::nullopt : std::optional{found->second};
}

void CleanerCheckpoints::update(io::MayBlock may_block, const std::string& log_dir, const TopicPartition& log,
                                Offset clean_to, const std::function<bool()>& still_wanted) {
    change(may_block, log_dir, [&](OffsetCheckpoint& offsets) {
        if (still_wanted && !still_wanted()) return false;
        offsets[log] = clean_to;
        return true;
    });
}

void CleanerCheckpoints::truncate(io::MayBlock may_block, const std::string& log_dir, const TopicPartition& log,
                                  Offset offset) {
    change(may_block, log_dir, [&](OffsetCheckpoint& offsets) {
        const auto found = offsets.find(log);
        if (found == offsets.end() || found->second <= offset) return false;
        found->second = offset;
        return true;
    });
}

void CleanerCheckpoints::remove(io::MayBlock may_block, const std::string& log_dir, const TopicPartition& log) {
    change(may_block, log_dir, [&](OffsetCheckpoint& offsets) { return offsets.erase(log) != 0; });
}

void CleanerCheckpoints::move(io::MayBlock may_block, const std::string& from_dir, const std::string& to_dir,
                              const TopicPartition& log) {
    const auto offset = find(from_dir, log);
    if (!offset) return remove(may_block, to_dir, log);
    update(may_block, to_dir, log, *offset);
    remove(may_block, from_dir, log);
}

void CleanerCheckpoints::change(io::MayBlock may_block, const std::string& log_dir,
                                const std::function<bool(OffsetCheckpoint&)>& how) {
    {
        const std::lock_guard guard{mutex_};
        const auto directory = by_directory_.find(log_dir);
        if (directory == by_directory_.end() || !how(directory->second)) return;
    }
    tell_of_failure(log_dir, write(may_block, log_dir));
}

Result<void> CleanerCheckpoints::write(io::MayBlock may_block, const std::string& log_dir) {
    std::shared_ptr<std::mutex> writing;
    {
        const std::lock_guard guard{mutex_};
        auto& known = writing_[log_dir];
        if (known == nullptr) known = std::make_shared<std::mutex>();
        writing = known;
    }
    const std::lock_guard alone{*writing};
    std::string text;
    {
        const std::lock_guard guard{mutex_};
        const auto directory = by_directory_.find(log_dir);
        if (directory == by_directory_.end()) return {};
        text = encode_offset_checkpoint(directory->second);
    }
    auto written = files_.replace_file(may_block, log_dir + "/" + kCleanerOffsetCheckpoint, as_bytes(text));
    const std::lock_guard guard{mutex_};
    if (written) {
        owed_.erase(log_dir);
    } else {
        owed_.insert(log_dir);
    }
    return written;
}

void CleanerCheckpoints::write_what_is_owed(io::MayBlock may_block) {
    std::set<std::string> owed;
    {
        const std::lock_guard guard{mutex_};
        owed = owed_;
    }
    for (const std::string& log_dir : owed) {
        change(may_block, log_dir, [](OffsetCheckpoint&) { return true; });
    }
}

// Without the lock: who is told calls forget().
void CleanerCheckpoints::tell_of_failure(const std::string& log_dir, const Result<void>& written) const {
    if (written) return;
    log::error("cannot write {}/{}: {}", log_dir, kCleanerOffsetCheckpoint, written.error().what);
    if (on_failure_) on_failure_(log_dir, written.error());
}

}  // namespace odr::storage
