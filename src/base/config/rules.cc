#include "base/config/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/config/endpoint.h"

namespace odr::config {
namespace {

using Broken = std::optional<std::string>;

std::string invalid(const KeyDef& key, const Value& value, std::string_view why) {
    const bool is_list = key.type == KeyType::list;
    std::string shown;
    if (is_list) {
        shown = fmt::format("[{}]", fmt::join(std::get<std::vector<std::string>>(value), ", "));
    } else {
        shown = to_text(value);
    }
    return fmt::format("Invalid value {} for configuration {}: {}", shown, key.name, why);
}

std::string number_text(const KeyDef& key, double limit) {
    if (key.type == KeyType::float64 && limit != static_cast<double>(static_cast<std::int64_t>(limit))) {
        return java_double(limit);
    }
    return fmt::format("{}", static_cast<std::int64_t>(limit));
}

Broken broken_range(const KeyDef& key, const Value& value) {
    const double number =
        key.type == KeyType::float64 ? std::get<double>(value) : static_cast<double>(std::get<std::int64_t>(value));
    if (key.rule.min && number < *key.rule.min) {
        return invalid(key, value, fmt::format("Value must be at least {}", number_text(key, *key.rule.min)));
    }
    if (key.rule.max && number > *key.rule.max) {
        return invalid(key, value, fmt::format("Value must be no more than {}", number_text(key, *key.rule.max)));
    }
    return std::nullopt;
}

bool same_any_case(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b,
                              [](unsigned char x, unsigned char y) { return std::toupper(x) == std::toupper(y); });
}

Broken broken_choice(const KeyDef& key, const Value& value, bool any_case) {
    const std::string& text = std::get<std::string>(value);
    const auto matches = [&](std::string_view allowed) {
        return any_case ? same_any_case(allowed, text) : allowed == text;
    };
    if (std::ranges::any_of(key.rule.allowed, matches)) return std::nullopt;
    return invalid(key, value,
                   fmt::format("String must be one of{}: {}", any_case ? " (case insensitive)" : "",
                               fmt::join(key.rule.allowed, ", ")));
}

Broken broken_list(const KeyDef& key, const Value& value) {
    const auto& list = std::get<std::vector<std::string>>(value);
    const auto& allowed = key.rule.allowed;
    if (list.empty() && key.rule.kind == RuleKind::list_not_empty) {
        const std::string words =
            allowed.empty() ? "any non-empty value" : fmt::format("[{}]", fmt::join(allowed, ", "));
        return fmt::format("Configuration '{}' must not be empty. Valid values include: {}", key.name, words);
    }
    for (const std::string& element : list) {
        if (element.empty()) return fmt::format("Configuration '{}' values must not be empty.", key.name);
        if (!allowed.empty() && std::ranges::find(allowed, element) == allowed.end()) {
            return fmt::format("Invalid value {} for configuration {}: String must be one of: {}", element, key.name,
                               fmt::join(allowed, ", "));
        }
    }
    return std::nullopt;
}

bool is_replica(std::string_view text) {
    const std::size_t colon = text.find(':');
    const auto digits = [](std::string_view part) {
        return !part.empty() && std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; });
    };
    return colon != std::string_view::npos && digits(text.substr(0, colon)) && digits(text.substr(colon + 1));
}

Broken broken_replicas(const KeyDef& key, const Value& value) {
    const auto& list = std::get<std::vector<std::string>>(value);
    if (std::ranges::all_of(list, is_replica)) return std::nullopt;
    if (list.size() == 1 && list.front() == "*") return std::nullopt;
    return invalid(key, value,
                   fmt::format("{} must be the literal '*' or a list of replicas in the following format: "
                               "[partitionId]:[brokerId],[partitionId]:[brokerId],...",
                               key.name));
}

