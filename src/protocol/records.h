#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"

namespace odr::protocol {

// The value of a field of type `records`: null, bytes in memory, or a promise of bytes that live elsewhere.
//
// Owner:  nobody. Bytes are a view; an external slice is only a name and a size, which the writer hands on as a Splice.
// Kafka:  BaseRecords; an external slice is FileRecords.
class Records {
public:
    constexpr Records() = default;  // null
    constexpr Records(ByteView bytes) : bytes_{bytes}, kind_{Kind::bytes} {}
    // `id` means something to whoever puts it in and takes the splices out. A size of 0 is like no bytes.
    static constexpr Records external(std::uint64_t id, std::uint32_t size) {
        Records out;
        out.kind_ = Kind::external;
        out.external_id_ = id;
        out.external_size_ = size;
        return out;
    }

    constexpr bool is_null() const { return kind_ == Kind::null; }
    constexpr bool is_external() const { return kind_ == Kind::external; }
    constexpr ByteView bytes() const { return bytes_; }
    constexpr std::uint64_t external_id() const { return external_id_; }
    constexpr std::uint32_t external_size() const { return external_size_; }
    constexpr std::size_t size() const { return is_external() ? external_size_ : bytes_.size(); }

    friend bool operator==(const Records& a, const Records& b) {
        return a.kind_ == b.kind_ && a.external_id_ == b.external_id_ && a.external_size_ == b.external_size_ &&
               std::ranges::equal(a.bytes_, b.bytes_);
    }

private:
    enum class Kind : std::uint8_t { null, bytes, external };
    ByteView bytes_;
    std::uint64_t external_id_ = 0;
    std::uint32_t external_size_ = 0;
    Kind kind_ = Kind::null;
};

// Views are equal when what they see is: for the generated comparisons.
inline bool same_bytes(ByteView a, ByteView b) { return std::ranges::equal(a, b); }
template <class T>
bool same_bytes(const std::optional<T>& a, const std::optional<T>& b) {
    return a.has_value() == b.has_value() && (!a || same_bytes(*a, *b));
}
inline bool same_bytes(const std::vector<ByteView>& a, const std::vector<ByteView>& b) {
    return std::ranges::equal(a, b, [](ByteView x, ByteView y) { return same_bytes(x, y); });
}

}  // namespace odr::protocol
