#include "server/local_partitions.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>

#include "base/log.h"
#include "storage/disk.h"

namespace odr::server {
namespace {

// Partitions are worth handing out only from so many on.
constexpr std::size_t kParallelFrom = 32;
constexpr std::size_t kHelpers = 4;

void say_not_led(const storage::TopicPartition& name, const Error& error) {
    log::error("{}: cannot open its log: {} (errno {})", name.to_string(), error.what, error.os_errno);
}

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
    lead(std::move(assigned));
    wait_for_disks();
}

void LocalPartitions::remove(const metadata::MetadataImage& before, const metadata::MetadataImage& after,
                             const metadata::MetadataChanges& changes) {
    const auto remove_unwanted = [&](const metadata::TopicImage& topic) {
        topic.partitions.for_each([&](PartitionIndex index, const metadata::PartitionRegistration& partition) {
            if (!partition.has_replica(self_)) return;
            const metadata::TopicImage* now = after.topics().find(topic.id);
            const metadata::PartitionRegistration* kept = now == nullptr ? nullptr : now->partition(index);
            if (kept != nullptr && kept->has_replica(self_)) return;
            add_step({topic.name, index}, {.key = {topic.id, index}, .led = {}});
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

void LocalPartitions::lead(std::vector<replication::LeaderAssignment> assigned) {
    std::vector<replication::LeaderAssignment> at_once;
    for (replication::LeaderAssignment& each : assigned) {
        if (needs_no_disk(each)) {
            at_once.push_back(std::move(each));
            continue;
        }
        const storage::TopicPartition name = each.topic_partition;
        add_step(name, {.key = {each.topic_id, name.partition}, .led = std::move(each)});
    }
    lead_at_once(at_once);
}

// Its log is open, as all are after the start, and nothing else is to become of it first. One that is led already may
// have to wait for an append.
bool LocalPartitions::needs_no_disk(const replication::LeaderAssignment& wanted) const {
    if (const auto known = replicas_.find({wanted.topic_id, wanted.topic_partition.partition})) {
        return known->leader_epoch() >= wanted.leader_epoch;
    }
    const std::shared_ptr<storage::Log> log = replicas_.logs().get(wanted.topic_partition);
    if (log == nullptr || log->topic_id() != wanted.topic_id) return false;
    std::lock_guard guard{mutex_};
    return !chains_.contains(wanted.topic_partition);
}

void LocalPartitions::lead_at_once(const std::vector<replication::LeaderAssignment>& assigned) {
    const auto lead_one = [this](io::MayBlock may_block, const replication::LeaderAssignment& each) {
        const auto led = replicas_.become_leader(may_block, each);
        if (!led) say_not_led(each.topic_partition, led.error());
    };
    if (assigned.size() < kParallelFrom) {
        for (const auto& each : assigned) lead_one(io::MayBlock::on_own_thread(), each);
        return;
    }
    std::atomic<std::size_t> next{0};
    const auto done = std::make_shared<std::latch>(kHelpers);
    for (std::size_t i = 0; i < kHelpers; ++i) {
        pool_.submit([&, done](io::MayBlock may_block) {
            for (std::size_t at = next++; at < assigned.size(); at = next++) lead_one(may_block, assigned[at]);
            done->count_down();
        });
    }
    done->wait();
}

// --- what waits for disks

void LocalPartitions::add_step(const storage::TopicPartition& name, Step step) {
    // Requests are not to reach a partition that is deleted, even while its disk takes its time.
    if (!step.led) (void)replicas_.remove(io::MayBlock::on_own_thread(), step.key, false);
    std::lock_guard guard{mutex_};
    if (is_stopping_) return;
    ++open_steps_[step.key.topic_id];
    Chain& chain = chains_[name];
    chain.steps.push_back(std::move(step));
    if (chain.steps.size() == 1) {
        begin_next(name, chain);
    } else {
        ++work_[chain.disk].open;
    }
}

// The chain is gone afterwards when nothing of it can be done. Needs: mutex_ held; nothing of the chain is under way.
void LocalPartitions::begin_next(const storage::TopicPartition& name, Chain& chain) {
    chain.disk = nullptr;
    while (!chain.steps.empty() && chain.disk == nullptr) {
        chain.disk = disk_of(name, chain.steps.front());
        if (chain.disk != nullptr) continue;
        note_done(chain.steps.front());
        chain.steps.pop_front();
    }
    if (chain.steps.empty()) {
        chains_.erase(name);
        return;
    }
    work_[chain.disk].open += chain.steps.size();
    ++jobs_;
    chain.disk->waits().submit([this, name](io::MayBlock may_block) { run_step(may_block, name); });
}

// Null: the step cannot be done.
storage::Disk* LocalPartitions::disk_of(const storage::TopicPartition& name, const Step& step) const {
    if (!step.led) {
        const std::shared_ptr<storage::Log> log = replicas_.logs().get(name);
        return log == nullptr ? nullptr : log->disk();
    }
    const auto placed = replicas_.logs().place(name, step.led->directory_id);
    if (placed) return *placed;
    say_not_led(name, placed.error());
    return nullptr;
}

void LocalPartitions::run_step(io::MayBlock may_block, const storage::TopicPartition& name) {
    const Step* step = nullptr;
    {
        std::lock_guard guard{mutex_};
        if (!is_stopping_) step = &chains_.at(name).steps.front();  // stays there: a deque's front does not move
    }
    std::vector<Uuid> late_topics;
    if (step != nullptr) {
        do_step(may_block, name, *step);
        std::lock_guard guard{mutex_};
        end_step(name);
        late_topics.swap(to_tell_);
    }
    for (const Uuid& each : late_topics) on_late_(each);
    std::lock_guard guard{mutex_};
    --jobs_;
    changed_.notify_all();
}

void LocalPartitions::do_step(io::MayBlock may_block, const storage::TopicPartition& name, const Step& step) const {
    if (step.led) {
        const auto led = replicas_.become_leader(may_block, *step.led);
        if (!led) say_not_led(name, led.error());
        return;
    }
    (void)replicas_.remove(may_block, step.key, false);  // a step before this one may have led it
    const std::shared_ptr<storage::Log> log = replicas_.logs().get(name);
    if (log == nullptr || (!log->topic_id().is_zero() && log->topic_id() != step.key.topic_id)) return;
    const auto deleted = replicas_.logs().delete_log(may_block, name);
    if (deleted) return;
    log::error("{}: cannot delete its log: {} (errno {})", name.to_string(), deleted.error().what,
               deleted.error().os_errno);
}

// Needs: mutex_ held.
void LocalPartitions::end_step(const storage::TopicPartition& name) {
    Chain& chain = chains_.at(name);
    DiskWork& work = work_.at(chain.disk);
    note_done(chain.steps.front());
    work.open -= chain.steps.size();  // begin_next() counts those behind again, maybe for another disk
    ++work.done;
    chain.steps.pop_front();
    begin_next(name, chain);
    if (work.open == 0) work.is_stuck = false;
    changed_.notify_all();
}

// Needs: mutex_ held.
void LocalPartitions::note_done(const Step& step) {
    const Uuid& topic_id = step.key.topic_id;
    if (step.is_late) late_.insert(topic_id);
    const auto open = open_steps_.find(topic_id);
    if (--open->second != 0) return;
    open_steps_.erase(open);
    if (late_.erase(topic_id) != 0) to_tell_.push_back(topic_id);
}

void LocalPartitions::wait_for_disks() {
    const auto is_awaited = [](const auto& item) { return item.second.open != 0 && !item.second.is_stuck; };
    const auto none_is_awaited = [&] { return std::ranges::none_of(work_, is_awaited); };
    std::unique_lock guard{mutex_};
    while (!none_is_awaited()) {
        std::unordered_map<storage::Disk*, std::uint64_t> done_before;
        for (const auto& [disk, work] : work_) done_before[disk] = work.done;
        if (changed_.wait_for(guard, std::chrono::nanoseconds{kPatienceNs}, none_is_awaited)) break;
        for (auto& item : work_) {
            if (!is_awaited(item) || item.second.done != done_before[item.first]) continue;
            item.second.is_stuck = true;
            const auto first =
                std::ranges::find(chains_, item.first, [](const auto& each) { return each.second.disk; });
            log::warn("{}: the disk does not answer; it and {} others there are opened, or deleted, late",
                      first->first.to_string(), item.second.open - 1);
        }
    }
    for (auto& [name, chain] : chains_) {
        for (Step& step : chain.steps) step.is_late = true;
    }
}

void LocalPartitions::stop() {
    std::unique_lock guard{mutex_};
    is_stopping_ = true;
    changed_.wait(guard, [this] { return jobs_ == 0; });
}

}  // namespace odr::server
