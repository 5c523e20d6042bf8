#pragma once

#include <optional>
#include <string>

#include "base/config/value.h"

namespace odr::config {

// Holds a parsed value against its key's rule. Gives the whole message, as an Apache Kafka broker words it, or nothing.
std::optional<std::string> broken_rule(const KeyDef& key, const Value& value);

}  // namespace odr::config
