#include "server/connection_quotas.h"

#include "base/assert.h"

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

}  // namespace odr::server