// One "<digits>[.<digits>]<unit>" of an ISO 8601 duration; takes it off the front.
bool take_part(std::string_view& text, std::string_view units, std::size_t& unit_index) {
    std::size_t at = 0;
    if (at < text.size() && text[at] == '+') ++at;
    const std::size_t first = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    if (at == first || at - first > 18) return false;
    if (at < text.size() && (text[at] == '.' || text[at] == ',')) {
        const std::size_t dot = at++;
        while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
        if (at == text.size() || std::toupper(static_cast<unsigned char>(text[at])) != 'S' || at - dot > 10)
            return false;
    }
    if (at == text.size()) return false;
    const std::size_t unit =
        units.find(static_cast<char>(std::toupper(static_cast<unsigned char>(text[at]))), unit_index);
    if (unit == std::string_view::npos) return false;
    unit_index = unit + 1;
    text.remove_prefix(at + 1);
    return true;
}

// PnDTnHnMn.nS without a negative part.
bool is_duration(std::string_view text) {
    if (!text.starts_with('P') && !text.starts_with('p')) return false;
    text.remove_prefix(1);
    std::size_t parts = 0;
    std::size_t day_unit = 0;
    if (!text.empty() && text.front() != 'T' && text.front() != 't') {
        if (!take_part(text, "D", day_unit)) return false;
        ++parts;
    }
    if (!text.empty()) {
        if (text.front() != 'T' && text.front() != 't') return false;
        text.remove_prefix(1);
        std::size_t unit = 0;
        if (text.empty()) return false;
        while (!text.empty()) {
            if (!take_part(text, "HMS", unit)) return false;
            ++parts;
        }
    }
    return parts > 0;
}

Broken broken_offset_reset(const KeyDef& key, const Value& value) {
    constexpr std::string_view kByDuration = "by_duration:";
    const std::string& text = std::get<std::string>(value);
    if (text == "earliest" || text == "latest") return std::nullopt;
    if (text.starts_with(kByDuration) && is_duration(std::string_view{text}.substr(kByDuration.size()))) {
        return std::nullopt;
    }
    return invalid(
        key, value,
        fmt::format("Invalid value `{}` for configuration {}. The value must be either 'earliest', 'latest' or "
                    "of the format 'by_duration:<PnDTnHnMn.nS>'.",
                    text, key.name));
}

Broken broken_quorum(const KeyDef& key, const Value& value, bool with_id) {
    for (const std::string& entry : std::get<std::vector<std::string>>(value)) {
        if (with_id ? parse_voter(entry).has_value() : parse_host_port(entry).has_value()) continue;
        return fmt::format(
            "Invalid value {} for configuration {}: each entry should be in the form `{}{{host}}:{{port}}`.", entry,
            key.name, with_id ? "{id}@" : "");
    }
    return std::nullopt;
}

}  // namespace

std::optional<std::string> broken_rule(const KeyDef& key, const Value& value) {
    switch (key.rule.kind) {
        case RuleKind::any:
        case RuleKind::non_null:
            return std::nullopt;
        case RuleKind::range:
            return broken_range(key, value);
        case RuleKind::one_of:
            return broken_choice(key, value, false);
        case RuleKind::one_of_any_case:
            return broken_choice(key, value, true);
        case RuleKind::list:
        case RuleKind::list_not_empty:
            return broken_list(key, value);
        case RuleKind::non_empty:
            if (!std::get<std::string>(value).empty()) return std::nullopt;
            return invalid(key, value, "String must be non-empty");
        case RuleKind::gzip_level: {
            const std::int64_t level = std::get<std::int64_t>(value);
            if (level == -1 || (level >= 1 && level <= 9)) return std::nullopt;
            return invalid(key, value, "Value must be between 1 and 9 or equal to -1");
        }
        case RuleKind::throttled_replicas:
            return broken_replicas(key, value);
        case RuleKind::offset_reset:
            return broken_offset_reset(key, value);
        case RuleKind::quorum_voters:
            return broken_quorum(key, value, true);
        case RuleKind::quorum_servers:
            return broken_quorum(key, value, false);
    }
    return std::nullopt;
}

}  // namespace odr::config
