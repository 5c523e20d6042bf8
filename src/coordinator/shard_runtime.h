#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "coordinator/group.h"
#include "coordinator/group_settings.h"
#include "coordinator/group_shard.h"
#include "coordinator/shard_context.h"
#include "coordinator/shard_operation.h"
#include "io/blocking_pool.h"
#include "io/reactor.h"
#include "io/task.h"
#include "metadata/image_holder.h"
#include "record/record.h"
#include "replication/partition.h"

namespace odr::coordinator {

// What shards need of the world; lives longer than they.
struct ShardEnvironment {
    const Clock* clock = nullptr;
    Random* random = nullptr;
    io::BlockingPool* pool = nullptr;
    const metadata::ImageHolder* images = nullptr;
};

// What an append's error means to a client of a coordinator. Kafka: CoordinatorOperationExceptionHelper.
ErrorCode coordinator_error_of(ErrorCode append_error);

// Runs one GroupShard on its partition of __consumer_offsets.
//
// An operation runs at once on the state as it is, its records are applied to that state at once, and they go to the
// log with all others that came before the write began: one batch, one write. The answers are given when it is
// committed. While a write is under way the next batch gathers, so the order of the log is that of the state.
// A write that fails leaves a state that is ahead of the log: the shard is then loaded anew from the log.
//
// Owner:   GroupCoordinator; shared with operations and loads under way.
// Threads: submit(), load(), unload() and update() from any; all else on its reactor. While a load is under way the
//          state belongs to the thread that reads the log.
// Kafka:   CoordinatorRuntime.CoordinatorContext.
class ShardRuntime final : public ShardContext, public std::enable_shared_from_this<ShardRuntime> {
public:
    ShardRuntime(const ShardEnvironment& environment, std::shared_ptr<replication::Partition> partition,
                 io::Reactor& reactor, std::shared_ptr<const GroupSettings> settings);
    ~ShardRuntime() override;

    io::Reactor& reactor() const { return reactor_; }
    const replication::Partition& partition() const { return *partition_; }

    // Reads the log from its start; until that is done operations get coordinator_load_in_progress. Does nothing when
    // loaded or loading.
    void load();
    // Forgets everything: who waits gets not_coordinator, and so does whoever comes. `done` is called on the reactor
    // when nothing is under way any more.
    void unload(std::move_only_function<void()> done);
    void submit(PendingOperation& operation);
    // The metadata or the settings changed.
    void update(std::shared_ptr<const metadata::MetadataChanges> changes,
                std::shared_ptr<const GroupSettings> settings);

    // --- ShardContext
    TimestampMs now() const override { return environment_.clock->now(); }
    const metadata::MetadataImage& image() const override { return *image_; }
    std::shared_ptr<const metadata::MetadataImage> shared_image() const override { return image_; }
    const GroupSettings& settings() const override { return *settings_; }
    Random& random() override { return *environment_.random; }
    std::string_view name() const override { return name_; }
    void schedule(std::string_view timer, std::int64_t delay_ms, TimerOperation operation) override;
    void cancel(std::string_view timer) override;
    bool is_scheduled(std::string_view timer) const override { return timers_.contains(timer); }

private:
    enum class State : std::uint8_t { initial, loading, active, failed, unloaded };

    // Operations whose records go to the log in one batch, and those without records that wait for it.
    struct Waiting {
        PendingOperation* operation;
        std::move_only_function<void(ErrorCode)> on_appended;
    };
    struct Batch {
        explicit Batch(const record::RecordBatchBuilder::Options& options) : builder{options} {}
        record::RecordBatchBuilder builder;
        std::vector<Waiting> waiting;
        Offset base_offset = kNoOffset;
        bool is_under_way = false;
    };
    struct NamedTimer {
        ShardRuntime* owner;
        std::string name;
        std::int64_t delay_ms;
        TimerOperation operation;
        io::Timer timer;
    };

    // on the reactor
    void start_load();
    void finish_load(Result<Offset> loaded);
    void unload_now(std::move_only_function<void()> done);
    void run(PendingOperation& operation);
    void accept(PendingOperation& operation, OperationRecords records);
    void refresh();
    Result<void> check_size(const OperationRecords& wanted) const;
    Batch& batch_for(std::size_t bytes);
    Result<void> append(const OperationRecords& wanted);
    Result<void> replay(const CoordinatorRecord& record, Offset offset, TimestampMs timestamp);
    void plan_write();
    static io::Task<void> write_batches(std::shared_ptr<ShardRuntime> self);
    void committed(Batch batch);
    void reload(ErrorCode why);
    void load_after_write();
    void fail_all(ErrorCode why);
    void drop_state();
    void arm(NamedTimer& timer);
    void fire(NamedTimer& timer);
    void settle_if_idle();

    const ShardEnvironment environment_;
    const std::shared_ptr<replication::Partition> partition_;
    io::Reactor& reactor_;
    const std::string name_;

    State state_ = State::initial;
    std::atomic<bool> is_load_cancelled_{false};
    metadata::ImageCache image_cache_;
    std::shared_ptr<const metadata::MetadataImage> image_;
    std::shared_ptr<const GroupSettings> settings_;
    std::shared_ptr<const GroupSettings> next_settings_;  // in force from the next operation on
    std::unique_ptr<GroupShard> shard_;
    Offset next_offset_{0};  // of the next record
    std::deque<Batch> batches_;
    std::shared_ptr<ShardRuntime> planned_;  // this, while a write will start at the turn's end
    bool is_writing_ = false;
    bool is_reading_log_ = false;
    bool loads_after_write_ = false;
    std::vector<std::move_only_function<void()>> when_idle_;
    std::unordered_map<std::string, std::unique_ptr<NamedTimer>, GroupIdHash, std::equal_to<>> timers_;
};

}  // namespace odr::coordinator
