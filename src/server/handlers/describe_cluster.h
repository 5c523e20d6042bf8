#pragma once

#include <cstdint>
#include <string_view>

#include "metadata/image.h"
#include "protocol/generated/describe_cluster_request.h"
#include "protocol/generated/describe_cluster_response.h"

namespace odr::server {

enum class EndpointType : std::int8_t { broker = 1, controller = 2 };

struct ClusterQuery {
    const metadata::MetadataImage& image;
    std::int16_t version;
    EndpointType endpoint_type;  // of the listener that the client came in on
    std::string_view listener;
    std::string_view cluster_id;
    std::int32_t controller_id;  // to name; -1: none
};

// Points into the image and the query.
protocol::DescribeClusterResponse answer_describe_cluster(const protocol::DescribeClusterRequest& request,
                                                          const ClusterQuery& query);

}  // namespace odr::server
