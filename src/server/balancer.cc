#include "server/balancer.h"

#include <algorithm>

namespace odr::server {
namespace {

constexpr int kBusyPercent = 90;    // from here on a reactor sheds work
constexpr int kWorthPercent = 20;   // a smaller difference is not worth the moves
constexpr int kMergedPercent = 60;  // far enough below kBusyPercent that merged work is not shed again
constexpr int kRoomPercent = 60;    // below it a reactor takes new connections

}  // namespace

std::optional<Shedding> plan_shedding(std::span<const int> loads, std::size_t self) {
    if (loads[self] < kBusyPercent) return std::nullopt;
    const auto least = static_cast<std::size_t>(std::ranges::min_element(loads) - loads.begin());
    const int difference = loads[self] - loads[least];
    if (difference < kWorthPercent) return std::nullopt;
    return Shedding{least, difference / 2};
}

std::optional<std::size_t> plan_merging(std::span<const int> loads, std::size_t self) {
    for (std::size_t other = 0; other < self; ++other) {
        if (loads[other] + loads[self] <= kMergedPercent) return other;
    }
    return std::nullopt;
}

std::size_t plan_placement(std::span<const int> loads) {
    const auto with_room = std::ranges::find_if(loads, [](int load) { return load < kRoomPercent; });
    const auto chosen = with_room != loads.end() ? with_room : std::ranges::min_element(loads);
    return static_cast<std::size_t>(chosen - loads.begin());
}

Balancer::Balancer(std::size_t reactor_count, ThreadCpuClock cpu) : cpu_{cpu}, loads_(reactor_count) {}

std::vector<int> Balancer::loads() const {
    std::vector<int> out;
    out.reserve(loads_.size());
    for (const auto& load : loads_) out.push_back(load.load(std::memory_order_relaxed));
    return out;
}

void Balancer::note_move(std::size_t from, std::size_t to, int percent) {
    loads_[from].fetch_sub(percent, std::memory_order_relaxed);
    loads_[to].fetch_add(percent, std::memory_order_relaxed);
}

void Balancer::set_processors(std::vector<Processor*> processors) {
    processors_ = std::move(processors);
    may_move_.store(processors_.size() > 1, std::memory_order_release);
}

}  // namespace odr::server
