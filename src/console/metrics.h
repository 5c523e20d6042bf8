#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "console/process_figures.h"
#include "storage/log_cleaner.h"
#include "storage/log_manager.h"
#include "storage/scrub_state.h"

namespace odr::console {

// What the broker counts, at one moment.
struct BrokerFigures {
    struct Scrub {
        std::string log_dir;
        storage::ScrubState state;
    };
    struct LogDir {
        storage::LogDirInfo info;
        std::uint64_t logs = 0;
        std::uint64_t logs_bytes = 0;
    };
    std::string version;
    std::vector<Scrub> scrubs;  // none while the scrub is off
    std::vector<LogDir> log_dirs;
    storage::LogCleanerFigures cleaner;
    std::size_t partitions = 0;
    std::int64_t connections = 0;
    std::optional<ProcessFigures> process;
};

inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

// The figures as Prometheus reads them. A name is the one under which the JMX exporter shows Kafka's metric of the same
// meaning, if there is one, and begins with odradek_ otherwise (docs/operations.md lists them).
// Format: Prometheus text format 0.0.4. What is no UTF-8 in a label stands there as question marks.
std::string metrics_text(const BrokerFigures& figures);

}  // namespace odr::console
