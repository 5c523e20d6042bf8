#pragma once

#include <cstdint>

#include "protocol/generated/find_coordinator_request.h"
#include "protocol/generated/find_coordinator_response.h"

namespace odr::server {

protocol::FindCoordinatorResponse answer_find_coordinator(const protocol::FindCoordinatorRequest& request,
                                                          std::int16_t version);

}  // namespace odr::server
