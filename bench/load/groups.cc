// odradek-load groups: many groups that join and then only say that they live; or one of many members, which one
// leaves.
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>

#include "load/commands.h"
#include "load/group_load.h"

namespace odr::bench {
namespace {

constexpr std::int64_t kClassicHeartbeatMs = 3000;
constexpr std::int64_t kConsumerHeartbeatMs = 5000;

// What the broker had used, and this program: a load that is short of CPU time measures itself.
struct Moment {
    explicit Moment(pid_t broker) : usage{usage_of(broker)}, own{usage_of(::getpid())} {}
    Usage usage, own;
};

void set_phase(Report& report, std::string_view name, const GroupPhase& phase, const Moment& from, const Moment& to) {
    report.set(fmt::format("{}_s", name), phase.seconds);
    report.set(fmt::format("{}_requests_per_s", name), static_cast<double>(phase.requests) / phase.seconds);
    report.set(fmt::format("{}_heartbeats_per_s", name), static_cast<double>(phase.heartbeats) / phase.seconds);
    report.set_latency(fmt::format("{}_heartbeat", name), phase.heartbeat);
    report.set(fmt::format("{}_load_cpu_percent", name), 100 * (to.own.cpu_s - from.own.cpu_s) / phase.seconds);
    if (to.usage.rss_bytes == 0) return;
    const double cpu_s = to.usage.cpu_s - from.usage.cpu_s;
    report.set(fmt::format("{}_cpu_s", name), cpu_s);
    report.set(fmt::format("{}_cpu_percent", name), 100 * cpu_s / phase.seconds);
    report.set(fmt::format("{}_cpu_us_per_request", name), cpu_s * 1e6 / static_cast<double>(phase.requests));
    report.set(fmt::format("{}_rss_mb", name), static_cast<double>(to.usage.rss_bytes) / 1e6);
}

// How many connections there are for each member of a group.
int lane_sets(const GroupsOptions& options) {
    return std::clamp(options.connections / options.members, 1, options.groups);
}

Result<GroupLoad> open_load(const GroupsOptions& options, const GroupSetup& setup, const std::string& name) {
    constexpr int kSlotsMax = 1000;
    const int slots = setup.kind == GroupKind::classic ? lane_sets(options) : std::min(options.groups, kSlotsMax);
    std::vector<Socket> sockets;
    for (int i = 0; i < lane_sets(options) * options.members; ++i) {
        ODR_TRY(socket, Socket::connect(options.broker));
        sockets.push_back(std::move(socket));
    }
    return GroupLoad{
        setup,
        {.groups = options.groups, .members = options.members, .slots = slots, .unsettled_ms = options.unsettled_ms},
        std::move(sockets),
        name};
}

Result<void> run_phases(const GroupsOptions& options, GroupLoad& load, Report& report) {
    const Moment started{options.broker_pid};
    load.take_phase();
    ODR_CHECK(load.join_all(options.join_seconds_max));
    const GroupPhase joined = load.take_phase();
    const Moment settled{options.broker_pid};
    set_phase(report, "join", joined, started, settled);
    report.set("joins_per_s", options.groups * options.members / joined.seconds);
    const auto grown = static_cast<double>(settled.usage.rss_bytes - started.usage.rss_bytes);
    report.set("rss_kb_per_group", grown / 1e3 / options.groups);

    if (options.seconds > 0) {
        ODR_CHECK(load.hold(options.warmup_seconds));
        load.take_phase();
        const Moment begun{options.broker_pid};
        ODR_CHECK(load.hold(options.seconds));
        set_phase(report, "steady", load.take_phase(), begun, Moment{options.broker_pid});
    }
    if (options.leave) {
        const Moment before{options.broker_pid};
        load.take_phase();
        ODR_CHECK(load.leave_one(options.join_seconds_max));
        set_phase(report, "leave", load.take_phase(), before, Moment{options.broker_pid});
    }
    report.set("fenced", static_cast<double>(load.times_fenced()));
    if (load.times_fenced() > 0) report.count_error(ErrorCode::fenced_member_epoch, load.times_fenced());
    return {};
}

}  // namespace

Result<Report> run_groups(const GroupsOptions& options) {
    if (options.protocol != "consumer" && options.protocol != "classic") {
        return fail(ErrorCode::invalid_request, "the protocol is consumer or classic");
    }
    if (options.leave && options.members < 2) return fail(ErrorCode::invalid_request, "nobody would be left");
    ODR_TRY(topic, set_up_topic(options, options.partitions));
    GroupSetup setup{.topic = topic};
    setup.kind = options.protocol == "classic" ? GroupKind::classic : GroupKind::consumer;
    setup.heartbeat_ms = options.heartbeat_ms != 0          ? options.heartbeat_ms
                         : setup.kind == GroupKind::classic ? kClassicHeartbeatMs
                                                            : kConsumerHeartbeatMs;
    ODR_TRY(client, Client::connect(options.broker));
    ODR_CHECK(await_coordinator(client, topic.name));
    ODR_TRY(load, open_load(options, setup, topic.name));

    Report report;
    report.set("groups", options.groups);
    report.set("members", options.groups * options.members);
    report.set("connections", lane_sets(options) * options.members);
    ODR_CHECK(run_phases(options, load, report));
    tear_down_topic(options, topic);
    return report;
}

}  // namespace odr::bench
