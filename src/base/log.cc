#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace odr::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) {
    switch (level) {
        case Level::debug:
            return spdlog::level::debug;
        case Level::info:
            return spdlog::level::info;
        case Level::warn:
            return spdlog::level::warn;
        case Level::error:
            return spdlog::level::err;
    }
    return spdlog::level::err;
}

spdlog::logger& logger() {
    static const std::shared_ptr<spdlog::logger> instance = [] {
        auto made = std::make_shared<spdlog::logger>("odradek", std::make_shared<spdlog::sinks::stderr_sink_mt>());
        made->set_pattern("[%Y-%m-%d %H:%M:%S,%e] %^%l%$ %v");
        return made;
    }();
    return *instance;
}

}  // namespace

void write(Level level, std::string_view line) { logger().log(to_spdlog(level), "{}", line); }
void set_level(Level level) { logger().set_level(to_spdlog(level)); }
bool enabled(Level level) { return logger().should_log(to_spdlog(level)); }

}  // namespace odr::log
