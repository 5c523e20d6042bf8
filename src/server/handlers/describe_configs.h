#pragma once

#include <string_view>

#include "base/config/describe.h"
#include "controller/answer.h"
#include "metadata/image.h"
#include "protocol/generated/describe_configs_request.h"
#include "protocol/generated/describe_configs_response.h"

namespace odr::server {

struct ConfigsQuery {
    const metadata::MetadataImage& image;
    const config::BrokerSettings& settings;
    BrokerId self;
    std::string_view log_level;  // of the root logger
};

controller::Answer<protocol::DescribeConfigsResponse> answer_describe_configs(
    const protocol::DescribeConfigsRequest& request, const ConfigsQuery& query);

}  // namespace odr::server
