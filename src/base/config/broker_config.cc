#include "base/config/broker_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/assert.h"
#include "base/config/checks.h"
#include "base/config/properties.h"
#include "base/config/served_keys.h"

namespace odr::config {
namespace {

constexpr std::int64_t kMsPerMinute = 60'000;
constexpr std::int64_t kMsPerHour = 3'600'000;

template <class T>
const T& typed(const Value& value, std::string_view key) {
    const T* held = std::get_if<T>(&value);
    ODR_ASSERT(held != nullptr, "{} is null or of another type", key);
    return *held;
}

// broker.id is what node.id used to be called; whichever is set stands in for the other.
void pair_node_id(ConfigMap& properties) {
    const auto node = properties.find("node.id");
    const auto broker = properties.find("broker.id");
    const auto says = [&](auto found) { return found != properties.end() && !found->second.empty(); };
    if (node == properties.end() && says(broker)) {
        properties.emplace("node.id", broker->second);
    } else if (says(node) && broker == properties.end()) {
        properties.emplace("broker.id", node->second);
    }
}

void override_with(ConfigMap& properties, const ConfigMap& dynamic) {
    for (const auto& [name, value] : dynamic) {
        if (find_key(KeySet::broker, name) != nullptr) {
            for (const std::string_view synonym : broker_synonyms(name)) properties.erase(std::string{synonym});
        }
        properties.insert_or_assign(name, value);
    }
}

}  // namespace

std::expected<BrokerConfig, std::string> BrokerConfig::make(const ConfigMap& properties,
                                                            const ProviderSources& sources) {
    auto resolved = resolve_providers(properties, sources);
    if (!resolved) return std::unexpected{std::move(resolved.error())};
    return make_resolved(std::move(*resolved));
}

std::expected<BrokerConfig, std::string> BrokerConfig::make_resolved(ConfigMap properties) {
    BrokerConfig config;
    config.originals_ = std::move(properties);
    pair_node_id(config.originals_);
    if (auto broken = config.parse_all()) return std::unexpected{std::move(*broken)};
    if (auto broken = config.read_protocol_map()) return std::unexpected{std::move(*broken)};
    if (auto broken = config.read_listeners()) return std::unexpected{std::move(*broken)};
    if (auto broken = config.read_inter_broker_listener()) return std::unexpected{std::move(*broken)};
    if (auto broken = config.read_quorum()) return std::unexpected{std::move(*broken)};
    if (auto broken = config.read_connection_overrides()) return std::unexpected{std::move(*broken)};
    if (auto broken = ConfigChecks::first_breach(config)) return std::unexpected{std::move(*broken)};
    return config;
}

BrokerConfig BrokerConfig::load(std::string_view file_text, const std::vector<std::string>& overrides,
                                const ProviderSources& sources) {
    auto properties = parse_properties(file_text);
    if (!properties) throw ConfigError(properties.error());
    for (const std::string& pair : overrides) {
        const std::size_t equals = pair.find('=');
        if (equals == std::string::npos || equals == 0)
            throw ConfigError(fmt::format("--override {}: not key=value", pair));
        properties->insert_or_assign(std::string{trim(std::string_view{pair}.substr(0, equals))},
                                     pair.substr(equals + 1));
    }
    return load(*properties, sources);
}

BrokerConfig BrokerConfig::load(const ConfigMap& properties, const ProviderSources& sources) {
    auto config = make(properties, sources);
    if (!config) throw ConfigError(config.error());
    return std::move(*config);
}

std::expected<BrokerConfig, std::string> BrokerConfig::with_dynamic(const ConfigMap& cluster_default,
                                                                    const ConfigMap& broker) const {
    ConfigMap properties = originals_;
    override_with(properties, cluster_default);
    override_with(properties, broker);
    return make_resolved(std::move(properties));
}

BrokerConfig::Broken BrokerConfig::parse_all() {
    for (const KeyDef& key : keys(KeySet::broker)) {
        const auto set = originals_.find(key.name);
        if (set == originals_.end()) {
            if (key.required) {
                return fmt::format("{} is missing: it has no default, and a node cannot start without it", key.name);
            }
            values_.emplace(key.name, default_value(key));
            continue;
        }
        auto value = check_value(key, set->second);
        if (!value)
            return fmt::format("{}={}: {}", key.name, key.sensitive() ? "[hidden]" : set->second, value.error());
        values_.emplace(key.name, std::move(*value));
    }
    for (const auto& [name, raw] : originals_) {
        const auto scoped = split_listener_key(name);
        const KeyDef* key = scoped ? find_broker_key(name) : nullptr;
        if (key == nullptr) continue;
        auto value = check_value(*key, raw);
        if (!value) return fmt::format("{}={}: {}", name, key->sensitive() ? "[hidden]" : raw, value.error());
        values_.emplace(name, std::move(*value));
    }
    for (const std::string& role : get_list("process.roles")) {
        is_broker_ |= role == "broker";
        is_controller_ |= role == "controller";
    }
    return std::nullopt;
}

const Value& BrokerConfig::get(std::string_view key) const {
    const auto found = values_.find(key);
    ODR_ASSERT(found != values_.end(), "no such key: {}", key);
    return found->second;
}
bool BrokerConfig::get_bool(std::string_view key) const { return typed<bool>(get(key), key); }
std::int32_t BrokerConfig::get_int(std::string_view key) const {
    return static_cast<std::int32_t>(typed<std::int64_t>(get(key), key));
}
std::int64_t BrokerConfig::get_long(std::string_view key) const { return typed<std::int64_t>(get(key), key); }
double BrokerConfig::get_double(std::string_view key) const { return typed<double>(get(key), key); }
std::optional<std::int64_t> BrokerConfig::get_optional_long(std::string_view key) const {
    const Value& value = get(key);
    if (std::holds_alternative<std::monostate>(value)) return std::nullopt;
    return typed<std::int64_t>(value, key);
}
const std::string& BrokerConfig::get_string(std::string_view key) const {
    static const std::string empty;
    const Value& value = get(key);
    return std::holds_alternative<std::monostate>(value) ? empty : typed<std::string>(value, key);
}
const std::string& BrokerConfig::get_password(std::string_view key) const { return get_string(key); }
const std::vector<std::string>& BrokerConfig::get_list(std::string_view key) const {
    static const std::vector<std::string> empty;
    const Value& value = get(key);
    return std::holds_alternative<std::monostate>(value) ? empty : typed<std::vector<std::string>>(value, key);
}

Value BrokerConfig::listener_value(std::string_view listener, std::string_view key) const {
    std::string lower{listener};
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const auto scoped = values_.find(fmt::format("listener.name.{}.{}", lower, key));
    return scoped == values_.end() ? get(key) : scoped->second;
}

const std::vector<std::string>& BrokerConfig::log_dirs() const {
    const auto& dirs = get_list("log.dirs");
    return dirs.empty() ? get_list("log.dir") : dirs;
}
std::string BrokerConfig::metadata_log_dir() const {
    const std::string& dir = get_string("metadata.log.dir");
    return dir.empty() ? log_dirs().front() : dir;
}

std::int64_t BrokerConfig::log_roll_ms() const {
    return get_optional_long("log.roll.ms").value_or(get_long("log.roll.hours") * kMsPerHour);
}
std::int64_t BrokerConfig::log_roll_jitter_ms() const {
    return get_optional_long("log.roll.jitter.ms").value_or(get_long("log.roll.jitter.hours") * kMsPerHour);
}
std::int64_t BrokerConfig::log_retention_ms() const {
    std::int64_t ms = get_long("log.retention.hours") * kMsPerHour;
    if (const auto minutes = get_optional_long("log.retention.minutes")) ms = *minutes * kMsPerMinute;
    if (const auto exact = get_optional_long("log.retention.ms")) ms = *exact;
    return ms < 0 ? -1 : ms;
}
std::int64_t BrokerConfig::log_flush_interval_ms() const {
    return get_optional_long("log.flush.interval.ms").value_or(get_long("log.flush.scheduler.interval.ms"));
}

BrokerLimits BrokerConfig::limits() const {
    return {.socket_request_max_bytes = get_int("socket.request.max.bytes"),
            .queued_max_request_bytes = get_long("queued.max.request.bytes"),
            .max_connections = get_int("max.connections"),
            .max_connections_per_ip = get_int("max.connections.per.ip"),
            .max_connections_per_ip_overrides = connection_overrides_,
            .max_connection_creation_rate = get_int("max.connection.creation.rate"),
            .connections_max_idle_ms = get_long("connections.max.idle.ms"),
            .message_max_bytes = get_int("message.max.bytes"),
            .fetch_max_bytes = get_int("fetch.max.bytes"),
            .max_incremental_fetch_session_cache_slots = get_int("max.incremental.fetch.session.cache.slots"),
            .max_request_partition_size_limit = get_int("max.request.partition.size.limit"),
            .auto_create_topics_enable = get_bool("auto.create.topics.enable"),
            .delete_topic_enable = get_bool("delete.topic.enable"),
            .num_partitions = get_int("num.partitions"),
            .default_replication_factor = get_int("default.replication.factor"),
            .min_insync_replicas = get_int("min.insync.replicas")};
}

BrokerConfig::Broken BrokerConfig::read_connection_overrides() {
    constexpr std::string_view kKey = "max.connections.per.ip.overrides";
    for (const std::string& entry : split_list(get_string(kKey))) {
        const std::size_t colon = entry.rfind(':');
        std::int32_t count = 0;
        const char* const end = entry.data() + entry.size();
        const bool well_formed = colon != std::string::npos && colon != 0 &&
                                 std::from_chars(entry.data() + colon + 1, end, count).ptr == end &&
                                 colon + 1 < entry.size();
        if (!well_formed) return fmt::format("{}={}: '{}' is not address:count", kKey, get_string(kKey), entry);
        const std::string address = entry.substr(0, colon);
        const bool host_like = std::ranges::all_of(address, [](unsigned char c) {
            return std::isalnum(c) != 0 || std::string_view{"-%._:"}.contains(static_cast<char>(c));
        });
        if (!host_like) return fmt::format("{}={}: '{}' is no address", kKey, get_string(kKey), address);
        connection_overrides_.insert_or_assign(address, count);
    }
    return std::nullopt;
}

std::vector<std::string> BrokerConfig::warnings() const {
    ConfigMap set = originals_;
    if (set.contains("node.id")) set.erase("broker.id");
    std::vector<std::string> out = key_warnings(set);
    if (is_broker_ && !is_controller_ && controller_names_.size() > 1) {
        out.push_back(fmt::format("controller.listener.names has several entries; a broker uses the first only, {}",
                                  controller_names_.front()));
    }
    return out;
}

ConfigMap dev_defaults(std::string_view data_dir) {
    return {
        {"process.roles", "broker,controller"},
        {"node.id", "1"},
        {"listeners", "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"},
        {"advertised.listeners", "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"},
        {"inter.broker.listener.name", "PLAINTEXT"},
        {"controller.listener.names", "CONTROLLER"},
        {"controller.quorum.bootstrap.servers", "127.0.0.1:9093"},
        {"log.dirs", std::string{data_dir}},
        {"num.partitions", "1"},
        {"offsets.topic.replication.factor", "1"},
        {"transaction.state.log.replication.factor", "1"},
        {"transaction.state.log.min.isr", "1"},
        {"share.coordinator.state.topic.replication.factor", "1"},
        {"share.coordinator.state.topic.min.isr", "1"},
        {"log.retention.hours", "168"},
        {"log.segment.bytes", "1073741824"},
        {"log.retention.check.interval.ms", "300000"},
    };
}

}  // namespace odr::config
