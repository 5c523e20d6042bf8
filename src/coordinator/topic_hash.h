#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "metadata/image.h"

// What a group's assignment depends on of its topics, as one number: XXH3 (64 bits) over ids, names, partition counts
// and racks. It stands in ConsumerGroupMetadataValue, so it is the same number that Apache Kafka 4.1 and later compute.
//
// Kafka: Utils.computeTopicHash, Utils.computeGroupHash.
namespace odr::coordinator {

std::int64_t topic_hash(const metadata::TopicImage& topic, const metadata::ClusterImage& cluster);
// `hashes` by topic name; 0 for none.
std::int64_t group_metadata_hash(const std::map<std::string_view, std::int64_t>& hashes);

}  // namespace odr::coordinator
