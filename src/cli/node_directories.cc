#include "cli/node_directories.h"

#include <unistd.h>

#include <algorithm>

namespace odr::cli {

metadata::FormatRequest format_request_for(const config::BrokerConfig& config) {
    metadata::FormatRequest request;
    request.node_id = config.node_id();
    request.log_directories = config.log_dirs();
    request.metadata_log_directory = config.metadata_log_dir();
    if (std::ranges::find(request.log_directories, request.metadata_log_directory) == request.log_directories.end()) {
        request.log_directories.push_back(request.metadata_log_directory);
    }
    request.is_controller = config.is_controller();
    request.has_static_voters = !config.controller_quorum_voters().empty();
    if (!config.controller_listener_names().empty())
        request.controller_listener = config.controller_listener_names().front();
    for (const config::Listener& each : config.advertised_controller_listeners()) {
        char name[256] = "localhost";
        if (each.host.empty()) ::gethostname(name, sizeof name - 1);
        request.controller_endpoint = {each.name, each.host.empty() ? std::string{name} : each.host, each.port};
        break;
    }
    return request;
}

}  // namespace odr::cli
