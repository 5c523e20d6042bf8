// floor-sync DIR: recv, CRC, write, one fdatasync for all that came meanwhile, answers. What a durable produce costs at
// least, and how many the disk allows.
#include <fmt/core.h>

#include "floor/produce_server.h"

int main(int argc, char** argv) {
    const auto done =
        odr::bench::serve_floor_produce({.data_dir = argc > 1 ? argv[1] : ".", .checks_crc = true, .syncs = true});
    fmt::print(stderr, "floor-sync: {}\n", done.error().what);
    return 1;
}
