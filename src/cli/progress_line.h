#pragma once

#include <fmt/core.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>

#include "storage/log_verifier.h"

namespace odr::cli {

// A line on standard error that tells how far a run is, where somebody looks at it.
class ProgressLine {
public:
    explicit ProgressLine(const storage::VerifyProgress& progress) {
        if (::isatty(STDERR_FILENO) == 0) return;
        thread_ = std::jthread{[this, &progress](const std::stop_token& stop) {
            std::unique_lock guard{mutex_};
            while (!wake_.wait_for(guard, stop, std::chrono::milliseconds{500}, [] { return false; })) {
                if (stop.stop_requested()) break;
                const double total = static_cast<double>(progress.bytes_total);
                const double done = static_cast<double>(progress.bytes_done);
                if (total > 0) fmt::print(stderr, "\r{:5.1f} % of {:.1f} GB ", 100 * done / total, total / 1e9);
                std::fflush(stderr);
            }
            fmt::print(stderr, "\r{:30}\r", "");
        }};
    }

private:
    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::jthread thread_;
};

}  // namespace odr::cli
