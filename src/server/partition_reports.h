#pragma once

#include "controller/controller.h"
#include "metadata/image_holder.h"
#include "storage/log_manager.h"

namespace odr::server {

// Tells the controller what only this broker knows of its partitions: in which log directory a replica was put
// (KIP-858), and that a leader elected uncleanly has recovered (KIP-704).
//
// Owner:   the server; told of images after LocalPartitions, so that the logs are there.
// Threads: the metadata loader's. Reports are answered later and again by the next image if they were lost.
// Kafka:   AssignmentsManager, Partition.makeLeader with LeaderRecoveryState.
class PartitionReports final : public metadata::MetadataPublisher {
public:
    PartitionReports(controller::Controller& controller, const storage::LogManager& logs, BrokerId self)
        : controller_{controller}, logs_{logs}, self_{self} {}

    std::string_view name() const override { return "PartitionReports"; }
    void on_metadata_update(const metadata::MetadataChanges& changes,
                            const std::shared_ptr<const metadata::MetadataImage>& before,
                            const std::shared_ptr<const metadata::MetadataImage>& after) override;

private:
    struct Reports;
    void look_at(const metadata::TopicImage& topic, BrokerEpoch epoch, Reports& reports) const;

    controller::Controller& controller_;
    const storage::LogManager& logs_;
    const BrokerId self_;
};

}  // namespace odr::server
