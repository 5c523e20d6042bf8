// odradek-load tail: consumers that wait at the end of partitions, and a producer that writes at a steady rate or not
// at all. One partition and many consumers is a fan-out; many partitions and few consumers is what fetch sessions are
// for; no rate at all is what waiting costs.
#include <fmt/core.h>

#include <cmath>
#include <deque>

#include "base/clock.h"
#include "load/commands.h"
#include "load/produce_lane.h"
#include "load/request_lane.h"
#include "load/stamped.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"

namespace odr::bench {
namespace {

using namespace protocol;

constexpr std::int64_t kDrainNsMax = 10'000'000'000;
constexpr std::int64_t kPollNsMax = 50'000'000;
constexpr std::size_t kInFlightMax = 1024;
constexpr std::size_t kScratchBytes = 65536;

std::int64_t now_ns() { return system_clock().monotonic_ns(); }

struct TailPhase {
    Histogram age, acknowledged;
    std::uint64_t sent = 0;       // batches
    std::uint64_t delivered = 0;  // batches
    std::uint64_t bytes = 0;      // of them
    std::uint64_t fetches = 0;
    std::uint64_t empty_fetches = 0;
    double seconds = 0;
};

// One consumer: always one Fetch under way, in a session if it may.
class TailConsumer {
public:
    TailConsumer(const TailOptions& options, const TopicTarget& topic, std::vector<std::int32_t> partitions,
                 Socket socket)
        : options_{options},
          topic_{topic},
          partitions_{std::move(partitions)},
          offsets_(static_cast<std::size_t>(topic.partitions), 0),
          lane_{std::move(socket)} {}

    RequestLane& lane() { return lane_; }
    const std::vector<std::int32_t>& partitions() const { return partitions_; }

    Result<void> ask_for_all() {
        ask(partitions_);
        return lane_.flush();
    }

    Result<void> drain(TailPhase& phase, std::int64_t counted_from_ns) {
        auto drained =
            lane_.drain([&](const RequestLane::InFlight&, Reader& body) { return take(body, phase, counted_from_ns); });
        if (!drained) return std::unexpected{drained.error()};
        return lane_.flush();
    }

private:
    void ask(const std::vector<std::int32_t>& partitions) {
        FetchRequest request;
        request.max_wait_ms = options_.max_wait_ms;
        request.min_bytes = 1;
        request.max_bytes = options_.max_bytes;
        request.session_id = session_id_;
        request.session_epoch = options_.no_session ? -1 : session_epoch_;
        if (!partitions.empty()) {
            auto& asked = request.topics.emplace_back();
            asked.topic_id = topic_.id;
            for (const std::int32_t partition : partitions) {
                asked.partitions.push_back({.partition = partition,
                                            .fetch_offset = offsets_[static_cast<std::size_t>(partition)],
                                            .partition_max_bytes = options_.max_bytes});
            }
        }
        lane_.enqueue(kFetchVersion, request, 0, now_ns());
    }

    Result<void> take(Reader& body, TailPhase& phase, std::int64_t counted_from_ns) {
        FetchResponse answer;
        ODR_CHECK(decode(body, kFetchVersion, answer));
        const auto code = static_cast<ErrorCode>(answer.error_code);
        // A broker keeps only so many sessions and may let go of one.
        const bool is_forgotten =
            code == ErrorCode::fetch_session_id_not_found || code == ErrorCode::invalid_fetch_session_epoch;
        if (code != ErrorCode::none && !is_forgotten) return fail(code, "Fetch");
        ++phase.fetches;
        std::vector<std::int32_t> moved;
        for (const auto& topic : answer.responses) {
            for (const auto& partition : topic.partitions) {
                if (partition.error_code != 0) return fail(static_cast<ErrorCode>(partition.error_code), "Fetch");
                if (partition.records.size() == 0) continue;
                if (partition.partition_index < 0 || partition.partition_index >= topic_.partitions) {
                    return fail(ErrorCode::invalid_request, "records of a partition that is not there");
                }
                ODR_CHECK(read(partition.records.bytes(), partition.partition_index, phase, counted_from_ns));
                moved.push_back(partition.partition_index);
            }
        }
        if (moved.empty()) ++phase.empty_fetches;
        session_id_ = is_forgotten ? 0 : answer.session_id;
        session_epoch_ = session_id_ == 0 ? 0 : session_epoch_ + 1;
        ask(session_id_ == 0 ? partitions_ : moved);
        return {};
    }

