#include "protocol/json.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>

namespace odr::protocol {

void JsonWriter::separate() {
    if (!first_) text_ += ',';
    first_ = false;
}
void JsonWriter::open(char bracket) {
    separate();
    text_ += bracket;
    first_ = true;
}
void JsonWriter::close(char bracket) {
    text_ += bracket;
    first_ = false;
}
void JsonWriter::raw(std::string_view text) {
    separate();
    text_ += text;
}
void JsonWriter::name(std::string_view name) {
    value(name);
    text_ += ':';
    first_ = true;
}

// As Java's Double.toString: always a point, an exponent from 10^7 on and below 10^-3.
void JsonWriter::value(double value) {
    const double size = std::fabs(value);
    if (value != 0 && std::isfinite(value) && (size >= 1e7 || size < 1e-3)) {
        std::string text = fmt::format("{:e}", value);
        for (int digits = 0; digits < 17; ++digits) {
            text = fmt::format("{:.{}e}", value, digits);
            if (std::strtod(text.c_str(), nullptr) == value) break;
        }
        const auto exponent = text.find('e');
        std::string mantissa = text.substr(0, exponent);
        if (mantissa.find('.') == std::string::npos) mantissa += ".0";
        return raw(fmt::format("{}E{}", mantissa, std::stoi(text.substr(exponent + 1))));
    }
    std::string text = fmt::format("{}", value);
    if (std::isfinite(value) && text.find('.') == std::string::npos) text += ".0";
    raw(text);
}

void JsonWriter::value(std::string_view value) {
    separate();
    text_ += '"';
    for (const char c : value) {
        if (c == '"' || c == '\\') {
            text_ += '\\';
            text_ += c;
        } else if (const auto short_form = std::string_view{"\b\t\n\f\r"}.find(c);
                   short_form != std::string_view::npos) {
            text_ += '\\';
            text_ += "btnfr"[short_form];
        } else if (static_cast<unsigned char>(c) < 0x20) {
            fmt::format_to(std::back_inserter(text_), "\\u{:04X}", static_cast<unsigned>(c));
        } else {
            text_ += c;
        }
    }
    text_ += '"';
}

void JsonWriter::value(ByteView value) {
    static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    separate();
    text_ += '"';
    for (std::size_t i = 0; i < value.size(); i += 3) {
        const std::size_t left = value.size() - i;
        const std::uint32_t group = static_cast<std::uint32_t>(value[i]) << 16 |
                                    static_cast<std::uint32_t>(left > 1 ? value[i + 1] : 0) << 8 |
                                    static_cast<std::uint32_t>(left > 2 ? value[i + 2] : 0);
        text_ += kDigits[group >> 18];
        text_ += kDigits[group >> 12 & 63];
        text_ += left > 1 ? kDigits[group >> 6 & 63] : '=';
        text_ += left > 2 ? kDigits[group & 63] : '=';
    }
    text_ += '"';
}

void JsonWriter::value(const Records& value) {
    if (value.is_null()) return null();
    raw(std::to_string(value.size()));
}

}  // namespace odr::protocol
