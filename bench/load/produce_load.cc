#include "load/produce_load.h"

#include <sys/epoll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cmath>

#include "base/clock.h"

namespace odr::bench {
namespace {

constexpr std::int64_t kSilenceNsMax = 30'000'000'000;
constexpr std::int64_t kPollNsMax = 50'000'000;
constexpr std::size_t kScratchBytes = 65536;
constexpr std::size_t kEventsPerPoll = 256;

std::int64_t now_ns() { return system_clock().monotonic_ns(); }

}  // namespace

ProduceLoad::ProduceLoad(LoadShape shape, std::vector<Socket> sockets, const std::vector<PreparedProduce>& requests)
    : shape_{shape}, epoll_{::epoll_create1(EPOLL_CLOEXEC)}, requests_{requests}, scratch_(kScratchBytes) {
    // The kernel rounds a sleep up by 50 us unless told otherwise: a due request would start late.
    ::prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
    lanes_.reserve(sockets.size());
    events_.resize(kEventsPerPoll);
    for (auto& socket : sockets) {
        next_request_.push_back(lanes_.size() % requests.size());
        lanes_.emplace_back(std::move(socket), shape.in_flight, shape.expects_answers);
    }
    for (auto& lane : lanes_) {
        epoll_event event{};
        event.events = EPOLLIN | EPOLLOUT | EPOLLET;
        event.data.ptr = &lane;
        ::epoll_ctl(epoll_.fd(), EPOLL_CTL_ADD, lane.fd(), &event);
    }
}

bool ProduceLoad::may_send(const Limits& limits, std::int64_t now) const {
    if (limits.requests != 0 && issued_ >= limits.requests) return false;
    if (limits.bytes != 0 && issued_bytes_ >= limits.bytes) return false;
    return limits.seconds == 0 || static_cast<double>(now - started_ns_) < limits.seconds * 1e9;
}

void ProduceLoad::enqueue(ProduceLane& lane, std::int64_t due_ns, std::int64_t now_ns) {
    std::size_t& next = next_request_[index_of(lane)];
    const PreparedProduce& request = requests_[next];
    next = (next + 1) % requests_.size();
    lane.enqueue(request, due_ns, now_ns);
    ++in_flight_;
    ++issued_;
    issued_bytes_ += request.batch_bytes;
}

Result<void> ProduceLoad::fill(const Limits& limits, ProduceLane& lane, std::int64_t now) {
    while (lane.has_room() && may_send(limits, now)) enqueue(lane, now, now);
    const int before = lane.in_flight();
    ODR_CHECK(lane.flush());
    if (!shape_.expects_answers) {
        in_flight_ -= before - lane.in_flight();
        last_answer_ns_ = now;
    }
    return {};
}

Result<void> ProduceLoad::send_in_turn(const Limits& limits, std::int64_t now) {
    while (in_flight_ < shape_.in_flight_in_turn && may_send(limits, now)) {
        ProduceLane& lane = lanes_[next_lane_];
        if (lane.in_flight() > 0) return {};  // its turn again, and its last answer is still missing
        next_lane_ = (next_lane_ + 1) % lanes_.size();
        enqueue(lane, now, now);
        ODR_CHECK(lane.flush());
    }
    return {};
}

Result<void> ProduceLoad::send_due(const Limits& limits, std::int64_t now) {
    const double interval_ns = 1e9 / shape_.rate;
    while (next_due_ns_ <= now && may_send(limits, next_due_ns_)) {
        backlog_.push_back(next_due_ns_);
        const auto due_count = static_cast<double>(issued_ + backlog_.size());
        next_due_ns_ = started_ns_ + static_cast<std::int64_t>(std::llround(due_count * interval_ns));
    }
    for (std::size_t full = 0; !backlog_.empty() && full < lanes_.size();) {
        ProduceLane& lane = lanes_[next_lane_];
        next_lane_ = (next_lane_ + 1) % lanes_.size();
        if (!lane.has_room()) {
            ++full;
            continue;
        }
        full = 0;
        enqueue(lane, backlog_.front(), now);
        backlog_.pop_front();
        ODR_CHECK(lane.flush());
    }
    return {};
}

Result<void> ProduceLoad::send_more(const Limits& limits, std::int64_t now, ProduceLane* answered) {
    if (shape_.rate > 0) return send_due(limits, now);
    if (shape_.in_flight_in_turn > 0) return send_in_turn(limits, now);
    return answered != nullptr ? fill(limits, *answered, now) : Result<void>{};
}

void ProduceLoad::wait() {
    std::int64_t wait_ns = kPollNsMax;
    if (shape_.rate > 0) wait_ns = std::clamp<std::int64_t>(next_due_ns_ - now_ns(), 0, kPollNsMax);
    const timespec timeout{.tv_sec = 0, .tv_nsec = wait_ns};
    const int got = ::epoll_pwait2(epoll_.fd(), events_.data(), static_cast<int>(events_.size()), &timeout, nullptr);
    event_count_ = static_cast<std::size_t>(std::max(got, 0));
}

Result<void> ProduceLoad::handle_events(const Limits& limits) {
    for (std::size_t i = 0; i < event_count_; ++i) {
        auto& lane = *static_cast<ProduceLane*>(events_[i].data.ptr);
        const std::int64_t now = now_ns();
        if ((events_[i].events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) {
            ODR_CHECK(lane.drain(scratch_, [&](const ProduceLane::InFlight& done, const ProduceAnswer& answer) {
                --in_flight_;
                last_answer_ns_ = now;
                phase_.latency.add(now - done.due_ns);
                phase_.service.add(now - done.given_ns);
                ++phase_.requests;
                if (answer.error != ErrorCode::none) {
                    ++phase_.errors[answer.error];
                    return;
                }
                phase_.bytes += done.request->batch_bytes;
                const auto records = static_cast<std::uint64_t>(done.request->record_count);
                phase_.records += records;
                acknowledged_[done.request->partition] += records;
            }));
        }
        if (lane.has_unsent()) ODR_CHECK(lane.flush());
        ODR_CHECK(send_more(limits, now, &lane));
    }
    return {};
}

Result<Phase> ProduceLoad::run(const Limits& limits) {
    phase_ = Phase{};
    issued_ = issued_bytes_ = 0;
    started_ns_ = last_answer_ns_ = next_due_ns_ = now_ns();
    if (shape_.rate == 0 && shape_.in_flight_in_turn == 0) {
        for (auto& lane : lanes_) ODR_CHECK(fill(limits, lane, started_ns_));
    }
    for (;;) {
        const std::int64_t now = now_ns();
        ODR_CHECK(send_more(limits, now, nullptr));
        if (is_idle() && !may_send(limits, now)) break;
        wait();
        ODR_CHECK(handle_events(limits));
        if (in_flight_ > 0 && now - last_answer_ns_ > kSilenceNsMax) {
            return fail(ErrorCode::request_timed_out, "no answer for 30 s");
        }
    }
    phase_.seconds = static_cast<double>(last_answer_ns_ - started_ns_) / 1e9;
    if (!shape_.expects_answers) {
        phase_.requests = issued_;
        phase_.bytes = issued_bytes_;
    }
    return std::move(phase_);
}

}  // namespace odr::bench
