#pragma once

#include "metadata/image_holder.h"
#include "replication/replica_manager.h"
#include "server/dynamic_config.h"

namespace odr::server {

// Opens, leads and deletes this broker's partitions as the metadata say.
//
// Owner:   the server. Threads: the metadata loader's, which may wait for the disk: a topic is answered as created when
//          its logs are there.
// Kafka:   BrokerMetadataPublisher, ReplicaManager.applyDelta.
class LocalPartitions final : public metadata::MetadataPublisher {
public:
    LocalPartitions(replication::ReplicaManager& replicas, const DynamicConfig& configs, io::BlockingPool& pool,
                    BrokerId self)
        : replicas_{replicas}, configs_{configs}, pool_{pool}, self_{self} {}

    std::string_view name() const override { return "LocalPartitions"; }
    void on_metadata_update(const metadata::MetadataChanges& changes,
                            const std::shared_ptr<const metadata::MetadataImage>& before,
                            const std::shared_ptr<const metadata::MetadataImage>& after) override;

private:
    void remove(const metadata::MetadataImage& before, const metadata::MetadataImage& after,
                const metadata::MetadataChanges& changes);
    std::vector<replication::LeaderAssignment> assignments(const metadata::MetadataImage& image,
                                                           const metadata::TopicImage& topic) const;
    void lead(const std::vector<replication::LeaderAssignment>& assigned);

    replication::ReplicaManager& replicas_;
    const DynamicConfig& configs_;
    io::BlockingPool& pool_;
    const BrokerId self_;
};

}  // namespace odr::server
