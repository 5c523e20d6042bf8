#pragma once

#include <cstdint>
#include <string_view>

#include "metadata/image.h"
#include "protocol/generated/describe_topic_partitions_request.h"
#include "protocol/generated/describe_topic_partitions_response.h"

namespace odr::server {

// One page: topics by name from the cursor on, as many partitions as the request and `partitions_max` allow. Points
// into request and image.
protocol::DescribeTopicPartitionsResponse answer_describe_topic_partitions(
    const protocol::DescribeTopicPartitionsRequest& request, const metadata::MetadataImage& image,
    std::string_view listener, std::int32_t partitions_max);

}  // namespace odr::server
