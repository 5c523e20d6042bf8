#pragma once

#include "controller/answer.h"
#include "metadata/image.h"
#include "protocol/generated/describe_client_quotas_request.h"
#include "protocol/generated/describe_client_quotas_response.h"

namespace odr::server {

controller::Answer<protocol::DescribeClientQuotasResponse> answer_describe_client_quotas(
    const protocol::DescribeClientQuotasRequest& request, const metadata::ClientQuotasImage& quotas);

}  // namespace odr::server
