#pragma once

#include <cstdint>
#include <optional>

#include "controller/operation.h"

namespace odr::controller {

// The broker leaves ISRs and leaderships, then is fenced. Kafka: handleBrokerFenced.
void fence_broker(const State& state, const metadata::BrokerRegistration& broker, metadata::RecordList& records);

// When the first session of an unfenced broker ends, monotonic; the embedded broker has none that could end.
std::optional<std::int64_t> next_session_end_ns(const State& state);
// Fences one broker whose session has ended, if there is one: the next one is to see what this did.
void fence_one_stale_broker(State& state, metadata::RecordList& records);

}  // namespace odr::controller
