#include "protocol/writer.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/assert.h"

namespace odr::protocol {

void Buffer::grow(std::size_t at_least) {
    const std::size_t capacity = std::max({at_least, capacity_ * 2, std::size_t{256}});
    void* memory = std::realloc(data_.get(), capacity);
    if (memory == nullptr) throw std::bad_alloc{};
    (void)data_.release();
    data_.reset(static_cast<std::uint8_t*>(memory));
    capacity_ = capacity;
}

void Writer::widen_tagged(std::size_t start, std::size_t size) {
    ODR_ASSERT(splices_.empty() || splices_.back().position <= start, "no schema has records in a tagged field");
    std::uint8_t raw[kVarintBytesMax];
    const std::size_t width = write_unsigned_varint(raw, static_cast<std::uint32_t>(size));
    out_.extend(width - 1);
    std::uint8_t* value = out_.data() + start;
    std::memmove(value + width - 1, value, size);
    std::memcpy(value - 1, raw, width);
}

}  // namespace odr::protocol
