#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace odr::record {

// Lends an object that is expensive to make (a codec context, a chunk buffer) and keeps a few per thread for the next
// borrower. What comes out of the pool is in whatever state the last borrower left it.
template <class T>
class Scratch {
public:
    Scratch() {
        auto& kept = pool();
        if (kept.empty()) {
            object_ = std::make_unique_for_overwrite<T>();
        } else {
            object_ = std::move(kept.back());
            kept.pop_back();
        }
    }
    ~Scratch() {
        if (object_ && pool().size() < kKeptMax) pool().push_back(std::move(object_));
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    T* operator->() { return object_.get(); }
    T& operator*() { return *object_; }
    void forget() { object_.reset(); }  // too big or broken: not for the next borrower

private:
    static constexpr std::size_t kKeptMax = 2;
    static std::vector<std::unique_ptr<T>>& pool() {
        thread_local std::vector<std::unique_ptr<T>> kept;
        return kept;
    }
    std::unique_ptr<T> object_;
};

inline constexpr std::size_t kChunkBytes = std::size_t{128} << 10;
using Chunk = std::array<std::uint8_t, kChunkBytes>;

}  // namespace odr::record
