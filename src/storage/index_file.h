#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/types.h"
#include "io/file_system.h"

namespace odr::storage {

// <base offset>.index: the last offset of a batch, relative to the segment's base, and where that batch starts.
struct OffsetIndexEntry {
    static constexpr std::size_t kBytes = 8;
    std::int32_t relative_offset = 0;
    std::uint32_t position = 0;

    std::int64_t key() const { return relative_offset; }
    bool is_blank() const { return relative_offset == 0 && position == 0; }
    std::array<std::uint8_t, kBytes> encode() const;
    static OffsetIndexEntry decode(const std::uint8_t* bytes);
    friend bool operator==(const OffsetIndexEntry&, const OffsetIndexEntry&) = default;
};

// <base offset>.timeindex: the largest timestamp up to here, and the last offset of the batch that has it.
struct TimeIndexEntry {
    static constexpr std::size_t kBytes = 12;
    std::int64_t timestamp = -1;
    std::int32_t relative_offset = 0;

    std::int64_t key() const { return timestamp; }
    bool is_blank() const { return timestamp == 0 && relative_offset == 0; }
    std::array<std::uint8_t, kBytes> encode() const;
    static TimeIndexEntry decode(const std::uint8_t* bytes);
    friend bool operator==(const TimeIndexEntry&, const TimeIndexEntry&) = default;
};

// <base offset>.txnindex, in the order in which transactions were aborted. Kafka: AbortedTxn.
struct TxnIndexEntry {
    static constexpr std::size_t kBytes = 34;
    std::int64_t producer_id = -1;
    std::int64_t first_offset = 0;
    std::int64_t last_offset = 0;
    std::int64_t last_stable_offset = 0;

    std::int64_t key() const { return last_offset; }
    bool is_blank() const { return false; }
    std::array<std::uint8_t, kBytes> encode() const;
    static TxnIndexEntry decode(const std::uint8_t* bytes);
    friend bool operator==(const TxnIndexEntry&, const TxnIndexEntry&) = default;
};

// An index: entries in the file, then entries that are only in memory yet. Keys never fall from entry to entry.
//
// Owner:   LogSegment.
// Threads: what is in memory under the log's state lock. The file is read by anyone and written by maintenance alone.
// Kafka:   OffsetIndex, TimeIndex, TransactionIndex; the file is always as long as Kafka's after a trim.
template <class Entry>
class IndexFile {
public:
    // Whether the count of entries in the file is known, that is, whether count_in() or reset() was heard of.
    bool is_known() const { return known_; }
    std::uint32_t written() const { return written_; }
    std::uint32_t size() const { return written_ + static_cast<std::uint32_t>(pending_.size()); }
    const std::vector<Entry>& pending() const { return pending_; }
    std::size_t pending_bytes() const { return pending_.size() * Entry::kBytes; }
    std::optional<Entry> last() const { return last_; }

    void append(const Entry& entry) {
        pending_.push_back(entry);
        last_ = entry;
    }
    void reserve(std::size_t entries) { pending_.reserve(entries); }
    // The file has `written` entries and ends with `last`; nothing is pending.
    void reset(std::uint32_t written, std::optional<Entry> last) {
        known_ = true;
        written_ = written;
        last_ = last;
        pending_.clear();
    }
    // The first `count` pending entries are in the file now.
    void mark_written(std::size_t count) {
        written_ += static_cast<std::uint32_t>(count);
        pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(count));
    }
    void shrink() { pending_.shrink_to_fit(); }
    // The last pending entry at or below the target. nullopt: it is in the file, if anywhere.
    std::optional<Entry> find_pending(std::int64_t target) const;

private:
    bool known_ = false;
    std::uint32_t written_ = 0;
    std::optional<Entry> last_;
    std::vector<Entry> pending_;
};

// --- the file
// ------------------------------------------------------------------------------------------------------------

// Gives: how many entries a file has, whole ones only, not counting blank ones at its end: Kafka preallocates, and
// leaves
//        the zeros behind when it crashes.
template <class Entry>
Result<std::uint32_t> count_entries(const io::File& file);
template <class Entry>
Result<Entry> read_entry(const io::File& file, std::uint32_t slot);
template <class Entry>
Result<std::vector<Entry>> read_entries(const io::File& file, std::uint32_t count);
// The last entry whose key is at or below the target among the first `count`. A handful of small reads.
template <class Entry>
Result<std::optional<Entry>> find_entry(const io::File& file, std::uint32_t count, std::int64_t target);
template <class Entry>
std::vector<std::uint8_t> encode_entries(const std::vector<Entry>& entries);

}  // namespace odr::storage
