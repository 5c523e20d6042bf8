#pragma once

#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config/config_map.h"

namespace odr::config {

// Where the stock config providers look. Functions, so that nothing reads the world behind the caller's back.
struct ProviderSources {
    std::function<std::optional<std::string>(const std::string& path)> read_file;  // a file's whole text
    std::function<std::optional<std::string>(const std::string& name)> environment;
};

// The files and the environment of this process.
ProviderSources process_sources();

// Replaces ${provider:path:key} and ${provider:key} in all values, for the providers named in config.providers. They
// are Kafka's own three: FileConfigProvider, DirectoryConfigProvider and EnvVarConfigProvider, with their parameters
// allowed.paths and allowlist.pattern. What no provider knows stays as it is, as in Kafka.
// Errors: one line that names the key.
std::expected<ConfigMap, std::string> resolve_providers(const ConfigMap& properties, const ProviderSources& sources);

}  // namespace odr::config
