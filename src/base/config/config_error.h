#pragma once

#include <stdexcept>

namespace odr::config {

// A configuration with which the broker must not start. what() is one line: key, value, and what would be right.
// Thrown only while the configuration is loaded; requests that change it get std::expected instead.
class ConfigError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

}  // namespace odr::config
