// odradek start: what kafka-server-start does, with its options.
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "base/config/broker_config.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/node_directories.h"
#include "console/metrics_endpoint.h"
#include "server/broker_server.h"

namespace odr::cli {
namespace {

constexpr std::string_view kDevDataDir = "odradek-data";

struct StartOptions {
    std::string config_file;
    std::vector<std::string> overrides;
    bool verbose = false;
};

// Signals are taken by the main thread alone, one by one.
sigset_t block_stop_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);  // our own: stop after a fatal error
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    return signals;
}

std::string dev_properties_text(const std::string& data_dir) {
    std::string text;
    for (const auto& [key, value] : config::dev_defaults(data_dir)) text += fmt::format("{}={}\n", key, value);
    return text;
}

// The text of server.properties; without a file, that of a node for development.
std::string properties_text(const StartOptions& options) {
    if (options.config_file.empty()) {
        const std::string data_dir = (std::filesystem::current_path() / kDevDataDir).string();
        fmt::print("odradek: no configuration file given: one node for development, data in {}\n", data_dir);
        return dev_properties_text(data_dir);
    }
    std::ifstream file{options.config_file};
    if (!file) throw config::ConfigError{fmt::format("{}: cannot read the configuration file", options.config_file)};
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

void check_roles(const config::BrokerConfig& config) {
    if (!config.is_broker() || !config.is_controller()) {
        throw config::ConfigError{
            "process.roles: a node of this release is broker and controller in one: set "
            "process.roles=broker,controller"};
    }
    if (config.is_set("authorizer.class.name") && !config.get_string("authorizer.class.name").empty()) {
        throw config::ConfigError{
            fmt::format("authorizer.class.name={}: this release has no authorizer, and would let everybody in: remove "
                        "the key to start "
                        "an open broker",
                        config.get_string("authorizer.class.name"))};
    }
}

// The first start of a single node on empty directories needs no format step.
void format_if_new(const config::BrokerConfig& config) {
    metadata::FormatRequest request = format_request_for(config);
    if (!metadata::may_format_itself(io::real_file_system(), request)) return;
    request.cluster_id = metadata::random_cluster_id(system_random());
    request.standalone = !request.has_static_voters;
    const auto done =
        metadata::format_directories(io::MayBlock::at_startup(), io::real_file_system(), system_clock(),
                                     system_random(), request, [](std::string_view line) { log::debug("{}", line); });
    if (!done) throw config::ConfigError{done.error()};
    log::info("formatted {} for the new cluster {}", fmt::join(request.log_directories, ", "), request.cluster_id);
}

int run(std::shared_ptr<const config::BrokerConfig> config, const sigset_t& signals, std::int64_t began_ns) {
    std::atomic<bool> is_fatal{false};
    const auto on_fatal = [&is_fatal](const std::string& why) {
        log::error("{}", why);
        is_fatal = true;
        ::kill(::getpid(), SIGUSR1);
    };
    const auto metrics = console::MetricsEndpoint::open(*config, system_clock());
    if (!metrics) throw config::ConfigError{metrics.error()};
    server::BrokerServer server{config, io::real_file_system(), system_clock(), system_random(), on_fatal};
    if (const auto started = server.start(); !started) {
        fmt::print(stderr, "odradek: {}\n", started.error());
        return 1;
    }
    if (*metrics != nullptr) {
        (*metrics)->serve(server, ODRADEK_VERSION);
        fmt::print("odradek: metrics on {}\n", (*metrics)->url());
    }
    const double took_ms = static_cast<double>(system_clock().monotonic_ns() - began_ns) / 1e6;
    fmt::print("odradek: node {} of cluster {} listens on {}; started in {:.0f} ms\n", config->node_id(),
               server.cluster_id(), fmt::join(server.listening(), ", "), took_ms);
    std::fflush(stdout);
    int signal = 0;
    while (sigwait(&signals, &signal) != 0) {
    }
    if (!is_fatal) log::info("stopping");
    if (*metrics != nullptr) (*metrics)->stop();
    server.stop();
    log::info("stopped");
    return is_fatal ? 1 : 0;
}

int start(const StartOptions& options) {
    const std::int64_t began_ns = system_clock().monotonic_ns();
    log::set_level(options.verbose ? log::Level::debug : log::Level::info);
    const sigset_t signals = block_stop_signals();
    try {
        auto config = std::make_shared<const config::BrokerConfig>(
            config::BrokerConfig::load(properties_text(options), options.overrides, config::process_sources()));
        for (const std::string& warning : config->warnings()) log::warn("{}", warning);
        check_roles(*config);
        format_if_new(*config);
        return run(std::move(config), signals, began_ns);
    } catch (const config::ConfigError& error) {
        fmt::print(stderr, "odradek: {}\n", error.what());
        return 1;
    }
}

}  // namespace

void add_start(CLI::App& app, int& status) {
    CLI::App* command = app.add_subcommand("start", "Start a node and run until SIGTERM or Ctrl-C");
    auto options = std::make_shared<StartOptions>();
    command->add_option("properties", options->config_file,
                        "server.properties; without it a node for development on 127.0.0.1:9092");
    command->add_option("--override", options->overrides, "key=value, over the file; may be given again")
        ->allow_extra_args(false);
    command->add_flag("--verbose", options->verbose, "Say more");
    command->callback([options, &status] { status = start(*options); });
}

}  // namespace odr::cli
