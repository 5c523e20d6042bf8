#include "controller/replica_placer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace odr::controller {
namespace {

// Brokers in turn; each round begins one further than the one before.
class Ring {
public:
    void add(std::int32_t broker) { brokers_.push_back(broker); }
    void start(Random& random) {
        std::ranges::sort(brokers_);
        if (!brokers_.empty()) offset_ = random.next() % brokers_.size();
    }
    void shuffle(Random& random) {
        for (std::size_t i = brokers_.size(); i > 1; --i) std::swap(brokers_[i - 1], brokers_[random.next() % i]);
    }
    std::optional<std::int32_t> next(std::uint64_t round) {
        if (brokers_.empty()) return std::nullopt;
        if (round_ != round) {
            round_ = round;
            given_ = 0;
            offset_ = (offset_ + 1) % brokers_.size();
        }
        if (given_ >= brokers_.size()) return std::nullopt;
        return brokers_[(given_++ + offset_) % brokers_.size()];
    }

private:
    std::vector<std::int32_t> brokers_;
    std::size_t offset_ = 0;
    std::size_t given_ = 0;
    std::uint64_t round_ = 0;
};

struct Rack {
    Ring unfenced;
    Ring fenced;
    std::optional<std::int32_t> next(std::uint64_t round) {
        if (const auto broker = unfenced.next(round)) return broker;
        return fenced.next(round);
    }
};

class Racks {
public:
    Racks(const State& state, Random& random) : random_{random} {
        for (const auto& [id, broker] : state.image().cluster().brokers) {
            if (broker->in_controlled_shutdown || all_cordoned(*broker)) continue;
            Rack& rack = by_name_[broker->rack];
            (broker->fenced ? rack.fenced : rack.unfenced).add(id.raw());
            ++brokers;
            if (!broker->fenced) ++unfenced;
        }
        for (auto& [name, rack] : by_name_) {
            rack.unfenced.start(random);
            rack.fenced.start(random);
            order_.push_back(&rack);
        }
        if (!order_.empty()) offset_ = random.next() % order_.size();
    }

    // Needs: unfenced > 0, replication_factor <= brokers.
    std::vector<std::int32_t> place(std::int32_t replication_factor) {
        if (round_in_stripe_ == unfenced && unfenced > 1) {
            shuffle();
            round_in_stripe_ = 0;
        }
        if (offset_ >= order_.size()) offset_ = 0;
        std::vector<std::int32_t> replicas;
        std::size_t first_rack = offset_;
        std::optional<std::int32_t> leader;
        while (!(leader = order_[first_rack]->unfenced.next(round_))) first_rack = (first_rack + 1) % order_.size();
        replicas.push_back(*leader);
        // The leader's rack has had its turn in the first pass over the racks.
        std::optional<std::size_t> skip = first_rack;
        for (std::size_t rack = offset_; std::cmp_less(replicas.size(), replication_factor);
             rack = (rack + 1) % order_.size()) {
            if (skip == rack) {
                skip.reset();
                continue;
            }
            if (const auto broker = order_[rack]->next(round_)) replicas.push_back(*broker);
        }
        ++round_;
        ++round_in_stripe_;
        ++offset_;
        return replicas;
    }

    std::int32_t brokers = 0;
    std::int32_t unfenced = 0;

private:
    static bool all_cordoned(const metadata::BrokerRegistration& broker) {
        if (!broker.cordoned_directories || broker.directories.empty()) return false;
        return std::ranges::all_of(broker.directories, [&](const Uuid& directory) {
            return std::ranges::find(*broker.cordoned_directories, directory) != broker.cordoned_directories->end();
        });
    }
    void shuffle() {
        for (std::size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[random_.next() % i]);
        for (Rack* rack : order_) {
            rack->unfenced.shuffle(random_);
            rack->fenced.shuffle(random_);
        }
    }

    Random& random_;
    std::map<std::optional<std::string>, Rack> by_name_;
    std::vector<Rack*> order_;
    std::size_t offset_ = 0;
    std::uint64_t round_ = 0;
    std::int32_t round_in_stripe_ = 0;
};

}  // namespace

std::expected<std::vector<std::vector<std::int32_t>>, std::string> place_replicas(State& state, std::int32_t partitions,
                                                                                  std::int32_t replication_factor) {
    Racks racks{state, state.random};
    if (replication_factor <= 0)
        return std::unexpected{
            fmt::format("Invalid replication factor {}: the replication factor must be positive.", replication_factor)};
    if (racks.unfenced == 0) return std::unexpected{std::string{"All brokers are currently fenced."}};
    if (replication_factor > racks.brokers)
        return std::unexpected{fmt::format(
            "The target replication factor of {} cannot be reached because only {} broker(s) are registered.",
            replication_factor, racks.brokers)};
    std::vector<std::vector<std::int32_t>> placed;
    placed.reserve(static_cast<std::size_t>(partitions));
    for (std::int32_t i = 0; i < partitions; ++i) placed.push_back(racks.place(replication_factor));
    return placed;
}

}  // namespace odr::controller
