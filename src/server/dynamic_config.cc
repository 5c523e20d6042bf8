#include "server/dynamic_config.h"

#include <fmt/format.h>

#include "base/log.h"
#include "server/connection_quotas.h"
#include "server/log_directories.h"
#include "storage/log_manager.h"

namespace odr::server {

using metadata::ConfigResourceType;
using metadata::MetadataImage;

DynamicConfig::DynamicConfig(std::shared_ptr<const config::BrokerConfig> at_start, const Services& services)
    : at_start_{std::move(at_start)},
      services_{services},
      current_{at_start_},
      log_defaults_{std::make_shared<const config::LogConfig>(config::make_log_config(*at_start_, {}))} {}

std::shared_ptr<const config::BrokerConfig> DynamicConfig::current() const {
    const std::lock_guard guard{mutex_};
    return current_;
}

std::shared_ptr<const config::LogConfig> DynamicConfig::log_config(const MetadataImage& image,
                                                                   std::string_view topic) const {
    std::shared_ptr<const config::ConfigMap> settings = image.configs().share(ConfigResourceType::topic, topic);
    const std::lock_guard guard{mutex_};
    if (settings == nullptr || settings->empty()) return log_defaults_;
    const auto found = topic_log_configs_.find(topic);
    if (found != topic_log_configs_.end() && found->second.settings == settings) return found->second.config;
    auto made = std::make_shared<const config::LogConfig>(config::make_log_config(*current_, *settings));
    topic_log_configs_.insert_or_assign(std::string{topic}, CachedLogConfig{std::move(settings), made});
    return made;
}

void DynamicConfig::apply_stored(const MetadataImage& image) { (void)update_broker(image); }

void DynamicConfig::on_metadata_update(const metadata::MetadataChanges& changes,
                                       const std::shared_ptr<const MetadataImage>& /*before*/,
                                       const std::shared_ptr<const MetadataImage>& after) {
    const std::string self = fmt::to_string(at_start_->node_id().raw());
    bool is_broker_changed = false;
    for (const metadata::ConfigResource& resource : changes.configs) {
        if (resource.type != ConfigResourceType::broker) continue;
        is_broker_changed = is_broker_changed || resource.name.empty() || resource.name == self;
    }
    if (is_broker_changed && update_broker(*after)) {
        update_all_logs(*after);
        return;
    }
    for (const metadata::ConfigResource& resource : changes.configs) {
        if (resource.type != ConfigResourceType::topic) continue;
        forget(resource.name);
        // A deleted topic's settings go with it; its logs are somebody else's to remove.
        if (services_.logs == nullptr || after->topics().find(resource.name) == nullptr) continue;
        services_.logs->update_config(resource.name, log_config(*after, resource.name));
    }
}

storage::LogCleanerConfig DynamicConfig::log_cleaner_config(const config::BrokerConfig& config) {
    storage::LogCleanerConfig out;
    out.enable = config.get_bool("log.cleaner.enable");
    out.threads = config.get_int("log.cleaner.threads");
    out.dedupe_buffer_size = config.get_long("log.cleaner.dedupe.buffer.size");
    out.dedupe_buffer_load_factor = config.get_double("log.cleaner.io.buffer.load.factor");
    out.io_buffer_size = config.get_int("log.cleaner.io.buffer.size");
    out.io_max_bytes_per_second = config.get_double("log.cleaner.io.max.bytes.per.second");
    out.backoff_ms = config.get_long("log.cleaner.backoff.ms");
    return out;
}

std::int32_t DynamicConfig::recovery_threads(const config::BrokerConfig& config) {
    // Kafka's default of 2 leaves a cold disk waiting.
    constexpr std::string_view kKey = "num.recovery.threads.per.data.dir";
    return config.is_set(kKey) ? config.get_int(kKey) : storage::LogManagerConfig{}.num_recovery_threads_per_data_dir;
}

bool DynamicConfig::update_broker(const MetadataImage& image) {
    const metadata::ConfigurationsImage& configs = image.configs();
    const std::string self = fmt::to_string(at_start_->node_id().raw());
    auto changed = at_start_->with_dynamic(configs.find(ConfigResourceType::broker, ""),
                                           configs.find(ConfigResourceType::broker, self));
    if (!changed) {
        // Each broker checks its own settings before they are stored, but an older or newer one may have checked these.
        log::error("dynamic broker settings cannot be applied, the ones before stay in force: {}", changed.error());
        return false;
    }
    auto next = std::make_shared<const config::BrokerConfig>(std::move(*changed));
    auto log_defaults = std::make_shared<const config::LogConfig>(config::make_log_config(*next, {}));
    if (services_.logs != nullptr) {
        services_.logs->set_delete_delay(log_defaults->file_delete_delay_ms);
        services_.logs->set_recovery_threads(recovery_threads(*next));
    }
    if (services_.log_directories != nullptr) services_.log_directories->update(*next);
    if (services_.connection_quotas != nullptr) services_.connection_quotas->update(quota_limits(*next));
    if (services_.log_cleaner != nullptr) services_.log_cleaner->reconfigure(log_cleaner_config(*next));
    const std::lock_guard guard{mutex_};
    current_ = std::move(next);
    // A topic that sets one key takes the rest from the broker, so all configs are made anew.
    topic_log_configs_.clear();
    if (*log_defaults == *log_defaults_) return false;
    log_defaults_ = std::move(log_defaults);
    return true;
}

void DynamicConfig::update_all_logs(const MetadataImage& image) const {
    if (services_.logs == nullptr) return;
    for (const std::shared_ptr<storage::Log>& log : services_.logs->all_logs()) {
        log->update_config(log_config(image, log->topic_partition().topic));
    }
}

void DynamicConfig::forget(const std::string& topic) {
    const std::lock_guard guard{mutex_};
    topic_log_configs_.erase(topic);
}

}  // namespace odr::server
