#include "protocol/testing/message_ops.h"

#include "protocol/generated/all_messages.h"
#include "protocol/json.h"
#include "protocol/reader.h"
#include "protocol/writer.h"

namespace odr::protocol {

#define ODR_MESSAGE(Name, kind, min, max)                                    \
    void fill_random(RandomSource& random, std::int16_t version, Name& out); \
    void write_json(JsonWriter& out, std::int16_t version, const Name& message);
#include "protocol/generated/all_messages.inc"
#undef ODR_MESSAGE

namespace {

template <class Message>
bool decodes(ByteView bytes, std::int16_t version) {
    Reader in{bytes};
    Message message;
    return decode(in, version, message).has_value();
}

template <class Message>
Result<std::size_t> reencode(ByteView bytes, std::int16_t version, Buffer& out) {
    Reader in{bytes};
    Message message;
    ODR_CHECK(decode(in, version, message));
    encode_message(out, version, message);
    return bytes.size() - in.remaining();
}

template <class Message>
void make_random(RandomSource& random, std::int16_t version, Buffer& out) {
    Message message;
    fill_random(random, version, message);
    encode_message(out, version, message);
}

template <class Message>
bool round_trips(ByteView bytes, std::int16_t version) {
    const auto first = decode_message<Message>(bytes, version);
    if (!first) return true;
    Buffer out;
    encode_message(out, version, *first);
    Buffer again;
    const auto second = decode_message<Message>(out, version);
    if (!second) return false;
    // Bit by bit as well: a double may be NaN, which is not equal to itself.
    encode_message(again, version, *second);
    return *second == *first || same_bytes(out.view(), again.view());
}

template <class Message>
bool random_round_trips(RandomSource& random, std::int16_t version) {
    Message message;
    fill_random(random, version, message);
    Buffer out;
    encode_message(out, version, message);
    Reader in{out};
    Message back;
    return decode(in, version, back) && in.remaining() == 0 && back == message;
}

template <class Message>
Result<std::string> to_json(ByteView bytes, std::int16_t version) {
    ODR_TRY(message, decode_message<Message>(bytes, version));
    JsonWriter out;
    write_json(out, version, message);
    return out.text();
}

constexpr MessageOps kOps[] = {
#define ODR_MESSAGE(Name, kind, min, max) \
    {#Name,                               \
     kind,                                \
     min,                                 \
     max,                                 \
     decodes<Name>,                       \
     reencode<Name>,                      \
     make_random<Name>,                   \
     round_trips<Name>,                   \
     random_round_trips<Name>,            \
     to_json<Name>},
#include "protocol/generated/all_messages.inc"
#undef ODR_MESSAGE
};

}  // namespace

std::span<const MessageOps> all_message_ops() { return kOps; }

const MessageOps* find_message_ops(std::string_view name) {
    for (const MessageOps& ops : kOps) {
        if (ops.name == name) return &ops;
    }
    return nullptr;
}

}  // namespace odr::protocol
