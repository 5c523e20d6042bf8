#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "coordinator/classic_groups.h"
#include "coordinator/consumer_groups.h"
#include "metadata/test_records.h"

namespace odr::coordinator::testing {

// A shard with classic and consumer groups, on simulated time, with a log in memory where every append succeeds, and
// topics that come and go.
class ConsumerShard final : public ShardContext {
public:
    explicit ConsumerShard(std::uint64_t seed = 1) : random_{seed} {
        log::set_level(log::Level::error);
        settings_.group_consumer_assignment_interval_ms = 0;
        load();
    }
    ~ConsumerShard() override { unload(); }

    TimestampMs now() const override { return TimestampMs{now_ms_}; }
    const metadata::MetadataImage& image() const override { return *image_; }
    std::shared_ptr<const metadata::MetadataImage> shared_image() const override { return image_; }
    const GroupSettings& settings() const override { return settings_; }
    Random& random() override { return random_; }
    std::string_view name() const override { return "__consumer_offsets-0"; }
    void schedule(std::string_view timer, std::int64_t delay_ms, TimerOperation operation) override {
        timers_[std::string{timer}] = {now_ms_ + delay_ms, ++timer_sequence_, std::move(operation)};
    }
    void cancel(std::string_view timer) override { timers_.erase(std::string{timer}); }
    bool is_scheduled(std::string_view timer) const override { return timers_.contains(std::string{timer}); }

    GroupSettings& mutable_settings() { return settings_; }
    GroupRegistry& registry() { return *registry_; }
    ClassicGroups& classic() { return *classic_; }
    ConsumerGroups& consumer() { return *consumer_; }
    ConsumerGroup* group(std::string_view id = "g") { return consumer_->find(id); }
    const std::vector<CoordinatorRecord>& log() const { return log_; }
    std::size_t timer_count() const { return timers_.size(); }

    // --- topics
    template <class... Records>
    void change_metadata(const Records&... records) {
        metadata::MetadataDelta delta{image_};
        (delta.replay(records).value(), ...);
        image_ = delta.apply({.last_contained_offset = Offset{++metadata_offset_}});
        consumer_->on_new_image(delta.changes());
    }
    Uuid create_topic(std::string_view name, std::int32_t partitions) {
        const Uuid id = metadata::testing_records::id(++last_topic_);
        metadata::MetadataDelta delta{image_};
        delta.replay(metadata::testing_records::topic(name, id)).value();
        for (std::int32_t i = 0; i < partitions; ++i) {
            delta.replay(metadata::testing_records::partition(id, i, {1}, 1)).value();
        }
        image_ = delta.apply({.last_contained_offset = Offset{++metadata_offset_}});
        consumer_->on_new_image(delta.changes());
        return id;
    }
    void add_partition(std::string_view topic) {
        const metadata::TopicImage* found = image_->topics().find(topic);
        change_metadata(metadata::testing_records::partition(found->id, found->partitions.end(), {1}, 1));
    }
    void delete_topic(std::string_view topic) {
        change_metadata(metadata::testing_records::remove(image_->topics().find(topic)->id));
    }
    void set_group_config(std::string_view group, std::string_view key, std::string_view value) {
        change_metadata(metadata::testing_records::config(metadata::ConfigResourceType::group, group, key, value));
    }

    // --- operations
    template <class Response>
    Response take(CoordinatorResult<Response> result) {
        for (CoordinatorRecord& record : result.records) {
            if (result.replay) replay(record);
            log_.push_back(std::move(record));
        }
        if (result.on_appended) result.on_appended(ErrorCode::none);
        return std::move(result.response);
    }
    // What the log says is all that is left.
    void restart() {
        unload();
        load();
        for (const CoordinatorRecord& record : log_) replay(record);
        classic_->on_loaded();
        consumer_->on_loaded();
    }
    // Lets time pass; timers fire in their order.
    void advance(std::int64_t ms) {
        const std::int64_t until = now_ms_ + ms;
        while (fire_next(until)) {
        }
        now_ms_ = until;
    }

private:
    struct Timer {
        std::int64_t due_ms = 0;
        std::uint64_t sequence = 0;
        TimerOperation operation;
    };

    void load() {
        registry_ = std::make_unique<GroupRegistry>();
        classic_ = std::make_unique<ClassicGroups>(*this, *registry_);
        consumer_ = std::make_unique<ConsumerGroups>(*this, *registry_, *classic_);
    }
    void unload() {
        classic_->on_unloaded();
        consumer_->on_unloaded();
        timers_.clear();
        consumer_.reset();
        registry_.reset();
        classic_.reset();
    }
    void replay(const CoordinatorRecord& record) {
        const auto key = *protocol::decode_coordinator_frame(record.key);
        ReplayedRecord replayed{.key_type = key.number, .key = key.body};
        if (record.value) {
            const auto value = *protocol::decode_coordinator_frame(*record.value);
            replayed.value = ReplayedRecord::Value{value.number, value.body};
        }
        if (!classic_->replay(replayed).value()) consumer_->replay(replayed).value();
    }
    bool fire_next(std::int64_t until) {
        auto next = timers_.end();
        for (auto it = timers_.begin(); it != timers_.end(); ++it) {
            if (next == timers_.end() || std::pair{it->second.due_ms, it->second.sequence} <
                                             std::pair{next->second.due_ms, next->second.sequence}) {
                next = it;
            }
        }
        if (next == timers_.end() || next->second.due_ms > until) return false;
        now_ms_ = std::max(now_ms_, next->second.due_ms);
        TimerOperation operation = std::move(next->second.operation);
        timers_.erase(next);
        take(std::move(*operation()));
        return true;
    }

