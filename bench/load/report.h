#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error_code.h"
#include "load/histogram.h"
#include "load/usage.h"

namespace odr::bench {

// What a command measured: names with their unit as suffix, in the order in which they were set.
class Report {
public:
    void set(std::string_view name, double value) { values_.emplace_back(name, value); }
    // Sets PREFIX_p50_us, p90, p99, p999, max and mean.
    void set_latency(std::string_view prefix, const Histogram& histogram);
    // Sets the broker's CPU time between two samples and what it is per request and per GB (10^9 bytes), and its
    // memory.
    void set_usage(const Usage& before, const Usage& after, std::uint64_t requests, std::uint64_t bytes);
    void count_error(ErrorCode code, std::uint64_t times = 1) { errors_[code] += times; }
    bool has_errors() const { return !errors_.empty(); }

    std::string text() const;
    std::string json() const;

private:
    std::vector<std::pair<std::string, double>> values_;
    std::map<ErrorCode, std::uint64_t> errors_;
};

}  // namespace odr::bench
