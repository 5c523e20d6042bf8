#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/config/broker_config.h"
#include "base/config/log_config.h"
#include "metadata/image_holder.h"
#include "server/services.h"
#include "storage/log_cleaner.h"

namespace odr::server {

// The configuration in force: server.properties under what kafka-configs has set, for the cluster and for this broker.
// Told of each new image; what changed takes effect there and then (topics' logs, connection limits).
//
// Owner:   the server. Threads: current() and log_config() from any, the updates on the metadata loader's.
// Needs:   services.connection_quotas, log_directories, logs and log_cleaner may be null, and then nobody is told.
// Kafka:   DynamicBrokerConfig, DynamicConfigPublisher.
class DynamicConfig final : public metadata::MetadataPublisher {
public:
    DynamicConfig(std::shared_ptr<const config::BrokerConfig> at_start, const Services& services);

    // The broker's configuration with dynamic settings applied.
    std::shared_ptr<const config::BrokerConfig> current() const;
    // How the logs of a topic are kept: the topic's settings in the image given, over the broker's in force.
    // Cost: a lock and a look-up. Topics without settings of their own share one object; those with some get a new one
    // when either side changed.
    std::shared_ptr<const config::LogConfig> log_config(const metadata::MetadataImage& image,
                                                        std::string_view topic) const;

    // The broker's settings as the metadata have them, before the logs are loaded: how many threads load them is one.
    void apply_stored(const metadata::MetadataImage& image);

    std::string_view name() const override { return "DynamicConfig"; }
    void on_metadata_update(const metadata::MetadataChanges& changes,
                            const std::shared_ptr<const metadata::MetadataImage>& before,
                            const std::shared_ptr<const metadata::MetadataImage>& after) override;

    // How many logs of a directory are loaded at a time.
    static std::int32_t recovery_threads(const config::BrokerConfig& config);
    // The settings of the log cleaner.
    static storage::LogCleanerConfig log_cleaner_config(const config::BrokerConfig& config);

private:
    struct CachedLogConfig {
        std::shared_ptr<const config::ConfigMap> settings;  // of the image it was made from
        std::shared_ptr<const config::LogConfig> config;
    };

    // Gives: whether the defaults of topics changed.
    bool update_broker(const metadata::MetadataImage& image);
    void update_all_logs(const metadata::MetadataImage& image) const;
    void forget(const std::string& topic);

    const std::shared_ptr<const config::BrokerConfig> at_start_;
    const Services& services_;
    mutable std::mutex mutex_;
    std::shared_ptr<const config::BrokerConfig> current_;                            // under mutex_
    std::shared_ptr<const config::LogConfig> log_defaults_;                          // under mutex_
    mutable std::map<std::string, CachedLogConfig, std::less<>> topic_log_configs_;  // under mutex_
};

}  // namespace odr::server
