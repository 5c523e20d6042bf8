#include "load/usage.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace odr::bench {
namespace {

double cpu_s_of(pid_t pid) {
    std::ifstream file{fmt::format("/proc/{}/stat", pid)};
    std::string text{std::istreambuf_iterator<char>{file}, {}};
    // The command's name stands in parentheses and may hold anything; fields are counted behind it.
    const std::size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) return 0;
    std::istringstream fields{text.substr(name_end + 1)};
    std::string skipped;
    for (int field = 3; field < 14; ++field) fields >> skipped;
    std::uint64_t user_ticks = 0, system_ticks = 0;
    fields >> user_ticks >> system_ticks;
    return static_cast<double>(user_ticks + system_ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace

Usage usage_of(pid_t pid) {
    Usage usage;
    if (pid <= 0) return usage;
    usage.cpu_s = cpu_s_of(pid);
    std::ifstream status{fmt::format("/proc/{}/status", pid)};
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmRSS:")) usage.rss_bytes = std::atoll(line.c_str() + 6) * 1024;
        if (line.starts_with("RssAnon:")) usage.anon_bytes = std::atoll(line.c_str() + 8) * 1024;
    }
    return usage;
}

}  // namespace odr::bench
