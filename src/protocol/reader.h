#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/uuid.h"
#include "base/varint.h"
#include "protocol/records.h"

namespace odr::protocol {

// What decoding may allocate for the elements of arrays: a fixed part, and so many bytes for each byte of the frame.
// Names and numbers take 1 to 8 bytes in memory for each on the wire, so only junk comes near.
inline constexpr std::size_t kElementBytesPerFrameByte = 16;
inline constexpr std::size_t kElementBytesFixed = std::size_t{1} << 20;
// Kafka refuses longer strings, in flexible versions too.
inline constexpr std::uint32_t kStringBytesMax = 0x7fff;

template <class T>
inline T load_next(const std::uint8_t*& at) {
    T value;
    if constexpr (std::is_same_v<T, bool>) {
        value = *at != 0;
    } else if constexpr (std::is_same_v<T, double>) {
        value = std::bit_cast<double>(load_be<std::uint64_t>(at));
    } else if constexpr (std::is_same_v<T, Uuid>) {
        std::memcpy(value.bytes.data(), at, sizeof value.bytes);
    } else {
        value = load_be<T>(at);
    }
    at += std::is_same_v<T, Uuid> ? 16 : sizeof(T);
    return value;
}

// Reads Kafka's primitive types off a frame. The first error sticks: from then on everything reads as nothing, so the
// generated decoders look for it only where a loop would go on.
//
// Owner:   the caller keeps the frame alive as long as anything decoded from it.
// Errors:  invalid_request, with a literal that names the field. `what` of every call is such a literal.
// Bounds:  an array is refused when the rest of the frame cannot hold its elements, or when the elements of the whole
//          message would pass kElementBytesFixed + kElementBytesPerFrameByte * frame. So a claim allocates nothing.
// Kafka:   ByteBufferAccessor and the read methods of its generated messages; UTF-8 is not checked, as there.
class Reader {
public:
    explicit Reader(ByteView frame)
        // take() gives null for errors alone, so a frame of nothing has an address too.
        : at_{frame.data() != nullptr ? frame.data() : &kNothing},
          end_{at_ + frame.size()},
          budget_{kElementBytesFixed + kElementBytesPerFrameByte * frame.size()} {}

    bool failed() const { return what_ != nullptr; }
    Result<void> result() const {
        if (!failed()) [[likely]]
            return {};
        return std::unexpected{Error{.code = ErrorCode::invalid_request, .what = what_}};
    }
    std::size_t remaining() const { return static_cast<std::size_t>(end_ - at_); }
    ByteView rest() const { return {at_, remaining()}; }

    [[gnu::cold, gnu::noinline]] void fail(const char* what) {
        if (what_ == nullptr) what_ = what;
        at_ = end_;
    }

    // Gives: the next n bytes, or null after an error.
    const std::uint8_t* take(std::size_t n, const char* what) {
        if (remaining() < n) [[unlikely]] {
            fail(what);
            return nullptr;
        }
        const std::uint8_t* from = at_;
        at_ += n;
        return failed() ? nullptr : from;
    }
    void skip(std::size_t n) { take(n, "unknown tagged field: cut short"); }

    template <class T>
    T fixed(const char* what) {
        const std::uint8_t* from = take(std::is_same_v<T, Uuid> ? 16 : sizeof(T), what);
        return from != nullptr ? load_next<T>(from) : T{};
    }

    std::uint32_t unsigned_varint(const char* what = "invalid varint") {
        if (at_ != end_ && *at_ < 0x80) [[likely]]
            return *at_++;
        return long_varint(what);
    }

