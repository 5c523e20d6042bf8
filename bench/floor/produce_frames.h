#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "floor/produce_server.h"

namespace odr::bench {

// What every floor server does with the frames of Produce requests: finds the batch, checks it maybe, writes it, and
// copies a prepared answer.
class ProduceFrames {
public:
    ProduceFrames(const FloorProduce& options, int file);

    // Takes one frame from the front of `bytes`; its answer goes behind `answers`. Gives: its size, 0 when it is not
    // whole yet. What was taken must stay until write_pieces().
    std::size_t take(ByteView bytes, std::vector<std::uint8_t>& answers);
    void write_pieces();

private:
    // Where the batch stands in frames of one size: a load sends all requests alike.
    struct Shape {
        std::size_t batch_at = 0;
        std::size_t batch_bytes = 0;
    };
    const Shape& shape_of(ByteView frame);
    void make_answer();

    const FloorProduce& options_;
    const int file_;
    std::unordered_map<std::size_t, Shape> shapes_;
    std::vector<std::uint8_t> answer_;
    std::vector<iovec> pieces_;
    off_t position_ = 0;
};

}  // namespace odr::bench
