#include "base/types.h"

#include <fmt/format.h>

// The formatter of a Tagged calls that of its number, which fmt/core.h only declares. It stands here once, so that a
// source which formats an id needs no fmt/format.h.
template auto fmt::formatter<std::int16_t>::format(const std::int16_t&, fmt::format_context& context) const
    -> decltype(context.out());
template auto fmt::formatter<std::int32_t>::format(const std::int32_t&, fmt::format_context& context) const
    -> decltype(context.out());
template auto fmt::formatter<std::int64_t>::format(const std::int64_t&, fmt::format_context& context) const
    -> decltype(context.out());
