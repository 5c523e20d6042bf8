#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "base/config/log_config.h"

namespace odr::storage {

// The configuration of one log, as every append asks for it: one load, no reference counted. What was ever in force
// lives as long as the log, so nobody holds what is gone; settings that come back are kept once.
//
// Threads: load() from any; store() under the log's state lock.
class ConfigCell {
public:
    ConfigCell& operator=(std::shared_ptr<const config::LogConfig> config) {
        store(std::move(config));
        return *this;
    }
    const config::LogConfig* load() const { return now_.load(std::memory_order_acquire); }
    void store(std::shared_ptr<const config::LogConfig> config) {
        auto known = std::ranges::find_if(all_, [&](const auto& each) { return *each == *config; });
        if (known == all_.end()) known = all_.insert(all_.end(), std::move(config));
        now_.store(known->get(), std::memory_order_release);
    }
    std::size_t kept() const { return all_.size(); }

private:
    std::atomic<const config::LogConfig*> now_{nullptr};
    std::vector<std::shared_ptr<const config::LogConfig>> all_;
};

}  // namespace odr::storage
