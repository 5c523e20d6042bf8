#include "server/local_partitions.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <latch>

#include "base/log.h"

namespace odr::server {
namespace {

// Making folders is worth handing out only from so many on.
constexpr std::size_t kParallelFrom = 32;
constexpr std::size_t kHelpers = 4;

}  // namespace

void LocalPartitions::on_metadata_update(const metadata::MetadataChanges& changes,
                                         const std::shared_ptr<const metadata::MetadataImage>& before,
                                         const std::shared_ptr<const metadata::MetadataImage>& after) {
    remove(*before, *after, changes);
    std::vector<replication::LeaderAssignment> assigned;
    const auto add = [&](const metadata::TopicImage& topic) {
        for (replication::LeaderAssignment& each : assignments(*after, topic)) assigned.push_back(std::move(each));
    };
    if (changes.is_snapshot) {
        after->topics().for_each(add);
    } else {
        for (const Uuid& id : changes.changed_topics) {
            if (const metadata::TopicImage* topic = after->topics().find(id)) add(*topic);
        }
    }
    lead(assigned);
}

void LocalPartitions::remove(const metadata::MetadataImage& before, const metadata::MetadataImage& after,
                             const metadata::MetadataChanges& changes) {
    const io::MayBlock may_block = io::MayBlock::on_own_thread();
    const auto remove_unwanted = [&](const metadata::TopicImage& topic) {
        topic.partitions.for_each([&](PartitionIndex index, const metadata::PartitionRegistration& partition) {
            if (!partition.has_replica(self_)) return;
            const metadata::TopicImage* now = after.topics().find(topic.id);
            const metadata::PartitionRegistration* kept = now == nullptr ? nullptr : now->partition(index);
            if (kept != nullptr && kept->has_replica(self_)) return;
            if (const auto removed = replicas_.remove(may_block, {topic.id, index}, true); !removed) {
                log::error("{}-{}: cannot delete its log: {} (errno {})", topic.name, index, removed.error().what,
                           removed.error().os_errno);
            }
        });
    };
    if (changes.is_snapshot) {
        before.topics().for_each(remove_unwanted);
        return;
    }
    for (const auto& [id, name] : changes.deleted_topics) {
        if (const metadata::TopicImage* topic = before.topics().find(id)) remove_unwanted(*topic);
    }
    for (const Uuid& id : changes.changed_topics) {
        if (const metadata::TopicImage* topic = before.topics().find(id)) remove_unwanted(*topic);
    }
}

std::vector<replication::LeaderAssignment> LocalPartitions::assignments(const metadata::MetadataImage& image,
                                                                        const metadata::TopicImage& topic) const {
    std::vector<replication::LeaderAssignment> out;
    std::shared_ptr<const config::LogConfig> config;
    topic.partitions.for_each([&](PartitionIndex index, const metadata::PartitionRegistration& partition) {
        if (partition.leader != self_) return;
        if (config == nullptr) config = configs_.log_config(image, topic.name);
        const Uuid directory = partition.directory_of(self_);
        // A lost one is known too: its log is in a directory that is offline, and no empty one may take its place.
        const bool is_known = directory != metadata::kUnassignedDirectory && directory != metadata::kMigratingDirectory;
        out.push_back({.topic_partition = {topic.name, index},
                       .topic_id = topic.id,
                       .leader_epoch = partition.leader_epoch,
                       .config = config,
                       .directory_id = is_known ? std::optional{directory} : std::nullopt});
    });
    return out;
}

void LocalPartitions::lead(const std::vector<replication::LeaderAssignment>& assigned) {
    const auto lead_one = [this](io::MayBlock may_block, const replication::LeaderAssignment& each) {
        if (const auto led = replicas_.become_leader(may_block, each); !led) {
            log::error("{}: cannot open its log: {} (errno {})", each.topic_partition.to_string(), led.error().what,
                       led.error().os_errno);
        }
    };
    if (assigned.size() < kParallelFrom) {
        for (const auto& each : assigned) lead_one(io::MayBlock::on_own_thread(), each);
        return;
    }
    std::atomic<std::size_t> next{0};
    std::latch done{kHelpers};
    for (std::size_t i = 0; i < kHelpers; ++i) {
        pool_.submit([&](io::MayBlock may_block) {
            for (std::size_t at = next++; at < assigned.size(); at = next++) lead_one(may_block, assigned[at]);
            done.count_down();
        });
    }
    done.wait();
}

}  // namespace odr::server
