// odradek-load commits: what an OffsetCommit costs beside a produce of one record, over the same number of connections,
// in the same run: a phase of one, a phase of the other, in turn.
#include <fmt/core.h>

#include "base/clock.h"
#include "load/commands.h"
#include "load/produce_load.h"
#include "load/read_back.h"
#include "load/request_lane.h"
#include "protocol/generated/offset_commit_request.h"
#include "protocol/generated/offset_commit_response.h"
#include "protocol/generated/offset_fetch_request.h"
#include "protocol/generated/offset_fetch_response.h"

namespace odr::bench {
namespace {

using namespace protocol;

constexpr std::int16_t kOffsetCommitVersion = 9;
constexpr std::int16_t kOffsetFetchVersion = 9;
constexpr std::int64_t kSilenceNsMax = 30'000'000'000;
constexpr std::int64_t kMark = 0x0102030405060708;

std::int64_t now_ns() { return system_clock().monotonic_ns(); }

// A connection that commits for a group of its own: the offset is the number of the commit.
struct Committer {
    std::string group_id;
    RequestLane lane;
    std::vector<std::uint8_t> frame;
    std::size_t offset_at = 0;
    std::int64_t sent = 0;
    std::int64_t acknowledged = 0;
};

class CommitLoad {
public:
    CommitLoad(const TopicTarget& topic, int in_flight, std::vector<Socket> sockets) : in_flight_{in_flight} {
        for (auto& socket : sockets) {
            auto& committer =
                committers_.emplace_back(Committer{.group_id = fmt::format("{}-{}", topic.name, committers_.size()),
                                                   .lane = RequestLane{std::move(socket)},
                                                   .frame = {}});
            prepare(committer, topic, static_cast<std::int32_t>(committers_.size() - 1) % topic.partitions);
            poller_.watch(committer.lane.fd(), &committer);
        }
    }

    Result<Phase> run(const Limits& limits) {
        phase_ = Phase{};
        started_ns_ = last_answer_ns_ = now_ns();
        issued_ = 0;
        for (auto& committer : committers_) ODR_CHECK(fill(committer, limits));
        while (waiting_ > 0) {
            for (void* const ready : poller_.wait(now_ns() + kSilenceNsMax)) {
                auto& committer = *static_cast<Committer*>(ready);
                auto drained =
                    committer.lane.drain([&](const RequestLane::InFlight& done, Reader& body) -> Result<void> {
                        return take(committer, done, body);
                    });
                if (!drained) return std::unexpected{drained.error()};
                ODR_CHECK(fill(committer, limits));
            }
            if (now_ns() - last_answer_ns_ > kSilenceNsMax) return fail(ErrorCode::request_timed_out, "no answer");
        }
        phase_.seconds = static_cast<double>(last_answer_ns_ - started_ns_) / 1e9;
        return phase_;
    }

    // Every group's committed offset is that of its last commit. Errors: corrupt_message.
    Result<void> verify(Client& client, const TopicTarget& topic) const {
        for (std::size_t i = 0; i < committers_.size(); ++i) {
            const auto partition = static_cast<std::int32_t>(i) % topic.partitions;
            OffsetFetchRequest request;
            auto& group = request.groups.emplace_back();
            group.group_id = committers_[i].group_id;
            group.topics = {{.name = topic.name, .partition_indexes = {partition}}};
            ODR_TRY(answer, client.call<OffsetFetchResponse>(kOffsetFetchVersion, request));
            if (answer.groups.size() != 1 || answer.groups[0].topics.size() != 1 ||
                answer.groups[0].topics[0].partitions.size() != 1) {
                return fail(ErrorCode::invalid_request, "an OffsetFetch answer for other than one partition");
            }
            if (answer.groups[0].topics[0].partitions[0].committed_offset != committers_[i].acknowledged) {
                return fail(ErrorCode::corrupt_message, "another offset is committed than was acknowledged last");
            }
        }
        return {};
    }

private:
    static void prepare(Committer& committer, const TopicTarget& topic, std::int32_t partition) {
        OffsetCommitRequest request;
        request.group_id = committer.group_id;
        auto& asked = request.topics.emplace_back();
        asked.name = topic.name;
        asked.partitions.push_back({.partition_index = partition, .committed_offset = kMark});
        Buffer frame;
        Writer writer{frame};
        writer.begin_frame();
        encode_request_header(writer, *find_api(OffsetCommitRequest::kApiKey), kOffsetCommitVersion, 0, kClientId);
        encode(writer, kOffsetCommitVersion, request);
        writer.end_frame();
        committer.frame.assign(frame.data(), frame.data() + frame.size());
        std::array<std::uint8_t, 8> mark;
        store_be(mark.data(), kMark);
        committer.offset_at =
            static_cast<std::size_t>(std::ranges::search(committer.frame, mark).begin() - committer.frame.begin());
    }

