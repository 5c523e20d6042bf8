#include "storage/checkpoint_file.h"

#include <fmt/format.h>

#include <charconv>

namespace odr::storage {
namespace {

constexpr std::int32_t kCheckpointVersion = 0;

// Walks a text: lines, and words within a line.
class Words {
public:
    explicit Words(std::string_view text) : text_{text} {}
    bool at_end() const { return text_.empty(); }
    std::string_view line() {
        const auto end = text_.find('\n');
        std::string_view out = text_.substr(0, end);
        text_.remove_prefix(end == std::string_view::npos ? text_.size() : end + 1);
        if (out.ends_with('\r')) out.remove_suffix(1);
        return out;
    }

private:
    std::string_view text_;
};

std::string_view next_word(std::string_view& line) {
    const auto start = line.find_first_not_of(" \t");
    if (start == std::string_view::npos) return line = {};
    const auto end = line.find_first_of(" \t", start);
    const std::string_view word = line.substr(start, end == std::string_view::npos ? end : end - start);
    line.remove_prefix(end == std::string_view::npos ? line.size() : end);
    return word;
}

template <class T>
std::optional<T> number(std::string_view word) {
    T value{};
    const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (word.empty() || error != std::errc{} || stop != word.data() + word.size()) return std::nullopt;
    return value;
}

std::unexpected<Error> corrupt(std::string_view what) { return fail(ErrorCode::kafka_storage_error, what); }

// Version line, count line. Gives: the count.
Result<std::int64_t> read_prologue(std::string_view text, Words& lines) {
    // Or the last number may be the start of a longer one.
    if (!text.empty() && !text.ends_with('\n')) return corrupt("checkpoint file that ends within a line");
    const auto version = number<std::int32_t>(lines.line());
    if (!version) return corrupt("checkpoint file without a version");
    if (*version != kCheckpointVersion) return corrupt("checkpoint file of an unknown version");
    const auto count = number<std::int64_t>(lines.line());
    if (!count || *count < 0) return corrupt("checkpoint file without a count");
    return *count;
}

}  // namespace

std::string encode_offset_checkpoint(const OffsetCheckpoint& offsets) {
    std::string out = fmt::format("{}\n{}\n", kCheckpointVersion, offsets.size());
    for (const auto& [name, offset] : offsets) {
        fmt::format_to(std::back_inserter(out), "{} {} {}\n", name.topic, name.partition, offset);
    }
    return out;
}

Result<OffsetCheckpoint> decode_offset_checkpoint(std::string_view text) {
    Words lines{text};
    ODR_TRY(count, read_prologue(text, lines));
    OffsetCheckpoint out;
    std::int64_t seen = 0;
    for (; !lines.at_end(); ++seen) {
        std::string_view line = lines.line();
        const std::string_view topic = next_word(line);
        const auto partition = number<std::int32_t>(next_word(line));
        const auto offset = number<std::int64_t>(next_word(line));
        if (topic.empty() || !partition || !offset) return corrupt("malformed line in an offset checkpoint");
        out[{std::string{topic}, PartitionIndex{*partition}}] = Offset{*offset};
    }
    if (seen != count) return corrupt("an offset checkpoint has not as many lines as it says");
    return out;
}

std::string encode_epoch_checkpoint(const std::vector<EpochEntry>& entries) {
    std::string out = fmt::format("{}\n{}\n", kCheckpointVersion, entries.size());
    for (const EpochEntry& entry : entries) {
        fmt::format_to(std::back_inserter(out), "{} {}\n", entry.epoch, entry.start_offset);
    }
    return out;
}

Result<std::vector<EpochEntry>> decode_epoch_checkpoint(std::string_view text) {
    Words lines{text};
    ODR_TRY(count, read_prologue(text, lines));
    std::vector<EpochEntry> out;
    while (!lines.at_end()) {
        std::string_view line = lines.line();
        const auto epoch = number<std::int32_t>(next_word(line));
        const auto start = number<std::int64_t>(next_word(line));
        if (!epoch || !start) return corrupt("malformed line in leader-epoch-checkpoint");
        out.push_back({LeaderEpoch{*epoch}, Offset{*start}});
    }
    if (static_cast<std::int64_t>(out.size()) != count) {
        return corrupt("leader-epoch-checkpoint has not as many lines as it says");
    }
    return out;
}

std::string encode_partition_metadata(const Uuid& topic_id) {
    return fmt::format("version: 0\ntopic_id: {}", topic_id.to_string());
}

Result<Uuid> decode_partition_metadata(std::string_view text) {
    Words lines{text};
    std::string_view line = lines.line();
    if (next_word(line) != "version:") return corrupt("partition.metadata without a version");
    const auto version = number<std::int32_t>(next_word(line));
    if (!version || *version < 0) return corrupt("partition.metadata of an unknown version");
    line = lines.line();
    if (next_word(line) != "topic_id:") return corrupt("partition.metadata without a topic id");
    const auto id = Uuid::parse(next_word(line));
    if (!id || id->is_zero()) return corrupt("partition.metadata with a malformed topic id");
    return *id;
}

std::string encode_clean_shutdown(std::int64_t broker_epoch) {
    return fmt::format(R"({{"version":0,"brokerEpoch":{}}})", broker_epoch);
}

std::int64_t decode_clean_shutdown(std::string_view text) {
    constexpr std::string_view kKey = "\"brokerEpoch\"";
    auto at = text.find(kKey);
    if (at == std::string_view::npos) return -1;
    at = text.find_first_not_of(" \t:", at + kKey.size());
    if (at == std::string_view::npos) return -1;
    return number<std::int64_t>(text.substr(at, text.find_first_not_of("-0123456789", at) - at)).value_or(-1);
}

std::string encode_meta_properties(const MetaProperties& properties) {
    std::string out = "#\n";
    if (!properties.cluster_id.empty()) out += fmt::format("cluster.id={}\n", properties.cluster_id);
    if (properties.directory_id) out += fmt::format("directory.id={}\n", properties.directory_id->to_string());
    if (properties.node_id) out += fmt::format("node.id={}\n", *properties.node_id);
    out += fmt::format("version={}\n", properties.version);
    return out;
}

Result<MetaProperties> decode_meta_properties(std::string_view text) {
    MetaProperties out{.version = 0, .node_id = {}, .cluster_id = {}, .directory_id = {}};
    Words lines{text};
    while (!lines.at_end()) {
        std::string_view line = lines.line();
        const auto start = line.find_first_not_of(" \t");
        if (start == std::string_view::npos || line[start] == '#' || line[start] == '!') continue;
        const auto equals = line.find('=');
        if (equals == std::string_view::npos) continue;
        std::string_view key_part = line.substr(0, equals);
        std::string_view value_part = line.substr(equals + 1);
        const std::string_view key = next_word(key_part);
        const std::string_view value = next_word(value_part);
        if (key == "version") {
            const auto version = number<std::int32_t>(value);
            if (!version || *version < 0 || *version > 1) return corrupt("meta.properties of an unknown version");
            out.version = *version;
        } else if (key == "node.id" || key == "broker.id") {
            const auto id = number<std::int32_t>(value);
            if (!id) return corrupt("meta.properties with a malformed node.id");
            out.node_id = BrokerId{*id};
        } else if (key == "cluster.id") {
            out.cluster_id = std::string{value};
        } else if (key == "directory.id") {
            out.directory_id = Uuid::parse(value);
            if (!out.directory_id) return corrupt("meta.properties with a malformed directory.id");
        }
    }
    return out;
}

}  // namespace odr::storage
