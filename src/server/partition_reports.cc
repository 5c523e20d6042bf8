#include "server/partition_reports.h"

#include <map>

#include "base/log.h"
#include "protocol/generated/alter_partition_request.h"
#include "protocol/generated/alter_partition_response.h"
#include "protocol/generated/assign_replicas_to_dirs_request.h"
#include "protocol/generated/assign_replicas_to_dirs_response.h"

namespace odr::server {
namespace {

using protocol::AlterPartitionRequest;
using protocol::AssignReplicasToDirsRequest;

template <class Request>
void submit(controller::Controller& controller, Request request) {
    controller.submit({.api_version = Request::kMaxVersion}, std::move(request), [](auto answer) {
        const auto code = answer ? static_cast<ErrorCode>(answer->response.error_code) : answer.error().code;
        if (code != ErrorCode::none) log::warn("the controller refuses {}: {}", Request::kName, to_string(code));
    });
}

AlterPartitionRequest::PartitionData recovered(PartitionIndex index, const metadata::PartitionRegistration& partition,
                                               BrokerId self, BrokerEpoch epoch) {
    AlterPartitionRequest::PartitionData data;
    data.partition_index = index.raw();
    data.leader_epoch = partition.leader_epoch.raw();
    data.new_isr_with_epochs.push_back({.broker_id = self.raw(), .broker_epoch = epoch.raw()});
    data.leader_recovery_state = static_cast<std::int8_t>(metadata::LeaderRecoveryState::recovered);
    data.partition_epoch = partition.partition_epoch;
    return data;
}

}  // namespace

struct PartitionReports::Reports {
    AlterPartitionRequest recoveries;
    std::map<Uuid, std::map<Uuid, std::vector<std::int32_t>>> assignments;  // directory, topic, partitions
};

void PartitionReports::on_metadata_update(const metadata::MetadataChanges& changes,
                                          const std::shared_ptr<const metadata::MetadataImage>& before,
                                          const std::shared_ptr<const metadata::MetadataImage>& after) {
    const metadata::BrokerRegistration* registered = after->cluster().broker(self_);
    if (registered == nullptr || registered->fenced) return;
    Reports reports;
    const auto look = [&](const metadata::TopicImage& topic) { look_at(topic, registered->epoch, reports); };
    if (changes.is_snapshot || !before->cluster().is_active(self_)) {
        after->topics().for_each(look);
    } else {
        for (const Uuid& id : changes.changed_topics) {
            if (const metadata::TopicImage* topic = after->topics().find(id)) look(*topic);
        }
    }
    if (!reports.recoveries.topics.empty()) {
        reports.recoveries.broker_id = self_.raw();
        reports.recoveries.broker_epoch = registered->epoch.raw();
        submit(controller_, std::move(reports.recoveries));
    }
    if (reports.assignments.empty()) return;
    AssignReplicasToDirsRequest assigned;
    assigned.broker_id = self_.raw();
    assigned.broker_epoch = registered->epoch.raw();
    for (const auto& [directory, topics] : reports.assignments) {
        auto& of_directory = assigned.directories.emplace_back();
        of_directory.id = directory;
        for (const auto& [topic, partitions] : topics) {
            auto& of_topic = of_directory.topics.emplace_back();
            of_topic.topic_id = topic;
            for (const std::int32_t partition : partitions) of_topic.partitions.push_back({partition});
        }
    }
    submit(controller_, std::move(assigned));
}

void PartitionReports::look_at(const metadata::TopicImage& topic, BrokerEpoch epoch, Reports& reports) const {
    std::vector<AlterPartitionRequest::PartitionData> recoveries;
    topic.partitions.for_each([&](PartitionIndex index, const metadata::PartitionRegistration& partition) {
        if (!partition.has_replica(self_)) return;
        const std::optional<Uuid> actual = logs_.directory_id_of({topic.name, index});
        // A log at the end of its move is where the metadata have it in a moment (LogMover).
        const bool arrives = logs_.future_directory_id_of({topic.name, index}) == partition.directory_of(self_);
        if (actual && !arrives && *actual != partition.directory_of(self_)) {
            reports.assignments[*actual][topic.id].push_back(index.raw());
        }
        const bool is_recovering = partition.leader_recovery_state == metadata::LeaderRecoveryState::recovering;
        if (actual && partition.leader == self_ && is_recovering) {
            recoveries.push_back(recovered(index, partition, self_, epoch));
        }
    });
    if (recoveries.empty()) return;
    reports.recoveries.topics.push_back({.topic_id = topic.id, .partitions = std::move(recoveries)});
}

}  // namespace odr::server
