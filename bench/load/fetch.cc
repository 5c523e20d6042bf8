// odradek-load fetch: consumers that read partitions as fast as they come. A thread each, blocking.
#include <atomic>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "load/commands.h"
#include "load/produce_load.h"
#include "load/read_back.h"

namespace odr::bench {
namespace {

std::int64_t now_ns() { return system_clock().monotonic_ns(); }

// One consumer: a connection, a place in a partition, what it has read in this phase.
class Consumer {
public:
    Consumer(Client client, const TopicTarget& topic, const FetchOptions& options, std::int32_t partition,
             std::int64_t start)
        : client_{std::move(client)},
          topic_{topic},
          options_{options},
          partition_{partition},
          start_{start},
          at_{.next_offset = start} {}

    Histogram latency;
    std::uint64_t answers = 0;
    std::uint64_t bytes = 0;
    std::uint64_t records = 0;

    // One request and its whole answer.
    Result<void> fetch_once() {
        const std::int64_t started = now_ns();
        request_.clear();
        encode_fetch(request_, topic_,
                     {.partition = partition_, .offset = at_.next_offset, .max_bytes = options_.max_bytes},
                     ++correlation_id_);
        ODR_CHECK(client_.socket().send_all(request_.view()));
        ODR_TRY(head, receive_head());
        if (head.error != ErrorCode::none) return fail(head.error, "Fetch");
        if (head.correlation_id != correlation_id_) return fail(ErrorCode::invalid_request, "an answer out of turn");
        if (options_.check) {
            ODR_CHECK(read_records(head));
        } else {
            ODR_CHECK(discard_records(head));
        }
        latency.add(now_ns() - started);
        ++answers;
        bytes += head.records_bytes;
        // At the end of what is there it begins anew, so that a phase may be longer than the log.
        if (!options_.from_tail && at_.next_offset >= head.high_watermark) at_.next_offset = start_;
        return {};
    }

    void begin_phase() {
        latency = Histogram{};
        answers = bytes = records = 0;
    }

private:
    Result<FetchHead> receive_head() {
        std::array<std::uint8_t, 4> size_bytes{};
        ODR_CHECK(client_.socket().receive_exactly(size_bytes));
        answer_bytes_ = load_be<std::uint32_t>(size_bytes.data());
        if (answer_bytes_ > kAnswerBytesMax) return fail(ErrorCode::invalid_request, "an answer of an absurd size");
        prefix_bytes_ = std::min(answer_bytes_, kFetchHeadBytesMax);
        answer_.resize(options_.check ? answer_bytes_ : kFetchHeadBytesMax);
        ODR_CHECK(client_.socket().receive_exactly(MutableByteView{answer_}.first(prefix_bytes_)));
        ODR_TRY(head, read_fetch_head(ByteView{answer_}.first(prefix_bytes_)));
        if (head.records_at + head.records_bytes > answer_bytes_) {
            return fail(ErrorCode::invalid_request, "records beyond the answer's end");
        }
        return head;
    }

    Result<void> read_records(const FetchHead& head) {
        ODR_CHECK(client_.socket().receive_exactly(MutableByteView{answer_}.subspan(prefix_bytes_)));
        const std::uint64_t before = at_.records;
        ODR_CHECK(check_batches(ByteView{answer_}.subspan(head.records_at, head.records_bytes), at_));
        records += at_.records - before;
        return {};
    }

    // All batches of the topic are alike, so the first one's header tells how far the answer reaches.
    Result<void> discard_records(const FetchHead& head) {
        ODR_CHECK(client_.socket().discard_exactly(answer_bytes_ - prefix_bytes_));
        if (head.records_bytes == 0) return {};
        if (head.records_at + record::kRecordBatchOverhead > prefix_bytes_) {
            return fail(ErrorCode::invalid_request, "the answer's head is longer than expected");
        }
        const std::uint8_t* batch = answer_.data() + head.records_at;
        if (load_be<std::int64_t>(batch) != at_.next_offset) {
            return fail(ErrorCode::corrupt_message, "the answer starts at another offset");
        }
        const std::size_t size = record::kLogOverhead + load_be<std::uint32_t>(batch + 8);
        const auto whole = static_cast<std::int64_t>(head.records_bytes / size);
        const std::int64_t got = whole * load_be<std::int32_t>(batch + 57);
        at_.next_offset += got;
        records += static_cast<std::uint64_t>(got);
        return {};
    }

    static constexpr std::size_t kAnswerBytesMax = std::size_t{256} << 20;