    std::int64_t now_ms_ = 1'700'000'000'000;
    std::shared_ptr<const metadata::MetadataImage> image_ = metadata::MetadataImage::empty();
    std::int64_t metadata_offset_ = 0;
    std::uint8_t last_topic_ = 0;
    GroupSettings settings_;
    SeededRandom random_;
    std::map<std::string, Timer> timers_;
    std::uint64_t timer_sequence_ = 0;
    std::vector<CoordinatorRecord> log_;
    std::unique_ptr<GroupRegistry> registry_;
    std::unique_ptr<ClassicGroups> classic_;
    std::unique_ptr<ConsumerGroups> consumer_;
};

using Partition = std::pair<Uuid, std::int32_t>;

// A consumer as the coordinator sees it: it says what it owns, gives up what it is told to, and takes what it is given.
class TestConsumer {
public:
    TestConsumer(ConsumerShard& shard, std::string id, std::vector<std::string> topics = {}, std::string group = "g")
        : shard_{&shard}, group_{std::move(group)}, id_{std::move(id)}, topics_{std::move(topics)} {}

    std::optional<std::string> instance_id{};
    std::optional<std::string> regex{};
    std::optional<std::string> assignor{};
    std::int32_t epoch = 0;
    std::int32_t rebalance_timeout_ms = 60'000;
    std::int16_t version = 1;
    std::set<Partition> owned{};
    std::optional<std::set<Partition>> given{};  // by the last answer with an assignment; not reconciled with yet

    const std::string& id() const { return id_; }
    void set_id(std::string id) { id_ = std::move(id); }
    const std::vector<std::string>& topics() const { return topics_; }
    void subscribe(std::vector<std::string> topics) {
        topics_ = std::move(topics);
        is_subscription_new_ = true;
    }
    void subscribe_regex(std::string pattern) {
        regex = std::move(pattern);
        is_subscription_new_ = true;
    }

    // One exchange; with `hears` false its answer is lost. Takes up what it is given at once, unless told not to.
    Owned<protocol::ConsumerGroupHeartbeatResponse> beat(bool hears = true, bool reconciles = true) {
        auto answer = send(request());
        // Who waited for an answer in vain says everything again, and so is told everything again. Until then it takes
        // nothing it was given before: the coordinator may have heard that it does not have it, and passed it on.
        says_all_ = !hears;
        if (hears) {
            hear(answer.message);
        } else {
            given.reset();
        }
        if (reconciles) reconcile();
        return answer;
    }
    ErrorCode leave(std::int32_t leave_epoch = kLeaveEpoch) {
        protocol::ConsumerGroupHeartbeatRequest message;
        message.group_id = group_;
        message.member_id = id_;
        message.member_epoch = leave_epoch;
        if (instance_id) message.instance_id = *instance_id;
        const auto answer = send(message);
        forget();
        return static_cast<ErrorCode>(answer.message.error_code);
    }
    Owned<protocol::ConsumerGroupHeartbeatResponse> send(const protocol::ConsumerGroupHeartbeatRequest& message) {
        const Requester requester{.client_id = "client", .client_host = "/127.0.0.1", .api_version = version};
        return shard_->take(std::move(*shard_->consumer().heartbeat(requester, message)));
    }
    protocol::ConsumerGroupHeartbeatRequest request() {
        protocol::ConsumerGroupHeartbeatRequest message;
        message.group_id = group_;
        message.member_id = id_;
        message.member_epoch = epoch;
        if (instance_id) message.instance_id = *instance_id;
        message.topic_partitions.emplace();
        for (const auto& [topic, partition] : owned) {
            auto& entries = *message.topic_partitions;
            if (entries.empty() || entries.back().topic_id != topic)
                entries.push_back({.topic_id = topic, .partitions = {}});
            entries.back().partitions.push_back(partition);
        }
        if (epoch == 0 || is_subscription_new_ || says_all_) {
            message.subscribed_topic_names.emplace(topics_.begin(), topics_.end());
            if (regex) message.subscribed_topic_regex = *regex;
        }
        if (epoch == 0 || says_all_) {
            message.rebalance_timeout_ms = rebalance_timeout_ms;
            if (assignor) message.server_assignor = *assignor;
        }
        return message;
    }
    void hear(const protocol::ConsumerGroupHeartbeatResponse& answer) {
        const auto error = static_cast<ErrorCode>(answer.error_code);
        if (error == ErrorCode::fenced_member_epoch || error == ErrorCode::unknown_member_id) forget();
        if (error != ErrorCode::none) return;
        id_ = *answer.member_id;
        epoch = answer.member_epoch;
        is_subscription_new_ = false;
        if (!answer.assignment) return;
        given.emplace();
        for (const auto& topic : answer.assignment->topic_partitions) {
            for (const std::int32_t partition : topic.partitions) given->emplace(topic.topic_id, partition);
        }
    }
    // First what it loses goes; what it gains comes once the coordinator was told.
    void reconcile() {
        if (!given) return;
        const bool loses = std::erase_if(owned, [&](const Partition& each) { return !given->contains(each); }) > 0;
        if (loses) return;
        owned = *given;
        given.reset();
    }
    // It gave everything up and joins anew.
    void forget() {
        epoch = 0;
        owned.clear();
        given.reset();
    }

private:
    ConsumerShard* shard_;
    std::string group_;
    std::string id_;
    std::vector<std::string> topics_;
    bool is_subscription_new_ = false;
    bool says_all_ = false;
};

}  // namespace odr::coordinator::testing
