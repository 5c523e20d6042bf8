#include "server/connection_quotas.h"

#include "base/assert.h"
#include "base/config/broker_config.h"

namespace odr::server {

void ConnectionQuotas::update(Limits limits) {
    std::lock_guard guard{mutex_};
    limits_ = std::move(limits);
}

bool ConnectionQuotas::has_room_locked(const std::string& listener) const {
    if (total_ >= limits_.connections_max) return false;
    const auto limit = limits_.per_listener.find(listener);
    if (limit == limits_.per_listener.end()) return true;
    const auto count = by_listener_.find(listener);
    return count == by_listener_.end() || count->second < limit->second;
}

bool ConnectionQuotas::has_room(const std::string& listener) const {
    std::lock_guard guard{mutex_};
    return has_room_locked(listener);
}

ConnectionQuotas::Verdict ConnectionQuotas::admit(const std::string& listener, const std::string& ip) {
    std::lock_guard guard{mutex_};
    if (!has_room_locked(listener)) return Verdict::full;
    const auto override_of_ip = limits_.per_ip_overrides.find(ip);
    const std::int64_t ip_max =
        override_of_ip == limits_.per_ip_overrides.end() ? limits_.connections_per_ip_max : override_of_ip->second;
    std::int64_t& of_ip = by_ip_[ip];
    if (of_ip >= ip_max) {
        if (of_ip == 0) by_ip_.erase(ip);
        return Verdict::too_many_from_ip;
    }
    ++of_ip;
    ++total_;
    ++by_listener_[listener];
    return Verdict::accepted;
}

void ConnectionQuotas::release(const std::string& listener, const std::string& ip) {
    std::lock_guard guard{mutex_};
    const auto found = by_ip_.find(ip);
    ODR_ASSERT(found != by_ip_.end() && total_ > 0, "ip={} total={}", ip, total_);
    if (--found->second == 0) by_ip_.erase(found);
    --total_;
    --by_listener_[listener];
}

std::int64_t ConnectionQuotas::count() const {
    std::lock_guard guard{mutex_};
    return total_;
}

ConnectionQuotas::Limits quota_limits(const config::BrokerConfig& config) {
    const config::BrokerLimits limits = config.limits();
    ConnectionQuotas::Limits out;
    out.connections_max = limits.max_connections;
    out.connections_per_ip_max = limits.max_connections_per_ip;
    for (const auto& [ip, count] : limits.max_connections_per_ip_overrides) out.per_ip_overrides.emplace(ip, count);
    for (const config::Listener& each : config.listeners()) {
        const config::Value own = config.listener_value(each.name, "max.connections");
        if (const auto* count = std::get_if<std::int64_t>(&own)) out.per_listener.emplace(each.name, *count);
    }
    return out;
}

}  // namespace odr::server
