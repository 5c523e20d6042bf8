#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error_code.h"
#include "metadata/delta.h"
#include "protocol/generated/client_quota_record.h"
#include "protocol/generated/config_record.h"
#include "protocol/generated/feature_level_record.h"
#include "protocol/generated/partition_record.h"
#include "protocol/generated/register_broker_record.h"
#include "protocol/generated/register_controller_record.h"
#include "protocol/generated/topic_record.h"
#include "protocol/generated/unfence_broker_record.h"
#include "protocol/generated/user_scram_credential_record.h"

// A cluster's metadata, made of records as a controller writes them.
namespace odr::server::testing {

inline Uuid uuid(std::uint8_t n) { return Uuid{{n, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}}; }
inline std::string name_of(std::int16_t code) { return std::string{to_string(ErrorCode{code})}; }

class TestCluster {
public:
    // Listens as CLIENT on "b<id>":9092; the second listener is for those that have one.
    TestCluster& broker(std::int32_t id, bool fenced = false, bool has_internal_listener = false) {
        protocol::RegisterBrokerRecord record;
        record.broker_id = id;
        record.incarnation_id = uuid(static_cast<std::uint8_t>(100 + id));
        record.broker_epoch = id;
        const std::string host = "b" + std::to_string(id);
        record.end_points.push_back({.name = "CLIENT", .host = host, .port = 9092});
        if (has_internal_listener) record.end_points.push_back({.name = "INTERNAL", .host = host, .port = 9093});
        record.rack = std::nullopt;
        record.log_dirs = {uuid(200)};
        replay(record);
        if (fenced) return *this;
        protocol::UnfenceBrokerRecord unfence;
        unfence.id = id;
        unfence.epoch = id;
        return replay(unfence);
    }
    TestCluster& controller(std::int32_t id) {
        protocol::RegisterControllerRecord record;
        record.controller_id = id;
        const std::string host = "c" + std::to_string(id);
        record.end_points.push_back({.name = "CONTROLLER", .host = host, .port = 9090});
        return replay(record);
    }
    TestCluster& topic(std::string_view name, std::uint8_t id) {
        protocol::TopicRecord record;
        record.name = name;
        record.topic_id = uuid(id);
        return replay(record);
    }
    // All replicas are in sync.
    TestCluster& partition(std::uint8_t topic_id, std::int32_t index, std::vector<std::int32_t> replicas,
                           std::int32_t leader) {
        protocol::PartitionRecord record;
        record.partition_id = index;
        record.topic_id = uuid(topic_id);
        record.directories.assign(replicas.size(), uuid(200));
        record.isr = replicas;
        record.replicas = std::move(replicas);
        record.leader = leader;
        record.leader_epoch = 5;
        record.partition_epoch = 0;
        return replay(record);
    }
    TestCluster& config(metadata::ConfigResourceType type, std::string_view resource, std::string_view key,
                        std::string_view value) {
        protocol::ConfigRecord record;
        record.resource_type = static_cast<std::int8_t>(type);
        record.resource_name = resource;
        record.name = key;
        record.value = value;
        return replay(record);
    }
    TestCluster& feature(std::string_view name, std::int16_t level) {
        protocol::FeatureLevelRecord record;
        record.name = name;
        record.feature_level = level;
        return replay(record);
    }
    // Parts as {"user", "alice"}; no name: the default.
    using Part = std::pair<std::string_view, std::optional<std::string_view>>;
    TestCluster& quota(const std::vector<Part>& entity, std::string_view key, double value) {
        protocol::ClientQuotaRecord record;
        for (const auto& [type, name] : entity) record.entity.push_back({.entity_type = type, .entity_name = name});
        record.key = key;
        record.value = value;
        return replay(record);
    }
    TestCluster& scram(std::string_view user, metadata::ScramMechanism mechanism, std::int32_t iterations) {
        protocol::UserScramCredentialRecord record;
        record.name = user;
        record.mechanism = static_cast<std::int8_t>(mechanism);
        record.iterations = iterations;
        return replay(record);
    }

    const metadata::MetadataImage& image() const { return delta_.current(); }
    const metadata::MetadataChanges& changes() const { return delta_.changes(); }
    std::shared_ptr<const metadata::MetadataImage> finish() {
        return delta_.apply({Offset{7}, LeaderEpoch{1}, TimestampMs{0}});
    }

private:
    template <class Record>
    TestCluster& replay(const Record& record) {
        const Result<void> replayed = delta_.replay(record);
        EXPECT_TRUE(replayed.has_value()) << (replayed ? "" : replayed.error().what);
        return *this;
    }
    metadata::MetadataDelta delta_{metadata::MetadataImage::empty()};
};

}  // namespace odr::server::testing
