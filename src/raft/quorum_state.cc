#include "raft/quorum_state.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <map>
#include <variant>

namespace odr::raft {

namespace {

constexpr std::size_t kFileBytesMax = 1 << 20;
constexpr int kDepthMax = 8;

// As much of JSON as a flat object of numbers, strings and arrays needs; anything deeper is skipped by its brackets.
class JsonReader {
public:
    struct Field {
        std::optional<std::int64_t> number;
        std::optional<std::string> text;
        std::vector<std::int64_t> voter_ids;  // of an array of objects: each one's voterId
    };
    using Fields = std::map<std::string, Field, std::less<>>;

    explicit JsonReader(std::string_view text) : rest_{text} {}

    std::optional<Fields> object(int depth = 0) {
        Fields fields;
        if (!take('{')) return std::nullopt;
        if (take('}')) return fields;
        do {
            const auto name = string();
            if (!name || !take(':')) return std::nullopt;
            auto field = value(depth);
            if (!field) return std::nullopt;
            fields.insert_or_assign(*name, std::move(*field));
        } while (take(','));
        if (!take('}')) return std::nullopt;
        return fields;
    }

private:
    void skip_space() {
        while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\t' || rest_[0] == '\r' || rest_[0] == '\n'))
            rest_.remove_prefix(1);
    }
    char peek() {
        skip_space();
        return rest_.empty() ? '\0' : rest_[0];
    }
    bool take(char wanted) {
        if (peek() != wanted) return false;
        rest_.remove_prefix(1);
        return true;
    }
    // Escapes other than of one character stand in no value that matters here: refused.
    std::optional<std::string> string() {
        if (!take('"')) return std::nullopt;
        std::string text;
        while (!rest_.empty()) {
            char next = rest_[0];
            rest_.remove_prefix(1);
            if (next == '"') return text;
            if (next == '\\') {
                if (rest_.empty() || rest_[0] == 'u') return std::nullopt;
                next = rest_[0];
                rest_.remove_prefix(1);
            }
            text.push_back(next);
        }
        return std::nullopt;
    }
    std::optional<std::int64_t> number() {
        std::int64_t out = 0;
        const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), out);
        if (error != std::errc{}) return std::nullopt;
        rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
        return out;
    }
    bool word(std::string_view wanted) {
        if (!rest_.starts_with(wanted)) return false;
        rest_.remove_prefix(wanted.size());
        return true;
    }
    std::optional<Field> value(int depth) {
        Field field;
        switch (peek()) {
            case '"':
                field.text = string();
                if (!field.text) return std::nullopt;
                return field;
            case '[':
                return array(depth);
            case '{': {
                if (depth >= kDepthMax) return std::nullopt;
                const auto fields = object(depth + 1);
                if (!fields) return std::nullopt;
                if (const auto id = fields->find("voterId"); id != fields->end() && id->second.number)
                    field.voter_ids.push_back(*id->second.number);
                return field;
            }
            case 'n':
                return word("null") ? std::optional{field} : std::nullopt;
            case 't':
                return word("true") ? std::optional{field} : std::nullopt;
            case 'f':
                return word("false") ? std::optional{field} : std::nullopt;
            default:
                break;
        }
        field.number = number();
        if (!field.number) return std::nullopt;
        return field;
    }
    std::optional<Field> array(int depth) {
        Field field;
        if (depth >= kDepthMax || !take('[')) return std::nullopt;
        if (take(']')) return field;
        do {
            const auto element = value(depth + 1);
            if (!element) return std::nullopt;
            field.voter_ids.insert(field.voter_ids.end(), element->voter_ids.begin(), element->voter_ids.end());
        } while (take(','));
        if (!take(']')) return std::nullopt;
        return field;
    }
    std::string_view rest_;
};

Result<std::int32_t> int32_of(const JsonReader::Fields& fields, std::string_view name) {
    const auto found = fields.find(name);
    if (found == fields.end() || !found->second.number ||
        *found->second.number < std::numeric_limits<std::int32_t>::min() ||
        *found->second.number > std::numeric_limits<std::int32_t>::max())
        return fail(ErrorCode::corrupt_message, "quorum-state: a number is missing or out of range");
    return static_cast<std::int32_t>(*found->second.number);
}

}  // namespace

Result<QuorumState> parse_quorum_state(std::string_view json) {
    const auto fields = JsonReader{json}.object();
    if (!fields) return fail(ErrorCode::corrupt_message, "quorum-state is not a JSON object");
    ODR_TRY(version, int32_of(*fields, "data_version"));
    if (version != 0 && version != 1) return fail(ErrorCode::unsupported_version, "quorum-state: unknown data_version");
    QuorumState state;
    ODR_TRY(leader_id, int32_of(*fields, "leaderId"));
    ODR_TRY(leader_epoch, int32_of(*fields, "leaderEpoch"));
    ODR_TRY(voted_id, int32_of(*fields, "votedId"));
    state.leader_id = BrokerId{leader_id};
    state.leader_epoch = LeaderEpoch{leader_epoch};
    state.voted_id = BrokerId{voted_id};
    if (version == 1) {
        const auto found = fields->find("votedDirectoryId");
        const auto id = found == fields->end() || !found->second.text ? std::nullopt : Uuid::parse(*found->second.text);
        if (!id) return fail(ErrorCode::corrupt_message, "quorum-state: votedDirectoryId is missing or no uuid");
        state.voted_directory_id = *id;
    } else if (const auto found = fields->find("currentVoters"); found != fields->end()) {
        for (const std::int64_t id : found->second.voter_ids) {
            if (id < 0 || id > std::numeric_limits<std::int32_t>::max())
                return fail(ErrorCode::corrupt_message, "quorum-state: a voter's id is out of range");
            state.current_voters.emplace_back(static_cast<std::int32_t>(id));
        }
    }
    return state;
}

std::string format_quorum_state(const QuorumState& state, std::int16_t data_version) {
    if (data_version == 1)
        return fmt::format(
            R"({{"leaderId":{},"leaderEpoch":{},"votedId":{},"votedDirectoryId":"{}","data_version":1}})",
            state.leader_id.raw(), state.leader_epoch.raw(), state.voted_id.raw(),
            state.voted_directory_id.to_string());
    std::string voters;
    for (const BrokerId id : state.current_voters)
        voters += fmt::format(R"({}{{"voterId":{}}})", voters.empty() ? "" : ",", id.raw());
    return fmt::format(
        R"({{"clusterId":"","leaderId":{},"leaderEpoch":{},"votedId":{},"appliedOffset":0,"currentVoters":[{}],"data_version":0}})",
        state.leader_id.raw(), state.leader_epoch.raw(), state.voted_id.raw(), voters);
}

Result<std::optional<QuorumState>> read_quorum_state(io::FileSystem& files, const std::string& path) {
    if (!files.exists(path)) return std::optional<QuorumState>{};
    ODR_TRY(text, files.read_file(path, kFileBytesMax));
    ODR_TRY(state, parse_quorum_state(text));
    return std::optional{std::move(state)};
}

Result<void> write_quorum_state(io::MayBlock may_block, io::FileSystem& files, const std::string& path,
                                const QuorumState& state, std::int16_t data_version) {
    return files.replace_file(may_block, path, as_bytes(format_quorum_state(state, data_version)));
}

}  // namespace odr::raft
