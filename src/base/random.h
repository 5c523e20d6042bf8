#pragma once

#include <cstdint>

#include "base/uuid.h"

namespace odr {

// Randomness as a parameter: the kernel's, or a seeded one in tests and simulations.
// Threads: any.
class Random {
public:
    virtual ~Random() = default;
    virtual std::uint64_t next() = 0;
    Uuid uuid();  // never zero, never one of Kafka's reserved ids
};

Random& system_random();

// SplitMix64: the same seed gives the same numbers everywhere. Threads: one.
class SeededRandom final : public Random {
public:
    explicit SeededRandom(std::uint64_t seed) : state_{seed} {}
    std::uint64_t next() override;

private:
    std::uint64_t state_;
};

}  // namespace odr
