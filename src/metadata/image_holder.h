#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "metadata/delta.h"
#include "metadata/image.h"

namespace odr::metadata {

// Told of each new image, with what changed since the one before. Kafka: MetadataPublisher.
//
// Threads: called on the loader's thread, or that of republish(), one image after the other, after
//          ImageHolder::current() gives it. What must run on a reactor is posted there by the publisher.
class MetadataPublisher {
public:
    virtual ~MetadataPublisher() = default;
    virtual std::string_view name() const = 0;
    virtual void on_metadata_update(const MetadataChanges& changes, const std::shared_ptr<const MetadataImage>& before,
                                    const std::shared_ptr<const MetadataImage>& after) = 0;
    virtual void on_controller_change(BrokerId /*leader*/, LeaderEpoch /*epoch*/) {}
};

// Everything in `image`, as changes over an empty one.
MetadataChanges whole_image_changes(const MetadataImage& image);

// The newest image.
//
// Owner:   the server, longer than its caches. Publishers outlive it.
// Threads: any for current(), version() and republish(); publish() and add_publisher() by the loader's thread or before
//          it runs.
class ImageHolder {
public:
    ImageHolder() : current_{MetadataImage::empty()} {}
    ImageHolder(const ImageHolder&) = delete;
    ImageHolder& operator=(const ImageHolder&) = delete;

    // Takes a lock for the copy of a pointer; requests go through an ImageCache instead.
    std::shared_ptr<const MetadataImage> current() const;
    // Grows with each publish().
    std::uint64_t version() const { return version_.load(std::memory_order_acquire); }

    // `publisher` is called with the whole current image as its first update, if there is one.
    void add_publisher(MetadataPublisher& publisher);
    void publish(const MetadataChanges& changes, std::shared_ptr<const MetadataImage> next);
    // Tells of a topic of the current image again: something that publishers go by has changed beside the metadata.
    void republish(const Uuid& topic_id);
    void announce_controller(BrokerId leader, LeaderEpoch epoch);

private:
    std::mutex publishing_;  // whoever calls publishers; before mutex_
    mutable std::mutex mutex_;
    std::shared_ptr<const MetadataImage> current_;
    std::atomic<std::uint64_t> version_{0};
    std::vector<MetadataPublisher*> publishers_;
};

// The image as one reactor sees it: one atomic load a request, and a reference count only when the image changed.
//
// Owner:   a reactor. Threads: that one.
class ImageCache {
public:
    explicit ImageCache(const ImageHolder& holder) : holder_{&holder} {}
    // Lives until the next call on this cache; to hold it across a suspension point take shared().
    const MetadataImage& get() { return *refreshed(); }
    std::shared_ptr<const MetadataImage> shared() { return refreshed(); }

private:
    const std::shared_ptr<const MetadataImage>& refreshed() {
        const std::uint64_t newest = holder_->version();
        if (image_ == nullptr || newest != version_) [[unlikely]] {
            image_ = holder_->current();
            version_ = newest;
        }
        return image_;
    }
    const ImageHolder* holder_;
    std::shared_ptr<const MetadataImage> image_;
    std::uint64_t version_ = 0;
};

}  // namespace odr::metadata
