// odradek-load e2e: one producer at a steady rate, one consumer that polls all the time; how old a record is when the
// consumer has it. Both in one thread, so that they do not compete with each other for a core.
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cmath>

#include "base/clock.h"
#include "load/commands.h"
#include "load/produce_lane.h"
#include "load/stamped.h"
#include "record/record.h"

namespace odr::bench {
namespace {

constexpr std::int64_t kDrainNsMax = 5'000'000'000;
constexpr std::int64_t kPollNsMax = 50'000'000;
constexpr int kInFlightMax = 1024;

std::int64_t now_ns() { return system_clock().monotonic_ns(); }

// The consuming connection: one Fetch under way at any time.
class TailReader {
public:
    TailReader(Socket socket, const TopicTarget& topic) : socket_{std::move(socket)}, topic_{topic} {
        socket_.set_nonblocking();
    }
    int fd() const { return socket_.fd(); }
    std::uint64_t answers() const { return answers_; }

    Result<void> ask() {
        request_.clear();
        encode_fetch(request_, topic_, {.offset = offset_, .max_bytes = 1 << 20}, ++correlation_id_);
        return socket_.send_all(request_.view());
    }

    // Takes what is there; on_stamp(due_ns) for each record. Asks again after each whole answer.
    template <class OnStamp>
    Result<void> drain(const OnStamp& on_stamp) {
        for (;;) {
            if (buffer_.size() < filled_ + kReadBytes) buffer_.resize(filled_ + kReadBytes);
            const ssize_t got = ::recv(fd(), buffer_.data() + filled_, kReadBytes, MSG_DONTWAIT);
            if (got == 0) return fail(ErrorCode::network_exception, "the broker closed the connection");
            if (got < 0) {
                if (errno == EAGAIN || errno == EINTR) return {};
                return fail_errno(ErrorCode::network_exception, errno, "recv");
            }
            filled_ += static_cast<std::size_t>(got);
            if (filled_ < 4) continue;
            const std::size_t size = load_be<std::uint32_t>(buffer_.data());
            if (filled_ < 4 + size) continue;
            filled_ = 0;  // one request at a time: nothing follows
            ODR_CHECK(take(ByteView{buffer_}.subspan(4, size), on_stamp));
            return ask();
        }
    }

private:
    template <class OnStamp>
    Result<void> take(ByteView answer, const OnStamp& on_stamp) {
        ODR_TRY(head, read_fetch_head(answer));
        if (head.error != ErrorCode::none) return fail(head.error, "Fetch");
        ++answers_;
        record::BatchIterator batches{answer.subspan(head.records_at, head.records_bytes)};
        for (;;) {
            ODR_TRY(batch, batches.next());
            if (!batch) return {};
            record::RecordIterator records{*batch};
            ODR_TRY(first, records.next());
            if (!first || !first->value) return fail(ErrorCode::invalid_record, "not one of our records");
            ODR_TRY(due, StampedRequests::stamp_of(*first->value));
            on_stamp(due);
            offset_ = batch->base_offset().raw() + batch->record_count();
        }
    }

    static constexpr std::size_t kReadBytes = 65536;
    Socket socket_;
    const TopicTarget& topic_;
    protocol::Buffer request_;
    std::vector<std::uint8_t> buffer_;
    std::size_t filled_ = 0;
    std::int64_t offset_ = 0;
    std::int32_t correlation_id_ = 0;
    std::uint64_t answers_ = 0;
};

class EndToEnd {
public:
    EndToEnd(const EndToEndOptions& options, const TopicTarget& topic, StampedRequests requests, Socket producer,
             Socket consumer)
        : options_{options},
          epoll_{::epoll_create1(EPOLL_CLOEXEC)},
          requests_{std::move(requests)},
          lane_{std::move(producer), kInFlightMax, options.acks != 0},
          reader_{std::move(consumer), topic},
          scratch_(65536) {
        ::prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
        watch(lane_.fd());
        watch(reader_.fd());
    }

