#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace odr::bench {

// The least a broker can do for Produce requests: epoll, recv, maybe a CRC, a write of the batch to a file, a send of
// prepared answers. No decoding beyond the first request, no validation, no offsets: what it costs, every broker pays.
struct FloorProduce {
    std::string data_dir = ".";
    bool checks_crc = false;
    bool writes_each = true;  // one write for each batch; otherwise one for all that one recv brought
    bool syncs = false;       // one fdatasync for all that one epoll_wait brought, then the answers
    std::int64_t file_bytes_max = std::int64_t{32} << 30;  // then it writes over the beginning: not so soon, for pages new to the page cache cost more
};

// Serves on a free port of the loopback, which it prints as "port N", until it is killed.
Result<void> serve_floor_produce(const FloorProduce& options);

}  // namespace odr::bench
