#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "metadata/image_holder.h"
#include "replication/replica_manager.h"
#include "server/dynamic_config.h"

namespace odr::storage {
class Disk;
}  // namespace odr::storage

namespace odr::server {

// Opens, leads and deletes this broker's partitions as the metadata say.
//
// What may wait for a disk is done by threads of that disk, for each partition in the order of the metadata. An update
// waits for it, so that a topic is answered as created when its logs are there; but not for a disk that gets nothing
// done for kPatienceNs. Partitions there come late: until then requests hear that they are not led here yet, which
// clients try again.
//
// Owner:   the server. Threads: updates on the metadata loader's; the rest on those of the disks.
// Stop:    stop(), which the destructor calls: what was begun ends, what has not begun is left.
// Kafka:   BrokerMetadataPublisher, ReplicaManager.applyDelta.
class LocalPartitions final : public metadata::MetadataPublisher {
public:
    static constexpr std::int64_t kPatienceNs = 100'000'000;

    // `on_late`: partitions of the topic came, or went, after the update that was to bring it about had been over. On a
    // thread of their disk.
    LocalPartitions(replication::ReplicaManager& replicas, const DynamicConfig& configs, io::BlockingPool& pool,
                    BrokerId self, std::function<void(const Uuid& topic_id)> on_late)
        : replicas_{replicas}, configs_{configs}, pool_{pool}, self_{self}, on_late_{std::move(on_late)} {}
    ~LocalPartitions() override { stop(); }
    LocalPartitions(const LocalPartitions&) = delete;
    LocalPartitions& operator=(const LocalPartitions&) = delete;

    std::string_view name() const override { return "LocalPartitions"; }
    void on_metadata_update(const metadata::MetadataChanges& changes,
                            const std::shared_ptr<const metadata::MetadataImage>& before,
                            const std::shared_ptr<const metadata::MetadataImage>& after) override;
    // Needs: no update any more.
    void stop();

private:
    // What is to become of a partition: it is led, or, without an assignment, its log is deleted.
    struct Step {
        replication::TopicIdPartition key;
        std::optional<replication::LeaderAssignment> led;
        bool is_late = false;  // its update did not wait for it
    };
    // The steps of one name, of which one at a time is under way. It is there while there are any.
    struct Chain {
        std::deque<Step> steps;
        storage::Disk* disk = nullptr;  // which the first step waits for
    };
    struct DiskWork {
        std::size_t open = 0;    // steps of chains that wait for this disk
        std::uint64_t done = 0;  // grows with each step
        bool is_stuck = false;   // nobody waits for it until nothing is open
    };

    void remove(const metadata::MetadataImage& before, const metadata::MetadataImage& after,
                const metadata::MetadataChanges& changes);
    std::vector<replication::LeaderAssignment> assignments(const metadata::MetadataImage& image,
                                                           const metadata::TopicImage& topic) const;
    void lead(std::vector<replication::LeaderAssignment> assigned);
    bool needs_no_disk(const replication::LeaderAssignment& wanted) const;
    void lead_at_once(const std::vector<replication::LeaderAssignment>& assigned);
    void add_step(const storage::TopicPartition& name, Step step);
    void begin_next(const storage::TopicPartition& name, Chain& chain);
    storage::Disk* disk_of(const storage::TopicPartition& name, const Step& step) const;
    void run_step(io::MayBlock may_block, const storage::TopicPartition& name);
    void do_step(io::MayBlock may_block, const storage::TopicPartition& name, const Step& step) const;
    void end_step(const storage::TopicPartition& name);
    void note_done(const Step& step);
    void wait_for_disks();

    replication::ReplicaManager& replicas_;
    const DynamicConfig& configs_;
    io::BlockingPool& pool_;
    const BrokerId self_;
    const std::function<void(const Uuid& topic_id)> on_late_;

    mutable std::mutex mutex_;  // short: what follows
    std::condition_variable changed_;
    std::unordered_map<storage::TopicPartition, Chain> chains_;
    std::unordered_map<storage::Disk*, DiskWork> work_;
    std::unordered_map<Uuid, std::size_t> open_steps_;  // by topic
    std::set<Uuid> late_;                               // topics with a step that was late
    std::vector<Uuid> to_tell_;                         // those of them of which nothing is open any more
    std::size_t jobs_ = 0;                              // given to disks
    bool is_stopping_ = false;
};

}  // namespace odr::server
