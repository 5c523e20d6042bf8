#include "protocol/api_keys.h"

#include <array>

namespace odr::protocol {
namespace {

constexpr ApiInfo kApis[] = {
#define ODR_API(key, enumerator, name, min, max, flexible, listeners, unstable) \
    {ApiKey::enumerator, name, min, max, flexible, listeners, unstable},
#include "protocol/generated/api_keys.inc"
#undef ODR_API
};

constexpr std::size_t kKeyEnd = static_cast<std::size_t>(std::end(kApis)[-1].key) + 1;

constexpr std::array<const ApiInfo*, kKeyEnd> kByKey = [] {
    std::array<const ApiInfo*, kKeyEnd> table{};
    for (const ApiInfo& api : kApis) table[static_cast<std::size_t>(api.key)] = &api;
    return table;
}();

}  // namespace

const ApiInfo* find_api(std::int16_t key) {
    return key >= 0 && static_cast<std::size_t>(key) < kKeyEnd ? kByKey[static_cast<std::size_t>(key)] : nullptr;
}

std::span<const ApiInfo> all_apis() { return kApis; }

}  // namespace odr::protocol
