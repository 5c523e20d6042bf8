#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>

namespace odr::config {
class BrokerConfig;
}

namespace odr::server {

// Counts connections against max.connections (of the broker and of each listener) and max.connections.per.ip.
//
// Threads: any.
// Kafka:   ConnectionQuotas.
class ConnectionQuotas {
public:
    struct Limits {
        std::int64_t connections_max = INT64_MAX;
        std::int64_t connections_per_ip_max = INT64_MAX;
        std::map<std::string, std::int64_t> per_ip_overrides;           // by address or host name as configured
        std::map<std::string, std::int64_t, std::less<>> per_listener;  // listener.name.<name>.max.connections
    };
    enum class Verdict { accepted, too_many_from_ip, full };

    explicit ConnectionQuotas(Limits limits) : limits_{std::move(limits)} {}
    void update(Limits limits);

    // Whether another connection on this listener may be taken at all; asked before accept(), so that the others wait
    // in the kernel's queue.
    bool has_room(const std::string& listener) const;
    Verdict admit(const std::string& listener, const std::string& ip);
    void release(const std::string& listener, const std::string& ip);
    std::int64_t count() const;

private:
    bool has_room_locked(const std::string& listener) const;

    mutable std::mutex mutex_;
    Limits limits_;                                              // under mutex_
    std::int64_t total_ = 0;                                     // under mutex_
    std::unordered_map<std::string, std::int64_t> by_ip_;        // under mutex_
    std::unordered_map<std::string, std::int64_t> by_listener_;  // under mutex_
};

// What the configuration in force says.
ConnectionQuotas::Limits quota_limits(const config::BrokerConfig& config);

}  // namespace odr::server