    Result<void> fill(Committer& committer, const Limits& limits) {
        const std::int64_t now = now_ns();
        const bool is_over = limits.seconds > 0 && static_cast<double>(now - started_ns_) >= limits.seconds * 1e9;
        while (!is_over && std::cmp_less(committer.lane.in_flight(), in_flight_) &&
               (limits.requests == 0 || issued_ < limits.requests)) {
            store_be(committer.frame.data() + committer.offset_at, ++committer.sent);
            committer.lane.enqueue_frame(committer.frame, OffsetCommitRequest::kApiKey, kOffsetCommitVersion,
                                         static_cast<std::uint64_t>(committer.sent), now);
            ++issued_;
            ++waiting_;
        }
        return committer.lane.flush();
    }

    Result<void> take(Committer& committer, const RequestLane::InFlight& done, Reader& body) {
        OffsetCommitResponse answer;
        ODR_CHECK(decode(body, kOffsetCommitVersion, answer));
        last_answer_ns_ = now_ns();
        phase_.latency.add(last_answer_ns_ - done.due_ns);
        ++phase_.requests;
        --waiting_;
        if (answer.topics.size() != 1 || answer.topics[0].partitions.size() != 1) {
            return fail(ErrorCode::invalid_request, "an OffsetCommit answer for other than one partition");
        }
        const auto code = static_cast<ErrorCode>(answer.topics[0].partitions[0].error_code);
        if (code == ErrorCode::none) {
            committer.acknowledged = static_cast<std::int64_t>(done.tag);
        } else {
            ++phase_.errors[code];
        }
        return {};
    }

    const int in_flight_;
    Poller poller_;
    std::deque<Committer> committers_;
    Phase phase_;
    std::int64_t started_ns_ = 0;
    std::int64_t last_answer_ns_ = 0;
    std::uint64_t issued_ = 0;
    std::uint64_t waiting_ = 0;
};

Result<std::vector<Socket>> open_sockets(const CommitsOptions& options) {
    std::vector<Socket> sockets;
    for (int i = 0; i < options.connections; ++i) {
        ODR_TRY(socket, Socket::connect(options.broker));
        sockets.push_back(std::move(socket));
    }
    return sockets;
}

// What all phases of one kind took together.
struct Sum {
    double cpu_s = 0, seconds = 0;
    std::uint64_t requests = 0;
    Histogram latency;

    double cpu_us() const { return cpu_s * 1e6 / static_cast<double>(requests); }
    void add(const Phase& phase, double cpu) {
        cpu_s += cpu;
        seconds += phase.seconds;
        requests += phase.requests;
        latency.merge(phase.latency);
    }
    void report_to(Report& report, std::string_view name) const {
        report.set(fmt::format("{}_requests_per_s", name), static_cast<double>(requests) / seconds);
        report.set(fmt::format("{}_cpu_us_per_request", name), cpu_us());
        report.set_latency(name, latency);
    }
};

template <class Load>
Result<void> run_phase(Load& load, const CommitsOptions& options, const Limits& limits, Sum& sum, Report& report) {
    const Usage before = usage_of(options.broker_pid);
    ODR_TRY(phase, load.run(limits));
    sum.add(phase, usage_of(options.broker_pid).cpu_s - before.cpu_s);
    for (const auto& [code, times] : phase.errors) report.count_error(code, times);
    return {};
}

}  // namespace

Result<Report> run_commits(const CommitsOptions& options) {
    // As many partitions as groups, so that both loads spread alike.
    ODR_TRY(topic, set_up_topic(options, options.partitions != 0 ? options.partitions : options.connections));
    ODR_TRY(client, Client::connect(options.broker));
    ODR_CHECK(await_coordinator(client, topic.name));
    ODR_TRY(batch, make_batch({.batch_bytes = 100, .record_bytes = 100}));
    std::vector<PreparedProduce> requests;
    for (std::int32_t p = 0; p < topic.partitions; ++p) requests.push_back(prepare_produce(topic, p, 1, batch));
    ODR_TRY(for_produce, open_sockets(options));
    ODR_TRY(for_commits, open_sockets(options));
    ProduceLoad produce{{.in_flight = options.in_flight}, std::move(for_produce), requests};
    CommitLoad commit{topic, options.in_flight, std::move(for_commits)};

    Report report;
    Sum ignored, produced, committed;
    Report warming;
    ODR_CHECK(run_phase(produce, options, options.warmup, ignored, warming));
    ODR_CHECK(run_phase(commit, options, options.warmup, ignored, warming));
    for (int turn = 0; turn < options.turns; ++turn) {
        ODR_CHECK(run_phase(produce, options, options.limits, produced, report));
        ODR_CHECK(run_phase(commit, options, options.limits, committed, report));
    }
    ODR_CHECK(commit.verify(client, topic));
    ODR_TRY(read, verify_acknowledged(options.broker, topic, produce.acknowledged()));
    report.set("verified_records", static_cast<double>(read.records));
    produced.report_to(report, "produce");
    committed.report_to(report, "commit");
    report.set("commit_cpu_to_produce", committed.cpu_us() / produced.cpu_us());
    tear_down_topic(options, topic);
    return report;
}

}  // namespace odr::bench
