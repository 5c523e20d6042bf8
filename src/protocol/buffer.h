#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <utility>

#include "base/bytes.h"

namespace odr::protocol {

// Bytes that grow at the end, in one piece. New bytes are not initialised: who extends, writes.
//
// Owner:   of its memory; moves, does not copy. A moved-from buffer is empty.
// Errors:  std::bad_alloc.
class Buffer {
public:
    Buffer() = default;
    explicit Buffer(std::size_t capacity) { reserve(capacity); }
    Buffer(Buffer&& other) noexcept
        : data_{std::move(other.data_)},
          size_{std::exchange(other.size_, 0)},
          capacity_{std::exchange(other.capacity_, 0)} {}
    Buffer& operator=(Buffer&& other) noexcept {
        data_ = std::move(other.data_);
        size_ = std::exchange(other.size_, 0);
        capacity_ = std::exchange(other.capacity_, 0);
        return *this;
    }

    const std::uint8_t* data() const { return data_.get(); }
    std::uint8_t* data() { return data_.get(); }
    std::size_t size() const { return size_; }
    std::size_t capacity() const { return capacity_; }
    bool empty() const { return size_ == 0; }
    ByteView view() const { return {data_.get(), size_}; }
    operator ByteView() const { return view(); }

    void clear() { size_ = 0; }
    void reserve(std::size_t capacity) {
        if (capacity > capacity_) grow(capacity);
    }
    // Gives: where the n new bytes begin; valid until the next growth.
    std::uint8_t* extend(std::size_t n) {
        if (capacity_ - size_ < n) [[unlikely]]
            grow(size_ + n);
        std::uint8_t* at = data_.get() + size_;
        size_ += n;
        return at;
    }
    void append(ByteView bytes) {
        if (!bytes.empty()) std::memcpy(extend(bytes.size()), bytes.data(), bytes.size());
    }
    // Needs: size <= this->size().
    void shrink_to(std::size_t size) { size_ = size; }

private:
    struct Free {
        void operator()(std::uint8_t* memory) const { std::free(memory); }
    };
    void grow(std::size_t at_least);

    std::unique_ptr<std::uint8_t, Free> data_;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

}  // namespace odr::protocol
