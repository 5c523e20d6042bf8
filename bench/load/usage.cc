#include "load/usage.h"

#include <fmt/core.h>
#include <time.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace odr::bench {
namespace {

double cpu_s_of(pid_t pid) {
    clockid_t clock{};
    timespec used{};
    if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &used) != 0) return 0;
    return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
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