    Client client_;
    const TopicTarget& topic_;
    const FetchOptions& options_;
    std::int32_t partition_;
    std::int64_t start_;
    ReadBack at_;
    protocol::Buffer request_;
    std::vector<std::uint8_t> answer_;
    std::size_t answer_bytes_ = 0;
    std::size_t prefix_bytes_ = 0;
    std::int32_t correlation_id_ = 0;
};

struct FetchPhase {
    Histogram latency;
    std::uint64_t answers = 0, bytes = 0, records = 0;
    double seconds = 0;
};

Result<FetchPhase> run_phase(std::vector<Consumer>& consumers, const Limits& limits) {
    std::atomic<std::uint64_t> bytes{0};
    std::mutex failure_lock;
    std::optional<Error> failure;
    const std::int64_t started = now_ns();
    const auto is_over = [&] {
        return (limits.bytes != 0 && bytes.load(std::memory_order_relaxed) >= limits.bytes) ||
               (limits.seconds != 0 && static_cast<double>(now_ns() - started) >= limits.seconds * 1e9);
    };
    std::vector<std::thread> threads;
    for (auto& consumer : consumers) {
        consumer.begin_phase();
        threads.emplace_back([&] {
            while (!is_over()) {
                const std::uint64_t before = consumer.bytes;
                if (auto done = consumer.fetch_once(); !done) {
                    const std::lock_guard lock{failure_lock};
                    failure = done.error();
                    return;
                }
                bytes.fetch_add(consumer.bytes - before, std::memory_order_relaxed);
            }
        });
    }
    for (auto& thread : threads) thread.join();
    if (failure) return std::unexpected{*failure};
    FetchPhase phase;
    phase.seconds = static_cast<double>(now_ns() - started) / 1e9;
    for (const auto& consumer : consumers) {
        phase.latency.merge(consumer.latency);
        phase.answers += consumer.answers;
        phase.bytes += consumer.bytes;
        phase.records += consumer.records;
    }
    return phase;
}

Result<void> fill_topic(const FetchOptions& options, const TopicTarget& topic) {
    ODR_TRY(batch, make_batch(options.batch));
    std::vector<PreparedProduce> requests;
    std::vector<Socket> sockets;
    for (std::int32_t p = 0; p < topic.partitions; ++p) {
        requests.push_back(prepare_produce(topic, p, 1, batch));
        ODR_TRY(socket, Socket::connect(options.broker));
        sockets.push_back(std::move(socket));
    }
    ProduceLoad load{{.in_flight = 5}, std::move(sockets), requests};
    const auto partitions = static_cast<std::uint64_t>(topic.partitions);
    ODR_TRY(phase, load.run({.bytes = options.fill_bytes * partitions}));
    if (!phase.errors.empty()) return fail(phase.errors.begin()->first, "filling the topic");
    return {};
}

Result<TopicTarget> topic_to_read(const FetchOptions& options) {
    if (options.is_floor || options.fill_bytes != 0) return set_up_topic(options, options.partitions);
    ODR_TRY(client, Client::connect(options.broker));
    return find_topic(client, options.topic);
}

}  // namespace

Result<Report> run_fetch(const FetchOptions& options) {
    ODR_TRY(topic, topic_to_read(options));
    if (options.fill_bytes != 0 && !options.is_floor) ODR_CHECK(fill_topic(options, topic));
    std::vector<std::int64_t> ends(static_cast<std::size_t>(topic.partitions), 0);
    if (options.from_tail) {
        ODR_TRY(client, Client::connect(options.broker));
        ODR_TRY(found, end_offsets(client, topic));
        ends = found;
    }
    std::vector<Consumer> consumers;
    for (int i = 0; i < options.consumers; ++i) {
        ODR_TRY(client, Client::connect(options.broker));
        const std::int32_t partition = i % topic.partitions;
        consumers.emplace_back(std::move(client), topic, options, partition, ends[static_cast<std::size_t>(partition)]);
    }
    if (options.warmup.seconds > 0) {
        if (const auto warm = run_phase(consumers, options.warmup); !warm) return std::unexpected{warm.error()};
    }
    const Usage before = usage_of(options.broker_pid);
    ODR_TRY(phase, run_phase(consumers, options.limits));
    const Usage after = usage_of(options.broker_pid);

    Report report;
    report.set("seconds", phase.seconds);
    report.set("mb", static_cast<double>(phase.bytes) / 1e6);
    report.set("requests", static_cast<double>(phase.answers));
    report.set("records", static_cast<double>(phase.records));
    report.set("mb_per_s", static_cast<double>(phase.bytes) / 1e6 / phase.seconds);
    report.set("requests_per_s", static_cast<double>(phase.answers) / phase.seconds);
    report.set("mean_answer_kb",
               phase.answers == 0 ? 0.0 : static_cast<double>(phase.bytes) / 1e3 / static_cast<double>(phase.answers));
    report.set_latency("latency", phase.latency);
    report.set_usage(before, after, phase.answers, phase.bytes);
    if (options.fill_bytes != 0) tear_down_topic(options, topic);
    return report;
}

}  // namespace odr::bench
