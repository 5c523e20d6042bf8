#pragma once

#include <fmt/core.h>

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace odr {

// A number that must not be mixed with another of the same width. raw() is the only way out.
template <class Tag, class Rep>
class Tagged {
public:
    using rep = Rep;
    constexpr Tagged() = default;
    constexpr explicit Tagged(Rep raw) : raw_{raw} {}
    constexpr Rep raw() const { return raw_; }
    friend constexpr auto operator<=>(const Tagged&, const Tagged&) = default;

private:
    Rep raw_{};
};

using Offset = Tagged<struct OffsetTag, std::int64_t>;  // a record's place in a partition
using LeaderEpoch = Tagged<struct LeaderEpochTag, std::int32_t>;
using BrokerId = Tagged<struct BrokerIdTag, std::int32_t>;  // node.id
using BrokerEpoch = Tagged<struct BrokerEpochTag, std::int64_t>;
using PartitionIndex = Tagged<struct PartitionIndexTag, std::int32_t>;
using ProducerId = Tagged<struct ProducerIdTag, std::int64_t>;
using ProducerEpoch = Tagged<struct ProducerEpochTag, std::int16_t>;
using TimestampMs = Tagged<struct TimestampMsTag, std::int64_t>;  // since 1970, wall clock

// Offsets count records, so adding a count to one gives one.
constexpr Offset operator+(Offset offset, std::int64_t records) { return Offset{offset.raw() + records}; }
constexpr Offset operator-(Offset offset, std::int64_t records) { return Offset{offset.raw() - records}; }
constexpr std::int64_t operator-(Offset a, Offset b) { return a.raw() - b.raw(); }

inline constexpr Offset kNoOffset{-1};
inline constexpr LeaderEpoch kNoLeaderEpoch{-1};
inline constexpr BrokerId kNoBroker{-1};
inline constexpr ProducerId kNoProducerId{-1};
inline constexpr ProducerEpoch kNoProducerEpoch{-1};
inline constexpr TimestampMs kNoTimestamp{-1};

}  // namespace odr

template <class Tag, class Rep>
struct std::hash<odr::Tagged<Tag, Rep>> {
    std::size_t operator()(odr::Tagged<Tag, Rep> value) const noexcept { return std::hash<Rep>{}(value.raw()); }
};

template <class Tag, class Rep>
struct fmt::formatter<odr::Tagged<Tag, Rep>> : fmt::formatter<Rep> {
    template <class Context>
    auto format(odr::Tagged<Tag, Rep> value, Context& context) const {
        return fmt::formatter<Rep>::format(value.raw(), context);
    }
};
