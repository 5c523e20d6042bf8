// floor-echo DIR [--gather]: epoll, recv, a write for each batch (or one for all that a recv brought), a prepared
// answer. What a small request costs at least.
#include <fmt/core.h>

#include <string_view>

#include "floor/produce_server.h"

int main(int argc, char** argv) {
    const bool gathers = argc > 2 && std::string_view{argv[2]} == "--gather";
    const auto done = odr::bench::serve_floor_produce({.data_dir = argc > 1 ? argv[1] : ".", .writes_each = !gathers});
    fmt::print(stderr, "floor-echo: {}\n", done.error().what);
    return 1;
}
