#pragma once

#include <cstdint>
#include <string_view>

#include "controller/answer.h"
#include "metadata/image.h"
#include "protocol/generated/list_config_resources_request.h"
#include "protocol/generated/list_config_resources_response.h"

namespace odr::server {

controller::Answer<protocol::ListConfigResourcesResponse> answer_list_config_resources(
    const protocol::ListConfigResourcesRequest& request, const metadata::MetadataImage& image, std::int16_t version,
    std::string_view listener);

}  // namespace odr::server
