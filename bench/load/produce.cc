// odradek-load produce: connections that send prepared Produce requests.
#include <algorithm>

#include "load/commands.h"
#include "load/produce_load.h"
#include "load/read_back.h"

namespace odr::bench {
namespace {

Result<std::vector<Socket>> open_sockets(const Address& broker, int count) {
    std::vector<Socket> sockets;
    for (int i = 0; i < count; ++i) {
        ODR_TRY(socket, Socket::connect(broker));
        sockets.push_back(std::move(socket));
    }
    return sockets;
}

void fill_report(const Phase& phase, Report& report) {
    report.set("seconds", phase.seconds);
    report.set("mb", static_cast<double>(phase.bytes) / 1e6);
    report.set("requests", static_cast<double>(phase.requests));
    report.set("mb_per_s", static_cast<double>(phase.bytes) / 1e6 / phase.seconds);
    report.set("requests_per_s", static_cast<double>(phase.requests) / phase.seconds);
    report.set("records_per_s", static_cast<double>(phase.records) / phase.seconds);
    report.set_latency("latency", phase.latency);
    report.set_latency("service", phase.service);
    for (const auto& [code, times] : phase.errors) report.count_error(code, times);
}

}  // namespace

Result<Report> run_produce(const ProduceOptions& options) {
    ODR_TRY(topic, set_up_topic(options, options.partitions));
    ODR_TRY(batch, make_batch(options.batch));
    std::vector<PreparedProduce> requests;
    for (std::int32_t p = 0; p < topic.partitions; ++p) {
        requests.push_back(prepare_produce(topic, p, options.acks, batch));
    }
    ODR_TRY(sockets, open_sockets(options.broker, options.connections));
    ProduceLoad load{{.in_flight = options.in_flight, .rate = options.rate, .expects_answers = options.acks != 0},
                     std::move(sockets),
                     requests};
    if (options.warmup.seconds > 0) {
        if (const auto warm = load.run(options.warmup); !warm) return std::unexpected{warm.error()};
    }
    const Usage before = usage_of(options.broker_pid);
    ODR_TRY(phase, load.run(options.limits));
    const Usage after = usage_of(options.broker_pid);

    Report report;
    fill_report(phase, report);
    report.set_usage(before, after, phase.requests, phase.bytes);
    if (options.verify && !options.is_floor && options.acks != 0) {
        ODR_TRY(read, verify_acknowledged(options.broker, topic, load.acknowledged()));
        report.set("verified_records", static_cast<double>(read.records));
        report.set("verified_mb", static_cast<double>(read.bytes) / 1e6);
    }
    tear_down_topic(options, topic);
    return report;
}

}  // namespace odr::bench
