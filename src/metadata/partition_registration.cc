#include "metadata/partition_registration.h"

#include <algorithm>

#include "base/assert.h"

namespace odr::metadata {

static bool contains(const std::vector<BrokerId>& ids, BrokerId id) {
    return std::find(ids.begin(), ids.end(), id) != ids.end();
}

bool PartitionRegistration::has_replica(BrokerId id) const { return contains(replicas, id); }
bool PartitionRegistration::in_isr(BrokerId id) const { return contains(isr, id); }

Uuid PartitionRegistration::directory_of(BrokerId replica) const {
    for (std::size_t i = 0; i < replicas.size() && i < directories.size(); ++i)
        if (replicas[i] == replica) return directories[i];
    return kUnassignedDirectory;
}

PartitionMap::Chunk& PartitionMap::ChunkRef::own() {
    if (chunk_ == nullptr) {
        chunk_ = new Chunk;
    } else if (chunk_->references.load(std::memory_order_acquire) != 1) {
        auto copy = std::make_unique<Chunk>();
        copy->partitions = chunk_->partitions;
        *this = ChunkRef{};
        chunk_ = copy.release();
    }
    return *chunk_;
}

bool PartitionMap::set(PartitionIndex index, PartitionRegistration partition) {
    ODR_ASSERT(index.raw() >= 0 && index.raw() <= kIndexMax, "index={}", index.raw());
    const auto at = static_cast<std::size_t>(index.raw());
    if (at / kChunk >= chunks_.size()) chunks_.resize(at / kChunk + 1);
    Chunk& chunk = chunks_[at / kChunk].own();
    if (at % kChunk >= chunk.partitions.size()) chunk.partitions.resize(at % kChunk + 1);
    auto& place = chunk.partitions[at % kChunk];
    const bool added = place == nullptr;
    place = std::make_shared<const PartitionRegistration>(std::move(partition));
    size_ += added ? 1 : 0;
    end_ = std::max(end_, index.raw() + 1);
    return added;
}

std::vector<std::int32_t> raw_ids(std::span<const BrokerId> ids) {
    std::vector<std::int32_t> raw;
    raw.reserve(ids.size());
    for (const BrokerId id : ids) raw.push_back(id.raw());
    return raw;
}
std::vector<BrokerId> broker_ids(std::span<const std::int32_t> raw) {
    std::vector<BrokerId> ids;
    ids.reserve(raw.size());
    for (const std::int32_t id : raw) ids.emplace_back(id);
    return ids;
}

}  // namespace odr::metadata
