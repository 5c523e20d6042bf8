#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/uuid.h"
#include "protocol/records.h"

namespace odr::protocol {

// Writes messages as JSON, as Kafka's JSON converters and Jackson do: bytes as base64, records as their size.
//
// The generated functions  void write_json(JsonWriter& out, std::int16_t version, const Message& message)
// stand in the library odr_protocol_json, which a tool links by itself.
class JsonWriter {
public:
    const std::string& text() const { return text_; }

    void begin_object() { open('{'); }
    void end_object() { close('}'); }
    void begin_array() { open('['); }
    void end_array() { close(']'); }
    void name(std::string_view name);
    void null() { raw("null"); }
    void json(std::string_view value) { raw(value); }  // a value that is JSON already
    void value(bool value) { raw(value ? "true" : "false"); }
    void value(std::int8_t value) { raw(std::to_string(value)); }
    void value(std::int16_t value) { raw(std::to_string(value)); }
    void value(std::uint16_t value) { raw(std::to_string(value)); }
    void value(std::int32_t value) { raw(std::to_string(value)); }
    void value(std::uint32_t value) { raw(std::to_string(value)); }
    void value(std::int64_t value) { raw(std::to_string(value)); }
    void value(double value);
    void value(const Uuid& value) { this->value(std::string_view{value.to_string()}); }
    void value(std::string_view value);
    void value(ByteView value);
    void value(const Records& value);

private:
    void open(char bracket);
    void close(char bracket);
    void raw(std::string_view text);
    void separate();

    std::string text_;
    bool first_ = true;
};

}  // namespace odr::protocol
