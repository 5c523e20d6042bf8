#include "storage/cleaner_checkpoints.h"

#include "base/log.h"

namespace odr::storage {

void CleanerCheckpoints::load(io::MayBlock may_block, const std::string& log_dir) {
    const std::lock_guard guard{mutex_};
    OffsetCheckpoint& offsets = by_directory_[log_dir];
    const std::string path = log_dir + "/" + kCleanerOffsetCheckpoint;
    if (!files_.exists(path)) {
        const auto made = files_.replace_file(may_block, path, ByteView{});
        if (!made && on_failure_) on_failure_(log_dir, made.error());
        return;
    }
    const auto text = files_.read_file(path);
    if (text && text->empty()) return;
    auto decoded = text ? decode_offset_checkpoint(*text) : fail(text.error());
    if (decoded) {
        offsets = std::move(*decoded);
    } else {
        log::warn("{} is of no use ({}); compacted logs there are cleaned from their start", path,
                  decoded.error().what);
    }
}

void CleanerCheckpoints::forget(const std::string& log_dir) {
    const std::lock_guard guard{mutex_};
    by_directory_.erase(log_dir);
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
    const std::lock_guard guard{mutex_};
    const auto directory = by_directory_.find(log_dir);
    if (directory == by_directory_.end() || (still_wanted && !still_wanted())) return;
    directory->second[log] = clean_to;
    write(may_block, log_dir);
}

void CleanerCheckpoints::truncate(io::MayBlock may_block, const std::string& log_dir, const TopicPartition& log,
                                  Offset offset) {
    const std::lock_guard guard{mutex_};
    const auto directory = by_directory_.find(log_dir);
    if (directory == by_directory_.end()) return;
    const auto found = directory->second.find(log);
    if (found == directory->second.end() || found->second <= offset) return;
    found->second = offset;
    write(may_block, log_dir);
}

void CleanerCheckpoints::remove(io::MayBlock may_block, const std::string& log_dir, const TopicPartition& log) {
    const std::lock_guard guard{mutex_};
    const auto directory = by_directory_.find(log_dir);
    if (directory == by_directory_.end() || directory->second.erase(log) == 0) return;
    write(may_block, log_dir);
}

void CleanerCheckpoints::move(io::MayBlock may_block, const std::string& from_dir, const std::string& to_dir,
                              const TopicPartition& log) {
    const auto offset = find(from_dir, log);
    if (!offset) return;
    update(may_block, to_dir, log, *offset);
    remove(may_block, from_dir, log);
}

void CleanerCheckpoints::write(io::MayBlock may_block, const std::string& log_dir) {
    const std::string path = log_dir + "/" + kCleanerOffsetCheckpoint;
    const std::string text = encode_offset_checkpoint(by_directory_[log_dir]);
    const auto written = files_.replace_file(may_block, path, as_bytes(text));
    if (written) return;
    log::error("cannot write {}: {}", path, written.error().what);
    if (on_failure_) on_failure_(log_dir, written.error());
}

}  // namespace odr::storage
