#include "storage/index_file.h"

#include <algorithm>

namespace odr::storage {
namespace {

constexpr std::uint32_t kBlockEntries = 512;  // the last steps of a search read a block instead of single entries

// How many of [0, count) satisfy `before`, which holds for a prefix.
template <class Entry, class Before>
Result<std::uint32_t> partition_point(const io::File& file, std::uint32_t count, Before before) {
    std::uint32_t low = 0;
    std::uint32_t high = count;
    while (high - low > kBlockEntries) {
        const std::uint32_t middle = low + (high - low) / 2;
        ODR_TRY(entry, read_entry<Entry>(file, middle));
        if (before(entry)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    std::array<std::uint8_t, kBlockEntries * Entry::kBytes> block;
    const std::size_t wanted = (high - low) * Entry::kBytes;
    ODR_TRY(got, file.read_at({block.data(), wanted}, io::FilePos{low} * Entry::kBytes));
    if (got < wanted) return fail(ErrorCode::kafka_storage_error, "index file is shorter than it was");
    std::uint32_t slot = low;
    for (std::size_t at = 0; slot < high && before(Entry::decode(block.data() + at)); at += Entry::kBytes) ++slot;
    return slot;
}

}  // namespace

std::array<std::uint8_t, OffsetIndexEntry::kBytes> OffsetIndexEntry::encode() const {
    std::array<std::uint8_t, kBytes> out;
    store_be(out.data(), relative_offset);
    store_be(out.data() + 4, position);
    return out;
}
OffsetIndexEntry OffsetIndexEntry::decode(const std::uint8_t* bytes) {
    return {load_be<std::int32_t>(bytes), load_be<std::uint32_t>(bytes + 4)};
}

std::array<std::uint8_t, TimeIndexEntry::kBytes> TimeIndexEntry::encode() const {
    std::array<std::uint8_t, kBytes> out;
    store_be(out.data(), timestamp);
    store_be(out.data() + 8, relative_offset);
    return out;
}
TimeIndexEntry TimeIndexEntry::decode(const std::uint8_t* bytes) {
    return {load_be<std::int64_t>(bytes), load_be<std::int32_t>(bytes + 8)};
}

std::array<std::uint8_t, TxnIndexEntry::kBytes> TxnIndexEntry::encode() const {
    std::array<std::uint8_t, kBytes> out;
    store_be(out.data(), std::int16_t{0});  // version
    store_be(out.data() + 2, producer_id);
    store_be(out.data() + 10, first_offset);
    store_be(out.data() + 18, last_offset);
    store_be(out.data() + 26, last_stable_offset);
    return out;
}
TxnIndexEntry TxnIndexEntry::decode(const std::uint8_t* bytes) {
    return {load_be<std::int64_t>(bytes + 2), load_be<std::int64_t>(bytes + 10), load_be<std::int64_t>(bytes + 18),
            load_be<std::int64_t>(bytes + 26)};
}

template <class Entry>
std::optional<Entry> IndexFile<Entry>::find_pending(std::int64_t target) const {
    const auto after = std::ranges::upper_bound(pending_, target, {}, [](const Entry& entry) { return entry.key(); });
    if (after == pending_.begin()) return std::nullopt;
    return *std::prev(after);
}

template <class Entry>
Result<Entry> read_entry(const io::File& file, std::uint32_t slot) {
    std::array<std::uint8_t, Entry::kBytes> bytes;
    ODR_TRY(got, file.read_at(bytes, io::FilePos{slot} * Entry::kBytes));
    if (got < bytes.size()) return fail(ErrorCode::kafka_storage_error, "index file is shorter than it was");
    return Entry::decode(bytes.data());
}

template <class Entry>
Result<std::uint32_t> count_entries(const io::File& file) {
    ODR_TRY(bytes, file.size());
    const auto whole = static_cast<std::uint32_t>(std::min<io::FilePos>(bytes / Entry::kBytes, UINT32_MAX));
    if (whole == 0) return 0U;
    ODR_TRY(last, read_entry<Entry>(file, whole - 1));
    if (!last.is_blank()) return whole;
    return partition_point<Entry>(file, whole, [](const Entry& entry) { return !entry.is_blank(); });
}

template <class Entry>
Result<std::vector<Entry>> read_entries(const io::File& file, std::uint32_t count) {
    std::vector<std::uint8_t> bytes(std::size_t{count} * Entry::kBytes);
    ODR_TRY(got, file.read_at(bytes, 0));
    std::vector<Entry> out;
    out.reserve(got / Entry::kBytes);
    for (std::size_t at = 0; at + Entry::kBytes <= got; at += Entry::kBytes)
        out.push_back(Entry::decode(bytes.data() + at));
    return out;
}

template <class Entry>
Result<std::optional<Entry>> find_entry(const io::File& file, std::uint32_t count, std::int64_t target) {
    if (count == 0) return std::optional<Entry>{};
    ODR_TRY(slot, partition_point<Entry>(file, count, [&](const Entry& entry) { return entry.key() <= target; }));
    if (slot == 0) return std::optional<Entry>{};
    ODR_TRY(entry, read_entry<Entry>(file, slot - 1));
    return std::optional{entry};
}

template <class Entry>
std::vector<std::uint8_t> encode_entries(const std::vector<Entry>& entries) {
    std::vector<std::uint8_t> out(entries.size() * Entry::kBytes);
    std::uint8_t* at = out.data();
    for (const Entry& entry : entries) {
        std::ranges::copy(entry.encode(), at);
        at += Entry::kBytes;
    }
    return out;
}

#define ODR_INDEX_OF(Entry)                                                                                \
    template class IndexFile<Entry>;                                                                       \
    template Result<Entry> read_entry<Entry>(const io::File&, std::uint32_t);                              \
    template Result<std::uint32_t> count_entries<Entry>(const io::File&);                                  \
    template Result<std::vector<Entry>> read_entries<Entry>(const io::File&, std::uint32_t);               \
    template Result<std::optional<Entry>> find_entry<Entry>(const io::File&, std::uint32_t, std::int64_t); \
    template std::vector<std::uint8_t> encode_entries<Entry>(const std::vector<Entry>&)

ODR_INDEX_OF(OffsetIndexEntry);
ODR_INDEX_OF(TimeIndexEntry);
ODR_INDEX_OF(TxnIndexEntry);
#undef ODR_INDEX_OF

}  // namespace odr::storage
