// Metadata (key 3), versions 0-13.
// Way:   image -> response; topics to be made automatically go to the controller, and the client asks again
// Kafka: KafkaApis.handleTopicMetadataRequest, KRaftMetadataCache, DefaultAutoTopicCreationManager
#include "server/handlers/metadata.h"

#include <unordered_set>

#include "base/config/broker_config.h"
#include "server/dynamic_config.h"
#include "server/handlers/auto_topic_creation.h"
#include "server/handlers/cluster_view.h"
#include "server/handlers/forward.h"
#include "server/handlers/partition_lookup.h"
#include "server/handlers/topic_names.h"
#include "storage/log_manager.h"

namespace odr::server {
namespace {

using metadata::PartitionRegistration;
using metadata::TopicImage;
using protocol::MetadataRequest;
using protocol::MetadataResponse;
using Topic = MetadataResponse::MetadataResponseTopic;
using Partition = MetadataResponse::MetadataResponsePartition;

bool wants_all_topics(const MetadataRequest& request, std::int16_t version) {
    return !request.topics || (version == 0 && request.topics->empty());
}

// Topic ids stand in the schema from version 10 on, but a broker takes them from version 12 on only (KIP-516).
bool is_valid(const MetadataRequest& request, std::int16_t version) {
    if (wants_all_topics(request, version)) return true;
    for (const auto& topic : *request.topics) {
        if (version < 12 && (!topic.name || !topic.topic_id.is_zero())) return false;
        if (!topic.name && topic.topic_id.is_zero()) return false;
    }
    return true;
}

MetadataResponse refuse(const MetadataRequest& request, ErrorCode code) {
    MetadataResponse response;
    if (!request.topics) return response;
    for (const auto& topic : *request.topics) {
        response.topics.push_back({.error_code = code_of(code),
                                   .name = topic.name.value_or(std::string_view{}),
                                   .topic_id = topic.topic_id,
                                   .partitions = {}});
    }
    return response;
}

class Answering {
public:
    Answering(const MetadataRequest& request, const MetadataQuery& query) : request_{request}, query_{query} {}

    MetadataAnswer run() {
        if (!is_valid(request_, query_.version)) {
            answer_.response = refuse(request_, ErrorCode::invalid_request);
            return std::move(answer_);
        }
        add_topics();
        add_cluster();
        return std::move(answer_);
    }

private:
    void add_topics() {
        if (wants_all_topics(request_, query_.version)) {
            answer_.response.topics.reserve(query_.image.topics().size());
            query_.image.topics().for_each([this](const TopicImage& topic) { add(topic); });
        } else if (asks_by_id()) {
            add_topics_by_id();
        } else {
            add_topics_by_name();
        }
        if (query_.version < 8 || !request_.include_topic_authorized_operations) return;
        for (Topic& topic : answer_.response.topics) {
            if (topic.name) topic.topic_authorized_operations = kTopicOperations;
        }
    }

    // One id makes it a request by ids: names beside it are not looked at, as in Kafka.
    bool asks_by_id() const {
        for (const auto& topic : *request_.topics) {
            if (!topic.topic_id.is_zero()) return true;
        }
        return false;
    }

    void add_topics_by_id() {
        std::unordered_set<Uuid> seen;
        for (const auto& topic : *request_.topics) {
            if (topic.topic_id.is_zero() || !seen.insert(topic.topic_id).second) continue;
            if (const TopicImage* found = query_.image.topics().find(topic.topic_id)) {
                add(*found);
                continue;
            }
            answer_.response.topics.push_back({.error_code = code_of(ErrorCode::unknown_topic_id),
                                               .name = std::nullopt,
                                               .topic_id = topic.topic_id,
                                               .partitions = {}});
        }
    }

    void add_topics_by_name() {
        std::unordered_set<std::string_view> seen;
        for (const auto& topic : *request_.topics) {
            if (!seen.insert(*topic.name).second) continue;
            if (const TopicImage* found = query_.image.topics().find(*topic.name)) {
                add(*found);
            } else {
                add_missing(*topic.name);
            }
        }
    }

    void add_missing(std::string_view name) {
        const bool is_name_valid = !invalid_topic_name(name);
        const ErrorCode code =
            is_name_valid ? ErrorCode::unknown_topic_or_partition : ErrorCode::invalid_topic_exception;
        answer_.response.topics.push_back(
            {.error_code = code_of(code), .name = name, .is_internal = is_internal_topic(name), .partitions = {}});
        const bool may_create = query_.auto_create_topics_enable && request_.allow_auto_topic_creation;
        if (is_name_valid && may_create) answer_.to_create.push_back(name);
    }

