#pragma once

#include "protocol/generated/describe_quorum_request.h"
#include "protocol/generated/describe_quorum_response.h"
#include "raft/metadata_log.h"

namespace odr::server {

// Points into the request and `quorum`.
protocol::DescribeQuorumResponse answer_describe_quorum(const protocol::DescribeQuorumRequest& request,
                                                        const raft::QuorumInfo& quorum, BrokerId self);

}  // namespace odr::server
