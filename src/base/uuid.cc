#include "base/uuid.h"

namespace odr {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::size_t kTextLength = 22;

int value_of(char c) {
    const auto at = kAlphabet.find(c);
    return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

}  // namespace

std::string Uuid::to_string() const {
    std::string out;
    out.reserve(kTextLength);
    std::uint32_t window = 0;
    int bits = 0;
    for (const std::uint8_t byte : bytes) {
        window = (window << 8) | byte;
        for (bits += 8; bits >= 6; bits -= 6) out.push_back(kAlphabet[(window >> (bits - 6)) & 0x3f]);
    }
    out.push_back(kAlphabet[(window << (6 - bits)) & 0x3f]);
    return out;
}

std::optional<Uuid> Uuid::parse(std::string_view text) {
    while (!text.empty() && text.back() == '=') text.remove_suffix(1);
    if (text.size() != kTextLength) return std::nullopt;
    Uuid id;
    std::uint32_t window = 0;
    int bits = 0;
    std::size_t n = 0;
    for (const char c : text) {
        const int value = value_of(c);
        if (value < 0) return std::nullopt;
        window = (window << 6) | static_cast<std::uint32_t>(value);
        bits += 6;
        if (bits >= 8 && n < id.bytes.size()) id.bytes[n++] = static_cast<std::uint8_t>(window >> (bits -= 8));
    }
    return id;
}

std::optional<Uuid> Uuid::from_random(std::uint64_t high, std::uint64_t low) {
    Uuid id;
    for (int i = 0; i < 8; ++i) {
        id.bytes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(high >> (56 - 8 * i));
        id.bytes[static_cast<std::size_t>(i + 8)] = static_cast<std::uint8_t>(low >> (56 - 8 * i));
    }
    id.bytes[6] = static_cast<std::uint8_t>((id.bytes[6] & 0x0f) | 0x40);
    id.bytes[8] = static_cast<std::uint8_t>((id.bytes[8] & 0x3f) | 0x80);
    if (id.to_string().front() == '-') return std::nullopt;
    return id;
}

}  // namespace odr