    void add(const TopicImage& topic) {
        Topic out{
            .name = topic.name, .topic_id = topic.id, .is_internal = is_internal_topic(topic.name), .partitions = {}};
        out.partitions.reserve(topic.partitions.size());
        topic.partitions.for_each([&](PartitionIndex index, const PartitionRegistration& partition) {
            out.partitions.push_back(describe(index, partition));
        });
        answer_.response.topics.push_back(std::move(out));
    }

    Partition describe(PartitionIndex index, const PartitionRegistration& partition) const {
        const metadata::ClusterImage& cluster = query_.image.cluster();
        Partition out{.partition_index = index.raw(),
                      .leader_id = partition.leader.raw(),
                      .leader_epoch = partition.leader_epoch.raw(),
                      .replica_nodes = visible(partition.replicas),
                      .isr_nodes = visible(partition.isr),
                      .offline_replicas = offline_replicas(cluster, partition, query_.listener)};
        if (endpoint_of(cluster, partition.leader, query_.listener) == nullptr) {
            out.leader_id = -1;
            // Up to version 5 a leader without the listener was LEADER_NOT_AVAILABLE too.
            const bool is_known = cluster.broker(partition.leader) != nullptr && query_.version >= 6;
            out.error_code = code_of(is_known ? ErrorCode::listener_not_found : ErrorCode::leader_not_available);
        } else if (out.replica_nodes.size() < partition.replicas.size() ||
                   out.isr_nodes.size() < partition.isr.size()) {
            out.error_code = code_of(ErrorCode::replica_not_available);
        }
        return out;
    }

    // Version 0 leaves out brokers that are not there; later ones name them and list them as offline.
    std::vector<std::int32_t> visible(const std::vector<BrokerId>& ids) const {
        if (query_.version > 0) return metadata::raw_ids(ids);
        const metadata::ClusterImage& cluster = query_.image.cluster();
        std::vector<std::int32_t> out;
        for (const BrokerId id : ids) {
            if (cluster.is_active(id) && endpoint_of(cluster, id, query_.listener) != nullptr) out.push_back(id.raw());
        }
        return out;
    }

    void add_cluster() {
        MetadataResponse& response = answer_.response;
        const metadata::ClusterImage& cluster = query_.image.cluster();
        for (const auto& [broker, endpoint] : brokers_on(cluster, query_.listener, false)) {
            response.brokers.push_back(
                {.node_id = broker->id.raw(), .host = endpoint->host, .port = endpoint->port, .rack = broker->rack});
        }
        answer_.names_nobody = response.brokers.empty();
        response.cluster_id = query_.cluster_id;
        response.controller_id = controller_for_clients(cluster, query_.self);
        // DescribeCluster took this over: version 11 has the field no more.
        if (request_.include_cluster_authorized_operations && query_.version >= 8 && query_.version <= 10) {
            response.cluster_authorized_operations = kClusterOperations;
        }
    }

    const MetadataRequest& request_;
    const MetadataQuery& query_;
    MetadataAnswer answer_;
};

MetadataResponse handle_metadata(RequestContext& context, const MetadataRequest& request) {
    const Services& services = context.services();
    const std::shared_ptr<const config::BrokerConfig> config = services.dynamic_config->current();
    MetadataAnswer answer =
        answer_metadata(request, {.image = context.image(),
                                  .version = context.version(),
                                  .listener = context.connection_info().listener,
                                  .cluster_id = services.logs->cluster_id(),
                                  .self = config->node_id(),
                                  .auto_create_topics_enable = config->get_bool("auto.create.topics.enable")});
    if (!answer.to_create.empty()) create_topics_automatically(services, *config, answer.to_create);
    // librdkafka forgets all the brokers that it knows at an answer without any, and comes back only minutes after we
    // do. Kafka gives such answers while it stops.
    if (answer.names_nobody) context.close_connection("no broker is left to be named");
    return std::move(answer.response);
}

}  // namespace

MetadataAnswer answer_metadata(const MetadataRequest& request, const MetadataQuery& query) {
    return Answering{request, query}.run();
}

io::Task<void> serve_metadata(RequestContext& context) { return serve<&handle_metadata>(context); }

}  // namespace odr::server
