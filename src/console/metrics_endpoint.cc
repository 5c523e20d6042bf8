#include "console/metrics_endpoint.h"

#include <fmt/format.h>

#include "console/metrics.h"
#include "server/broker_server.h"
#include "storage/log.h"

namespace odr::console {
namespace {

constexpr std::string_view kKey = "odradek.metrics.listener";
constexpr std::string_view kPath = "/metrics";

// Nothing is counted for this: it reads what is there, under short locks.
BrokerFigures gather(io::MayBlock may_block, const server::BrokerServer& broker, const std::string& version) {
    const server::Services& services = broker.services();
    BrokerFigures out;
    out.version = version;
    const storage::LogScrubber& scrubber = broker.scrubber();
    for (std::size_t i = 0; i < scrubber.directory_count(); ++i) {
        out.scrubs.push_back({.log_dir = scrubber.log_dir(i), .state = scrubber.state(i)});
    }
    for (storage::LogDirInfo& info : services.logs->log_dirs()) {
        BrokerFigures::LogDir one{.info = std::move(info)};
        for (const auto& log : services.logs->logs_in(one.info.path)) {
            ++one.logs;
            one.logs_bytes += log->size_in_bytes();
        }
        out.log_dirs.push_back(std::move(one));
    }
    out.cleaner = services.log_cleaner->figures(may_block);
    out.partitions = services.logs->log_count();
    out.connections = services.connection_quotas->count();
    out.process = read_process_figures();
    return out;
}

}  // namespace

std::expected<std::unique_ptr<MetricsEndpoint>, std::string> MetricsEndpoint::open(const config::BrokerConfig& config,
                                                                                   const Clock& clock) {
    const std::string& value = config.get_string(kKey);
    if (value.empty()) return nullptr;
    const auto address = config::parse_host_port(value);  // ConfigChecks has looked at it
    if (!address) return std::unexpected{fmt::format("{}={}: must be host:port", kKey, value)};
    auto listener = HttpListener::open(*address, clock);
    if (!listener) return std::unexpected{fmt::format("{}={}: {}", kKey, value, listener.error())};
    return std::unique_ptr<MetricsEndpoint>{new MetricsEndpoint{std::move(*listener)}};
}

std::string MetricsEndpoint::url() const { return fmt::format("http://{}{}", listener_->address(), kPath); }

void MetricsEndpoint::serve(const server::BrokerServer& broker, std::string version) {
    listener_->start([&broker, version = std::move(version)](std::string_view path) -> HttpAnswer {
        if (path != kPath) return {.status = 404, .body = fmt::format("There is only {}\n", kPath)};
        return {.content_type = kMetricsContentType,
                .body = metrics_text(gather(io::MayBlock::on_own_thread(), broker, version))};
    });
}

}  // namespace odr::console
