#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/siphash.h"
#include "base/types.h"

namespace odr::storage {

// The latest offset of each key, in memory that is bounded from the start: 24 bytes a key, a hash of the key and the
// offset. Keys themselves are not kept, so two keys of one hash would be one; the hash is keyed at random, or a client
// could choose keys that make the cleaner drop records it should keep (docs/adr/0017-offset-map.md).
//
// Owner:   one cleaning. The memory is mapped when the map is made and given back when it goes; pages that no key came
//          to lie in are never touched.
// Threads: one.
// Kafka:   SkimpyOffsetMap, as large for the same log.cleaner.dedupe.buffer.size.
class OffsetMap {
public:
    static constexpr std::size_t kBytesPerEntry = 24;
    using Hash = Hash128;

    // Needs: slots > 0.
    OffsetMap(std::size_t slots, const Hash128& key);
    ~OffsetMap();
    OffsetMap(const OffsetMap&) = delete;
    OffsetMap& operator=(const OffsetMap&) = delete;

    Hash hash_of(ByteView key) const { return siphash128(key_, key); }
    // Starts to load the memory where the key is, which takes as long as several hundred instructions.
    void prefetch(const Hash& hash) const { __builtin_prefetch(&entries_[home_of(hash.low)]); }

    // Needs: is_full() is false, or the key is there.
    void put(const Hash& hash, Offset offset);
    // Gives: kNoOffset when the key is not there.
    Offset get(const Hash& hash) const;

    std::size_t slots() const { return slots_; }
    std::size_t size() const { return size_; }
    bool is_full() const { return size_ == slots_; }
    double utilization() const { return static_cast<double>(size_) / static_cast<double>(slots_); }

    // The offset up to which the log was put into the map, which may be past the last key. kNoOffset: nothing yet.
    Offset latest_offset() const { return latest_; }
    void set_latest_offset(Offset offset) { latest_ = offset; }

private:
    struct Entry {
        std::uint64_t low, high;
        std::int64_t offset_plus_one;  // 0: the slot is free
    };
    static_assert(sizeof(Entry) == kBytesPerEntry);

    std::size_t home_of(std::uint64_t low) const {
        __extension__ using Wide = unsigned __int128;
        return static_cast<std::size_t>((Wide{low} * slots_) >> 64);
    }
    std::size_t next(std::size_t slot) const { return slot + 1 == slots_ ? 0 : slot + 1; }
    std::size_t distance(std::size_t slot) const {
        const std::size_t home = home_of(entries_[slot].low);
        return slot >= home ? slot - home : slot + slots_ - home;
    }

    const std::size_t slots_;
    const Hash128 key_;
    Entry* entries_;
    std::size_t size_ = 0;
    Offset latest_ = kNoOffset;
};

}  // namespace odr::storage
