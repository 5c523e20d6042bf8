#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "protocol/buffer.h"
#include "storage/file_slice.h"

namespace odr::server {

// What waits to be written to one socket: bytes, with slices of files between them.
//
// A slice may wait for a slow client for longer than its pages stay in the cache, so before it goes on the kernel is
// asked, once for kWarmBytes and then not again for kWarmMs: sending would wait for the disk.
//
// Threads: one.
class Output {
public:
    enum class Progress {
        done,
        blocked,
        failed,
        more,  // gave way to others, would go on
        cold   // what comes next is not in the page cache: read next_cold() where one may wait, then note_warm()
    };
    static constexpr std::size_t kWarmBytes = std::size_t{1} << 20;
    static constexpr std::int64_t kWarmMs = 1000;

    // Where responses are encoded to.
    protocol::Buffer& buffer() { return bytes_; }
    // A slice goes out before the byte at `position` of the buffer. Needs: positions in order.
    void add_slice(std::size_t position, storage::FileSlice slice);
    // Moves everything of another output behind what is here.
    void append(Output&& other);

    // Writes until the socket is full, or kBytesPerTurn.
    Progress flush(int socket, std::int64_t now_ms);
    // The part of a file that is to be read before flush() goes on. Needs: flush() said cold.
    storage::FileSlice next_cold() const;
    // It was read: it leaves next, without asking again.
    void note_warm(std::int64_t now_ms);
    bool empty() const { return sent_ == bytes_.size() && slices_.empty(); }
    // Not yet written, slices too.
    std::size_t pending_bytes() const { return bytes_.size() - sent_ + slice_bytes_; }
    // Gives memory back when there is nothing to write.
    void release();

private:
    static constexpr std::size_t kBytesPerTurn = std::size_t{512} << 10;  // 0.1 ms
    static constexpr std::size_t kKeptCapacity = 4096;
    static constexpr std::size_t kSentBytesMax = std::size_t{64} << 10;  // what was sent is held no longer than this
    struct Slice {
        std::size_t position;
        storage::FileSlice slice;
        std::int64_t warm_since_ms = -1;  // when slice.warm was learned; -1: when it was planned, just now
    };

    void forget_sent();
    Progress send_bytes(int socket, std::size_t until, std::size_t& budget);
    Progress send_slice(int socket, std::size_t& budget, std::int64_t now_ms);
    static bool make_sure_of_warmth(Slice& next, std::int64_t now_ms);
    Progress copy_slice(int socket, Slice& next, std::size_t& budget);

    protocol::Buffer bytes_;
    std::size_t sent_ = 0;  // of bytes_
    std::deque<Slice> slices_;
    std::size_t slice_bytes_ = 0;
};

}  // namespace odr::server