    Result<void> read(ByteView records, std::int32_t partition, TailPhase& phase, std::int64_t counted_from_ns) {
        std::int64_t& next_offset = offsets_[static_cast<std::size_t>(partition)];
        record::BatchIterator batches{records};
        for (;;) {
            ODR_TRY(batch, batches.next());
            if (!batch) return {};
            if (!batch->is_crc_valid()) return fail(ErrorCode::corrupt_message, "a batch with a wrong CRC");
            if (batch->base_offset().raw() != next_offset) {
                return fail(ErrorCode::corrupt_message, "offsets do not follow each other");
            }
            record::RecordIterator in_batch{*batch};
            ODR_TRY(first, in_batch.next());
            if (!first || !first->value) return fail(ErrorCode::invalid_record, "not one of our records");
            ODR_TRY(due, StampedRequests::stamp_of(*first->value));
            if (due >= counted_from_ns) phase.age.add(now_ns() - due);
            next_offset += batch->record_count();
            ++phase.delivered;
            phase.bytes += batch->size_in_bytes();
        }
    }

    const TailOptions& options_;
    const TopicTarget& topic_;
    const std::vector<std::int32_t> partitions_;
    std::vector<std::int64_t> offsets_;  // by partition
    RequestLane lane_;
    std::int32_t session_id_ = 0;
    std::int32_t session_epoch_ = 0;
};

class TailLoad {
public:
    TailLoad(const TailOptions& options, const TopicTarget& topic, std::vector<StampedRequests> requests,
             Socket producer)
        : options_{options},
          topic_{topic},
          requests_{std::move(requests)},
          producer_{std::move(producer), kInFlightMax, true},
          readers_(static_cast<std::size_t>(topic.partitions), 0),
          scratch_(kScratchBytes) {
        poller_.watch(producer_.fd(), nullptr);
    }

    Result<void> add_consumer(Socket socket) {
        const int each = options_.partitions_each == 0 ? topic_.partitions : options_.partitions_each;
        std::vector<std::int32_t> partitions;
        for (int i = 0; i < std::min(each, topic_.partitions); ++i) {
            partitions.push_back((static_cast<std::int32_t>(consumers_.size()) * each + i) % topic_.partitions);
        }
        for (const std::int32_t partition : partitions) ++readers_[static_cast<std::size_t>(partition)];
        TailConsumer& consumer = consumers_.emplace_back(options_, topic_, std::move(partitions), std::move(socket));
        poller_.watch(consumer.lane().fd(), &consumer);
        return consumer.ask_for_all();
    }

    // Writes for so long, then waits until everybody has everything.
    Result<TailPhase> run(double seconds) {
        phase_ = TailPhase{};
        started_ns_ = now_ns();
        const std::int64_t end = started_ns_ + static_cast<std::int64_t>(seconds * 1e9);
        std::int64_t due = started_ns_;
        std::uint64_t expected = 0;
        for (std::int64_t now = started_ns_; now < end || phase_.delivered < expected; now = now_ns()) {
            if (options_.rate > 0) {
                for (; due <= now && due < end && producer_.has_room(); ++phase_.sent) {
                    expected += send(due);
                    const double after_ns = static_cast<double>(phase_.sent + 1) * 1e9 / options_.rate;
                    due = started_ns_ + static_cast<std::int64_t>(std::llround(after_ns));
                }
                ODR_CHECK(producer_.flush());
            }
            if (now > end + kDrainNsMax) return fail(ErrorCode::request_timed_out, "records did not arrive");
            ODR_CHECK(poll(options_.rate > 0 && due < end ? due : std::min(end, now + kPollNsMax)));
        }
        phase_.seconds = static_cast<double>(now_ns() - started_ns_) / 1e9;
        return phase_;
    }

private:
    // Gives: how many consumers will get it.
    std::uint64_t send(std::int64_t due) {
        const std::size_t partition = next_partition_++ % requests_.size();
        producer_.enqueue(requests_[partition].next(due), due, due);
        return readers_[partition];
    }

