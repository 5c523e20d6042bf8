#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace odr::console {

// What the kernel says of this process.
struct ProcessFigures {
    double cpu_seconds = 0;
    double start_seconds = 0;  // since 1970
    std::uint64_t resident_bytes = 0;
    std::uint64_t virtual_bytes = 0;
    std::uint64_t open_fds = 0;
    std::uint64_t max_fds = 0;  // the soft limit
};

struct ProcUnits {
    std::int64_t ticks_per_second = 100;
    std::int64_t page_bytes = 4096;
};

// From the texts of /proc/self/stat and /proc/stat; descriptors are left 0. nullopt: they are not that.
std::optional<ProcessFigures> parse_process_figures(std::string_view self_stat, std::string_view stat, ProcUnits units);

// Of this process. nullopt where there is no /proc.
std::optional<ProcessFigures> read_process_figures();

}  // namespace odr::console
