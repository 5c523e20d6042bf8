#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "io/blocking_pool.h"

namespace odr::config {
class BrokerConfig;
}
namespace odr::metadata {
class ImageHolder;
}
namespace odr::replication {
class ReplicaManager;
}
namespace odr::coordinator {
class GroupCoordinator;
}
namespace odr::controller {
class Controller;
}
namespace odr::raft {
class MetadataLog;
}
namespace odr::storage {
class LogCleaner;
class LogManager;
}  // namespace odr::storage

namespace odr::server {

class ConnectionQuotas;
class DynamicConfig;
class FetchSessionCache;
class LogDirectories;
class ProducerIdManager;
class RequestMemory;

// What requests are served with. One for the process; everything lives longer than the connections.
struct Services {
    const Clock* clock = nullptr;
    Random* random = nullptr;
    io::BlockingPool* pool = nullptr;
    const config::BrokerConfig* config = nullptr;  // as at start; DynamicConfig has what changed since
    DynamicConfig* dynamic_config = nullptr;
    metadata::ImageHolder* images = nullptr;
    replication::ReplicaManager* replicas = nullptr;
    storage::LogManager* logs = nullptr;
    storage::LogCleaner* log_cleaner = nullptr;
    LogDirectories* log_directories = nullptr;
    raft::MetadataLog* metadata_log = nullptr;
    controller::Controller* controller = nullptr;
    coordinator::GroupCoordinator* groups = nullptr;
    FetchSessionCache* fetch_sessions = nullptr;
    ProducerIdManager* producer_ids = nullptr;
    ConnectionQuotas* connection_quotas = nullptr;
    RequestMemory* request_memory = nullptr;
    std::int32_t fetch_bytes_max = 57'671'680;  // fetch.max.bytes
};

}  // namespace odr::server
