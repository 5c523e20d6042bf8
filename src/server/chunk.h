#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

#include "base/bytes.h"

namespace odr::server {

// Bytes read from a socket, shared by the requests whose frames lie in them.
//
// Threads: one; the count is not atomic.
class ChunkRef {
public:
    ChunkRef() = default;
    // Memory is not initialised, so capacity that nobody writes to costs no pages.
    static ChunkRef allocate(std::size_t capacity) {
        void* memory = std::malloc(sizeof(Header) + capacity);
        if (memory == nullptr) throw std::bad_alloc{};
        ChunkRef made;
        made.header_ = new (memory) Header{1, capacity};
        return made;
    }
    ChunkRef(const ChunkRef& other) : header_{other.header_} {
        if (header_ != nullptr) ++header_->references;
    }
    ChunkRef(ChunkRef&& other) noexcept : header_{std::exchange(other.header_, nullptr)} {}
    ChunkRef& operator=(ChunkRef other) noexcept {
        std::swap(header_, other.header_);
        return *this;
    }
    ~ChunkRef() {
        if (header_ != nullptr && --header_->references == 0) std::free(header_);
    }

    explicit operator bool() const { return header_ != nullptr; }
    std::uint8_t* data() const { return reinterpret_cast<std::uint8_t*>(header_ + 1); }
    std::size_t capacity() const { return header_->capacity; }
    bool is_shared() const { return header_->references > 1; }
    void reset() { *this = ChunkRef{}; }

private:
    struct Header {
        std::size_t references;
        std::size_t capacity;
    };
    Header* header_ = nullptr;
};

}  // namespace odr::server
