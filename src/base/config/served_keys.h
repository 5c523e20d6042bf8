#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config/config_map.h"

namespace odr::config {

// Whether the broker acts on a broker key today. The list is kServedKeys in served_keys.cc: add a key there with the
// change that honours it.
bool is_served(std::string_view broker_key);

// The known broker key that an unknown one was probably meant to be.
std::optional<std::string_view> did_you_mean(std::string_view unknown);

// What the operator should hear about the keys that are set: unknown ones and those not yet served, a line each.
std::vector<std::string> key_warnings(const ConfigMap& properties);

}  // namespace odr::config
