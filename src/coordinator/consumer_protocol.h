#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "coordinator/consumer_group_assignment.h"
#include "metadata/image.h"

// What consumers put into the opaque bytes of the classic protocol: an int16 version, then the body. A body may go on
// beyond what its version is known to have, and versions beyond the last are read like the last.
//
// Kafka: ConsumerProtocol.
namespace odr::coordinator {

struct ClassicSubscription {
    std::int16_t version = 0;
    std::vector<std::string> topics;
    std::optional<std::string> rack_id{};
    TopicAssignment owned{};  // topics that exist
};
// Errors: invalid_record.
Result<ClassicSubscription> read_subscription(ByteView metadata, const metadata::TopicsImage& topics);

struct ClassicAssignment {
    TopicAssignment partitions;  // of topics that exist
    bool has_user_data = false;  // a custom assignor's
};
// Empty bytes are an empty assignment. Errors: invalid_record.
Result<ClassicAssignment> read_assignment(ByteView assignment, const metadata::TopicsImage& topics);
// Topics that do not exist any more are left out.
std::vector<std::uint8_t> write_assignment(const TopicAssignment& partitions, std::int16_t version,
                                           const metadata::TopicsImage& topics);
TopicAssignment without_epochs(const HeldAssignment& held);

}  // namespace odr::coordinator
