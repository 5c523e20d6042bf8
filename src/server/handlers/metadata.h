#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "metadata/image.h"
#include "protocol/generated/metadata_request.h"
#include "protocol/generated/metadata_response.h"

namespace odr::server {

// What an answer to Metadata depends on besides the request.
struct MetadataQuery {
    const metadata::MetadataImage& image;
    std::int16_t version;
    std::string_view listener;  // that the client came in on
    std::string_view cluster_id;
    BrokerId self;
    bool auto_create_topics_enable;
};

// The response points into the request, the image and the query.
struct MetadataAnswer {
    protocol::MetadataResponse response;
    std::vector<std::string_view> to_create;  // topics that the client wants made; answered as unknown for now
    bool names_nobody = false;                // no broker is left in the cluster: this one, which stops, was the last
};

MetadataAnswer answer_metadata(const protocol::MetadataRequest& request, const MetadataQuery& query);

}  // namespace odr::server
