#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/random.h"
#include "protocol/records.h"

namespace odr::protocol {

// Random values for the fields of messages, and the owner of what their views see. The generated functions
//     void fill_random(RandomSource& random, std::int16_t version, Message& out)
// fill every field that the version has.
class RandomSource {
public:
    explicit RandomSource(std::uint64_t seed) : random_{seed} {}

    bool one_in(std::uint64_t n) { return random_.next() % n == 0; }
    bool null() { return one_in(4); }
    // Few elements; now and then so many simple ones that the count takes two bytes.
    std::size_t count(bool of_structs) {
        if (!of_structs && one_in(16)) return 100 + random_.next() % 100;
        return random_.next() % (of_structs ? 3 : 5);
    }

    template <class T>
    T value() {
        if constexpr (std::is_same_v<T, std::string_view>) {
            return text();
        } else if constexpr (std::is_same_v<T, ByteView>) {
            return as_bytes(keep(raw()));
        } else if constexpr (std::is_same_v<T, Records>) {
            return Records{as_bytes(keep(raw()))};
        } else if constexpr (std::is_same_v<T, Uuid>) {
            return one_in(4) ? Uuid{} : random_.uuid();
        } else if constexpr (std::is_same_v<T, bool>) {
            return one_in(2);
        } else if constexpr (std::is_same_v<T, double>) {
            return std::ldexp(static_cast<double>(static_cast<std::int64_t>(random_.next())),
                              static_cast<int>(random_.next() % 64) - 60);
        } else {
            // Small ones, zero and -1 are frequent: defaults lie among them.
            if (one_in(2)) return static_cast<T>(static_cast<std::int64_t>(random_.next() % 5) - 2);
            return static_cast<T>(random_.next());
        }
    }

private:
    std::string raw() {
        std::string bytes(one_in(8) ? 128 + random_.next() % 200 : random_.next() % 12, '\0');
        for (char& byte : bytes) byte = static_cast<char>(random_.next());
        return bytes;
    }
    std::string_view text() {
        static constexpr std::string_view kLetters[] = {
            "a", "Z", "0", ".", "-", "_", "\"", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\xa6\x89"};
        std::string out;
        for (std::size_t left = one_in(8) ? 130 : random_.next() % 9; left > 0; --left) {
            out += kLetters[random_.next() % std::size(kLetters)];
        }
        return keep(std::move(out));
    }
    std::string_view keep(std::string bytes) { return kept_.emplace_back(std::move(bytes)); }

    SeededRandom random_;
    std::deque<std::string> kept_;
};

}  // namespace odr::protocol
