#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/config/config_map.h"

namespace odr::config {

// Reads the text of a Java .properties file: `#` and `!` comments, `=`, `:` or blanks between key and value, a
// backslash before a line's end to go on in the next, the escapes \t \n \r \f \uXXXX. Bytes beyond ASCII are taken for
// UTF-8. Of a key that stands twice the last value wins.
// Errors: a line for the operator, with its number; only \u without four hexadecimal digits is one.
std::expected<ConfigMap, std::string> parse_properties(std::string_view text);

// One line a pair, escaped so that parse_properties() and Java read back the same; `comment`, where given, comes first.
std::string write_properties(const std::vector<std::pair<std::string, std::string>>& pairs,
                             std::string_view comment = {});

}  // namespace odr::config
