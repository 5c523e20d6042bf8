#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "coordinator/classic_groups.h"

namespace odr::coordinator::testing {

// A shard with classic groups only, on simulated time and with a log in memory. Appends are under way until commit()
// or fail_appends().
class SimulatedShard final : public ShardContext {
public:
    explicit SimulatedShard(std::uint64_t seed = 1) : random_{seed} {
        log::set_level(log::Level::error);
        load();
    }
    ~SimulatedShard() override { unload(); }

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
    ClassicGroups& groups() { return *groups_; }
    ClassicGroup* group(std::string_view id = "g") { return groups_->find(id); }
    const std::vector<CoordinatorRecord>& log() const { return log_; }
    std::vector<std::string> timer_names() const {
        std::vector<std::string> names;
        for (const auto& [name, timer] : timers_) names.push_back(name);
        return names;
    }
    std::int64_t now_ms() const { return now_ms_; }
    bool has_appends() const { return !appends_.empty(); }

    // Takes what an operation wants written.
    template <class Response>
    Response take(CoordinatorResult<Response> result) {
        if (result.replay) {
            for (const CoordinatorRecord& record : result.records) replay(record);
        }
        if (!result.records.empty() || !appends_.empty()) {
            appends_.push_back({std::move(result.records), std::move(result.on_appended)});
        } else if (result.on_appended) {
            result.on_appended(ErrorCode::none);
        }
        return std::move(result.response);
    }
    void commit() {
        while (!appends_.empty()) {
            Append append = std::move(appends_.front());
            appends_.pop_front();
            for (CoordinatorRecord& record : append.records) log_.push_back(std::move(record));
            if (append.on_appended) append.on_appended(ErrorCode::none);
        }
    }
    // As a record that does not fit: the state stays.
    void refuse_appends(ErrorCode why) {
        for (Append& append : std::exchange(appends_, {})) {
            if (append.on_appended) append.on_appended(why);
        }
    }
    // As a failed disk: the state is read again.
    void fail_appends(ErrorCode why) {
        refuse_appends(why);
        restart();
    }
    // What was not committed is lost.
    void restart() {
        for (Append& append : std::exchange(appends_, {})) {
            if (append.on_appended) append.on_appended(ErrorCode::not_coordinator);
        }
        unload();
        load();
        for (const CoordinatorRecord& record : log_) replay(record);
        groups_->on_loaded();
    }
    void replay(const CoordinatorRecord& record) {
        const auto key = *protocol::decode_coordinator_frame(record.key);
        ReplayedRecord replayed{.key_type = key.number, .key = key.body};
        if (record.value) {
            const auto value = *protocol::decode_coordinator_frame(*record.value);
            replayed.value = ReplayedRecord::Value{value.number, value.body};
        }
        last_replay_ = groups_->replay(replayed);
    }
    const Result<bool>& last_replay() const { return last_replay_; }

    // Lets time pass; timers fire in their order.
    void advance(std::int64_t ms, bool is_committing = true) {
        const std::int64_t until = now_ms_ + ms;
        while (fire_next(until)) {
            if (is_committing) commit();
        }
        now_ms_ = until;
    }

private:
    struct Timer {
        std::int64_t due_ms = 0;
        std::uint64_t sequence = 0;
        TimerOperation operation;
    };
    struct Append {
        CoordinatorRecords records;
        std::move_only_function<void(ErrorCode)> on_appended;
    };

    void load() {
        registry_ = std::make_unique<GroupRegistry>();
        groups_ = std::make_unique<ClassicGroups>(*this, *registry_);
    }
    void unload() {
        groups_->on_unloaded();
        timers_.clear();
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
    std::shared_ptr<const metadata::MetadataImage> image_ = std::make_shared<metadata::MetadataImage>();
    GroupSettings settings_;
    SeededRandom random_;
    std::map<std::string, Timer> timers_;
    std::uint64_t timer_sequence_ = 0;
    std::deque<Append> appends_;
    std::vector<CoordinatorRecord> log_;
    Result<bool> last_replay_{true};
    std::unique_ptr<GroupRegistry> registry_;
    std::unique_ptr<ClassicGroups> groups_;
};

// The answer to a request that may wait.
template <class Message>
struct Answer {
    std::shared_ptr<std::optional<Owned<Message>>> slot = std::make_shared<std::optional<Owned<Message>>>();

    Deferred<Owned<Message>> deferred() const {
        return Deferred<Owned<Message>>{[to = slot](Owned<Message> response) { to->emplace(std::move(response)); }};
    }
    bool is_given() const { return slot->has_value(); }
    const Message& operator*() const { return (*slot)->message; }
    const Message* operator->() const { return &(*slot)->message; }
    ErrorCode error() const {
        return is_given() ? static_cast<ErrorCode>((*slot)->message.error_code) : ErrorCode::unknown_server_error;
    }
};

inline std::string text_of(ByteView bytes) { return std::string{as_text(bytes)}; }

}  // namespace odr::coordinator::testing
