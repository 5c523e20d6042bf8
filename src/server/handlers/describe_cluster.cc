// DescribeCluster (key 60), versions 0-2: brokers on a broker's listener, controllers on a controller's (KIP-919).
// Way:   image -> response
// Kafka: KafkaApis.handleDescribeCluster, ControllerApis.handleDescribeCluster, AuthHelper
#include "server/handlers/describe_cluster.h"

#include <algorithm>

#include "base/config/broker_config.h"
#include "raft/metadata_log.h"
#include "server/handlers/cluster_view.h"
#include "server/handlers/forward.h"
#include "storage/log_manager.h"

namespace odr::server {
namespace {

using protocol::DescribeClusterRequest;
using protocol::DescribeClusterResponse;

DescribeClusterResponse refuse(ErrorCode code, std::string_view why) {
    DescribeClusterResponse response;
    response.error_code = code_of(code);
    response.error_message = why;
    return response;
}

void add_brokers(DescribeClusterResponse& response, const ClusterQuery& query, bool with_fenced) {
    for (const auto& [broker, endpoint] : brokers_on(query.image.cluster(), query.listener, with_fenced)) {
        response.brokers.push_back({.broker_id = broker->id.raw(),
                                    .host = endpoint->host,
                                    .port = endpoint->port,
                                    .rack = broker->rack,
                                    .is_fenced = broker->fenced});
    }
}

void add_controllers(DescribeClusterResponse& response, const ClusterQuery& query) {
    for (const auto& [id, controller] : query.image.cluster().controllers) {
        const metadata::Endpoint* endpoint = controller->listener(query.listener);
        if (endpoint == nullptr) continue;
        response.brokers.push_back({.broker_id = id.raw(), .host = endpoint->host, .port = endpoint->port});
    }
}

DescribeClusterResponse handle_describe_cluster(RequestContext& context, const DescribeClusterRequest& request) {
    const Services& services = context.services();
    const ConnectionInfo& connection = context.connection_info();
    const metadata::MetadataImage& image = context.image();
    const BrokerId leader = services.metadata_log->leader_and_epoch().leader.value_or(kNoBroker);
    return answer_describe_cluster(
        request, {.image = image,
                  .version = context.version(),
                  .endpoint_type = connection.is_controller ? EndpointType::controller : EndpointType::broker,
                  .listener = connection.listener,
                  .cluster_id = services.logs->cluster_id(),
                  .controller_id = connection.is_controller
                                       ? leader.raw()
                                       : controller_for_clients(image.cluster(), services.config->node_id())});
}

}  // namespace

DescribeClusterResponse answer_describe_cluster(const DescribeClusterRequest& request, const ClusterQuery& query) {
    const bool is_controller = query.endpoint_type == EndpointType::controller;
    if (is_controller && !query.image.features().metadata_version.is_controller_registration_supported()) {
        return refuse(ErrorCode::unsupported_version,
                      "Direct-to-controller communication is not supported with the current MetadataVersion.");
    }
    const std::int8_t wanted = request.endpoint_type;
    // Version 0 has no endpoint type, and so no error codes for it.
    if (wanted != 1 && wanted != 2) {
        return refuse(query.version == 0 ? ErrorCode::invalid_request : ErrorCode::unsupported_endpoint_type,
                      "Unsupported endpoint type: it is neither 1 (brokers) nor 2 (controllers)");
    }
    if (wanted != static_cast<std::int8_t>(query.endpoint_type)) {
        return refuse(query.version == 0 ? ErrorCode::invalid_request : ErrorCode::mismatched_endpoint_type,
                      is_controller ? "The request was sent to an endpoint of type CONTROLLER, but we wanted an "
                                      "endpoint of type BROKER"
                                    : "The request was sent to an endpoint of type BROKER, but we wanted an "
                                      "endpoint of type CONTROLLER");
    }
    DescribeClusterResponse response;
    response.endpoint_type = wanted;
    response.cluster_id = query.cluster_id;
    if (is_controller) {
        add_controllers(response, query);
    } else {
        add_brokers(response, query, request.include_fenced_brokers);
    }
    const bool is_listed = std::ranges::any_of(
        response.brokers, [&query](const auto& node) { return node.broker_id == query.controller_id; });
    response.controller_id = is_listed ? query.controller_id : -1;
    if (request.include_cluster_authorized_operations) response.cluster_authorized_operations = kClusterOperations;
    return response;
}

io::Task<void> serve_describe_cluster(RequestContext& context) { return serve<&handle_describe_cluster>(context); }

}  // namespace odr::server
