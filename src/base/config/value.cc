#include "base/config/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <set>

#include "base/assert.h"
#include "base/config/rules.h"

namespace odr::config {
namespace {

bool equals_any_case(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::ranges::equal(a, b, {}, lower, lower);
}

std::optional<std::int64_t> parse_integer(std::string_view text, std::int64_t min, std::int64_t max) {
    if (text.starts_with('+') && text.size() > 1 && text[1] != '-') text.remove_prefix(1);
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < min || value > max) return std::nullopt;
    return value;
}

// Java's Double.parseDouble also takes a type suffix, hexadecimal, and the words NaN and Infinity in this case only.
std::optional<double> parse_double(std::string_view text) {
    bool negative = false;
    if (text.starts_with('+') || text.starts_with('-')) {
        negative = text.front() == '-';
        text.remove_prefix(1);
    }
    double value = 0;
    if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
    if (text == "Infinity") {
        value = std::numeric_limits<double>::infinity();
    } else {
        if (text.empty() || !(text.front() == '.' || (text.front() >= '0' && text.front() <= '9'))) return std::nullopt;
        const bool hex = text.starts_with("0x") || text.starts_with("0X");
        if (hex && text.find_first_of("pP") == std::string_view::npos) return std::nullopt;
        if (text.size() > 1 && std::string_view{"fFdD"}.contains(text.back())) text.remove_suffix(1);
        if (hex) text.remove_prefix(2);
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value,
                                                  hex ? std::chars_format::hex : std::chars_format::general);
        if (error == std::errc::invalid_argument || end != text.data() + text.size()) return std::nullopt;
        // Out of range: Java rounds to zero or to infinity, and keeps the sign of the exponent to tell which.
        if (error == std::errc::result_out_of_range) {
            const std::size_t exponent = text.find_first_of("eEpP");
            const bool tiny = exponent != std::string_view::npos && text.substr(exponent + 1).starts_with('-');
            value = tiny ? 0.0 : std::numeric_limits<double>::infinity();
        }
    }
    return negative ? -value : value;
}

// Kafka forgives a list that names something twice and keeps the first mention.
void remove_duplicates(Value& value) {
    auto& list = std::get<std::vector<std::string>>(value);
    std::set<std::string> seen;
    std::erase_if(list, [&](const std::string& element) { return !seen.insert(element).second; });
}

template <class Int>
std::expected<Value, std::string> integer_value(std::string_view text, KeyType type) {
    const auto value = parse_integer(text, std::numeric_limits<Int>::min(), std::numeric_limits<Int>::max());
    if (!value) return std::unexpected{fmt::format("Not a number of type {}", type_name(type))};
    return Value{*value};
}

}  // namespace

std::string_view trim(std::string_view text) {
    const auto blank = [](char c) { return static_cast<unsigned char>(c) <= ' '; };
    while (!text.empty() && blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && blank(text.back())) text.remove_suffix(1);
    return text;
}

std::vector<std::string> split_list(std::string_view text) {
    std::vector<std::string> out;
    text = trim(text);
    if (text.empty()) return out;
    while (true) {
        const std::size_t comma = text.find(',');
        out.emplace_back(trim(text.substr(0, comma)));
        if (comma == std::string_view::npos) return out;
        text.remove_prefix(comma + 1);
    }
}

std::expected<Value, std::string> parse_value(KeyType type, std::string_view raw) {
    const std::string_view text = trim(raw);
    switch (type) {
        case KeyType::boolean:
            if (equals_any_case(text, "true")) return Value{true};
            if (equals_any_case(text, "false")) return Value{false};
            return std::unexpected{std::string{"Expected value to be either true or false"}};
        case KeyType::int16:
            return integer_value<std::int16_t>(text, type);
        case KeyType::int32:
            return integer_value<std::int32_t>(text, type);
        case KeyType::int64:
            return integer_value<std::int64_t>(text, type);
        case KeyType::float64:
            if (const auto value = parse_double(text)) return Value{*value};
            return std::unexpected{std::string{"Not a number of type DOUBLE"}};
        case KeyType::list:
            return Value{split_list(text)};
        case KeyType::string:
        case KeyType::class_name:
        case KeyType::password:
        case KeyType::unknown:
            break;
    }
    return Value{std::string{text}};
}

std::expected<Value, std::string> check_value(const KeyDef& key, std::string_view raw) {
    const std::string_view shown = key.sensitive() ? std::string_view{"[hidden]"} : raw;
    auto value = parse_value(key.type, raw);
    if (!value) {
        return std::unexpected{
            fmt::format("Invalid value {} for configuration {}: {}", shown, key.name, value.error())};
    }
    if (key.rule.kind == RuleKind::list || key.rule.kind == RuleKind::list_not_empty) remove_duplicates(*value);
    if (auto broken = broken_rule(key, *value)) return std::unexpected{std::move(*broken)};
    return value;
}

Value default_value(const KeyDef& key) {
    if (!key.default_value) return {};
    auto value = parse_value(key.type, *key.default_value);
    ODR_ASSERT(value.has_value(), "default of {}", key.name);
    return std::move(*value);
}

std::string java_double(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    if (value == 0) return std::signbit(value) ? "-0.0" : "0.0";
    const double size = std::fabs(value);
    if (size >= 1e-3 && size < 1e7) {
        std::string text = fmt::format("{}", value);  // shortest that reads back
        return text.find('.') == std::string::npos ? text + ".0" : text;
    }
    std::string digits(32, '\0');
    const auto [end, error] =
        std::to_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::scientific);
    ODR_ASSERT(error == std::errc{});
    digits.resize(static_cast<std::size_t>(end - digits.data()));
    const std::size_t e = digits.find('e');
    std::string mantissa = digits.substr(0, e);
    if (mantissa.find('.') == std::string::npos) mantissa += ".0";
    return fmt::format("{}E{}", mantissa, std::stoi(digits.substr(e + 1)));
}

std::string to_text(const Value& value) {
    struct Printer {
        std::string operator()(std::monostate) const { return {}; }
        std::string operator()(bool b) const { return b ? "true" : "false"; }
        std::string operator()(std::int64_t n) const { return fmt::format("{}", n); }
        std::string operator()(double d) const { return java_double(d); }
        std::string operator()(const std::string& s) const { return s; }
        std::string operator()(const std::vector<std::string>& list) const {
            return fmt::format("{}", fmt::join(list, ","));
        }
    };
    return std::visit(Printer{}, value);
}

}  // namespace odr::config
