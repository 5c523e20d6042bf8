#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "protocol/generated/describe_log_dirs_request.h"
#include "protocol/generated/describe_log_dirs_response.h"
#include "storage/log_manager.h"

namespace odr::server {

// A log directory and what is in it.
struct LogDirContents {
    struct Log {
        storage::TopicPartition topic_partition;
        std::int64_t size_bytes;
        std::int64_t offset_lag = 0;  // of a future log, behind the current one
        bool is_future = false;
    };
    storage::LogDirInfo dir;
    bool is_cordoned = false;
    std::vector<Log> logs;
};

// Points into `dirs`.
protocol::DescribeLogDirsResponse answer_describe_log_dirs(const protocol::DescribeLogDirsRequest& request,
                                                           std::span<const LogDirContents> dirs);

}  // namespace odr::server
