#include "storage/file_remover.h"

#include <cerrno>
#include <cstring>

#include "base/log.h"

namespace odr::storage {
namespace {

constexpr std::int64_t kAgainMs = 1'000;  // a file in use is looked at again after so long

}  // namespace

void FileRemover::add(std::string path, TimestampMs not_before, bool is_folder) {
    put_back({std::move(path), is_folder, not_before}, not_before);
}

void FileRemover::put_back(Item item, TimestampMs not_before) {
    std::lock_guard guard{mutex_};
    waiting_.emplace(not_before, std::move(item));
}

void FileRemover::add_log(std::string path, TimestampMs since) {
    std::lock_guard guard{mutex_};
    logs_.emplace(since, std::move(path));
}

bool FileRemover::next(TimestampMs now, Item& out) {
    std::lock_guard guard{mutex_};
    if (!logs_.empty() && now.raw() - logs_.begin()->first.raw() >= log_delay_ms_) {
        out = {std::move(logs_.begin()->second), true, now};
        logs_.erase(logs_.begin());
        return true;
    }
    if (waiting_.empty() || waiting_.begin()->first > now) return false;
    out = std::move(waiting_.begin()->second);
    waiting_.erase(waiting_.begin());
    return true;
}

std::size_t FileRemover::waiting() const {
    std::lock_guard guard{mutex_};
    return waiting_.size() + logs_.size();
}

std::size_t FileRemover::run_once(io::MayBlock may_block, TimestampMs now) {
    Turn turn{.may_block = may_block, .now = now};
    Item item;
    while (has_pace(turn) && next(now, item)) {
        const Outcome outcome = item.is_folder ? remove_folder(turn, item) : remove_file(turn, item.path, item.due);
        if (outcome == Outcome::removed) continue;
        const TimestampMs again = outcome == Outcome::in_use ? TimestampMs{now.raw() + kAgainMs} : item.due;
        put_back(std::move(item), again);
    }
    return turn.removed;
}

FileRemover::Outcome FileRemover::remove_file(Turn& turn, const std::string& path, TimestampMs due) {
    for (;;) {
        if (!has_pace(turn)) return Outcome::out_of_pace;
        const auto freed = files_.remove_part(turn.may_block, path, pace_.step_bytes);
        if (!freed && freed.error().os_errno == EBUSY) {
            if (turn.now.raw() - due.raw() < kPatienceMs) return Outcome::in_use;
            (void)files_.remove(path);
            break;
        }
        if (!freed) {
            log::warn("cannot remove {}: {}", path, std::strerror(freed.error().os_errno));
            break;
        }
        turn.bytes += freed->bytes;
        if (freed->removed) break;
    }
    ++turn.files;
    ++turn.removed;
    return Outcome::removed;
}

FileRemover::Outcome FileRemover::remove_folder(Turn& turn, const Item& item) {
    const auto entries = files_.list(item.path);
    Outcome worst = Outcome::removed;
    if (entries) {
        for (const io::DirectoryEntry& entry : *entries) {
            const std::string path = item.path + "/" + entry.name;
            const Outcome outcome =
                entry.is_directory ? remove_folder(turn, {path, true, item.due}) : remove_file(turn, path, item.due);
            if (outcome == Outcome::out_of_pace) return outcome;
            if (outcome == Outcome::in_use) worst = outcome;
        }
    }
    if (worst != Outcome::removed) return worst;
    if (!has_pace(turn)) return Outcome::out_of_pace;
    if (const auto removed = files_.remove_tree(turn.may_block, item.path); !removed) {
        log::warn("cannot remove {}: {}", item.path, std::strerror(removed.error().os_errno));
    }
    ++turn.files;
    ++turn.removed;
    return Outcome::removed;
}

}  // namespace odr::storage
