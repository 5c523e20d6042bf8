// What a slow disk does not hold up: two log directories, /fast and /slow, whose gate a test shuts.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <future>
#include <thread>

#include "base/clock.h"
#include "base/random.h"
#include "io/gated_file_system.h"
#include "io/simulated_file_system.h"
#include "io/task.h"
#include "record/record.h"
#include "replication/replica_manager.h"
#include "storage/disk.h"
#include "storage/log_cleaner.h"

namespace odr::replication {
namespace {

const io::MayBlock kMayBlock = io::MayBlock::for_test();

class SharedClock final : public Clock {
public:
    TimestampMs now() const override { return TimestampMs{ms_.load()}; }
    std::int64_t monotonic_ns() const override { return ms_.load() * 1'000'000; }
    void advance_ms(std::int64_t ms) { ms_ += ms; }

private:
    std::atomic<std::int64_t> ms_{1'700'000'000'000};
};

struct Request {
    std::vector<std::uint8_t> bytes;
    std::atomic<std::int64_t> offset{-1};  // -2: refused
    io::Task<void> task;
};

io::Task<void> append_one(Partition* partition, Request* request) {
    AppendGroup group;
    partition->enqueue(group.add({.batch = *record::MutableRecordBatch::parse(request->bytes)}));
    co_await group.done();
    const auto& result = group.at(0).pending.result;
    request->offset = result ? result->base_offset.raw() : -2;
}

io::Task<void> follow(Partition* partition, io::Reactor* reactor, std::atomic<bool>* has_data) {
    FetchWaiter waiter{*reactor, 1, 1};
    const bool must_wait = partition->wait_for_data(waiter.entries()[0], partition->high_watermark());
    if (must_wait) co_await waiter.until_ready(1'000'000);
    partition->stop_waiting(waiter.entries()[0]);
    *has_data = true;
}

class SlowDiskTest : public testing::Test {
protected:
    SlowDiskTest() {
        settings_->flush_ms = 10'000'000;
        storage::LogManagerConfig config;
        config.log_dirs = {"/fast", "/slow"};
        config.node_id = BrokerId{1};
        config.cluster_id = "c";
        config.log_initial_task_delay_ms = 0;
        std::string reason;
        auto opened = storage::LogManager::open(kMayBlock, files_, clock_, random_, config, reason);
        EXPECT_TRUE(opened.has_value()) << reason;
        logs_ = std::move(*opened);
        EXPECT_TRUE(logs_->load_logs(kMayBlock, [&](const std::string&) { return settings_; }, {}));
        replicas_ = std::make_unique<ReplicaManager>(*logs_, clock_, pool_);
        fast_ = create("/fast", "fast");
        slow_ = create("/slow", "slow");
        append(*fast_);
        append(*slow_);
        eventually([&] { return all_answered(); });  // their segments are open
        wait_for(fast_->log().disk()->commits());
        wait_for(slow_->log().disk()->commits());
    }
    ~SlowDiskTest() override {
        files_.open_gate();
        eventually([&] { return all_answered(); });
        logs_->stop(kMayBlock, 1);
    }

