#include "coordinator/group_coordinator.h"

#include <cstdlib>
#include <latch>
#include <limits>

#include "base/log.h"

namespace odr::coordinator {
namespace {

// One UTF-16 unit after the other, as Java hashes. Bytes that are no UTF-8 count as they are.
std::int32_t java_hash(std::string_view text) {
    std::uint32_t hash = 0;
    const auto add = [&hash](std::uint32_t unit) { hash = hash * 31 + unit; };
    for (std::size_t i = 0; i < text.size();) {
        const auto at = [&](std::size_t n) {
            return i + n < text.size() ? static_cast<std::uint32_t>(static_cast<unsigned char>(text[i + n])) : 0u;
        };
        const std::uint32_t first = at(0);
        if (first < 0xC0) {
            add(first);
            i += 1;
        } else if (first < 0xE0) {
            add((first & 0x1F) << 6 | (at(1) & 0x3F));
            i += 2;
        } else if (first < 0xF0) {
            add((first & 0x0F) << 12 | (at(1) & 0x3F) << 6 | (at(2) & 0x3F));
            i += 3;
        } else {
            const std::uint32_t point =
                ((first & 0x07) << 18 | (at(1) & 0x3F) << 12 | (at(2) & 0x3F) << 6 | (at(3) & 0x3F)) - 0x10000;
            add(0xD800 + (point >> 10));
            add(0xDC00 + (point & 0x3FF));
            i += 4;
        }
    }
    return static_cast<std::int32_t>(hash);
}

}  // namespace

std::int32_t partition_for(std::string_view group_id, std::int32_t partition_count) {
    const std::int32_t hash = java_hash(group_id);
    // The smallest number has no positive twin: Java's Utils.abs makes it 0.
    return hash == std::numeric_limits<std::int32_t>::min() ? 0 : std::abs(hash) % partition_count;
}

GroupCoordinator::GroupCoordinator(ShardEnvironment environment, replication::ReplicaManager& replicas,
                                   std::vector<io::Reactor*> reactors, BrokerId self, ReadSettings read_settings)
    : environment_{environment},
      replicas_{replicas},
      reactors_{std::move(reactors)},
      self_{self},
      read_settings_{std::move(read_settings)},
      settings_{std::make_shared<const GroupSettings>(read_settings_())} {}

GroupCoordinator::~GroupCoordinator() = default;

Result<std::shared_ptr<ShardRuntime>> GroupCoordinator::find(std::string_view group_id) const {
    if (is_stopped_.load(std::memory_order_acquire)) {
        return fail(ErrorCode::coordinator_not_available, "this broker stops");
    }
    std::lock_guard guard{mutex_};
    if (!shards_.empty()) {
        const auto index = static_cast<std::size_t>(partition_for(group_id, static_cast<int>(shards_.size())));
        if (shards_[index] != nullptr) return shards_[index];
    }
    return fail(ErrorCode::not_coordinator, "this broker does not coordinate that group");
}

std::vector<std::shared_ptr<ShardRuntime>> GroupCoordinator::shards() const {
    std::lock_guard guard{mutex_};
    Shards led;
    for (const auto& shard : shards_) {
        if (shard != nullptr) led.push_back(shard);
    }
    return led;
}

void GroupCoordinator::on_metadata_update(const metadata::MetadataChanges& changes,
                                          const std::shared_ptr<const metadata::MetadataImage>& /*before*/,
                                          const std::shared_ptr<const metadata::MetadataImage>& after) {
    if (is_stopped_.load(std::memory_order_acquire)) return;
    tell_shards(changes);
    const metadata::TopicImage* const topic = after->topics().find(kGroupMetadataTopic);
    Shards gone;
    {
        std::lock_guard guard{mutex_};
        if (topic == nullptr || topic->id != topic_id_) gone = std::exchange(shards_, {});
        topic_id_ = topic == nullptr ? Uuid{} : topic->id;
    }
    let_go(gone);
    if (topic != nullptr && (changes.is_snapshot || changes.changed_topics.contains(topic->id))) lead(*topic);
}

// Keeps them until nothing of theirs is under way, so that stop() can wait for it.
void GroupCoordinator::let_go(const Shards& gone) {
    for (const auto& shard : gone) {
        if (shard == nullptr) continue;
        {
            std::lock_guard guard{mutex_};
            leaving_.push_back(shard);
        }
        shard->unload([this, left = shard.get()] {
            std::lock_guard guard{mutex_};
            std::erase_if(leaving_, [left](const auto& each) { return each.get() == left; });
        });
    }
}

// Shards that are led now are loaded, those that another broker leads are unloaded.
void GroupCoordinator::lead(const metadata::TopicImage& topic) {
    Shards to_load;
    Shards to_unload;
    {
        std::lock_guard guard{mutex_};
        shards_.resize(topic.partitions.size());
        topic.partitions.for_each([&](PartitionIndex index, const metadata::PartitionRegistration& registered) {
            const auto at = static_cast<std::size_t>(index.raw());
            if (at >= shards_.size()) return;
            if (registered.leader != self_) {
                if (shards_[at] != nullptr) to_unload.push_back(std::exchange(shards_[at], nullptr));
                return;
            }
            if (shards_[at] == nullptr) {
                std::shared_ptr<replication::Partition> partition = replicas_.find({topic.id, index});
                if (partition == nullptr) return;  // its log cannot be opened, as was said
                shards_[at] = std::make_shared<ShardRuntime>(environment_, std::move(partition),
                                                             *reactors_[at % reactors_.size()], settings_);
            }
            to_load.push_back(shards_[at]);
        });
    }
    let_go(to_unload);
    for (const auto& shard : to_load) shard->load();
}

void GroupCoordinator::tell_shards(const metadata::MetadataChanges& changes) {
    if (!changes.configs.empty() || changes.is_snapshot) {
        settings_ = std::make_shared<const GroupSettings>(read_settings_());
    }
    const Shards led = shards();
    if (led.empty()) return;
    const auto shared = std::make_shared<const metadata::MetadataChanges>(changes);
    for (const auto& shard : led) shard->update(shared, settings_);
}

void GroupCoordinator::stop() {
    if (is_stopped_.exchange(true)) return;
    Shards led;
    {
        std::lock_guard guard{mutex_};
        led = std::exchange(shards_, {});
        led.insert(led.end(), leaving_.begin(), leaving_.end());
    }
    std::erase(led, nullptr);
    // Those that leave already say so a second time.
    std::latch idle{static_cast<std::ptrdiff_t>(led.size())};
    for (const auto& shard : led) shard->unload([&idle] { idle.count_down(); });
    idle.wait();
}

}  // namespace odr::coordinator
