#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config/config_error.h"
#include "base/config/config_map.h"
#include "base/config/endpoint.h"
#include "base/config/providers.h"
#include "base/config/value.h"
#include "base/types.h"

namespace odr::config {

// What the request path reads on every request, as plain numbers. Bytes are of a request or an answer.
struct BrokerLimits {
    std::int32_t socket_request_max_bytes;
    std::int64_t queued_max_request_bytes;  // -1: no limit
    std::int32_t max_connections;
    std::int32_t max_connections_per_ip;
    std::map<std::string, std::int32_t, std::less<>> max_connections_per_ip_overrides;
    std::int32_t max_connection_creation_rate;
    std::int64_t connections_max_idle_ms;  // negative: never
    std::int32_t message_max_bytes;
    std::int32_t fetch_max_bytes;
    std::int32_t max_incremental_fetch_session_cache_slots;
    std::int32_t max_request_partition_size_limit;
    bool auto_create_topics_enable;
    bool delete_topic_enable;
    std::int32_t num_partitions;
    std::int32_t default_replication_factor;
    std::int32_t min_insync_replicas;
};

// A broker's or controller's configuration: the properties it was started with over Kafka's defaults, parsed, checked
// key by key and as a whole.
//
// Owner:    whoever starts the process; with_dynamic() makes a new one for each change of dynamic settings.
// Threads:  immutable, so any.
// Kafka:    KafkaConfig. The getters stop the process for a key that does not exist or is of another type: that is our
//           bug, never the user's.
class BrokerConfig {
public:
    // Errors: one line that names the key, its value and what would be right.
    static std::expected<BrokerConfig, std::string> make(const ConfigMap& properties,
                                                         const ProviderSources& sources = {});

    // The same for the start of a process: the text of a server.properties, `key=value` lines that override it.
    // Throws ConfigError.
    static BrokerConfig load(std::string_view file_text, const std::vector<std::string>& overrides,
                             const ProviderSources& sources);
    static BrokerConfig load(const ConfigMap& properties, const ProviderSources& sources = {});

    // The configuration in force once dynamic settings apply: this broker's over the cluster's default over this one.
    // Needs:  *this holds no dynamic settings.
    std::expected<BrokerConfig, std::string> with_dynamic(const ConfigMap& cluster_default,
                                                          const ConfigMap& broker) const;

    bool get_bool(std::string_view key) const;
    std::int32_t get_int(std::string_view key) const;  // short keys too
    std::int64_t get_long(std::string_view key) const;
    double get_double(std::string_view key) const;
    std::optional<std::int64_t> get_optional_long(std::string_view key) const;  // none: null; int keys too
    const std::string& get_string(std::string_view key) const;                  // null reads as the empty string
    const std::string& get_password(std::string_view key) const;                // the same; never log it
    const std::vector<std::string>& get_list(std::string_view key) const;       // null reads as the empty list
    const Value& get(std::string_view key) const;
    bool is_set(std::string_view key) const { return originals_.contains(key); }

    // What was set, as text, with providers resolved and node.id and broker.id standing in for each other.
    const ConfigMap& originals() const { return originals_; }

    BrokerId node_id() const { return BrokerId{get_int("node.id")}; }
    bool is_broker() const { return is_broker_; }
    bool is_controller() const { return is_controller_; }
    const std::vector<std::string>& log_dirs() const;
    std::string metadata_log_dir() const;

    const std::vector<Listener>& listeners() const { return listeners_; }  // all that this node binds
    std::vector<Listener> broker_listeners() const;
    std::vector<Listener> controller_listeners() const;
    const std::vector<Listener>& advertised_broker_listeners() const { return advertised_; }
    // An empty host stands for the name of this machine, which the caller knows.
    const std::vector<Listener>& advertised_controller_listeners() const { return advertised_controllers_; }
    const std::vector<std::string>& controller_listener_names() const { return controller_names_; }
    const std::string& inter_broker_listener_name() const { return inter_broker_name_; }
    const ProtocolMap& listener_protocols() const { return protocols_; }
    const std::vector<Voter>& controller_quorum_voters() const { return voters_; }
    const std::vector<HostPort>& controller_quorum_bootstrap_servers() const { return bootstrap_servers_; }
    // A key for one listener: `listener.name.<listener in lower case>.<key>` if set, else the key itself.
    Value listener_value(std::string_view listener, std::string_view key) const;

    // Kafka's roundabout ones, in milliseconds.
    std::int64_t log_roll_ms() const;
    std::int64_t log_roll_jitter_ms() const;
    std::int64_t log_retention_ms() const;  // -1: for ever
    std::int64_t log_flush_interval_ms() const;

    BrokerLimits limits() const;
    std::vector<std::string> warnings() const;  // lines for the operator at start

private:
    BrokerConfig() = default;
    static std::expected<BrokerConfig, std::string> make_resolved(ConfigMap properties);
    using Broken = std::optional<std::string>;
    Broken parse_all();
    Broken read_listeners();
    Broken read_protocol_map();
    Broken read_inter_broker_listener();
    Broken read_quorum();
    void name_controller_hosts();
    Broken read_connection_overrides();

    ConfigMap originals_;
    std::map<std::string, Value, std::less<>> values_;
    bool is_broker_ = false;
    bool is_controller_ = false;
    ProtocolMap protocols_;
    std::vector<std::string> controller_names_;
    std::vector<Listener> listeners_;
    std::vector<Listener> advertised_;
    std::vector<Listener> advertised_controllers_;
    std::string inter_broker_name_;
    SecurityProtocol inter_broker_protocol_ = SecurityProtocol::plaintext;
    std::vector<Voter> voters_;
    std::vector<HostPort> bootstrap_servers_;
    std::map<std::string, std::int32_t, std::less<>> connection_overrides_;

    friend class ConfigChecks;
};

// What a node started without a file runs with: broker and controller in one on 127.0.0.1, data under `data_dir`,
// internal topics with one replica, as the stock config/server.properties has it.
ConfigMap dev_defaults(std::string_view data_dir);

}  // namespace odr::config