    std::shared_ptr<Partition> create(const std::string& directory, const std::string& topic,
                                      std::shared_ptr<const config::LogConfig> config = {}) {
        LeaderAssignment wanted{.topic_partition = {topic, PartitionIndex{0}},
                                .topic_id = random_.uuid(),
                                .config = config != nullptr ? config : settings_};
        for (const storage::LogDirInfo& each : logs_->log_dirs()) {
            if (each.path == directory) wanted.directory_id = each.directory_id;
        }
        auto made = replicas_->become_leader(kMayBlock, wanted);
        EXPECT_TRUE(made.has_value());
        return *made;
    }
    Request& append(Partition& partition) {
        Request& request = requests_.emplace_back();
        record::RecordBatchBuilder builder{{}};
        builder.append(clock_.now(), std::nullopt, as_bytes(std::string_view{"value"}));
        request.bytes = *builder.build();
        reactor_.post([&partition, &request] {
            request.task = append_one(&partition, &request);
            request.task.start([](void*) {}, nullptr);
        });
        return request;
    }
    bool all_answered() const {
        return std::ranges::all_of(requests_, [](const Request& each) { return each.offset != -1; });
    }
    // Turns the reactor until it is so. What the pools do counts, so the turns needed are not known.
    void eventually(const std::function<bool()>& is_so) {
        const std::int64_t limit_ms = system_clock().monotonic_ms() + 60'000;
        while (!is_so()) {
            ASSERT_LT(system_clock().monotonic_ms(), limit_ms) << "it does not come to this";
            if (!reactor_.run_ready()) std::this_thread::yield();
        }
    }
    void wait_for(io::BlockingPool& pool) {
        std::atomic<bool> done{false};
        pool.submit([&](io::MayBlock) { done = true; });
        eventually([&] { return done.load(); });
    }
    // A write to the slow directory takes longer than a disk that keeps up would.
    void write_slowly() {
        files_.on_write([this] { clock_.advance_ms(storage::Disk::kSlowWriteNs / 1'000'000 + 1); });
        Request& request = append(*slow_);
        eventually([&] { return request.offset >= 0; });
        files_.on_write({});
        ASSERT_TRUE(slow_->log().disk()->holds_back());
    }
    // One turn: what needs no other thread is done afterwards.
    void expect_the_fast_directory_serves_at_once() {
        std::atomic<bool> has_data{false};
        auto fetch = follow(fast_.get(), &reactor_, &has_data);
        fetch.start([](void*) {}, nullptr);
        const std::int64_t next = fast_->log().log_end_offset().raw();
        Request& request = append(*fast_);
        for (int i = 0; i < 3; ++i) reactor_.run_ready();
        EXPECT_EQ(request.offset, next);
        EXPECT_TRUE(has_data);
        const auto plan =
            fast_->log().plan_read({.from = Offset{next}, .bytes_max = 1000, .upper_bound = fast_->high_watermark()});
        EXPECT_TRUE(plan.has_value() && plan->has_value());
        EXPECT_EQ(files_.stalls(), std::vector<std::string>{});
    }

