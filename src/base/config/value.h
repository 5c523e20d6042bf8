#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/config/keys.h"

namespace odr::config {

// A parsed value. monostate is Kafka's null: no value and no default. Integers of all widths are held as 64 bits.
using Value = std::variant<std::monostate, bool, std::int64_t, double, std::string, std::vector<std::string>>;

// Parses a value as Kafka's ConfigDef does, without the key's rule: surrounding blanks do not count, booleans in any
// case, lists split at commas with the blanks around them.
// Errors: what is wrong with the value, in Kafka's words ("Not a number of type LONG").
std::expected<Value, std::string> parse_value(KeyType type, std::string_view raw);

// Parses a value and holds it against the key's rule.
// Errors: the whole message that an Apache Kafka broker would send, naming key and value (but for passwords the key).
std::expected<Value, std::string> check_value(const KeyDef& key, std::string_view raw);

// The key's default: never fails, the table is checked. monostate where there is none.
Value default_value(const KeyDef& key);

// As DescribeConfigs prints it: lists by comma, doubles as Java writes them ("1.0E7"), null as nothing.
std::string to_text(const Value& value);
std::string java_double(double value);

std::vector<std::string> split_list(std::string_view text);  // "a, b" -> a, b; "" -> nothing; "a," -> a and ""
std::string_view trim(std::string_view text);                // of everything up to and with the blank, as Java does

}  // namespace odr::config
