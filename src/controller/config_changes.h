#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controller/operation.h"

namespace odr::controller {

// Settings of one resource by name; no value: the setting goes.
using ConfigChanges = std::vector<std::pair<std::string, std::optional<std::string>>>;

struct ConfigChangeOptions {
    bool is_new_resource = false;  // it is made by the same records, so it need not exist yet
};

// Checks the settings as they would be afterwards and adds a ConfigRecord for each change, then what they entail for
// eligible leader replicas. Nothing is added on a refusal.
// Kafka: ConfigurationControlManager.incrementalAlterConfigResource, ControllerConfigurationValidator; for brokers
//        also DynamicBrokerConfig.validate, which Kafka's broker does before it asks the controller.
ApiError change_configs(const State& state, const metadata::ConfigResource& resource, const ConfigChanges& changes,
                        const ConfigChangeOptions& options, metadata::RecordList& records);

// Feature eligible.leader.replicas.version wants the cluster to have one min.insync.replicas: sets it where it is not
// set, to this node's, and takes it from single brokers.
void add_elr_safety_records(const State& state, metadata::RecordList& records);

}  // namespace odr::controller
