#include "base/config/providers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>

#include "base/config/properties.h"
#include "base/config/value.h"

namespace odr::config {
namespace {

enum class ProviderKind { file, directory, environment };

struct Provider {
    ProviderKind kind;
    std::vector<std::string> allowed_paths;  // empty: all
    std::string allowlist_pattern;           // of environment variables; empty: all
};

struct KnownProvider {
    std::string_view class_name;
    ProviderKind kind;
};
constexpr std::array<KnownProvider, 3> kKnownProviders{{
    {"org.apache.kafka.common.config.provider.FileConfigProvider", ProviderKind::file},
    {"org.apache.kafka.common.config.provider.DirectoryConfigProvider", ProviderKind::directory},
    {"org.apache.kafka.common.config.provider.EnvVarConfigProvider", ProviderKind::environment},
}};

using Providers = std::map<std::string, Provider, std::less<>>;
using Found = std::expected<std::optional<std::string>, std::string>;

std::string_view get_or_empty(const ConfigMap& map, const std::string& key) {
    const auto found = map.find(key);
    return found == map.end() ? std::string_view{} : trim(found->second);
}

std::expected<Providers, std::string> configured_providers(const ConfigMap& properties) {
    Providers out;
    for (const std::string& name : split_list(get_or_empty(properties, "config.providers"))) {
        const std::string prefix = fmt::format("config.providers.{}.", name);
        const std::string_view class_name = get_or_empty(properties, prefix + "class");
        const auto known = std::ranges::find(kKnownProviders, class_name, &KnownProvider::class_name);
        if (known == kKnownProviders.end()) {
            return std::unexpected{
                fmt::format("{}class={}: no such provider; File-, Directory- and EnvVarConfigProvider of "
                            "org.apache.kafka.common.config.provider are there",
                            prefix, class_name)};
        }
        out.emplace(
            name,
            Provider{.kind = known->kind,
                     .allowed_paths = split_list(get_or_empty(properties, prefix + "param.allowed.paths")),
                     .allowlist_pattern = std::string{get_or_empty(properties, prefix + "param.allowlist.pattern")}});
    }
    return out;
}

bool path_allowed(const Provider& provider, const std::string& path) {
    if (provider.allowed_paths.empty()) return true;
    const std::filesystem::path wanted = std::filesystem::path{path}.lexically_normal();
    return std::ranges::any_of(provider.allowed_paths, [&](const std::string& allowed) {
        const std::filesystem::path root = std::filesystem::path{allowed}.lexically_normal();
        const auto [root_end, rest] = std::mismatch(root.begin(), root.end(), wanted.begin(), wanted.end());
        return root_end == root.end() || (std::next(root_end) == root.end() && root_end->empty());
    });
}

Found look_up_environment(const Provider& provider, std::string_view path, const std::string& name,
                          const ProviderSources& sources) {
    if (!path.empty())
        return std::unexpected{fmt::format("an environment variable has no path, but '{}' is given", path)};
    if (!provider.allowlist_pattern.empty()) {
        try {
            if (!std::regex_match(name, std::regex{provider.allowlist_pattern})) return std::nullopt;
        } catch (const std::regex_error&) {
            return std::unexpected{
                fmt::format("allowlist.pattern '{}' is no regular expression", provider.allowlist_pattern)};
        }
    }
    return sources.environment ? sources.environment(name) : std::nullopt;
}

Found look_up(const Provider& provider, const std::string& path, const std::string& key,
              const ProviderSources& sources) {
    if (provider.kind == ProviderKind::environment) return look_up_environment(provider, path, key, sources);
    const bool is_file = provider.kind == ProviderKind::file;
    if (path.empty() || !path_allowed(provider, path)) return std::nullopt;
    if (!is_file && key.find('/') != std::string::npos) return std::nullopt;
    const auto text = sources.read_file ? sources.read_file(is_file ? path : path + "/" + key) : std::nullopt;
    if (!text) {
        if (!is_file) return std::nullopt;
        return std::unexpected{fmt::format("cannot read {}", path)};
    }
    if (!is_file) return *text;
    const auto properties = parse_properties(*text);
    if (!properties) return std::unexpected{fmt::format("{} {}", path, properties.error())};
    const auto found = properties->find(key);
    return found == properties->end() ? std::nullopt : std::optional{found->second};
}

// The text between "${" and "}": provider:key or provider:path:key.
Found resolve_one(std::string_view inside, const Providers& providers, const ProviderSources& sources) {
    const std::size_t first = inside.find(':');
    if (first == std::string_view::npos) return std::nullopt;
    const auto provider = providers.find(inside.substr(0, first));
    if (provider == providers.end()) return std::nullopt;
    const std::string_view rest = inside.substr(first + 1);
    const std::size_t second = rest.find(':');
    const bool has_path = second != std::string_view::npos;
    return look_up(provider->second, std::string{has_path ? rest.substr(0, second) : std::string_view{}},
                   std::string{has_path ? rest.substr(second + 1) : rest}, sources);
}

std::expected<std::string, std::string> resolve_value(std::string_view value, const Providers& providers,
                                                      const ProviderSources& sources) {
    std::string out;
    while (true) {
        const std::size_t open = value.find("${");
        const std::size_t close = open == std::string_view::npos ? open : value.find('}', open);
        if (close == std::string_view::npos) return out.append(value);
        auto found = resolve_one(value.substr(open + 2, close - open - 2), providers, sources);
        if (!found) return std::unexpected{found.error()};
        out.append(value.substr(0, open));
        out.append(*found ? std::string_view{**found} : value.substr(open, close + 1 - open));
        value.remove_prefix(close + 1);
    }
}

}  // namespace

ProviderSources process_sources() {
    return {
        .read_file = [](const std::string& path) -> std::optional<std::string> {
            std::ifstream in{path, std::ios::binary};
            if (!in) return std::nullopt;
            std::ostringstream text;
            text << in.rdbuf();
            if (in.bad()) return std::nullopt;
            return std::move(text).str();
        },
        .environment = [](const std::string& name) -> std::optional<std::string> {
            const char* value = std::getenv(name.c_str());
            return value == nullptr ? std::nullopt : std::optional<std::string>{value};
        },
    };
}

std::expected<ConfigMap, std::string> resolve_providers(const ConfigMap& properties, const ProviderSources& sources) {
    const auto providers = configured_providers(properties);
    if (!providers) return std::unexpected{providers.error()};
    if (providers->empty()) return properties;
    ConfigMap out;
    for (const auto& [key, value] : properties) {
        auto resolved = resolve_value(value, *providers, sources);
        if (!resolved) return std::unexpected{fmt::format("{}={}: {}", key, value, resolved.error())};
        out.emplace(key, std::move(*resolved));
    }
    return out;
}

}  // namespace odr::config
