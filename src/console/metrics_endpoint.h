#pragma once

#include <expected>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/config/broker_config.h"
#include "console/http_listener.h"

namespace odr::server {
class BrokerServer;
}

namespace odr::console {

// GET /metrics on odradek.metrics.listener.
//
// Owner:   whoever starts the process. Threads: one.
class MetricsEndpoint {
public:
    // Binds. Gives: null where no listener is configured.
    // Errors: one line for the operator, with key and value.
    static std::expected<std::unique_ptr<MetricsEndpoint>, std::string> open(const config::BrokerConfig& config,
                                                                             const Clock& clock);

    // "http://127.0.0.1:9404/metrics", the port in use.
    std::string url() const;
    // Needs: a broker that has started, and that outlives stop().
    void serve(const server::BrokerServer& broker, std::string version);
    void stop() { listener_->stop(); }

private:
    explicit MetricsEndpoint(std::unique_ptr<HttpListener> listener) : listener_{std::move(listener)} {}
    std::unique_ptr<HttpListener> listener_;
};

}  // namespace odr::console
