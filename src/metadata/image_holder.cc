#include "metadata/image_holder.h"

#include <mutex>

namespace odr::metadata {

std::shared_ptr<const MetadataImage> ImageHolder::current() const {
    const std::lock_guard guard{mutex_};
    return current_;
}

MetadataChanges whole_image_changes(const MetadataImage& image) {
    MetadataChanges changes;
    changes.features = true;
    changes.producer_ids = true;
    changes.is_snapshot = true;
    for (const auto& [id, broker] : image.cluster().brokers) changes.brokers.insert(id);
    for (const auto& [id, controller] : image.cluster().controllers) changes.controllers.insert(id);
    image.topics().for_each([&](const TopicImage& topic) {
        changes.changed_topics.insert(topic.id);
        changes.created_topics.insert(topic.id);
    });
    image.configs().resources.for_each([&](const auto& resource, const auto&) { changes.configs.insert(resource); });
    image.client_quotas().entities.for_each(
        [&](const auto& entity, const auto&) { changes.client_quotas.insert(entity); });
    image.acls().acls.for_each([&](const Uuid& id, const auto&) { changes.acls.insert(id); });
    for (const auto mechanism : {ScramMechanism::scram_sha_256, ScramMechanism::scram_sha_512})
        image.scram().users(mechanism)->for_each(
            [&](const std::string& user, const auto&) { changes.scram.emplace(mechanism, user); });
    image.delegation_tokens().tokens.for_each(
        [&](const std::string& id, const auto&) { changes.delegation_tokens.insert(id); });
    return changes;
}

void ImageHolder::add_publisher(MetadataPublisher& publisher) {
    const std::lock_guard publishing{publishing_};
    const std::shared_ptr<const MetadataImage> image = current();
    publishers_.push_back(&publisher);
    if (image->offset().raw() >= 0)
        publisher.on_metadata_update(whole_image_changes(*image), MetadataImage::empty(), image);
}

void ImageHolder::publish(const MetadataChanges& changes, std::shared_ptr<const MetadataImage> next) {
    const std::lock_guard publishing{publishing_};
    std::shared_ptr<const MetadataImage> before;
    {
        const std::lock_guard guard{mutex_};
        before = std::exchange(current_, next);
        version_.fetch_add(1, std::memory_order_release);
    }
    for (MetadataPublisher* publisher : publishers_) publisher->on_metadata_update(changes, before, next);
}

void ImageHolder::republish(const Uuid& topic_id) {
    const std::lock_guard publishing{publishing_};
    const std::shared_ptr<const MetadataImage> image = current();
    const TopicImage* const topic = image->topics().find(topic_id);
    if (topic == nullptr) return;
    MetadataChanges changes;
    changes.changed_topics.insert(topic_id);
    changes.configs.insert({ConfigResourceType::topic, topic->name});
    for (MetadataPublisher* publisher : publishers_) publisher->on_metadata_update(changes, image, image);
}

void ImageHolder::announce_controller(BrokerId leader, LeaderEpoch epoch) {
    const std::lock_guard publishing{publishing_};
    for (MetadataPublisher* publisher : publishers_) publisher->on_controller_change(leader, epoch);
}

}  // namespace odr::metadata
