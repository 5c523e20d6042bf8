#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "base/types.h"

namespace odr::controller {

// When brokers were last heard of and how far they have read the metadata log. Not in the log: a new controller
// starts with what the registrations say.
//
// Owner:   State. Threads: the controller's.
// Units:   monotonic nanoseconds.
// Kafka:   BrokerHeartbeatManager, BrokerHeartbeatTracker.
class BrokerHeartbeats {
public:
    explicit BrokerHeartbeats(std::int64_t session_timeout_ns) : session_timeout_ns_{session_timeout_ns} {}

    void touch(BrokerId id, std::int64_t now_ns, Offset metadata_offset) {
        Broker& broker = brokers_[id];
        broker.last_contact_ns = now_ns;
        if (metadata_offset > broker.metadata_offset) broker.metadata_offset = metadata_offset;
    }
    // A new incarnation: nothing of the one before counts.
    void restart(BrokerId id, std::int64_t now_ns) { brokers_[id] = Broker{.last_contact_ns = now_ns}; }
    void forget(BrokerId id) { brokers_.erase(id); }

    bool has_valid_session(BrokerId id, std::int64_t now_ns) const {
        const auto found = brokers_.find(id);
        return found != brokers_.end() && now_ns - found->second.last_contact_ns < session_timeout_ns_;
    }
    // When the session ends unless the broker is heard of again; nullopt: there is none.
    std::optional<std::int64_t> deadline_ns(BrokerId id) const {
        const auto found = brokers_.find(id);
        if (found == brokers_.end()) return std::nullopt;
        return found->second.last_contact_ns + session_timeout_ns_;
    }

    // The offset of the last record that took leaderships from a broker that shuts down.
    void begin_controlled_shutdown(BrokerId id, Offset offset) { brokers_[id].controlled_shutdown_offset = offset; }
    std::optional<Offset> controlled_shutdown_offset(BrokerId id) const {
        const auto found = brokers_.find(id);
        return found == brokers_.end() ? std::nullopt : found->second.controlled_shutdown_offset;
    }
    Offset metadata_offset(BrokerId id) const {
        const auto found = brokers_.find(id);
        return found == brokers_.end() ? kNoOffset : found->second.metadata_offset;
    }

private:
    struct Broker {
        std::int64_t last_contact_ns = 0;
        Offset metadata_offset = kNoOffset;
        std::optional<Offset> controlled_shutdown_offset = {};
    };
    std::int64_t session_timeout_ns_;
    std::map<BrokerId, Broker> brokers_;
};

}  // namespace odr::controller
