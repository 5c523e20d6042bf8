#include "coordinator/consumer_protocol.h"

#include <algorithm>

#include "protocol/buffer.h"
#include "protocol/generated/consumer_protocol_assignment.h"
#include "protocol/generated/consumer_protocol_subscription.h"
#include "protocol/reader.h"
#include "protocol/writer.h"

namespace odr::coordinator {
namespace {

using protocol::ConsumerProtocolAssignment;
using protocol::ConsumerProtocolSubscription;

template <class Message>
struct Versioned {
    std::int16_t version = 0;
    Message message{};
};

template <class Message>
Result<Versioned<Message>> read_versioned(ByteView bytes) {
    if (bytes.size() < 2) return fail(ErrorCode::invalid_record, "consumer protocol: cut short");
    Versioned<Message> read;
    const auto said = load_be<std::int16_t>(bytes.data());
    if (said < Message::kMinVersion) return fail(ErrorCode::invalid_record, "consumer protocol: negative version");
    read.version = std::min(said, Message::kMaxVersion);
    protocol::Reader in{bytes.subspan(2)};
    ODR_CHECK(decode(in, read.version, read.message));
    return read;
}

template <class Entries>
TopicAssignment by_id(const Entries& entries, const metadata::TopicsImage& topics) {
    TopicAssignment assignment;
    for (const auto& entry : entries) {
        const metadata::TopicImage* topic = topics.find(entry.topic);
        if (topic == nullptr || entry.partitions.empty()) continue;
        std::vector<std::int32_t>& partitions = assignment[topic->id];
        partitions.insert(partitions.end(), entry.partitions.begin(), entry.partitions.end());
        std::ranges::sort(partitions);
        const auto repeated = std::ranges::unique(partitions);
        partitions.erase(repeated.begin(), repeated.end());
    }
    return assignment;
}

}  // namespace

Result<ClassicSubscription> read_subscription(ByteView metadata, const metadata::TopicsImage& topics) {
    ODR_TRY(read, read_versioned<ConsumerProtocolSubscription>(metadata));
    ClassicSubscription subscription{.version = read.version, .topics = {}};
    for (const std::string_view topic : read.message.topics) subscription.topics.emplace_back(topic);
    if (read.message.rack_id && !read.message.rack_id->empty()) subscription.rack_id = *read.message.rack_id;
    subscription.owned = by_id(read.message.owned_partitions, topics);
    return subscription;
}

Result<ClassicAssignment> read_assignment(ByteView assignment, const metadata::TopicsImage& topics) {
    if (assignment.empty()) return ClassicAssignment{};
    ODR_TRY(read, read_versioned<ConsumerProtocolAssignment>(assignment));
    return ClassicAssignment{.partitions = by_id(read.message.assigned_partitions, topics),
                             .has_user_data = read.message.user_data && !read.message.user_data->empty()};
}

std::vector<std::uint8_t> write_assignment(const TopicAssignment& partitions, std::int16_t version,
                                           const metadata::TopicsImage& topics) {
    ConsumerProtocolAssignment assignment;
    for (const auto& [id, indexes] : partitions) {
        if (const metadata::TopicImage* topic = topics.find(id)) {
            assignment.assigned_partitions.push_back({.topic = topic->name, .partitions = indexes});
        }
    }
    protocol::Buffer buffer;
    protocol::Writer out{buffer};
    out.fixed(version);
    encode(out, version, assignment);
    const ByteView bytes = buffer.view();
    return {bytes.begin(), bytes.end()};
}

TopicAssignment without_epochs(const HeldAssignment& held) {
    TopicAssignment assignment;
    for (const auto& [topic, partitions] : held) {
        std::vector<std::int32_t>& indexes = assignment[topic];
        for (const HeldPartition& partition : partitions) indexes.push_back(partition.partition);
    }
    return assignment;
}

}  // namespace odr::coordinator
