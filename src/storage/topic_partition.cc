#include "storage/topic_partition.h"

#include <fmt/format.h>

#include <charconv>

namespace odr::storage {
namespace {

constexpr std::size_t kFileNameMax = 255;
constexpr std::size_t kIdHexLength = 32;

std::optional<TopicPartition> parse_topic_partition(std::string_view name) {
    const auto dash = name.rfind('-');
    if (dash == std::string_view::npos || dash == 0 || dash + 1 == name.size()) return std::nullopt;
    std::int32_t partition = 0;
    const char* end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data() + dash + 1, end, partition);
    if (error != std::errc{} || stop != end || partition < 0) return std::nullopt;
    return TopicPartition{std::string{name.substr(0, dash)}, PartitionIndex{partition}};
}

}  // namespace

std::string TopicPartition::to_string() const { return fmt::format("{}-{}", topic, partition); }

LogFolderName parse_log_folder_name(std::string_view name) {
    struct Mark {
        std::string_view suffix;
        LogFolderKind kind;
    };
    constexpr Mark kMarks[] = {
        {"-delete", LogFolderKind::deleted}, {"-future", LogFolderKind::future}, {"-stray", LogFolderKind::stray}};
    for (const Mark& mark : kMarks) {
        if (!name.ends_with(mark.suffix)) continue;
        const std::string_view rest = name.substr(0, name.size() - mark.suffix.size());
        const auto dot = rest.rfind('.');
        if (dot == std::string_view::npos || rest.size() - dot - 1 != kIdHexLength) continue;
        if (auto parsed = parse_topic_partition(rest.substr(0, dot))) return {mark.kind, std::move(*parsed)};
    }
    if (auto parsed = parse_topic_partition(name)) return {LogFolderKind::log, std::move(*parsed)};
    return {};
}

std::string marked_folder_name(const TopicPartition& topic_partition, const Uuid& id, std::string_view suffix) {
    std::string hex;
    for (const std::uint8_t byte : id.bytes) fmt::format_to(std::back_inserter(hex), "{:02x}", byte);
    const std::string tail = fmt::format("-{}.{}{}", topic_partition.partition, hex, suffix);
    return topic_partition.topic.substr(0, kFileNameMax - tail.size()) + tail;
}

}  // namespace odr::storage
