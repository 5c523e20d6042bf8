#include "controller/controller.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "controller/activation.h"
#include "controller/broker_states.h"
#include "controller/messages.h"
#include "controller/operation.h"
#include "metadata/delta.h"
#include "metadata/metadata_loader.h"
#include "raft/metadata_log.h"

namespace odr::controller {
namespace {

std::int64_t session_timeout_ns(const config::BrokerConfig& config) {
    return static_cast<std::int64_t>(config.get_int("broker.session.timeout.ms")) * 1'000'000;
}

}  // namespace

struct Controller::Impl {
    // Called when everything before it is committed, or with what went wrong.
    using Finish = std::move_only_function<void(const Error*)>;
    using Job = std::move_only_function<Finish(Impl&, io::MayBlock)>;

    Impl(raft::MetadataLog& metadata_log, const metadata::MetadataLoader& metadata_loader, const Clock& clock,
         Random& random, ControllerOptions given)
        : log{metadata_log},
          loader{metadata_loader},
          options{std::move(given)},
          state{.newest = nullptr,
                .next_offset = {},
                .heartbeats = BrokerHeartbeats{session_timeout_ns(*options.config)},
                .colliding_names = {},
                .options = options,
                .clock = clock,
                .random = random} {}

    Result<void> activate(io::MayBlock may_block);
    Result<void> append(io::MayBlock may_block, const metadata::RecordList& records, bool atomic);
    Result<void> append_batch(io::MayBlock may_block, std::span<const ByteView> records);
    template <class Request>
    Finish run(io::MayBlock may_block, const RequestContext& context, const Request& request, Done<Request> done);
    void serve();
    void serve_round(io::MayBlock may_block, std::deque<Job> jobs);
    void fence_stale_broker(io::MayBlock may_block);
    void break_down(const Error& error);
    template <class Request>
    void enqueue(const RequestContext& context, Request request, Done<Request> done);
    void wait_for_work(std::unique_lock<std::mutex>& lock);

