#include "load/report.h"

#include <fmt/core.h>

namespace odr::bench {

void Report::set_latency(std::string_view prefix, const Histogram& histogram) {
    constexpr struct {
        std::string_view name;
        double quantile;
    } kQuantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};
    for (const auto& [name, quantile] : kQuantiles) {
        set(fmt::format("{}_{}_us", prefix, name), static_cast<double>(histogram.at(quantile)) / 1e3);
    }
    set(fmt::format("{}_max_us", prefix), static_cast<double>(histogram.max()) / 1e3);
    set(fmt::format("{}_mean_us", prefix), histogram.mean() / 1e3);
}

void Report::set_usage(const Usage& before, const Usage& after, std::uint64_t requests, std::uint64_t bytes) {
    if (after.rss_bytes == 0) return;  // nobody was watched
    const double cpu_s = after.cpu_s - before.cpu_s;
    set("broker_cpu_s", cpu_s);
    if (requests > 0) set("broker_cpu_us_per_request", cpu_s * 1e6 / static_cast<double>(requests));
    if (bytes > 0) set("broker_cpu_s_per_gb", cpu_s * 1e9 / static_cast<double>(bytes));
    set("broker_rss_before_mb", static_cast<double>(before.rss_bytes) / 1e6);
    set("broker_rss_mb", static_cast<double>(after.rss_bytes) / 1e6);
    set("broker_anon_mb", static_cast<double>(after.anon_bytes) / 1e6);
}

std::string Report::text() const {
    std::string out;
    for (const auto& [name, value] : values_) out += fmt::format("{:<28} {:>16.3f}\n", name, value);
    for (const auto& [code, times] : errors_) out += fmt::format("error {:<22} {:>16}\n", to_string(code), times);
    return out;
}

std::string Report::json() const {
    std::string out = "{";
    for (const auto& [name, value] : values_) out += fmt::format("\"{}\": {:.6g}, ", name, value);
    out += "\"errors\": {";
    bool is_first = true;
    for (const auto& [code, times] : errors_) {
        out += fmt::format("{}\"{}\": {}", is_first ? "" : ", ", to_string(code), times);
        is_first = false;
    }
    return out + "}}\n";
}

}  // namespace odr::bench
