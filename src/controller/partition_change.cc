#include "controller/partition_change.h"

#include <algorithm>
#include <utility>

namespace odr::controller {
namespace {

using metadata::LeaderRecoveryState;
using metadata::PartitionRegistration;
using protocol::PartitionChangeRecord;
using Brokers = std::vector<BrokerId>;

constexpr std::int32_t kLeaderStays = -2;  // PartitionChangeRecord.leader when the record does not change it
constexpr std::int8_t kRecoveryStays = -1;

bool contains(const Brokers& brokers, BrokerId id) { return std::ranges::find(brokers, id) != brokers.end(); }
bool contains_all(const Brokers& brokers, const Brokers& wanted) {
    return std::ranges::all_of(wanted, [&](BrokerId id) { return contains(brokers, id); });
}
Brokers without(const Brokers& brokers, const Brokers& gone) {
    Brokers left;
    for (const BrokerId id : brokers)
        if (!contains(gone, id)) left.push_back(id);
    return left;
}

// One computation; the targets move as its steps go.
class Change {
public:
    Change(const PartitionRegistration& partition, const PartitionChangeContext& context, PartitionTarget target)
        : partition_{partition},
          context_{context},
          election_{target.election},
          isr_{target.isr.value_or(partition.isr)},
          replicas_{target.replicas.value_or(partition.replicas)},
          removing_{target.removing.value_or(partition.removing_replicas)},
          adding_{target.adding.value_or(partition.adding_replicas)},
          elr_{partition.elr},
          unclean_shutdown_{std::move(target.unclean_shutdown)},
          recovery_{target.leader_recovery_state.value_or(partition.leader_recovery_state)},
          directories_{std::move(target.directories)} {}

    std::optional<PartitionChangeRecord> compute(const Uuid& topic, PartitionIndex index) {
        record_.topic_id = topic;
        record_.partition_id = index.raw();
        complete_reassignment();
        populate_elr();
        elect();
        bump_epoch_for_removed_replicas();
        record_elr();
        record_isr();
        record_last_known_leader();
        record_assignment();
        if (recovery_ != partition_.leader_recovery_state)
            record_.leader_recovery_state = static_cast<std::int8_t>(recovery_);
        if (changes_nothing()) return std::nullopt;
        return std::move(record_);
    }

private:
    struct Elected {
        BrokerId leader = kNoBroker;
        bool unclean = false;
    };

    // Done once all that stay are in sync, so that nobody counts on a replica that is about to go.
    void complete_reassignment() {
        if (removing_.empty() && adding_.empty()) return;
        const Brokers isr = without(isr_, removing_);
        const Brokers replicas = without(replicas_, removing_);
        if (!removing_.empty() && (isr.empty() || replicas.empty())) return;
        if (!contains_all(isr, replicas)) return;
        isr_ = isr;
        replicas_ = replicas;
        removing_.clear();
        adding_.clear();
    }

    // Below min.insync.replicas nothing gets committed, so who leaves the ISR has all that was: it stays eligible.
    void populate_elr() {
        if (!context_.is_elr_enabled) return;
        if (isr_.size() >= static_cast<std::size_t>(std::max(context_.min_isr, 0))) return elr_.clear();
        Brokers candidates = elr_;
        for (const BrokerId id : partition_.isr)
            if (!contains(candidates, id)) candidates.push_back(id);
        elr_ = without(without(candidates, isr_), unclean_shutdown_);
        std::ranges::sort(elr_);
    }

    bool is_eligible(BrokerId id) const {
        const bool in_sync = contains(isr_, id) || (isr_.empty() && contains(elr_, id));
        return in_sync && context_.is_acceptable_leader(id);
    }

    bool can_elect_last_known_leader() const {
        return context_.is_elr_enabled && elr_.empty() && isr_.empty() && partition_.last_known_elr.size() == 1 &&
               context_.is_acceptable_leader(partition_.last_known_elr.front());
    }

    Elected find_leader() const {
        if (election_ == Election::preferred && !replicas_.empty() && is_eligible(replicas_.front()))
            return {replicas_.front()};
        if (partition_.has_leader() && is_eligible(partition_.leader)) return {partition_.leader};
        for (const BrokerId id : replicas_)
            if (is_eligible(id)) return {id};
        if (can_elect_last_known_leader()) return {partition_.last_known_elr.front(), true};
        if (election_ == Election::unclean)
            for (const BrokerId id : replicas_)
                if (context_.is_acceptable_leader(id)) return {id, true};
        return {};
    }

