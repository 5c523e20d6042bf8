#pragma once

#include <functional>
#include <map>
#include <string>

namespace odr::config {

// Keys and raw values, as in a .properties file or as a resource's dynamic settings in the metadata log.
using ConfigMap = std::map<std::string, std::string, std::less<>>;

}  // namespace odr::config
