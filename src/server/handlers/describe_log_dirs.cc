// DescribeLogDirs (key 35), versions 1-5.
// Way:   sizes, on the blocking pool -> response.
// Kafka: KafkaApis.handleDescribeLogDirsRequest, ReplicaManager.describeLogDirs
#include "server/handlers/describe_log_dirs.h"

#include <algorithm>
#include <map>
#include <set>

#include "server/dynamic_config.h"
#include "server/handlers/forward.h"

namespace odr::server {
namespace {

using protocol::DescribeLogDirsRequest;
using protocol::DescribeLogDirsResponse;
using Partition = DescribeLogDirsResponse::DescribeLogDirsPartition;

class Selection {
public:
    explicit Selection(const DescribeLogDirsRequest& request) : is_all_{!request.topics} {
        if (is_all_) return;
        for (const auto& topic : *request.topics) {
            partitions_[topic.topic].insert(topic.partitions.begin(), topic.partitions.end());
        }
    }
    bool contains(const storage::TopicPartition& wanted) const {
        if (is_all_) return true;
        const auto topic = partitions_.find(wanted.topic);
        return topic != partitions_.end() && topic->second.contains(wanted.partition.raw());
    }

private:
    const bool is_all_;
    std::map<std::string_view, std::set<std::int32_t>> partitions_;
};

LogDirContents::Log contents_of(const storage::Log& log) {
    return {.topic_partition = log.topic_partition(), .size_bytes = static_cast<std::int64_t>(log.size_in_bytes())};
}

constexpr std::int64_t kUnknownLag = -1;

// Whether cordoned.log.dirs (KIP-1066) keeps new replicas out of the directory. "*" is all of them.
bool is_cordoned(const std::vector<std::string>& cordoned, const std::string& path) {
    return std::ranges::any_of(cordoned, [&](const std::string& entry) { return entry == "*" || entry == path; });
}

std::vector<LogDirContents> contents_of(const storage::LogManager& logs, const std::vector<std::string>& cordoned) {
    std::vector<LogDirContents> out;
    for (storage::LogDirInfo& dir : logs.log_dirs()) {
        LogDirContents contents{.dir = std::move(dir), .logs = {}};
        contents.is_cordoned = is_cordoned(cordoned, contents.dir.path);
        if (!contents.dir.offline) {
            for (const std::shared_ptr<storage::Log>& log : logs.logs_in(contents.dir.path)) {
                contents.logs.push_back(contents_of(*log));
            }
            for (const std::shared_ptr<storage::Log>& future : logs.futures_in(contents.dir.path)) {
                LogDirContents::Log& log = contents.logs.emplace_back(contents_of(*future));
                const auto current = logs.get(future->topic_partition());
                log.is_future = true;
                log.offset_lag =
                    current == nullptr ? kUnknownLag : current->log_end_offset() - future->log_end_offset();
            }
        }
        out.push_back(std::move(contents));
    }
    return out;
}

std::vector<std::string> cordoned_dirs(const RequestContext& context) {
    const auto config = context.services().dynamic_config->current();
    if (!context.image().features().metadata_version.is_cordoned_log_dirs_supported()) return {};
    return config->get_list("cordoned.log.dirs");
}

}  // namespace

DescribeLogDirsResponse answer_describe_log_dirs(const DescribeLogDirsRequest& request,
                                                 std::span<const LogDirContents> dirs) {
    const Selection selection{request};
    DescribeLogDirsResponse response;
    for (const LogDirContents& contents : dirs) {
        auto& result = response.results.emplace_back();
        result.log_dir = contents.dir.path;
        if (contents.dir.offline) {
            result.error_code = code_of(ErrorCode::kafka_storage_error);
            continue;
        }
        result.total_bytes = static_cast<std::int64_t>(contents.dir.total_bytes);
        result.usable_bytes = static_cast<std::int64_t>(contents.dir.usable_bytes);
        result.is_cordoned = contents.is_cordoned;
        std::map<std::string_view, std::vector<Partition>> topics;
        for (const LogDirContents::Log& log : contents.logs) {
            if (!selection.contains(log.topic_partition)) continue;
            topics[log.topic_partition.topic].push_back({.partition_index = log.topic_partition.partition.raw(),
                                                         .partition_size = log.size_bytes,
                                                         .offset_lag = log.offset_lag,
                                                         .is_future_key = log.is_future});
        }
        for (auto& [topic, partitions] : topics) {
            result.topics.push_back({.name = topic, .partitions = std::move(partitions)});
        }
    }
    return response;
}

io::Task<void> serve_describe_log_dirs(RequestContext& context) {
    Result<DescribeLogDirsRequest> request =
        protocol::decode_message<DescribeLogDirsRequest>(context.body(), context.version());
    if (!request) {
        context.close_connection(request.error().what);
        co_return;
    }
    const storage::LogManager* const logs = context.services().logs;
    const std::vector<std::string> cordoned = cordoned_dirs(context);
    const std::vector<LogDirContents> dirs =
        co_await context.services().pool->run([&](io::MayBlock) { return contents_of(*logs, cordoned); });
    context.send(answer_describe_log_dirs(*request, dirs));
}

}  // namespace odr::server