    void elect() {
        const Elected elected = find_leader();
        if (elected.leader == partition_.leader) return;
        if (contains(elr_, elected.leader)) {
            isr_ = {elected.leader};
            elr_ = without(elr_, isr_);
        }
        record_.leader = elected.leader.raw();
        if (!elected.unclean) return;
        record_.isr = std::vector{elected.leader.raw()};  // the others may have what this one has lost
        if (partition_.leader_recovery_state != LeaderRecoveryState::recovering)
            record_.leader_recovery_state = static_cast<std::int8_t>(LeaderRecoveryState::recovering);
    }

    // A leader that is named again gets a new epoch, with which it stops serving the replicas that went.
    void bump_epoch_for_removed_replicas() {
        if (record_.leader == kLeaderStays && !contains_all(replicas_, partition_.replicas))
            record_.leader = partition_.leader.raw();
    }

    void record_elr() {
        if (record_.isr || !context_.is_elr_enabled) elr_.clear();
        if (elr_ != partition_.elr) record_.eligible_leader_replicas = metadata::raw_ids(elr_);
    }

    void record_isr() {
        if (!record_.isr && isr_ != partition_.isr && (!isr_.empty() || context_.is_elr_enabled))
            record_.isr = metadata::raw_ids(isr_);
        // Before 3.6 brokers needed a new leader epoch to see a shrunken ISR (KAFKA-15021).
        if (context_.metadata_version.level() >= 12 || record_.leader != kLeaderStays || !record_.isr) return;
        if (!contains_all(metadata::broker_ids(*record_.isr), partition_.isr)) record_.leader = partition_.leader.raw();
    }

    void record_last_known_leader() {
        if (!context_.is_elr_enabled) return;
        const Brokers& last_known = partition_.last_known_elr;
        const bool is_known = last_known.size() == 1 && last_known.front() == partition_.leader;
        if (record_.isr && record_.isr->empty() && !is_known) {
            record_.last_known_elr = std::vector{partition_.leader.raw()};
            return;
        }
        const bool has_leader = record_.leader >= 0 || (partition_.has_leader() && record_.leader != kNoBroker.raw());
        if (has_leader && !last_known.empty()) record_.last_known_elr = std::vector<std::int32_t>{};
    }

    void record_assignment() {
        if (!replicas_.empty()) {
            if (context_.metadata_version.is_directory_assignment_supported()) record_directories();
            if (replicas_ != partition_.replicas) record_.replicas = metadata::raw_ids(replicas_);
        }
        if (removing_ != partition_.removing_replicas) record_.removing_replicas = metadata::raw_ids(removing_);
        if (adding_ != partition_.adding_replicas) record_.adding_replicas = metadata::raw_ids(adding_);
    }

    void record_directories() {
        std::vector<Uuid> wanted;
        for (const BrokerId id : replicas_) {
            const auto named = directories_.find(id);
            if (named != directories_.end()) {
                wanted.push_back(named->second);
            } else if (contains(partition_.replicas, id)) {
                wanted.push_back(partition_.directory_of(id));
            } else {
                wanted.push_back(context_.default_directory(id));
            }
        }
        if (wanted != partition_.directories) record_.directories = std::move(wanted);
    }

    bool changes_nothing() const {
        return !record_.isr && !record_.eligible_leader_replicas && !record_.last_known_elr &&
               record_.leader == kLeaderStays && !record_.replicas && !record_.removing_replicas &&
               !record_.adding_replicas && record_.leader_recovery_state == kRecoveryStays && !record_.directories;
    }

    const PartitionRegistration& partition_;
    const PartitionChangeContext& context_;
    const Election election_;
    Brokers isr_;
    Brokers replicas_;
    Brokers removing_;
    Brokers adding_;
    Brokers elr_;
    Brokers unclean_shutdown_;
    LeaderRecoveryState recovery_;
    std::map<BrokerId, Uuid> directories_;
    PartitionChangeRecord record_;
};

}  // namespace

std::optional<PartitionChangeRecord> change_partition(const PartitionRegistration& partition, const Uuid& topic,
                                                      PartitionIndex index, const PartitionChangeContext& context,
                                                      PartitionTarget target) {
    return Change{partition, context, std::move(target)}.compute(topic, index);
}

std::optional<ReassignmentRevert> revert_reassignment(const PartitionRegistration& partition) {
    ReassignmentRevert revert;
    revert.replicas = without(partition.replicas, partition.adding_replicas);
    revert.isr = without(partition.isr, partition.adding_replicas);
    if (!revert.isr.empty()) return revert;
    if (revert.replicas.empty()) return std::nullopt;
    revert.isr = {revert.replicas.front()};
    revert.unclean = true;
    return revert;
}

}  // namespace odr::controller
