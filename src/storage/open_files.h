#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "io/file_system.h"

namespace odr::storage {

// What belongs to a segment on disk.
enum class SegmentFileKind : std::uint8_t { log, offset_index, time_index, txn_index };

// Files opened to read sealed segments, the least recently used closed first. What somebody still sends or reads stays
// open until they let go.
//
// Owner:   LogManager, shared by its logs.
// Threads: any; one short lock. Reads at the end of a log do not come here.
class OpenFiles {
public:
    struct Key {
        std::uint64_t segment_id;
        SegmentFileKind kind;
        friend bool operator==(const Key&, const Key&) = default;
    };

    explicit OpenFiles(std::size_t capacity) : capacity_{capacity} {}

    // Gives: null when it is not open.
    std::shared_ptr<io::File> find(Key key);
    void put(Key key, std::shared_ptr<io::File> file);
    void drop_segment(std::uint64_t segment_id);
    std::size_t size() const;

    // A number for a new segment; never given twice.
    static std::uint64_t next_segment_id();

private:
    struct KeyHash {
        std::size_t operator()(const Key& key) const noexcept {
            return std::hash<std::uint64_t>{}(key.segment_id * 4 + static_cast<std::uint64_t>(key.kind));
        }
    };
    using Item = std::pair<Key, std::shared_ptr<io::File>>;

    mutable std::mutex mutex_;
    const std::size_t capacity_;
    std::list<Item> recent_;  // most recently used first
    std::unordered_map<Key, std::list<Item>::iterator, KeyHash> by_key_;
};

}  // namespace odr::storage
