#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/bytes.h"
#include "base/uuid.h"
#include "base/varint.h"
#include "protocol/buffer.h"
#include "protocol/records.h"

namespace odr::protocol {

template <class T>
inline void store_next(std::uint8_t*& at, T value) {
    if constexpr (std::is_same_v<T, bool>) {
        *at = value ? 1 : 0;
    } else if constexpr (std::is_same_v<T, double>) {
        store_be(at, std::bit_cast<std::uint64_t>(value));
    } else if constexpr (std::is_same_v<T, Uuid>) {
        std::memcpy(at, value.bytes.data(), sizeof value.bytes);
    } else {
        store_be(at, value);
    }
    at += std::is_same_v<T, Uuid> ? 16 : sizeof(T);
}

// Bytes from elsewhere that belong into the output before the byte at `position` of the buffer.
struct Splice {
    std::size_t position;
    std::uint64_t external_id;
    std::uint32_t size;
    friend bool operator==(const Splice&, const Splice&) = default;
};

// Appends Kafka's primitive types to a buffer.
//
// Owner:   the buffer stays the caller's and outlives the writer; views are copied before the call returns.
// Errors:  none. A null where the version has none is written as empty; a string longer than kStringBytesMax is cut,
//          because no reader would take it (Kafka throws).
// Kafka:   ByteBufferAccessor, SendBuilder (which splices as this does).
class Writer {
public:
    explicit Writer(Buffer& out) : out_{out}, start_{out.size()} {}

    Buffer& buffer() { return out_; }
    // In the order of their positions.
    const std::vector<Splice>& splices() const { return splices_; }
    std::vector<Splice> take_splices() { return std::exchange(splices_, {}); }
    // Bytes written by this writer, with those of the splices.
    std::size_t total_size() const { return out_.size() - start_ + spliced_bytes_; }

    // A frame is its size in 4 bytes, then the rest. Frames do not nest; the frame's size counts splices.
    void begin_frame() {
        frame_ = out_.size();
        frame_spliced_ = spliced_bytes_;
        out_.extend(4);
    }
    void end_frame() {
        const std::size_t size = out_.size() - frame_ - 4 + (spliced_bytes_ - frame_spliced_);
        store_be(out_.data() + frame_, static_cast<std::uint32_t>(size));
    }

    std::uint8_t* extend(std::size_t n) { return out_.extend(n); }
    template <class T>
    void fixed(T value) {
        std::uint8_t* at = out_.extend(std::is_same_v<T, Uuid> ? 16 : sizeof(T));
        store_next<T>(at, value);
    }
    void unsigned_varint(std::uint32_t value) {
        if (value < 0x80) [[likely]] {
            *out_.extend(1) = static_cast<std::uint8_t>(value);
        } else {
            std::uint8_t raw[kVarintBytesMax];
            out_.append({raw, write_unsigned_varint(raw, value)});
        }
    }

    void string(std::string_view text, bool flexible) {
        if (text.size() > kWrittenStringBytesMax) [[unlikely]]
            text = text.substr(0, kWrittenStringBytesMax);
        if (flexible) {
            unsigned_varint(static_cast<std::uint32_t>(text.size() + 1));
        } else {
            fixed<std::uint16_t>(static_cast<std::uint16_t>(text.size()));
        }
        out_.append(as_bytes(text));
    }
    void nullable_string(const std::optional<std::string_view>& text, bool flexible, bool nullable) {
        if (text || !nullable) return string(text.value_or(std::string_view{}), flexible);
        if (flexible) return unsigned_varint(0);
        fixed<std::int16_t>(-1);
    }
    void bytes(ByteView bytes, bool flexible) {
        length(bytes.size(), flexible);
        out_.append(bytes);
    }
    void nullable_bytes(const std::optional<ByteView>& value, bool flexible, bool nullable) {
        if (value || !nullable) return bytes(value.value_or(ByteView{}), flexible);
        null_length(flexible);
    }
    void records(const Records& value, bool flexible, bool nullable) {
        if (value.is_null() && nullable) return null_length(flexible);
        length(value.size(), flexible);
        if (!value.is_external()) return out_.append(value.bytes());
        if (value.external_size() == 0) return;
        splices_.push_back({out_.size(), value.external_id(), value.external_size()});
        spliced_bytes_ += value.external_size();
    }
    void array(std::size_t count, bool flexible) { length(count, flexible); }
    void null_array(bool flexible, bool nullable) { nullable ? null_length(flexible) : length(0, flexible); }
    template <class Elements>
    void fixed_elements(const Elements& elements) {
        using T = typename Elements::value_type;
        std::uint8_t* at = out_.extend(elements.size() * (std::is_same_v<T, Uuid> ? 16 : sizeof(T)));
        for (const auto& element : elements) store_next<T>(at, element);
    }
    void struct_present(bool present) { fixed<std::int8_t>(present ? 1 : -1); }
    void tagged_struct_present(bool present) { unsigned_varint(present ? 1 : 0); }

    // A tagged field tells its size before its value, which is written first, behind room for a size of one byte.
    std::size_t begin_tagged(std::uint32_t tag) {
        unsigned_varint(tag);
        out_.extend(1);
        return out_.size();
    }
    void end_tagged(std::size_t start) {
        const std::size_t size = out_.size() - start;
        if (size < 0x80) [[likely]] {
            out_.data()[start - 1] = static_cast<std::uint8_t>(size);
        } else {
            widen_tagged(start, size);
        }
    }

private:
    static constexpr std::size_t kWrittenStringBytesMax = 0x7fff;
    void length(std::size_t size, bool flexible) {
        if (flexible) return unsigned_varint(static_cast<std::uint32_t>(size + 1));
        fixed<std::int32_t>(static_cast<std::int32_t>(size));
    }
    void null_length(bool flexible) {
        if (flexible) return unsigned_varint(0);
        fixed<std::int32_t>(-1);
    }
    void widen_tagged(std::size_t start, std::size_t size);

    Buffer& out_;
    std::size_t start_;
    std::size_t frame_ = 0;
    std::size_t frame_spliced_ = 0;
    std::size_t spliced_bytes_ = 0;
    std::vector<Splice> splices_;
};

// Appends the message in the given version. Fields that the version does not have are left out.
template <class Message>
void encode_message(Buffer& out, std::int16_t version, const Message& message) {
    Writer writer{out};
    encode(writer, version, message);
}

}  // namespace odr::protocol
