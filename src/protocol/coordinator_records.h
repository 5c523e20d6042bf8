#pragma once

#include <cstdint>

#include "base/result.h"
#include "protocol/generated/record_types.h"
#include "protocol/reader.h"
#include "protocol/writer.h"

namespace odr::protocol {

// Keys and values of __consumer_offsets, __transaction_state and __share_group_state: two bytes, then the body.
// In a key they are the record's type (bodies of keys have version 0 only), in a value the body's version.
struct CoordinatorFrame {
    std::int16_t number = 0;  // type of a key, version of a value
    ByteView body;
};

// Errors: invalid_record.
inline Result<CoordinatorFrame> decode_coordinator_frame(ByteView bytes) {
    if (bytes.size() < 2) return fail(ErrorCode::invalid_record, "coordinator record: cut short");
    return CoordinatorFrame{load_be<std::int16_t>(bytes.data()), bytes.subspan(2)};
}

// Needs: Key is a ...Key of a coordinator: its kApiKey is the record's type. LegacyOffsetCommitKey has type 0.
template <class Key>
void encode_coordinator_key(Writer& out, const Key& key) {
    out.fixed(Key::kApiKey);
    encode(out, 0, key);
}
template <class Value>
void encode_coordinator_value(Writer& out, std::int16_t version, const Value& value) {
    out.fixed(version);
    encode(out, version, value);
}

}  // namespace odr::protocol
