#pragma once

#include "controller/answer.h"
#include "metadata/image.h"
#include "protocol/generated/describe_user_scram_credentials_request.h"
#include "protocol/generated/describe_user_scram_credentials_response.h"

namespace odr::server {

controller::Answer<protocol::DescribeUserScramCredentialsResponse> answer_describe_user_scram_credentials(
    const protocol::DescribeUserScramCredentialsRequest& request, const metadata::ScramImage& scram);

}  // namespace odr::server
