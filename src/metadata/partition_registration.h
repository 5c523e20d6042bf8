#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/types.h"
#include "base/uuid.h"

namespace odr::metadata {

// Ids of directories that stand for none (KIP-858).
inline constexpr Uuid kMigratingDirectory{};  // the log stands below metadata.version 3.7-IV2, which has no directories
inline constexpr Uuid kUnassignedDirectory{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
inline constexpr Uuid kLostDirectory{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}};

// KIP-704: recovering after an unclean election until the new leader says it has recovered.
enum class LeaderRecoveryState : std::int8_t { recovered = 0, recovering = 1 };

// One partition as the controller decided it.
//
// Kafka: PartitionRegistration.
struct PartitionRegistration {
    std::vector<BrokerId> replicas;  // the first is the preferred leader
    std::vector<Uuid> directories;   // one for each replica, in the same order
    std::vector<BrokerId> isr;
    std::vector<BrokerId> removing_replicas;
    std::vector<BrokerId> adding_replicas;
    std::vector<BrokerId> elr;  // eligible leader replicas (KIP-966)
    std::vector<BrokerId> last_known_elr;
    BrokerId leader = kNoBroker;
    LeaderRecoveryState leader_recovery_state = LeaderRecoveryState::recovered;
    LeaderEpoch leader_epoch{-1};
    std::int32_t partition_epoch = -1;  // grows with each change of anything here

    bool has_leader() const { return leader != kNoBroker; }
    BrokerId preferred_leader() const { return replicas.empty() ? kNoBroker : replicas.front(); }
    bool has_replica(BrokerId id) const;
    bool in_isr(BrokerId id) const;
    // Gives: where `replica` keeps it; kUnassignedDirectory where it is no replica.
    Uuid directory_of(BrokerId replica) const;
    friend bool operator==(const PartitionRegistration&, const PartitionRegistration&) = default;
};

// The partitions of a topic by index, in chunks that copies share: changing one partition of a copy clones its chunk
// of 64 pointers and the list of chunks (8 bytes for each 64 partitions).
//
// Threads: as a std::vector; copies may be used and changed by different threads.
class PartitionMap {
public:
    // A partition's index is at most this; a file that says more is corrupt.
    static constexpr std::int32_t kIndexMax = (1 << 24) - 1;

    // Partitions there. Kafka makes them 0 .. size() - 1; end() tells where a log has gaps.
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    // One past the highest index.
    std::int32_t end() const { return end_; }
    // Gives: the partition, or nullptr. Lives as long as this map is not changed.
    const PartitionRegistration* find(PartitionIndex index) const {
        const auto at = static_cast<std::uint32_t>(index.raw());
        if (at >= static_cast<std::uint32_t>(end_)) return nullptr;
        const Chunk* chunk = chunks_[at / kChunk].get();
        const std::size_t within = at % kChunk;
        return chunk == nullptr || within >= chunk->partitions.size() ? nullptr : chunk->partitions[within].get();
    }
    // Needs: 0 <= index <= kIndexMax. Gives: whether it is new.
    bool set(PartitionIndex index, PartitionRegistration partition);
    // visit(PartitionIndex, const PartitionRegistration&), by rising index.
    template <class Visit>
    void for_each(Visit&& visit) const {
        for (std::int32_t i = 0; i < end_; ++i) {
            const PartitionIndex index{i};
            if (const PartitionRegistration* partition = find(index)) visit(index, *partition);
        }
    }
    // visit(PartitionIndex, const PartitionRegistration* before, const PartitionRegistration* after) for each that
    // differs from `before`; nullptr where it is not there. Shared chunks are skipped unseen.
    template <class Visit>
    void for_each_change(const PartitionMap& before, Visit&& visit) const {
        const std::int32_t last = end_ > before.end_ ? end_ : before.end_;
        for (std::int32_t base = 0; base < last; base += kChunk) {
            if (chunk_at(base) == before.chunk_at(base)) continue;
            for (std::int32_t i = base; i < base + kChunk && i < last; ++i) {
                const PartitionIndex index{i};
                const PartitionRegistration* old_one = before.find(index);
                const PartitionRegistration* new_one = find(index);
                if (old_one != new_one) visit(index, old_one, new_one);
            }
        }
    }

private:
    static constexpr std::int32_t kChunk = 64;
    struct Chunk {
        std::atomic<std::uint32_t> references{1};
        std::vector<std::shared_ptr<const PartitionRegistration>> partitions;  // at most kChunk
    };
    // A counted reference that can tell whether it is the only one: shared_ptr::use_count() does not synchronise.
    class ChunkRef {
    public:
        ChunkRef() = default;
        ChunkRef(const ChunkRef& other) : chunk_{other.chunk_} {
            if (chunk_ != nullptr) chunk_->references.fetch_add(1, std::memory_order_relaxed);
        }
        ChunkRef(ChunkRef&& other) noexcept : chunk_{std::exchange(other.chunk_, nullptr)} {}
        ChunkRef& operator=(ChunkRef other) noexcept {
            std::swap(chunk_, other.chunk_);
            return *this;
        }
        ~ChunkRef() {
            if (chunk_ != nullptr && chunk_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete chunk_;
        }
        const Chunk* get() const { return chunk_; }
        // Gives: the chunk, ours alone.
        Chunk& own();

    private:
        Chunk* chunk_ = nullptr;
    };
    const Chunk* chunk_at(std::int32_t index) const {
        const auto at = static_cast<std::size_t>(index / kChunk);
        return at < chunks_.size() ? chunks_[at].get() : nullptr;
    }

    std::vector<ChunkRef> chunks_;
    std::size_t size_ = 0;
    std::int32_t end_ = 0;
};

// For protocol structs, whose ids are plain numbers.
std::vector<std::int32_t> raw_ids(std::span<const BrokerId> ids);
std::vector<BrokerId> broker_ids(std::span<const std::int32_t> raw);

}  // namespace odr::metadata