    SharedClock clock_;
    io::SimulatedFileSystem simulated_;
    io::GatedFileSystem files_{simulated_};
    SeededRandom random_{1};
    io::Reactor reactor_{0, clock_};
    io::BlockingPool pool_{2};
    std::shared_ptr<config::LogConfig> settings_ = std::make_shared<config::LogConfig>();
    std::unique_ptr<storage::LogManager> logs_;
    std::unique_ptr<ReplicaManager> replicas_;
    std::shared_ptr<Partition> fast_, slow_;
    std::deque<Request> requests_;
};

TEST_F(SlowDiskTest, AppendsToADiskThatKeepsUpAreWrittenByTheReactor) {
    const std::size_t before = files_.writes_by_reactors();
    Request& one = append(*fast_);
    Request& other = append(*slow_);
    for (int i = 0; i < 2; ++i) reactor_.run_ready();
    EXPECT_EQ(one.offset, 1);
    EXPECT_EQ(other.offset, 1);
    EXPECT_EQ(files_.writes_by_reactors(), before + 2);
    EXPECT_EQ(files_.asked_by_reactors(), std::vector<std::string>{}) << "opening is not for reactors";
}

TEST_F(SlowDiskTest, AWriteThatHadToWaitHoldsBackTheAppendsOfItsDirectoryUntilItIsCalm) {
    write_slowly();
    const std::size_t before = files_.writes_by_reactors();
    Request& held = append(*slow_);
    eventually([&] { return held.offset >= 0; });
    EXPECT_EQ(files_.writes_by_reactors(), before);
    EXPECT_FALSE(fast_->log().disk()->holds_back());
    clock_.advance_ms(storage::Disk::kCalmNs / 1'000'000);
    Request& last = append(*slow_);
    eventually([&] { return last.offset >= 0 && !slow_->log().disk()->holds_back(); });
    wait_for(slow_->log().disk()->commits());
    EXPECT_EQ(files_.writes_by_reactors(), before) << "the write that finds it calm is the last that was held back";
    Request& inline_again = append(*slow_);
    eventually([&] { return inline_again.offset >= 0; });
    EXPECT_EQ(files_.writes_by_reactors(), before + 1);
}

TEST_F(SlowDiskTest, WhatArrivesDuringTheLastHeldBackWriteWaitsForNoThreadOfTheDisk) {
    write_slowly();
    clock_.advance_ms(storage::Disk::kCalmNs / 1'000'000);
    std::promise<void> others_end;
    std::atomic<bool> has_arrived{false};
    std::atomic<Request*> late{nullptr};
    const std::shared_future<void> end = others_end.get_future().share();
    files_.on_write([&] {  // on a thread of commits(); what is under way until it returns is the write
        if (late != nullptr) return;
        for (int thread = 0; thread < 4; ++thread) {
            slow_->log().disk()->commits().submit([end](io::MayBlock) { end.wait(); });
        }
        late = &append(*slow_);
        reactor_.post([&] {
            has_arrived = true;
            has_arrived.notify_all();
        });
        has_arrived.wait(false);
    });
    Request& held = append(*slow_);
    eventually([&] { return held.offset >= 0 && late != nullptr && late.load()->offset >= 0; });
    EXPECT_FALSE(slow_->log().disk()->holds_back());
    files_.on_write({});
    others_end.set_value();
}

TEST_F(SlowDiskTest, ADirectoryThatIsSlowAgainSoonIsHeldBackForLonger) {
    storage::Disk& disk = *slow_->log().disk();
    const auto write = [&](std::int64_t ms) {
        const std::int64_t began = disk.begin_write();
        clock_.advance_ms(ms);
        disk.end_write(began);
    };
    write(20);
    clock_.advance_ms(1'000);
    write(0);
    EXPECT_FALSE(disk.holds_back());
    write(20);
    clock_.advance_ms(1'000);
    write(0);
    EXPECT_TRUE(disk.holds_back());
    clock_.advance_ms(1'000);
    write(0);
    EXPECT_FALSE(disk.holds_back());
    clock_.advance_ms(60'000);
    write(20);
    clock_.advance_ms(1'000);
    write(0);
    EXPECT_FALSE(disk.holds_back()) << "what was long ago does not count";
}

TEST_F(SlowDiskTest, ABlockedAppendStopsNothingOfAnotherDirectory) {
    write_slowly();
    files_.shut("/slow");
    Request& blocked = append(*slow_);
    reactor_.run_ready();
    reactor_.run_ready();
    files_.await_waiting(1);
    for (int i = 0; i < 10; ++i) expect_the_fast_directory_serves_at_once();
    EXPECT_EQ(blocked.offset, -1);
    // What is in the blocked partition can be read meanwhile.
    const auto plan =
        slow_->log().plan_read({.from = Offset{0}, .bytes_max = 1000, .upper_bound = slow_->high_watermark()});
    EXPECT_TRUE(plan.has_value() && plan->has_value());
    files_.open_gate();
    eventually([&] { return blocked.offset >= 0; });
    EXPECT_EQ(blocked.offset, 2);
}

TEST_F(SlowDiskTest, AllThatArrivesWhileOneWriteWaitsGoesIntoTheNextInOrder) {
    write_slowly();
    files_.shut("/slow");
    const Request& blocked = append(*slow_);
    reactor_.run_ready();
    reactor_.run_ready();
    files_.await_waiting(1);
    const std::uint64_t before = simulated_.counts().writes;
    std::vector<const Request*> later;
    for (int i = 0; i < 20; ++i) {
        later.push_back(&append(*slow_));
        reactor_.run_ready();
    }
    EXPECT_EQ(files_.waiting().size(), 1u);
    files_.open_gate();
    eventually([&] { return all_answered(); });
    EXPECT_EQ(blocked.offset, 2);
    for (std::size_t i = 0; i < later.size(); ++i) EXPECT_EQ(later[i]->offset, 3 + static_cast<std::int64_t>(i));
    EXPECT_EQ(simulated_.counts().writes - before, 2u);
}

TEST_F(SlowDiskTest, TheSyncsOfASlowDiskDoNotStandBeforeItsHeldBackAppends) {
    auto durable = std::make_shared<config::LogConfig>();
    durable->flush_messages = 1;
    std::vector<std::shared_ptr<Partition>> many;
    for (int i = 0; i < 12; ++i) many.push_back(create("/slow", "durable" + std::to_string(i), durable));
    for (const auto& each : many) append(*each);
    eventually([&] { return all_answered(); });
    write_slowly();
    files_.shut("/slow");
    for (const auto& each : many) append(*each);
    eventually([&] { return files_.waiting().size() == 4; });  // as many writes as the disk has threads for them
    expect_the_fast_directory_serves_at_once();
    files_.open_gate();
    eventually([&] { return all_answered(); });
}

TEST_F(SlowDiskTest, WriteBackIsBegunEarlyAndOnlyForWholePages) {
    // A disk that does not get on with it counts as slow, though every write into the page cache is quick.
    storage::Disk& disk = *slow_->log().disk();
    auto file = files_.open("/slow/slow-0/00000000000000000000.log", io::OpenMode::read_write);
    ASSERT_TRUE(file.has_value());
    files_.shut("/slow");
    disk.write_back(std::move(*file), 0, storage::Disk::kWriteBackBytes);
    files_.await_waiting(1);
    EXPECT_TRUE(files_.waiting().front().starts_with("write-back /slow/")) << files_.waiting().front();
    disk.end_write(disk.begin_write());
    EXPECT_FALSE(disk.holds_back());
    clock_.advance_ms(storage::Disk::kBehindNs / 1'000'000 + 1);
    disk.end_write(disk.begin_write());
    EXPECT_TRUE(disk.holds_back());
    expect_the_fast_directory_serves_at_once();
}

// --- what else waits for a disk

class StallTest : public SlowDiskTest {
protected:
    // Does `work`, which may wait, on a thread of its own while the slow disk does not answer, and shows that it does
    // wait, for `what`, and that the reactor goes on.
    void expect_no_stall(const std::string& what, const std::function<void()>& work) {
        files_.shut("/slow");
        std::thread worker{work};
        files_.await_waiting(1);
        EXPECT_TRUE(files_.waiting().front().starts_with(what)) << files_.waiting().front();
        expect_the_fast_directory_serves_at_once();
        files_.open_gate();
        worker.join();
    }
    void fill(Partition& partition, int records) {
        for (int i = 0; i < records; ++i) {
            Request& request = append(partition);
            eventually([&] { return request.offset >= 0; });
        }
    }
};

TEST_F(StallTest, ARollDoesNotStallTheReactor) {
    auto small = std::make_shared<config::LogConfig>();
    small->segment_bytes = 200;
    const auto rolling = create("/slow", "rolling", small);
    fill(*rolling, 2);
    files_.shut("/slow");
    Request& request = append(*rolling);
    reactor_.run_ready();
    reactor_.run_ready();
    files_.await_waiting(1);
    expect_the_fast_directory_serves_at_once();
    EXPECT_EQ(request.offset, -1);
    files_.open_gate();
    eventually([&] { return request.offset >= 0; });
    EXPECT_EQ(request.offset, 2);
    EXPECT_EQ(rolling->log().segment_count(), 2u);
}

TEST_F(StallTest, TheFirstAppendToAnIdleLogDoesNotStallTheReactor) {
    const auto fresh = create("/slow", "fresh");
    files_.shut("/slow");
    Request& request = append(*fresh);
    reactor_.run_ready();
    reactor_.run_ready();
    files_.await_waiting(1);
    EXPECT_TRUE(files_.waiting().front().starts_with("open ")) << files_.waiting().front();
    expect_the_fast_directory_serves_at_once();
    files_.open_gate();
    eventually([&] { return request.offset == 0; });
}

TEST_F(StallTest, GrowingIndexesDoNotStallTheReactor) {
    auto dense = std::make_shared<config::LogConfig>();
    dense->index_interval_bytes = 0;
    const auto log = create("/slow", "dense", dense);
    fill(*log, 20);
    expect_no_stall("open ", [&] { (void)log->log().release_idle(kMayBlock, clock_.now(), -1); });
    EXPECT_GT(simulated_.contents("/slow/dense-0/00000000000000000000.index").size(), 0u);
}

TEST_F(StallTest, ASyncDoesNotStallTheReactor) {
    auto durable = std::make_shared<config::LogConfig>();
    durable->flush_messages = 1;
    const auto log = create("/slow", "durable", durable);
    fill(*log, 1);
    write_slowly();  // appends are not the reactor's now
    files_.shut("/slow");
    Request& request = append(*log);
    reactor_.run_ready();
    reactor_.run_ready();
    files_.await_waiting(1);  // the write
    expect_the_fast_directory_serves_at_once();
    files_.open_gate();
    eventually([&] { return request.offset >= 0; });
    EXPECT_EQ(log->log().recovery_point(), Offset{2});
    fill(*slow_, 1);
    expect_no_stall("sync ", [&] { (void)slow_->log().flush(kMayBlock); });
}

TEST_F(StallTest, DeletingSegmentsDoesNotStallTheReactor) {
    auto short_lived = std::make_shared<config::LogConfig>();
    short_lived->segment_bytes = 200;
    short_lived->retention_bytes = 1;
    short_lived->file_delete_delay_ms = 0;
    const auto log = create("/slow", "short", short_lived);
    fill(*log, 10);
    expect_no_stall("", [&] { (void)log->log().delete_old_segments(kMayBlock, clock_.now()); });
    EXPECT_EQ(log->log().segment_count(), 1u);
    expect_no_stall("remove ", [&] { (void)logs_->remove_deleted_files(kMayBlock, clock_.now()); });
}

TEST_F(StallTest, AColdReadDoesNotStallTheReactor) {
    auto small = std::make_shared<config::LogConfig>();
    small->segment_bytes = 200;
    const auto log = create("/slow", "cold", small);
    fill(*log, 10);
    simulated_.set_resident(false);
    files_.shut("/slow");
    const storage::ReadRequest oldest{.from = Offset{0}, .bytes_max = 1000, .upper_bound = log->high_watermark()};
    Result<std::optional<storage::ReadPlan>> plan = std::nullopt;
    reactor_.post([&] { plan = log->log().plan_read(oldest); });
    reactor_.run_ready();
    EXPECT_TRUE(plan.has_value() && !plan->has_value()) << "a reactor has to leave it to the pool";
    std::thread reader{[&] { (void)log->log().read(kMayBlock, oldest); }};
    files_.await_waiting(1);
    simulated_.set_resident(true);
    expect_the_fast_directory_serves_at_once();
    files_.open_gate();
    reader.join();
}

TEST_F(StallTest, MakingAndDeletingATopicDoesNotStallTheReactor) {
    std::shared_ptr<Partition> made;
    expect_no_stall("", [&] { made = create("/slow", "new"); });
    const TopicIdPartition key{made->topic_id(), PartitionIndex{0}};
    expect_no_stall("rename ", [&] { EXPECT_TRUE(replicas_->remove(kMayBlock, key, true)); });
}

TEST_F(StallTest, CompactionDoesNotStallTheReactor) {
    auto compacted = std::make_shared<config::LogConfig>();
    compacted->cleanup_compact = true;
    compacted->cleanup_delete = false;
    compacted->segment_bytes = 200;
    compacted->min_cleanable_dirty_ratio = 0;
    const auto log = create("/slow", "compacted", compacted);
    for (int i = 0; i < 10; ++i) {
        Request& request = requests_.emplace_back();
        record::RecordBatchBuilder builder{{}};
        builder.append(clock_.now(), as_bytes(std::string_view{"key"}), as_bytes(std::string_view{"value"}));
        request.bytes = *builder.build();
        reactor_.post([&] {
            request.task = append_one(log.get(), &request);
            request.task.start([](void*) {}, nullptr);
        });
        eventually([&] { return request.offset >= 0; });
    }
    storage::LogCleaner cleaner{*logs_, files_, clock_, random_, {}};
    bool cleaned = false;
    expect_no_stall("", [&] { cleaned = cleaner.clean_once(kMayBlock); });
    EXPECT_TRUE(cleaned);
}

// --- the periodic work

TEST_F(SlowDiskTest, FlushMsMakesDurableWhatIsOlder) {
    auto flushed = std::make_shared<config::LogConfig>();
    flushed->flush_ms = 1'000;
    const auto log = create("/fast", "flushed", flushed);
    logs_->run_once(kMayBlock, clock_.now());
    append(*log);
    eventually([&] { return all_answered(); });
    clock_.advance_ms(999);
    EXPECT_FALSE(log->log().flush_is_due(clock_.now()));
    clock_.advance_ms(1);
    EXPECT_EQ(log->log().recovery_point(), Offset{0});
    logs_->run_once(kMayBlock, clock_.now());
    EXPECT_EQ(log->log().recovery_point(), Offset{1});
    EXPECT_EQ(fast_->log().recovery_point(), Offset{0}) << "its flush.ms is longer";
    simulated_.crash(7);
    EXPECT_EQ(simulated_.contents("/fast/flushed-0/00000000000000000000.log"),
              std::string(as_text(ByteView{requests_.back().bytes})));
}

TEST_F(SlowDiskTest, ASlowSyncHoldsUpTheFlushesOfNoOtherDirectory) {
    auto flushed = std::make_shared<config::LogConfig>();
    flushed->flush_ms = 1'000;
    const auto fast = create("/fast", "flushed-fast", flushed);
    const auto slow = create("/slow", "flushed-slow", flushed);
    logs_->run_once(kMayBlock, clock_.now());
    append(*fast);
    append(*slow);
    eventually([&] { return all_answered(); });
    files_.shut("/slow");
    clock_.advance_ms(2'000);
    logs_->run_soon(clock_.now());
    files_.await_waiting(1);
    eventually([&] { return fast->log().recovery_point() == Offset{1}; });
    EXPECT_EQ(slow->log().recovery_point(), Offset{0});
    // And again: the slow one is still at it, and is not asked a second time.
    Request& more = append(*fast);
    eventually([&] { return more.offset == 1; });
    clock_.advance_ms(2'000);
    eventually([&] {
        logs_->run_soon(clock_.now());
        return fast->log().recovery_point() == Offset{2};
    });
    EXPECT_EQ(files_.waiting().size(), 1u);
    files_.open_gate();
    eventually([&] { return slow->log().recovery_point() == Offset{1}; });
}

}  // namespace
}  // namespace odr::replication
