#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "protocol/buffer.h"
#include "protocol/testing/random_source.h"

namespace odr::protocol {

// What tests and fuzzers do with a message of which they know only the name.
struct MessageOps {
    std::string_view name;
    std::string_view kind;
    std::int16_t min_version;
    std::int16_t max_version;

    // Whether bytes decode. Takes no memory but for the message.
    bool (*decodes)(ByteView bytes, std::int16_t version);
    // Decodes, then encodes into `out`. Gives: how many bytes the message took.
    Result<std::size_t> (*reencode)(ByteView bytes, std::int16_t version, Buffer& out);
    // Encodes a random message.
    void (*make_random)(RandomSource& random, std::int16_t version, Buffer& out);
    // Whether bytes that decode at all also decode to an equal message after encoding it again.
    bool (*round_trips)(ByteView bytes, std::int16_t version);
    // Whether a random message comes back equal from its own bytes, and takes all of them.
    bool (*random_round_trips)(RandomSource& random, std::int16_t version);
    Result<std::string> (*to_json)(ByteView bytes, std::int16_t version);
};

// By name.
std::span<const MessageOps> all_message_ops();
const MessageOps* find_message_ops(std::string_view name);

}  // namespace odr::protocol