    Result<void> poll(std::int64_t until_ns) {
        for (void* const ready : poller_.wait(until_ns)) {
            if (ready != nullptr) {
                ODR_CHECK(static_cast<TailConsumer*>(ready)->drain(phase_, started_ns_));
                continue;
            }
            ErrorCode error = ErrorCode::none;
            ODR_CHECK(producer_.drain(scratch_, [&](const ProduceLane::InFlight& done, const ProduceAnswer& answer) {
                phase_.acknowledged.add(now_ns() - done.due_ns);
                if (answer.error != ErrorCode::none) error = answer.error;
            }));
            if (error != ErrorCode::none) return fail(error, "Produce");
        }
        return producer_.has_unsent() ? producer_.flush() : Result<void>{};
    }

    const TailOptions& options_;
    const TopicTarget& topic_;
    std::vector<StampedRequests> requests_;  // by partition
    ProduceLane producer_;
    std::vector<std::uint64_t> readers_;  // by partition: how many consumers
    std::vector<std::uint8_t> scratch_;
    Poller poller_;
    std::deque<TailConsumer> consumers_;
    std::size_t next_partition_ = 0;
    TailPhase phase_;
    std::int64_t started_ns_ = 0;
};

void fill_report(const TailPhase& phase, Report& report) {
    report.set("seconds", phase.seconds);
    report.set("batches", static_cast<double>(phase.sent));
    report.set("delivered", static_cast<double>(phase.delivered));
    report.set("delivered_mb_per_s", static_cast<double>(phase.bytes) / 1e6 / phase.seconds);
    report.set("fetches_per_s", static_cast<double>(phase.fetches) / phase.seconds);
    report.set("empty_fetches_per_s", static_cast<double>(phase.empty_fetches) / phase.seconds);
    report.set_latency("e2e", phase.age);
    report.set_latency("ack", phase.acknowledged);
}

}  // namespace

Result<Report> run_tail(const TailOptions& options) {
    ODR_TRY(topic, set_up_topic(options, options.partitions));
    const auto partitions = static_cast<std::size_t>(topic.partitions);
    std::vector<StampedRequests> requests;
    for (std::int32_t p = 0; p < topic.partitions; ++p) {
        ODR_TRY(one, StampedRequests::make(topic, p, 1, options.batch, kInFlightMax / partitions + 2));
        requests.push_back(std::move(one));
    }
    ODR_TRY(producer, Socket::connect(options.broker));
    TailLoad load{options, topic, std::move(requests), std::move(producer)};
    const Usage alone = usage_of(options.broker_pid);
    for (int i = 0; i < options.consumers; ++i) {
        ODR_TRY(socket, Socket::connect(options.broker));
        ODR_CHECK(load.add_consumer(std::move(socket)));
    }
    if (options.warmup_seconds > 0) {
        if (const auto warm = load.run(options.warmup_seconds); !warm) return std::unexpected{warm.error()};
    }
    const Usage before = usage_of(options.broker_pid);
    ODR_TRY(phase, load.run(options.seconds));
    const Usage after = usage_of(options.broker_pid);

    Report report;
    fill_report(phase, report);
    report.set_usage(before, after, phase.fetches, phase.bytes);
    if (after.rss_bytes != 0) {
        report.set("broker_cpu_percent", 100 * (after.cpu_s - before.cpu_s) / phase.seconds);
        report.set("rss_kb_per_consumer",
                   static_cast<double>(after.rss_bytes - alone.rss_bytes) / 1e3 / options.consumers);
    }
    tear_down_topic(options, topic);
    return report;
}

}  // namespace odr::bench
