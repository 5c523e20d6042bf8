#pragma once

#include <cstdint>
#include <mutex>

#include "storage/log_listener.h"

namespace odr::replication {

// What happened to a partition that a fetch could tell of.
struct Change {
    std::int64_t bytes = 0;  // so many more below the high watermark
    bool is_urgent = false;  // the partition is gone, or led anew: whoever waits shall look now
};

// Who wants to hear of each change of a partition. In one feed at a time.
class ChangeSubscriber {
public:
    ChangeSubscriber() = default;
    ChangeSubscriber(const ChangeSubscriber&) = delete;
    ChangeSubscriber& operator=(const ChangeSubscriber&) = delete;
    // Under the feed's lock, on the thread that made the change: short, and no call back into feed, partition or log.
    virtual void on_change(const Change& change) = 0;
    virtual ~ChangeSubscriber() = default;

private:
    friend class ChangeFeed;
    ChangeSubscriber* next_ = nullptr;
    ChangeSubscriber* previous_ = nullptr;
    bool is_in_feed_ = false;
};

// The changes of one partition: its high watermark, log start and last stable offset, its leadership, its end. A change
// is there to be read before the subscribers hear of it: who subscribes and then reads misses none.
//
// Owner:   its Partition; shared with subscribers, whom it does not keep the log's files open for.
// Threads: any. Its lock is taken under the log's state lock, so nothing of a log may be asked under it.
class ChangeFeed final : public storage::LogListener {
public:
    // Gives: false, and does nothing, when the partition is closed: no change will ever come.
    bool add(ChangeSubscriber& subscriber) {
        std::lock_guard guard{mutex_};
        if (is_closed_) return false;
        subscriber.previous_ = nullptr;
        subscriber.next_ = first_;
        if (first_ != nullptr) first_->previous_ = &subscriber;
        first_ = &subscriber;
        subscriber.is_in_feed_ = true;
        return true;
    }
    // The subscriber hears nothing any more once this returns. One that is not in the feed is left alone.
    void remove(ChangeSubscriber& subscriber) {
        std::lock_guard guard{mutex_};
        if (!subscriber.is_in_feed_) return;
        (subscriber.previous_ == nullptr ? first_ : subscriber.previous_->next_) = subscriber.next_;
        if (subscriber.next_ != nullptr) subscriber.next_->previous_ = subscriber.previous_;
        subscriber.is_in_feed_ = false;
    }
    void tell(const Change& change) {
        std::lock_guard guard{mutex_};
        tell_all(change);
    }
    // The last change of all.
    void close() {
        std::lock_guard guard{mutex_};
        is_closed_ = true;
        tell_all({.is_urgent = true});
    }
    void on_log_change() override { tell({}); }

private:
    void tell_all(const Change& change) {
        for (ChangeSubscriber* each = first_; each != nullptr; each = each->next_) each->on_change(change);
    }

    std::mutex mutex_;
    ChangeSubscriber* first_ = nullptr;  // under mutex_
    bool is_closed_ = false;             // under mutex_
};

}  // namespace odr::replication
