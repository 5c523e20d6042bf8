// odradek-load topics: topics of many partitions, or many topics, and when they can be used; or those that are there
// already, after a restart.
#include <fmt/core.h>

#include "base/clock.h"
#include "load/commands.h"
#include "load/produce_load.h"

namespace odr::bench {
namespace {

constexpr std::uint64_t kRequestsInFlight = 20;

std::vector<std::string> names_of(const TopicsOptions& options) {
    const std::string name = own_topic_name(options);
    if (options.topics == 1) return {name};
    std::vector<std::string> names;
    for (int i = 0; i < options.topics; ++i) names.push_back(fmt::format("{}-{}", name, i));
    return names;
}

// One record into each partition of the topic.
Result<void> fill(const Address& broker, const TopicTarget& topic) {
    ODR_TRY(batch, make_batch({.batch_bytes = 100, .record_bytes = 100}));
    std::vector<PreparedProduce> requests;
    for (std::int32_t p = 0; p < topic.partitions; ++p) requests.push_back(prepare_produce(topic, p, 1, batch));
    ODR_TRY(socket, Socket::connect(broker));
    std::vector<Socket> sockets;
    sockets.push_back(std::move(socket));
    ProduceLoad load{{.in_flight = kRequestsInFlight}, std::move(sockets), requests};
    ODR_TRY(phase, load.run({.requests = static_cast<std::uint64_t>(topic.partitions)}));
    if (!phase.errors.empty()) return fail(phase.errors.begin()->first, "filling the topic");
    return {};
}

}  // namespace

Result<Report> run_topics(const TopicsOptions& options) {
    if (options.existing && options.topic.empty()) return fail(ErrorCode::invalid_request, "which topic?");
    const std::vector<std::string> names = names_of(options);
    ODR_TRY(client, Client::connect(options.broker));
    ODR_CHECK(hello(client));
    const Usage before = usage_of(options.broker_pid);
    const std::int64_t started = system_clock().monotonic_ns();
    const auto passed_s = [&] { return static_cast<double>(system_clock().monotonic_ns() - started) / 1e9; };

    Report report;
    Histogram created;
    for (const auto& name : names) {
        if (options.existing) break;
        const std::int64_t sent = system_clock().monotonic_ns();
        ODR_CHECK(create_topic(client, name, options.partitions, options.topic_configs));
        created.add(system_clock().monotonic_ns() - sent);
    }
    if (!options.existing) {
        report.set("answered_s", passed_s());
        report.set("topics_per_s", options.topics / passed_s());
        report.set_latency("create", created);
    }
    std::vector<TopicTarget> topics;
    for (const auto& name : names) {
        ODR_TRY(topic, await_leaders(client, name, options.partitions));
        topics.push_back(topic);
    }
    report.set("leaders_s", passed_s());
    for (const auto& topic : topics) ODR_CHECK(await_logs(client, topic));
    report.set("usable_s", passed_s());
    const Usage after = usage_of(options.broker_pid);
    report.set("rss_growth_mb", static_cast<double>(after.rss_bytes - before.rss_bytes) / 1e6);
    report.set_usage(before, after, 0, 0);
    std::int64_t records = 0;
    for (const auto& topic : topics) {
        if (options.fill) ODR_CHECK(fill(options.broker, topic));
        ODR_TRY(ends, end_offsets(client, topic));
        for (const std::int64_t end : ends) records += end;
        tear_down_topic(options, topic);
    }
    report.set("records", static_cast<double>(records));
    if (options.fill) report.set("filled_s", passed_s());
    return report;
}

}  // namespace odr::bench