    raft::MetadataLog& log;
    const metadata::MetadataLoader& loader;
    ControllerOptions options;
    State state;
    LeaderEpoch epoch{0};
    std::optional<Offset> uncommitted;  // the last record that was appended but not committed
    std::optional<Error> broken;

    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Job> queue;  // under mutex
    bool closed = false;    // under mutex
    std::thread thread;
};

template <class Request>
void Controller::Impl::enqueue(const RequestContext& context, Request request, Done<Request> done) {
    ErrorCode refused = ErrorCode::none;
    {
        const std::lock_guard lock{mutex};
        if (queue.size() >= options.queued_requests_max) refused = ErrorCode::throttling_quota_exceeded;
        if (closed) refused = ErrorCode::not_controller;
        if (refused == ErrorCode::none) {
            queue.push_back([context, request = std::move(request), done = std::move(done)](
                                Impl& self, io::MayBlock may_block) mutable -> Finish {
                return self.run(may_block, context, request, std::move(done));
            });
            changed.notify_one();
        }
    }
    if (refused != ErrorCode::none) done(fail(refused, "the controller takes no more requests"));
}

// Appends records that belong together and makes them part of the newest state.
Result<void> Controller::Impl::append_batch(io::MayBlock may_block, std::span<const ByteView> records) {
    metadata::MetadataDelta delta{state.newest};
    for (const ByteView record : records) ODR_CHECK(delta.replay(record));
    const auto appended = log.append_unflushed(may_block, epoch, records);
    if (!appended && appended.error().code == ErrorCode::record_list_too_large)
        return fail(ErrorCode::policy_violation, "Unable to perform excessively large batch operation.");
    if (!appended) {
        break_down(appended.error());
        return fail(appended.error());
    }
    const Offset last = *appended;
    const metadata::MetadataChanges& changes = delta.changes();
    for (const auto& [id, name] : changes.deleted_topics) state.colliding_names.remove(name);
    for (const Uuid& id : changes.created_topics) state.colliding_names.add(delta.current().topics().find(id)->name);
    state.newest = delta.apply({.last_contained_offset = last,
                                .last_contained_epoch = epoch,
                                .last_contained_log_timestamp = state.clock.now()});
    state.next_offset = last + 1;
    uncommitted = last;
    return {};
}

Result<void> Controller::Impl::append(io::MayBlock may_block, const metadata::RecordList& records, bool atomic) {
    const std::vector<ByteView> views = records.views();
    if (atomic) return append_batch(may_block, views);
    for (std::size_t at = 0; at < views.size(); at += kRecordsPerBatchMax) {
        const std::size_t count = std::min(kRecordsPerBatchMax, views.size() - at);
        ODR_CHECK(append_batch(may_block, std::span{views}.subspan(at, count)));
    }
    return {};
}

Result<void> Controller::Impl::activate(io::MayBlock may_block) {
    epoch = log.leader_and_epoch().epoch;
    state.newest = loader.image();
    state.next_offset = log.log_end_offset();
    state.image().topics().for_each([&](const metadata::TopicImage& topic) { state.colliding_names.add(topic.name); });
    const std::int64_t now_ns = state.clock.monotonic_ns();
    for (const auto& [id, broker] : state.image().cluster().brokers)
        if (!broker->fenced && !state.is_embedded(id)) state.heartbeats.touch(id, now_ns, kNoOffset);

    const bool no_state = state.image().features() == metadata::FeaturesImage{};
    const bool is_empty = !loader.has_seen_record() || (loader.open_transaction() && no_state);
    metadata::RecordList records;
    ODR_CHECK(add_activation_records(state, is_empty, loader.open_transaction().has_value(), records));
    if (!records.empty()) ODR_CHECK(append(may_block, records, true));
    records.clear();
    add_controller_registration(state, records);
    if (!records.empty()) ODR_CHECK(append(may_block, records, true));
    if (!uncommitted) return {};
    ODR_CHECK(log.commit(may_block, *uncommitted));
    uncommitted.reset();
    return {};
}

template <class Request>
Controller::Impl::Finish Controller::Impl::run(io::MayBlock may_block, const RequestContext& context,
                                               const Request& request, Done<Request> done) {
    const auto refuse_all = [&](Error error) {
        return [done = std::move(done), error](const Error* broken_error) mutable {
            done(std::unexpected{broken_error == nullptr ? error : *broken_error});
        };
    };
    if (broken) return refuse_all(*broken);
    auto outcome = perform(state, context, request);
    if (!outcome) return refuse_all(outcome.error());
    if (!outcome->records.empty()) {
        const auto appended = append(may_block, outcome->records, outcome->atomic);
        if (!appended) return refuse_all(appended.error());
    }
    return [done = std::move(done), answer = std::move(outcome->answer)](const Error* error) mutable {
        if (error != nullptr) return done(std::unexpected{*error});
        done(std::move(answer));
    };
}

// From here on nobody knows what the log holds, so nothing more is written or answered with success.
void Controller::Impl::break_down(const Error& error) {
    if (broken) return;
    broken = error;
    log::error("the controller stops: {} ({}, errno {})", error.what, to_string(error.code), error.os_errno);
}

void Controller::Impl::fence_stale_broker(io::MayBlock may_block) {
    metadata::RecordList records;
    fence_one_stale_broker(state, records);
    if (records.empty()) return;
    if (const auto appended = append(may_block, records, false); !appended)
        log::error("a broker could not be fenced: {}", appended.error().what);
}

void Controller::Impl::serve_round(io::MayBlock may_block, std::deque<Job> jobs) {
    std::vector<Finish> finishes;
    finishes.reserve(jobs.size());
    for (Job& job : jobs) finishes.push_back(job(*this, may_block));
    if (!broken) fence_stale_broker(may_block);
    if (!broken && uncommitted) {
        if (const auto committed = log.commit(may_block, *uncommitted); !committed) break_down(committed.error());
        uncommitted.reset();
    }
    for (Finish& finish : finishes) finish(broken ? &*broken : nullptr);
}

// Until there are requests, the end, or a broker's session runs out.
void Controller::Impl::wait_for_work(std::unique_lock<std::mutex>& lock) {
    const auto ready = [&] { return closed || !queue.empty(); };
    const auto session_end_ns = next_session_end_ns(state);
    if (!session_end_ns) return changed.wait(lock, ready);
    const std::int64_t left_ns = std::max<std::int64_t>(*session_end_ns - state.clock.monotonic_ns(), 0);
    changed.wait_for(lock, std::chrono::nanoseconds{left_ns} + std::chrono::milliseconds{1}, ready);
}

void Controller::Impl::serve() {
    const io::MayBlock may_block = io::MayBlock::on_own_thread();
    bool told = false;
    for (;;) {
        std::deque<Job> jobs;
        {
            std::unique_lock lock{mutex};
            wait_for_work(lock);
            if (closed && queue.empty()) return;
            jobs.swap(queue);
        }
        serve_round(may_block, std::move(jobs));
        if (broken && !told) {
            told = true;
            if (options.on_fatal) options.on_fatal(*broken);
        }
    }
}

Controller::Controller(raft::MetadataLog& log, const metadata::MetadataLoader& loader, const Clock& clock,
                       Random& random, ControllerOptions options)
    : impl_{std::make_unique<Impl>(log, loader, clock, random, std::move(options))} {}

Controller::~Controller() { stop(); }

Result<void> Controller::start(io::MayBlock may_block) {
    ODR_CHECK(impl_->activate(may_block));
    impl_->thread = std::thread{[impl = impl_.get()] { impl->serve(); }};
    return {};
}

void Controller::stop() {
    {
        const std::lock_guard lock{impl_->mutex};
        impl_->closed = true;
        impl_->changed.notify_one();
    }
    if (impl_->thread.joinable()) impl_->thread.join();
}

#define ODR_CONTROLLER_REQUEST(name)                                                 \
    void Controller::submit(RequestContext context, protocol::name##Request request, \
                            Done<protocol::name##Request> done) {                    \
        impl_->enqueue(context, std::move(request), std::move(done));                \
    }
#include "controller/requests.inc"
#undef ODR_CONTROLLER_REQUEST

}  // namespace odr::controller
