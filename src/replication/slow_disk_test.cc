// What a slow disk does not hold up: two log directories, /fast and /slow, whose gate a test shuts.
#include "replication/slow_disk_test_support.h"

#include <future>
#include <latch>

#include "storage/log_cleaner.h"

namespace odr::replication {
namespace {

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
    wait_for(slow_->log().disk()->small_commits());
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
    files_.on_write([&] {  // on a thread of small_commits(); what is under way until it returns is the write
        if (late != nullptr) return;
        for (int thread = 0; thread < 4; ++thread) {
            slow_->log().disk()->small_commits().submit([end](io::MayBlock) { end.wait(); });
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

TEST_F(SlowDiskTest, MuchThatArrivesWhileOneWriteWaitsIsWrittenInPartsInOrder) {
    write_slowly();
    files_.shut("/slow");
    append(*slow_);
    reactor_.run_ready();
    reactor_.run_ready();
    files_.await_waiting(1);
    const std::uint64_t before = simulated_.counts().writes;
    std::vector<const Request*> later;
    for (int i = 0; i < 20; ++i) {
        later.push_back(&append(*slow_, std::string(60'000, 'x')));
        reactor_.run_ready();
    }
    files_.open_gate();
    eventually([&] { return all_answered(); });
    for (std::size_t i = 0; i < later.size(); ++i) EXPECT_EQ(later[i]->offset, 3 + static_cast<std::int64_t>(i));
    EXPECT_EQ(simulated_.counts().writes - before, 1u + 5u) << "four batches are 256 KiB at most";
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

TEST_F(SlowDiskTest, LargeWritesThatAreHeldBackHoldUpNoSmallOnesOfTheirDirectory) {
    const std::string large(storage::Disk::kSmallCommitBytes, 'x');  // with its header it is more
    std::vector<std::shared_ptr<Partition>> heavy;
    for (int i = 0; i < 12; ++i) heavy.push_back(create("/slow", "heavy" + std::to_string(i)));
    for (const auto& each : heavy) append(*each);
    eventually([&] { return all_answered(); });
    write_slowly();
    files_.shut("/slow/heavy");
    std::vector<const Request*> blocked;
    for (const auto& each : heavy) blocked.push_back(&append(*each, large));
    eventually([&] { return files_.waiting().size() == 4; });  // as many writes as the disk has threads for them
    const std::size_t before = files_.writes_by_reactors();
    for (int i = 0; i < 10; ++i) {
        const Request& small = append(*slow_);
        eventually([&] { return small.offset >= 0; });
    }
    EXPECT_EQ(files_.writes_by_reactors(), before);
    EXPECT_TRUE(std::ranges::all_of(blocked, [](const Request* each) { return each->offset == -1; }));
    files_.open_gate();
    eventually([&] { return all_answered(); });
}

TEST_F(SlowDiskTest, WhatArrivesWhileASmallWriteWaitsForItsThreadIsNotWrittenThere) {
    std::vector<std::shared_ptr<Partition>> others;
    for (int i = 0; i < 4; ++i) others.push_back(create("/slow", "other" + std::to_string(i)));
    for (const auto& each : others) append(*each);
    eventually([&] { return all_answered(); });
    write_slowly();
    files_.shut("/slow/other");
    for (const auto& each : others) append(*each);
    eventually([&] { return files_.waiting().size() == 4; });  // no thread for small writes is left
    const Request& small = append(*slow_);
    while (reactor_.run_ready()) {
    }
    const Request& large = append(*slow_, std::string(storage::Disk::kSmallCommitBytes, 'x'));
    while (reactor_.run_ready()) {
    }
    const std::uint64_t before = simulated_.counts().writes;
    files_.open_gate();
    eventually([&] { return all_answered(); });
    EXPECT_EQ(simulated_.counts().writes - before, 4u + 2u);
    EXPECT_EQ(small.offset + 1, large.offset);
}

TEST_F(SlowDiskTest, ReadersOfASlowDiskDelayNeitherOtherReadersNorItsAppends) {
    const storage::ReadRequest all{.from = Offset{0}, .bytes_max = 1000, .upper_bound = slow_->high_watermark()};
    simulated_.set_resident(false);
    files_.shut("/slow");
    for (int i = 0; i < 100; ++i) {
        slow_->reads().submit([&](io::MayBlock may_block) { (void)slow_->log().read(may_block, all); });
    }
    files_.await_waiting(1);
    wait_for(fast_->reads());
    wait_for(slow_->log().disk()->waits());
    wait_for(slow_->log().disk()->commits());
    wait_for(slow_->log().disk()->small_commits());
    wait_for(pool_);
    files_.open_gate();
    wait_for(slow_->reads());
}

TEST_F(SlowDiskTest, APartitionThatIsAlwaysSyncingGivesWayToTheOthersOfItsDisk) {
    auto durable = std::make_shared<config::LogConfig>();
    durable->flush_messages = 1;
    const auto busy = create("/slow", "busy", durable);
    const auto other = create("/slow", "other", durable);
    append(*busy);
    append(*other);
    eventually([&] { return all_answered(); });
    // One thread is left.
    io::BlockingPool& pool = slow_->log().disk()->waits();
    const auto go_on = std::make_shared<std::latch>(1);  // they may look at it when the test is over
    std::atomic<int> held{0};
    for (int i = 0; i < 7; ++i) {
        pool.submit([&held, go_on](io::MayBlock) {
            ++held;
            go_on->wait();
        });
    }
    eventually([&] { return held == 7; });
    files_.shut("/slow");
    const auto write = [&](Partition& partition) -> Request& {
        const std::int64_t next = partition.log().log_end_offset().raw() + 1;
        Request& request = append(partition);
        eventually([&] { return partition.log().log_end_offset().raw() == next; });
        return request;
    };
    const Request& first = write(*busy);
    files_.await_waiting(1);
    const Request& third = write(*busy);
    const Request& second = write(*other);
    files_.open_gate();
    eventually([&] { return all_answered(); });
    go_on->count_down();
    EXPECT_LT(first.turn, second.turn);
    EXPECT_LT(second.turn, third.turn);
}

TEST_F(SlowDiskTest, TheCheckpointAfterDeleteRecordsIsThatOfTheLogsDirectory) {
    files_.shut("/slow");
    std::atomic<bool> is_done{false};
    pool_.submit([&](io::MayBlock may_block) {
        logs_->checkpoint_log_start_offsets(may_block, *fast_->log().disk());
        is_done = true;
    });
    eventually([&] { return is_done.load(); });
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
            request.task = append_one(log.get(), &request, &answered_);
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
