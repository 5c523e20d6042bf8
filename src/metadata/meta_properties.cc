#include "metadata/meta_properties.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <charconv>
#include <ctime>

#include "base/config/properties.h"

namespace odr::metadata {

namespace {

std::optional<std::int32_t> parse_id(std::string_view text) {
    std::int32_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return id;
}

std::string path_of(const std::string& log_directory) {
    return fmt::format("{}/{}", log_directory, kMetaPropertiesFile);
}

}  // namespace

Result<MetaProperties> parse_meta_properties(std::string_view text) {
    const auto values = config::parse_properties(text);
    if (!values) return fail(ErrorCode::corrupt_message, "meta.properties is no properties file");
    const auto get = [&](std::string_view key) -> std::optional<std::string> {
        const auto found = values->find(key);
        return found == values->end() ? std::nullopt : std::optional{found->second};
    };
    MetaProperties properties;
    const auto version = parse_id(get("version").value_or("0"));
    if (version != 0 && version != 1) return fail(ErrorCode::corrupt_message, "meta.properties: unknown version");
    properties.version = *version;
    properties.cluster_id = get("cluster.id");
    if (const auto node = get(properties.version == 0 ? "broker.id" : "node.id")) {
        const auto id = parse_id(*node);
        if (!id) return fail(ErrorCode::corrupt_message, "meta.properties: the node's id is no number");
        properties.node_id = BrokerId{*id};
    }
    if (const auto directory = get("directory.id")) {
        properties.directory_id = Uuid::parse(*directory);
        if (!properties.directory_id)
            return fail(ErrorCode::corrupt_message, "meta.properties: directory.id is no uuid");
    }
    if (properties.version == 1 && (!properties.cluster_id || !properties.node_id))
        return fail(ErrorCode::corrupt_message, "meta.properties: version 1 has a cluster.id and a node.id");
    return properties;
}

std::string format_meta_properties(const MetaProperties& properties, TimestampMs now) {
    const std::time_t seconds = now.raw() / 1000;
    std::vector<std::pair<std::string, std::string>> pairs;
    if (properties.node_id)
        pairs.emplace_back(properties.version == 0 ? "broker.id" : "node.id", fmt::format("{}", *properties.node_id));
    if (properties.directory_id) pairs.emplace_back("directory.id", properties.directory_id->to_string());
    pairs.emplace_back("version", fmt::format("{}", properties.version));
    if (properties.cluster_id) pairs.emplace_back("cluster.id", *properties.cluster_id);
    const std::tm utc = fmt::gmtime(seconds);
    return fmt::format("#\n#{:%a %b %d %H:%M:%S} UTC {:%Y}\n{}", utc, utc, config::write_properties(pairs));
}

MetaPropertiesEnsemble MetaPropertiesEnsemble::load(io::FileSystem& files,
                                                    const std::vector<std::string>& log_directories) {
    MetaPropertiesEnsemble ensemble;
    for (const std::string& directory : log_directories) {
        if (!files.exists(path_of(directory))) {
            ensemble.empty.push_back(directory);
            continue;
        }
        auto text = files.read_file(path_of(directory));
        auto properties = text ? parse_meta_properties(*text) : Result<MetaProperties>{std::unexpected{text.error()}};
        if (properties) {
            ensemble.formatted.emplace(directory, std::move(*properties));
        } else {
            ensemble.failed.emplace(directory, properties.error().what);
        }
    }
    return ensemble;
}

std::optional<std::string> MetaPropertiesEnsemble::cluster_id() const {
    for (const auto& [directory, properties] : formatted)
        if (properties.cluster_id) return properties.cluster_id;
    return std::nullopt;
}

std::expected<void, std::string> MetaPropertiesEnsemble::verify(std::optional<std::string> cluster_id,
                                                                std::optional<BrokerId> node_id) const {
    std::map<Uuid, std::string> seen;
    for (const auto& [directory, properties] : formatted) {
        const std::string path = path_of(directory);
        if (properties.cluster_id) {
            if (!cluster_id) cluster_id = properties.cluster_id;
            if (*cluster_id != *properties.cluster_id)
                return std::unexpected{fmt::format("Invalid cluster.id in: {}. Expected {}, but read {}", path,
                                                   *cluster_id, *properties.cluster_id)};
        }
        if (properties.node_id) {
            if (!node_id) node_id = properties.node_id;
            if (*node_id != *properties.node_id)
                return std::unexpected{
                    fmt::format("Stored node id {} doesn't match previous node id {} in {}. If you "
                                "moved your data, make sure your configured node id matches.",
                                *properties.node_id, *node_id, path)};
        }
        if (!properties.directory_id) continue;
        const Uuid& id = *properties.directory_id;
        if (id <= Uuid{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 99}})
            return std::unexpected{fmt::format("Invalid directory.id in {}: {} is reserved", path, id.to_string())};
        if (const auto [at, is_new] = seen.emplace(id, path); !is_new)
            return std::unexpected{
                fmt::format("Duplicate directory.id {} found in {} and {}", id.to_string(), at->second, path)};
    }
    return {};
}

Result<void> write_meta_properties(io::MayBlock may_block, io::FileSystem& files, const std::string& log_directory,
                                   const MetaProperties& properties, TimestampMs now) {
    return files.replace_file(may_block, path_of(log_directory), as_bytes(format_meta_properties(properties, now)));
}

}  // namespace odr::metadata
