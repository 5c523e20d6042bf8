#pragma once

#include <vector>

#include "load/payload.h"

namespace odr::bench {

// Produce requests whose first record says when it was due, so that a reader knows how old it is.
//
// Owner:   whoever sends them. Threads: one.
class StampedRequests {
public:
    // Requests of one shape for one partition; `in_flight_max` of them may be under way at one time.
    static Result<StampedRequests> make(const TopicTarget& topic, std::int32_t partition, std::int16_t acks,
                                        const BatchSpec& spec, std::size_t in_flight_max);

    // Good until in_flight_max more are taken.
    const PreparedProduce& next(std::int64_t due_ns);

    // What a batch as it was read says. Errors: invalid_record where it is not one of ours.
    static Result<std::int64_t> stamp_of(ByteView first_value);

private:
    StampedRequests() = default;
    std::vector<PreparedProduce> ring_;  // a request must stay as it is until it is sent
    std::size_t next_ = 0;
    std::size_t stamp_at_ = 0;  // in the batch
};

}  // namespace odr::bench
