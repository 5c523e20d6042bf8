#include "server/handlers/topic_names.h"

#include <fmt/format.h>

#include <algorithm>

namespace odr::server {
namespace {

constexpr std::size_t kTopicNameBytesMax = 249;

bool is_legal(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
}

}  // namespace

std::optional<std::string> invalid_topic_name(std::string_view name) {
    constexpr std::string_view kHead = "Topic name is invalid: ";
    if (name.empty()) return fmt::format("{}the empty string is not allowed", kHead);
    if (name == "." || name == "..") return fmt::format("{}'{}' is not allowed", kHead, name);
    if (name.size() > kTopicNameBytesMax) {
        return fmt::format("{}the length of '{}' is longer than the max allowed length {}", kHead, name,
                           kTopicNameBytesMax);
    }
    if (!std::ranges::all_of(name, is_legal)) {
        return fmt::format("{}'{}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
                           kHead, name);
    }
    return std::nullopt;
}

}  // namespace odr::server
