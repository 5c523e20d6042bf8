// odradek format: what kafka-storage format does, with its options.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <memory>
#include <sstream>

#include "base/config/broker_config.h"
#include "cli/commands.h"
#include "cli/node_directories.h"

namespace odr::cli {
namespace {

struct FormatOptions {
    std::string config_file;
    std::string cluster_id;
    bool standalone = false;
    bool no_initial_controllers = false;
    std::string initial_controllers;
    std::string release_version;
    std::vector<std::string> features;
    std::vector<std::string> scram;
    bool ignore_formatted = false;
};

metadata::FormatRequest request_for(const config::BrokerConfig& config, const FormatOptions& options) {
    metadata::FormatRequest request = format_request_for(config);
    request.cluster_id = options.cluster_id;
    request.standalone = options.standalone;
    request.no_initial_controllers = options.no_initial_controllers;
    if (!options.initial_controllers.empty()) request.initial_controllers = options.initial_controllers;
    if (!options.release_version.empty()) request.release_version = options.release_version;
    request.features = options.features;
    request.scram = options.scram;
    request.ignore_formatted = options.ignore_formatted;
    return request;
}

int format(const FormatOptions& options) {
    std::ifstream file{options.config_file};
    if (!file) {
        fmt::print(stderr, "odradek: {}: cannot read the configuration file\n", options.config_file);
        return 1;
    }
    std::stringstream text;
    text << file.rdbuf();
    try {
        const auto config = config::BrokerConfig::load(text.str(), {}, config::process_sources());
        const auto done = metadata::format_directories(io::MayBlock::at_startup(), io::real_file_system(),
                                                       system_clock(), system_random(), request_for(config, options),
                                                       [](std::string_view line) { fmt::print("{}\n", line); });
        if (done) return 0;
        fmt::print(stderr, "odradek: {}\n", done.error());
    } catch (const config::ConfigError& error) {
        fmt::print(stderr, "odradek: {}: {}\n", options.config_file, error.what());
    }
    return 1;
}

}  // namespace

void add_format(CLI::App& app, int& status) {
    CLI::App* command =
        app.add_subcommand("format", "Format the log directories of a node, as kafka-storage format does");
    auto options = std::make_shared<FormatOptions>();
    command->add_option("-c,--config", options->config_file, "The node's server.properties")->required();
    command->add_option("-t,--cluster-id", options->cluster_id, "The cluster id; `odradek random-uuid` makes one")
        ->required();
    command->add_flag("-s,--standalone", options->standalone,
                      "This node is the first and only voter of a dynamic quorum");
    command->add_flag("-N,--no-initial-controllers", options->no_initial_controllers,
                      "The voters are learned later, from the other controllers");
    command->add_option("-I,--initial-controllers", options->initial_controllers,
                        "The voters of a dynamic quorum: id@host:port:directory-id,...");
    command->add_option("-r,--release-version", options->release_version,
                        "The release to start at, such as 4.3 or 4.3-IV0");
    command->add_option("-f,--feature", options->features, "A feature's level, such as share.version=1")
        ->allow_extra_args(false);
    command->add_option("-S,--add-scram", options->scram, "A SCRAM credential to begin with")->allow_extra_args(false);
    command->add_flag("-g,--ignore-formatted", options->ignore_formatted,
                      "Leave directories alone that are formatted already");
    command->callback([options, &status] { status = format(*options); });
}

}  // namespace odr::cli
