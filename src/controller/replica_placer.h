#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "controller/operation.h"

namespace odr::controller {

// Spreads the replicas of a topic's new partitions over racks and brokers, in stripes: partition after partition the
// first replica moves to the next rack, and within a rack to the next broker. Fenced brokers get replicas only after
// the others, and never the first. Brokers that shut down, or whose directories are all cordoned, get none.
//
// Gives:  replicas of each partition, the preferred leader first.
// Errors: why not, for a message with INVALID_REPLICATION_FACTOR.
// Kafka:  StripedReplicaPlacer.
std::expected<std::vector<std::vector<std::int32_t>>, std::string> place_replicas(State& state, std::int32_t partitions,
                                                                                  std::int32_t replication_factor);

}  // namespace odr::controller
