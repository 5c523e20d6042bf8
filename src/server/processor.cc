#include "server/processor.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "server/connection.h"
#include "server/connection_quotas.h"

namespace odr::server {
namespace {

constexpr std::int64_t kMemoryRetryMs = 5;

}  // namespace

Processor::Processor(int index, const Services& services, ConnectionLimits limits, Balancer* balancer)
    : services_{services}, limits_{limits}, reactor_{index, *services.clock}, state_{services}, balancer_{balancer} {}

Processor::~Processor() { ODR_ASSERT(!thread_.joinable(), "stop() first"); }

void Processor::start() {
    plan_idle_check();
    thread_ = std::thread{[this] { reactor_.run(); }};
    pthread_setname_np(thread_.native_handle(), ("odr-reactor-" + std::to_string(reactor_.index())).c_str());
}

void Processor::stop() {
    if (!thread_.joinable()) return;
    reactor_.post([this] { stop_on_reactor(); });
    thread_.join();
}

void Processor::stop_on_reactor() {
    is_stopping_ = true;
    const std::vector<Connection*> all{connections_.begin(), connections_.end()};
    for (Connection* connection : all) {
        connection->close("the broker stops");
        connection->destroy_if_unused();
    }
    if (connections_.empty()) reactor_.stop();  // else when the last of them is buried
}

void Processor::adopt(int socket, ConnectionInfo info) {
    reactor_.post(
        [this, socket, info = std::move(info)]() mutable { take_in(*new Connection{*this, socket, std::move(info)}); });
}

void Processor::receive(Connection& connection) {
    reactor_.call(
        [](void* arrived) {
            auto& moved = *static_cast<Connection*>(arrived);
            moved.processor().take_in(moved);
        },
        &connection);
}

void Processor::take_in(Connection& connection) {
    connections_.insert(&connection);
    link(connection);
    connection.start_watching();
    note_activity();
    if (!is_stopping_) return;
    connection.close("the broker stops");
    connection.destroy_if_unused();
}

void Processor::give_away(Connection& connection, Processor& to) {
    ODR_ASSERT(connections_.erase(&connection) == 1);
    unlink(connection);
    connection.change_processor(to);
    to.receive(connection);
}

const ChunkRef& Processor::scratch() {
    if (!scratch_ || scratch_.is_shared()) scratch_ = ChunkRef::allocate(kScratchBytes);
    return scratch_;
}

void Processor::link(Connection& connection) {
    connection.idle_previous_ = idle_last_;
    connection.idle_next_ = nullptr;
    (idle_last_ == nullptr ? idle_first_ : idle_last_->idle_next_) = &connection;
    idle_last_ = &connection;
}

void Processor::unlink(Connection& connection) {
    (connection.idle_previous_ == nullptr ? idle_first_ : connection.idle_previous_->idle_next_) =
        connection.idle_next_;
    (connection.idle_next_ == nullptr ? idle_last_ : connection.idle_next_->idle_previous_) = connection.idle_previous_;
    connection.idle_next_ = connection.idle_previous_ = nullptr;
}

void Processor::touch(Connection& connection) {
    if (idle_last_ == &connection || connection.is_closed()) return;
    unlink(connection);
    link(connection);
}

void Processor::forget(Connection& connection) {
    unlink(connection);
    std::erase(waiting_for_memory_, &connection);
    services_.connection_quotas->release(connection.info().listener, connection.info().peer_address);
}

void Processor::bury(Connection& connection) {
    if (connections_.erase(&connection) == 0) return;
    if (buried_.empty()) {
        reactor_.at_end_of_turn([](void* self) { static_cast<Processor*>(self)->clear_buried(); }, this);
    }
    buried_.push_back(&connection);
    if (is_stopping_ && connections_.empty()) reactor_.stop();
}

void Processor::clear_buried() {
    for (Connection* connection : buried_) delete connection;
    buried_.clear();
}

bool Processor::take_first_place() {
    if (is_first_place_taken_) return false;
    is_first_place_taken_ = true;
    reactor_.at_end_of_turn([](void* self) { static_cast<Processor*>(self)->is_first_place_taken_ = false; }, this);
    return true;
}

// --- balancing

void Processor::begin_window() {
    ++window_;
    window_began_ms_ = reactor_.now_ms();
    window_cpu_ns_ = balancer_->cpu_ns();
    reactor_.arm(
        balance_timer_, Balancer::kWindowMs, [](void* self) { static_cast<Processor*>(self)->end_window(); }, this);
}

void Processor::end_window() {
    const std::int64_t wall_ns = (reactor_.now_ms() - window_began_ms_) * 1'000'000;
    const std::int64_t cpu_ns = balancer_->cpu_ns() - window_cpu_ns_;
    const auto percent = static_cast<int>(std::clamp<std::int64_t>(cpu_ns * 100 / wall_ns, 0, 100));
    const bool rests = idle_last_ == nullptr || idle_last_->last_active_ms() < window_began_ms_;
    balancer_->publish(static_cast<std::size_t>(reactor_.index()), rests ? 0 : percent);
    if (rests) return;
    if (balancer_->may_move()) balance(percent);
    begin_window();
}

void Processor::balance(int percent) {
    const auto self = static_cast<std::size_t>(reactor_.index());
    const std::vector<int> loads = balancer_->loads();
    if (const auto plan = plan_shedding(loads, self)) return shed(*plan, percent);
    const auto merged_to = plan_merging(loads, self);
    windows_to_merge_ = merged_to ? windows_to_merge_ - 1 : Balancer::kMergeAfterWindows;
    if (!merged_to || windows_to_merge_ > 0) return;
    windows_to_merge_ = Balancer::kMergeAfterWindows;
    balancer_->note_move(self, *merged_to, percent);
    for (Connection* connection : active_connections()) connection->move_to(balancer_->processor(*merged_to));
}

// Those that did something in this window, the latest first.
std::vector<Connection*> Processor::active_connections() const {
    std::vector<Connection*> out;
    for (Connection* at = idle_last_; at != nullptr && at->last_active_ms() >= window_began_ms_;
         at = at->idle_previous_) {
        out.push_back(at);
    }
    return out;
}

void Processor::shed(const Shedding& plan, int percent) {
    std::vector<Connection*> active = active_connections();
    std::ranges::sort(active, std::greater{}, [](const Connection* each) { return each->work(); });
    std::uint64_t all = 0;
    for (const Connection* each : active) all += each->work();
    const std::uint64_t to_move = all * static_cast<std::uint64_t>(plan.percent) / static_cast<std::uint64_t>(percent);
    std::uint64_t moved = 0;
    std::size_t moves = 0;
    for (Connection* connection : active) {
        if (connection->work() == 0 || moved + connection->work() > to_move) continue;
        if (moves == Balancer::kMovesMax) break;
        moved += connection->work();
        ++moves;
        connection->move_to(balancer_->processor(plan.to));
    }
    if (moved == 0) return;
    balancer_->note_move(static_cast<std::size_t>(reactor_.index()), plan.to,
                         static_cast<int>(moved * static_cast<std::uint64_t>(percent) / all));
}

// --- idle connections, memory

void Processor::plan_idle_check() {
    if (limits_.idle_ms_max < 0) return;
    const std::int64_t every_ms = std::clamp<std::int64_t>(limits_.idle_ms_max / 4, 50, 10'000);
    reactor_.arm(idle_timer_, every_ms, [](void* self) { static_cast<Processor*>(self)->close_idle(); }, this);
}

void Processor::close_idle() {
    while (idle_first_ != nullptr && reactor_.now_ms() - idle_first_->last_active_ms() > limits_.idle_ms_max) {
        Connection& oldest = *idle_first_;
        if (oldest.in_flight_ > 0) {
            touch(oldest);
            oldest.last_active_ms_ = reactor_.now_ms();
            continue;
        }
        oldest.close("it was idle for longer than connections.max.idle.ms");
        oldest.destroy_if_unused();
    }
    plan_idle_check();
}

void Processor::await_memory(Connection& connection) {
    if (std::ranges::find(waiting_for_memory_, &connection) == waiting_for_memory_.end()) {
        waiting_for_memory_.push_back(&connection);
    }
    if (memory_timer_.is_armed()) return;
    reactor_.arm(
        memory_timer_, kMemoryRetryMs, [](void* self) { static_cast<Processor*>(self)->retry_memory(); }, this);
}

void Processor::retry_memory() {
    if (memory().is_exhausted()) {
        reactor_.arm(
            memory_timer_, kMemoryRetryMs, [](void* self) { static_cast<Processor*>(self)->retry_memory(); }, this);
        return;
    }
    for (Connection* connection : std::exchange(waiting_for_memory_, {})) connection->resume_reading();
}

}  // namespace odr::server
