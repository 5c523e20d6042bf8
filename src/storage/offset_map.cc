#include "storage/offset_map.h"

#include <sys/mman.h>

#include <new>
#include <utility>

#include "base/assert.h"

namespace odr::storage {

OffsetMap::OffsetMap(std::size_t slots, const Hash128& key) : slots_{slots}, key_{key} {
    ODR_ASSERT(slots > 0);
    void* memory = ::mmap(nullptr, slots * sizeof(Entry), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc{};
    entries_ = static_cast<Entry*>(memory);
}

OffsetMap::~OffsetMap() { ::munmap(entries_, slots_ * sizeof(Entry)); }

// Linear probing where whoever is further from home takes the slot ("Robin Hood"): at the load factor of 0.9 that is
// Kafka's default, a search for a key that is not there ends after a few entries of one or two cache lines.
void OffsetMap::put(const Hash& hash, Offset offset) {
    Entry incoming{hash.low, hash.high, offset.raw() + 1};
    std::size_t slot = home_of(hash.low);
    bool is_placed = false;  // what is carried on is an entry that was there before
    for (std::size_t travelled = 0;; ++travelled, slot = next(slot)) {
        Entry& entry = entries_[slot];
        if (entry.offset_plus_one == 0) {
            ODR_ASSERT(size_ < slots_, "a full offset map");
            entry = incoming;
            ++size_;
            return;
        }
        if (!is_placed && entry.low == incoming.low && entry.high == incoming.high) {
            entry.offset_plus_one = incoming.offset_plus_one;
            return;
        }
        ODR_ASSERT(travelled < slots_, "a full offset map");
        if (const std::size_t theirs = distance(slot); theirs < travelled) {
            ODR_ASSERT(size_ < slots_, "a full offset map");
            std::swap(entry, incoming);
            travelled = theirs;
            is_placed = true;
        }
    }
}

Offset OffsetMap::get(const Hash& hash) const {
    std::size_t slot = home_of(hash.low);
    for (std::size_t travelled = 0; travelled < slots_; ++travelled, slot = next(slot)) {
        const Entry& entry = entries_[slot];
        if (entry.offset_plus_one == 0) return kNoOffset;
        if (entry.low == hash.low && entry.high == hash.high) return Offset{entry.offset_plus_one - 1};
        if (distance(slot) < travelled) return kNoOffset;
    }
    return kNoOffset;
}

}  // namespace odr::storage
