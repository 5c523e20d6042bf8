#pragma once

#include <algorithm>

#include "base/varint.h"
#include "record/compression.h"
#include "record/record.h"

// The one parser of magic 2 records, over bytes at hand or over a stream that is being decompressed.
namespace odr::record {

// Records that lie in memory. Fields are views into it.
class MemorySource {
public:
    explicit MemorySource(ByteView bytes) : begin_{bytes.data()}, at_{begin_}, end_{begin_ + bytes.size()} {}

    std::uint64_t position() const { return static_cast<std::uint64_t>(at_ - begin_); }
    bool is_at_end() { return at_ == end_; }
    bool has(std::uint64_t n) const { return n <= static_cast<std::uint64_t>(end_ - at_); }
    bool byte(std::uint8_t& out) {
        if (at_ == end_) return false;
        out = *at_++;
        return true;
    }
    // Nearly all numbers in a record take one byte or two.
    bool varint(std::int32_t& out) {
        std::uint32_t raw = 0;
        if (!short_number(raw)) {
            const std::size_t n = read_varint({at_, end_}, out);
            at_ += n;
            return n != 0;
        }
        out = static_cast<std::int32_t>(raw >> 1) ^ -static_cast<std::int32_t>(raw & 1);
        return true;
    }
    bool varlong(std::int64_t& out) {
        std::uint32_t raw = 0;
        if (!short_number(raw)) {
            const std::size_t n = read_varlong({at_, end_}, out);
            at_ += n;
            return n != 0;
        }
        out = static_cast<std::int64_t>(raw >> 1) ^ -static_cast<std::int64_t>(raw & 1);
        return true;
    }
    bool bytes(std::size_t n, ByteView& out) {
        if (!has(n)) return false;
        out = {at_, n};
        at_ += n;
        return true;
    }
    ByteView since(std::uint64_t position) const { return {begin_ + position, at_}; }
    Error error(std::string_view what) const { return {.code = ErrorCode::invalid_record, .what = what}; }

private:
    bool short_number(std::uint32_t& raw) {
        if (end_ - at_ < 2) return false;
        if (at_[0] < 0x80) {
            raw = at_[0];
            at_ += 1;
            return true;
        }
        if (at_[1] >= 0x80) return false;
        raw = static_cast<std::uint32_t>(at_[0] & 0x7f) | static_cast<std::uint32_t>(at_[1]) << 7;
        at_ += 2;
        return true;
    }

    const std::uint8_t* begin_;
    const std::uint8_t* at_;
    const std::uint8_t* end_;
};

// Records that come out of a decompressor. What they contain is skipped: fields are empty views, present or missing.
class StreamSource {
public:
    explicit StreamSource(Decompressor& from) : from_{from} {}

    std::uint64_t position() const { return before_ + static_cast<std::uint64_t>(at_ - begin_); }
    // Not where the stream broke off: that is an error(), even with all records read.
    bool is_at_end() { return at_ == end_ && !refill() && !failure_; }
    bool has(std::uint64_t) const { return true; }  // known when it is read
    bool byte(std::uint8_t& out) {
        if (at_ == end_ && !refill()) return false;
        out = *at_++;
        return true;
    }
    bool varint(std::int32_t& out) { return number<kVarintBytesMax>(read_varint, out); }
    bool varlong(std::int64_t& out) { return number<kVarlongBytesMax>(read_varlong, out); }
    bool bytes(std::size_t n, ByteView& out) {
        out = {};
        while (n > 0) {
            if (at_ == end_ && !refill()) return false;
            const std::size_t step = std::min(n, static_cast<std::size_t>(end_ - at_));
            at_ += step;
            n -= step;
        }
        return true;
    }
    ByteView since(std::uint64_t) const { return {}; }
    // The decompressor's own failure explains more than the record that ended early.
    Error error(std::string_view what) const {
        return failure_ ? *failure_ : Error{.code = ErrorCode::invalid_record, .what = what};
    }

private:
    bool refill() {
        if (failure_) return false;
        before_ += static_cast<std::uint64_t>(end_ - begin_);
        begin_ = at_ = end_ = nullptr;
        const auto chunk = from_.next();
        if (!chunk) {
            failure_ = chunk.error();
            return false;
        }
        begin_ = at_ = chunk->data();
        end_ = begin_ + chunk->size();
        return !chunk->empty();
    }
    // A number may lie across two chunks.
    template <std::size_t kBytesMax, class T>
    bool number(std::size_t (*read)(ByteView, T&), T& out) {
        if (static_cast<std::size_t>(end_ - at_) >= kBytesMax) {
            const std::size_t n = read({at_, kBytesMax}, out);
            at_ += n;
            return n != 0;
        }
        std::uint8_t joined[kBytesMax];
        std::size_t n = 0;
        do {
            if (n == kBytesMax || !byte(joined[n])) return false;
        } while (joined[n++] >= 0x80);
        return read({joined, n}, out) == n;
    }

    Decompressor& from_;
    const std::uint8_t* begin_ = nullptr;
    const std::uint8_t* at_ = nullptr;
    const std::uint8_t* end_ = nullptr;
    std::uint64_t before_ = 0;  // bytes in the chunks before this one
    std::optional<Error> failure_;
};

// Gives: whether a length-prefixed field could be read. A negative length, whatever it is, means missing, as in Kafka.
template <class Source>
bool read_field(Source& in, std::optional<ByteView>& out) {
    std::int32_t length = 0;
    if (!in.varint(length)) return false;
    if (length < 0) {
        out.reset();
        return true;
    }
    ByteView bytes;
    if (!in.bytes(static_cast<std::size_t>(length), bytes)) return false;
    out = bytes;
    return true;
}

template <class Source>
std::string_view read_headers(Source& in, std::uint64_t end, Record& out) {
    if (!in.varint(out.header_count)) return "a record has a broken header count";
    // Each header takes two bytes at least, so a count that lies ends here or with its first missing header.
    if (out.header_count < 0 || in.position() > end ||
        static_cast<std::uint64_t>(out.header_count) > end - in.position()) {
        return "a record has an impossible header count";
    }
    const std::uint64_t start = in.position();
    for (std::int32_t i = 0; i < out.header_count; ++i) {
        std::optional<ByteView> key;
        std::optional<ByteView> value;
        if (!read_field(in, key) || !key) return "a record has a header with a broken key";
        if (!read_field(in, value)) return "a record has a header with a broken value";
    }
    out.header_bytes = in.since(start);
    return {};
}

// Reads the record at which `in` stands. Gives: what is wrong with it; empty where nothing is.
template <class Source>
std::string_view read_record(Source& in, Record& out) {
    std::int32_t length = 0;
    if (!in.varint(length)) return "records end before their count";
    if (length < 0 || !in.has(static_cast<std::uint64_t>(length)))
        return "a record is longer than what is left of its batch";
    const std::uint64_t end = in.position() + static_cast<std::uint64_t>(length);
    if (!in.byte(out.attributes)) return "a record ends early";
    if (!in.varlong(out.timestamp_delta)) return "a record has a broken timestamp";
    if (!in.varint(out.offset_delta)) return "a record has a broken offset";
    if (!read_field(in, out.key)) return "a record has a broken key";
    if (!read_field(in, out.value)) return "a record has a broken value";
    if (const auto wrong = read_headers(in, end, out); !wrong.empty()) return wrong;
    if (in.position() != end) return "a record's fields do not fill its length";
    return {};
}

}  // namespace odr::record
