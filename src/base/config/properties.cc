#include "base/config/properties.h"

#include <fmt/format.h>

#include <cstdint>
#include <optional>

namespace odr::config {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\f'; }

void append_utf8(std::string& out, std::uint32_t code_point) {
    const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
    if (code_point < 0x80) {
        put(code_point);
    } else if (code_point < 0x800) {
        put(0xC0 | (code_point >> 6));
        put(0x80 | (code_point & 0x3F));
    } else if (code_point < 0x10000) {
        put(0xE0 | (code_point >> 12));
        put(0x80 | ((code_point >> 6) & 0x3F));
        put(0x80 | (code_point & 0x3F));
    } else {
        put(0xF0 | (code_point >> 18));
        put(0x80 | ((code_point >> 12) & 0x3F));
        put(0x80 | ((code_point >> 6) & 0x3F));
        put(0x80 | (code_point & 0x3F));
    }
}

std::optional<std::uint32_t> hex4(std::string_view text) {
    if (text.size() < 4) return std::nullopt;
    std::uint32_t value = 0;
    for (const char c : text.substr(0, 4)) {
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) return std::nullopt;
        value = value * 16 + static_cast<std::uint32_t>(digit);
    }
    return value;
}

// Walks the text as logical lines: comments and blank lines skipped, continuations joined, escapes still in place.
class LogicalLines {
public:
    explicit LogicalLines(std::string_view text) : text_{text} {}

    std::optional<std::string> next() {
        while (at_ < text_.size()) {
            std::string_view line = natural_line();
            if (line.empty() || line.front() == '#' || line.front() == '!') continue;
            std::string whole{line};
            while (ends_in_odd_backslash(whole)) {
                whole.pop_back();
                if (at_ >= text_.size()) break;
                whole += natural_line();
            }
            return whole;
        }
        return std::nullopt;
    }
    int line_number() const { return line_number_; }  // of the last natural line taken

private:
    // Without its leading blanks and its end, which is \n, \r or \r\n.
    std::string_view natural_line() {
        ++line_number_;
        const std::size_t end = std::min(text_.find_first_of("\r\n", at_), text_.size());
        std::string_view line = text_.substr(at_, end - at_);
        at_ = end + (text_.substr(end).starts_with("\r\n") ? 2 : 1);
        while (!line.empty() && is_blank(line.front())) line.remove_prefix(1);
        return line;
    }
    static bool ends_in_odd_backslash(std::string_view line) {
        std::size_t backslashes = 0;
        while (backslashes < line.size() && line[line.size() - 1 - backslashes] == '\\') ++backslashes;
        return backslashes % 2 == 1;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    int line_number_ = 0;
};

// Resolves escapes. A pair of \u surrogates becomes one code point; a lone one stays as the three bytes it would be.
std::optional<std::string> unescape(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\') {
            out.push_back(text[i]);
            continue;
        }
        if (++i == text.size()) break;
        switch (text[i]) {
            case 't':
                out.push_back('\t');
                break;
            case 'n':
                out.push_back('\n');
                break;
            case 'r':
                out.push_back('\r');
                break;
            case 'f':
                out.push_back('\f');
                break;
            case 'u': {
                auto unit = hex4(text.substr(i + 1));
                if (!unit) return std::nullopt;
                i += 4;
                if (*unit >= 0xD800 && *unit < 0xDC00 && text.substr(i + 1).starts_with("\\u")) {
                    const auto low = hex4(text.substr(i + 3));
                    if (low && *low >= 0xDC00 && *low < 0xE000) {
                        unit = 0x10000 + ((*unit - 0xD800) << 10) + (*low - 0xDC00);
                        i += 6;
                    }
                }
                append_utf8(out, *unit);
                break;
            }
            default:
                out.push_back(text[i]);
        }
    }
    return out;
}

struct RawPair {
    std::string_view key;
    std::string_view value;
};

RawPair split_pair(std::string_view line) {
    std::size_t key_end = 0;
    while (key_end < line.size() && line[key_end] != '=' && line[key_end] != ':' && !is_blank(line[key_end])) {
        key_end += line[key_end] == '\\' ? 2 : 1;
    }
    key_end = std::min(key_end, line.size());
    std::size_t value = key_end;
    while (value < line.size() && is_blank(line[value])) ++value;
    if (value < line.size() && (line[value] == '=' || line[value] == ':')) ++value;
    while (value < line.size() && is_blank(line[value])) ++value;
    return {.key = line.substr(0, key_end), .value = line.substr(value)};
}

std::string escape(std::string_view text, bool is_key) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        switch (c) {
            case '\\':
                out += "\\\\";
                break;
            case '\t':
                out += "\\t";
                break;
            case '\n':
                out += "\\n";
                break;
            case '\r':
                out += "\\r";
                break;
            case '\f':
                out += "\\f";
                break;
            case '=':
            case ':':
            case '#':
            case '!':
                (out += '\\') += c;
                break;
            case ' ':
                if (is_key || i == 0) out += '\\';
                out += ' ';
                break;
            default:
                out += c;
        }
    }
    return out;
}

}  // namespace

std::expected<ConfigMap, std::string> parse_properties(std::string_view text) {
    ConfigMap out;
    LogicalLines lines{text};
    while (const auto line = lines.next()) {
        const RawPair raw = split_pair(*line);
        auto key = unescape(raw.key);
        auto value = unescape(raw.value);
        if (!key || !value) {
            return std::unexpected{fmt::format("line {}: \\u wants four hexadecimal digits", lines.line_number())};
        }
        out.insert_or_assign(std::move(*key), std::move(*value));
    }
    return out;
}

std::string write_properties(const std::vector<std::pair<std::string, std::string>>& pairs, std::string_view comment) {
    std::string out;
    while (!comment.empty()) {
        const std::size_t end = std::min(comment.find_first_of("\r\n"), comment.size());
        out += fmt::format("#{}\n", comment.substr(0, end));
        comment.remove_prefix(std::min(end + 1, comment.size()));
    }
    for (const auto& [key, value] : pairs) out += fmt::format("{}={}\n", escape(key, true), escape(value, false));
    return out;
}

}  // namespace odr::config
