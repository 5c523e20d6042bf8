// floor-produce DIR: recv, CRC, write. What storing a batch costs at least.
#include <fmt/core.h>

#include "floor/produce_server.h"

int main(int argc, char** argv) {
    const auto done = odr::bench::serve_floor_produce({.data_dir = argc > 1 ? argv[1] : ".", .checks_crc = true});
    fmt::print(stderr, "floor-produce: {}\n", done.error().what);
    return 1;
}