    std::string_view string(bool flexible, const char* what) {
        const Length length = flexible ? compact_length(what) : short_length(what);
        if (length.is_null || length.bytes > kStringBytesMax) [[unlikely]]
            return fail(what), std::string_view{};
        return as_text(view(length.bytes, what));
    }
    std::optional<std::string_view> nullable_string(bool flexible, bool nullable, const char* what) {
        const Length length = flexible ? compact_length(what) : short_length(what);
        if (length.is_null) return refuse_null(nullable, what), std::nullopt;
        if (length.bytes > kStringBytesMax) [[unlikely]]
            return fail(what), std::nullopt;
        return as_text(view(length.bytes, what));
    }
    ByteView bytes(bool flexible, const char* what) {
        const Length length = flexible ? compact_length(what) : int_length(what);
        if (length.is_null) [[unlikely]]
            return fail(what), ByteView{};
        return view(length.bytes, what);
    }
    std::optional<ByteView> nullable_bytes(bool flexible, bool nullable, const char* what) {
        const Length length = flexible ? compact_length(what) : int_length(what);
        if (length.is_null) return refuse_null(nullable, what), std::nullopt;
        return view(length.bytes, what);
    }
    Records records(bool flexible, bool nullable, const char* what) {
        const Length length = flexible ? compact_length(what) : int_length(what);
        if (length.is_null) return refuse_null(nullable, what), Records{};
        return Records{view(length.bytes, what)};
    }

    // Gives: the number of elements, each of at least min_size > 0 bytes on the wire and element_size in memory;
    //        -1 for null where that is allowed; 0 after an error.
    std::int64_t array(bool flexible, bool nullable, std::size_t min_size, std::size_t element_size, const char* what) {
        const Length length = flexible ? compact_length(what) : int_length(what);
        if (length.is_null) {
            if (nullable) return -1;
            fail(what);
            return 0;
        }
        if (length.bytes > remaining() / min_size) [[unlikely]]
            return fail(what), 0;
        const std::size_t needed = length.bytes * element_size;
        if (needed > budget_) [[unlikely]]
            return fail("the decoded message would be out of proportion"), 0;
        budget_ -= needed;
        return static_cast<std::int64_t>(length.bytes);
    }
    // Needs: a count that array() gave.
    template <class T>
    void fixed_elements(std::vector<T>& out, std::size_t count) {
        const std::uint8_t* from = take(count * (std::is_same_v<T, Uuid> ? 16 : sizeof(T)), "array: cut short");
        if (from == nullptr) [[unlikely]]
            return;
        out.resize(count);
        for (std::size_t i = 0; i < count; ++i) out[i] = load_next<T>(from);
    }

    // A nullable struct begins with a sign byte; as a tagged field, with a varint.
    bool struct_present(bool nullable, const char* what) { return !nullable || present(fixed<std::int8_t>(what) >= 0); }
    bool tagged_struct_present(bool nullable, const char* what) {
        return !nullable || present(unsigned_varint(what) > 0);
    }
    void skip_tagged_fields() {
        for (std::uint32_t left = unsigned_varint(); left > 0 && !failed(); --left) {
            unsigned_varint();
            skip(unsigned_varint());
        }
    }

private:
    struct Length {
        std::uint32_t bytes;
        bool is_null;
    };
    Length compact_length(const char* what) {
        const std::uint32_t raw = unsigned_varint(what);
        // Kafka's signed arithmetic takes raw > 2^31 for null. Nobody sends that; here it is too long for any frame.
        return {raw - 1, raw == 0 && !failed()};
    }
    Length short_length(const char* what) {
        const auto raw = fixed<std::int16_t>(what);
        return {static_cast<std::uint32_t>(raw), raw < 0};
    }
    Length int_length(const char* what) {
        const auto raw = fixed<std::int32_t>(what);
        return {static_cast<std::uint32_t>(raw), raw < 0};
    }
    ByteView view(std::size_t size, const char* what) {
        const std::uint8_t* from = take(size, what);
        return from != nullptr ? ByteView{from, size} : ByteView{};
    }
    void refuse_null(bool nullable, const char* what) {
        if (!nullable) [[unlikely]]
            fail(what);
    }
    bool present(bool told) const { return told && !failed(); }
    std::uint32_t long_varint(const char* what);

    static constexpr std::uint8_t kNothing = 0;
    const std::uint8_t* at_;
    const std::uint8_t* end_;
    std::size_t budget_;
    const char* what_ = nullptr;
};

// Decodes a whole message. Bytes behind it are left alone, as Kafka does with requests.
template <class Message>
Result<Message> decode_message(ByteView bytes, std::int16_t version) {
    Reader in{bytes};
    Result<Message> out{std::in_place};
    if (auto decoded = decode(in, version, *out); !decoded) out = std::unexpected{decoded.error()};
    return out;
}

}  // namespace odr::protocol
