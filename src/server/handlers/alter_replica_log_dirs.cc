// AlterReplicaLogDirs (key 34), versions 1-2.
// Way:   a future log in the wished directory, on the blocking pool -> response; the move itself follows in the
//        background (storage/log_mover.h).
// Kafka: KafkaApis.handleAlterReplicaLogDirsRequest, ReplicaManager.alterReplicaLogDirs (KIP-113)
#include <map>

#include "protocol/generated/alter_replica_log_dirs_request.h"
#include "protocol/generated/alter_replica_log_dirs_response.h"
#include "server/handlers/serve.h"
#include "server/log_directories.h"

namespace odr::server {
namespace {

using protocol::AlterReplicaLogDirsRequest;
using protocol::AlterReplicaLogDirsResponse;

ErrorCode alter_one(io::MayBlock may_block, const Services& services, const storage::TopicPartition& partition,
                    const std::string& path) {
    const auto done = services.log_directories->alter(may_block, partition, path);
    return done ? ErrorCode::none : done.error().code;
}

std::string without_trailing_slash(std::string_view path) {
    while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
    return std::string{path};
}

AlterReplicaLogDirsResponse alter_all(io::MayBlock may_block, const Services& services,
                                      const AlterReplicaLogDirsRequest& request) {
    // A partition that stands in several places of the request is answered once, as in Kafka.
    std::map<std::string_view, std::map<std::int32_t, ErrorCode>> topics;
    for (const auto& dir : request.dirs) {
        const std::string path = without_trailing_slash(dir.path);
        for (const auto& topic : dir.topics) {
            for (const std::int32_t partition : topic.partitions) {
                topics[topic.name][partition] =
                    alter_one(may_block, services, {std::string{topic.name}, PartitionIndex{partition}}, path);
            }
        }
    }
    AlterReplicaLogDirsResponse response;
    for (const auto& [name, partitions] : topics) {
        auto& topic = response.results.emplace_back();
        topic.topic_name = name;
        for (const auto& [index, code] : partitions) {
            topic.partitions.push_back({.partition_index = index, .error_code = static_cast<std::int16_t>(code)});
        }
    }
    return response;
}

io::Task<AlterReplicaLogDirsResponse> handle_alter_replica_log_dirs(RequestContext& context,
                                                                    AlterReplicaLogDirsRequest request) {
    const Services& services = context.services();
    AlterReplicaLogDirsResponse response =
        co_await services.pool->run([&](io::MayBlock may_block) { return alter_all(may_block, services, request); });
    co_return response;
}

}  // namespace

io::Task<void> serve_alter_replica_log_dirs(RequestContext& context) {
    return serve<&handle_alter_replica_log_dirs>(context);
}

}  // namespace odr::server
