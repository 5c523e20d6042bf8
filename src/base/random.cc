#include "base/random.h"

#include <sys/random.h>

#include "base/assert.h"

namespace odr {
namespace {

class SystemRandom final : public Random {
public:
    std::uint64_t next() override {
        std::uint64_t value = 0;
        const ssize_t n = getrandom(&value, sizeof value, 0);
        ODR_ASSERT(n == sizeof value, "getrandom gave {} bytes", n);
        return value;
    }
};

}  // namespace

Uuid Random::uuid() {
    for (;;) {
        if (const auto id = Uuid::from_random(next(), next())) return *id;
    }
}

Random& system_random() {
    static SystemRandom random;
    return random;
}

std::uint64_t SeededRandom::next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

}  // namespace odr