    Histogram age, acknowledged;
    std::uint64_t sent = 0, received = 0;
    std::map<ErrorCode, std::uint64_t> errors;

    Result<void> start() { return reader_.ask(); }

    // Sends for so long, then waits until all is read. What was due before the phase is read but not counted.
    Result<void> run(double seconds) {
        age = acknowledged = Histogram{};
        sent = received = 0;
        const std::int64_t started = now_ns();
        const std::int64_t end = started + static_cast<std::int64_t>(seconds * 1e9);
        std::int64_t due = started;
        while (due < end || received < sent) {
            const std::int64_t now = now_ns();
            for (; due <= now && due < end && lane_.has_room(); ++sent) {
                lane_.enqueue(requests_.next(due), due, due);
                ODR_CHECK(lane_.flush());
                due = started +
                      static_cast<std::int64_t>(std::llround(static_cast<double>(sent + 1) * 1e9 / options_.rate));
            }
            if (now > end + kDrainNsMax) return fail(ErrorCode::request_timed_out, "records did not arrive");
            ODR_CHECK(poll(due < end ? due : now + kPollNsMax));
        }
        return {};
    }
    std::uint64_t fetches() const { return reader_.answers(); }

private:
    void watch(int fd) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        ::epoll_ctl(epoll_.fd(), EPOLL_CTL_ADD, fd, &event);
    }

    Result<void> poll(std::int64_t until_ns) {
        epoll_event events[2];
        const timespec timeout{.tv_sec = 0, .tv_nsec = std::clamp<std::int64_t>(until_ns - now_ns(), 0, kPollNsMax)};
        const int got = ::epoll_pwait2(epoll_.fd(), events, 2, &timeout, nullptr);
        for (int i = 0; i < got; ++i) {
            const std::int64_t now = now_ns();
            if (events[i].data.fd == reader_.fd()) {
                ODR_CHECK(reader_.drain([&](std::int64_t due) {
                    age.add(now - due);
                    ++received;
                }));
                continue;
            }
            ODR_CHECK(lane_.drain(scratch_, [&](const ProduceLane::InFlight& done, const ProduceAnswer& answer) {
                acknowledged.add(now - done.due_ns);
                if (answer.error != ErrorCode::none) ++errors[answer.error];
            }));
        }
        return lane_.flush();
    }

    const EndToEndOptions& options_;
    Socket epoll_;
    StampedRequests requests_;
    ProduceLane lane_;
    TailReader reader_;
    std::vector<std::uint8_t> scratch_;
};

}  // namespace

Result<Report> run_end_to_end(const EndToEndOptions& options) {
    ODR_TRY(topic, set_up_topic(options, 1));
    ODR_TRY(producer, Socket::connect(options.broker));
    ODR_TRY(consumer, Socket::connect(options.broker));
    ODR_TRY(requests, StampedRequests::make(topic, 0, options.acks,
                                            {.batch_bytes = options.record_bytes, .record_bytes = options.record_bytes},
                                            kInFlightMax));
    EndToEnd load{options, topic, std::move(requests), std::move(producer), std::move(consumer)};
    ODR_CHECK(load.start());
    if (options.warmup_seconds > 0) ODR_CHECK(load.run(options.warmup_seconds));
    const Usage before = usage_of(options.broker_pid);
    const std::uint64_t fetches_before = load.fetches();
    ODR_CHECK(load.run(options.seconds));
    const Usage after = usage_of(options.broker_pid);

    Report report;
    report.set("records", static_cast<double>(load.received));
    report.set("fetches", static_cast<double>(load.fetches() - fetches_before));
    report.set_latency("e2e", load.age);
    report.set_latency("ack", load.acknowledged);
    report.set_usage(before, after, load.sent, 0);
    for (const auto& [code, times] : load.errors) report.count_error(code, times);
    tear_down_topic(options, topic);
    return report;
}

}  // namespace odr::bench
