#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "metadata/image.h"
#include "protocol/generated/find_coordinator_request.h"
#include "protocol/generated/find_coordinator_response.h"

namespace odr::server {

struct FindCoordinatorQuery {
    const metadata::MetadataImage& image;
    std::int16_t version;
    std::string_view listener;  // that the request came on: its endpoints are named
};

struct FindCoordinatorAnswer {
    protocol::FindCoordinatorResponse response;  // points at the request and the image
    std::vector<std::string_view> to_create;     // topics that are to be made; the client asks again
};

FindCoordinatorAnswer answer_find_coordinator(const protocol::FindCoordinatorRequest& request,
                                              const FindCoordinatorQuery& query);

}  // namespace odr::server
