#pragma once

#include <fmt/core.h>

#include <string_view>

// What the process says to its operator: one line an event, on standard error or a file.
// log::info("opened {} partitions in {} ms", n, ms)
// Threads: any. Never on a hot path.
namespace odr::log {

enum class Level { debug, info, warn, error };

void write(Level level, std::string_view line);
void set_level(Level level);
bool enabled(Level level);

template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(Level::debug)) write(Level::debug, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(Level::info)) write(Level::info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(Level::warn)) write(Level::warn, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
    write(Level::error, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace odr::log
