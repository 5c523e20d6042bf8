// odradek-load topics: one topic of many partitions, and when it can be used.
#include "base/clock.h"
#include "load/commands.h"

namespace odr::bench {

Result<Report> run_topics(const TopicsOptions& options) {
    const std::string name = own_topic_name(options);
    ODR_TRY(client, Client::connect(options.broker));
    ODR_CHECK(hello(client));
    const Usage before = usage_of(options.broker_pid);
    const std::int64_t started = system_clock().monotonic_ns();
    const auto passed_s = [&] { return static_cast<double>(system_clock().monotonic_ns() - started) / 1e9; };

    Report report;
    ODR_CHECK(create_topic(client, name, options.partitions));
    report.set("answered_s", passed_s());
    ODR_TRY(topic, await_leaders(client, name, options.partitions));
    report.set("leaders_s", passed_s());
    ODR_CHECK(await_logs(client, topic));
    report.set("usable_s", passed_s());
    const Usage after = usage_of(options.broker_pid);
    report.set("rss_growth_mb", static_cast<double>(after.rss_bytes - before.rss_bytes) / 1e6);
    report.set_usage(before, after, 0, 0);
    tear_down_topic(options, topic);
    return report;
}

}  // namespace odr::bench
