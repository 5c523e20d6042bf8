#include "replication/partition.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <thread>

#include "io/simulated_file_system.h"
#include "io/task.h"
#include "record/record.h"

namespace odr::replication {
namespace {

constexpr std::string_view kValue = "a value of some bytes";

std::vector<std::uint8_t> batch_of(int records) {
    record::RecordBatchBuilder builder{{}};
    for (int i = 0; i < records; ++i) builder.append(TimestampMs{1'700'000'000'000}, std::nullopt, as_bytes(kValue));
    return *builder.build();
}

// A partition on simulated files, and one reactor turned by hand.
class PartitionTest : public testing::Test {
protected:
    PartitionTest() { open({}); }
    ~PartitionTest() override { settle(); }

    void open(config::LogConfig config) {
        partition_.reset();
        static int made = 0;
        const std::string name = "orders" + std::to_string(made++);
        auto log = storage::open_log(io::MayBlock::for_test(), {.files = &files_},
                                     {.directory = "/logs/" + name + "-0",
                                      .topic_partition = {name, PartitionIndex{0}},
                                      .config = std::make_shared<const config::LogConfig>(config),
                                      .now = clock_.now()});
        ASSERT_TRUE(log);
        partition_ = std::make_shared<Partition>(*log, LeaderEpoch{3}, clock_, pool_);
    }

    // One request: appends each batch, then notes its base offset, or "!" and the error.
    struct Request {
        std::vector<std::vector<std::uint8_t>> batches;
        std::string told;
        io::Task<void> task;
    };
    static io::Task<void> append_all(Partition* partition, Request* request) {
        AppendGroup group;
        for (auto& bytes : request->batches) {
            partition->enqueue(group.add({.batch = *record::MutableRecordBatch::parse(bytes)}));
        }
        co_await group.done();
        for (std::size_t i = 0; i < group.size(); ++i) {
            const auto& result = group.at(i).pending.result;
            request->told += result ? std::to_string(result->base_offset.raw()) + " "
                                    : "!" + std::string{to_string(result.error().code)} + " ";
        }
    }
    Request& append(std::vector<int> record_counts) {
        Request& request = requests_.emplace_back();
        for (const int count : record_counts) request.batches.push_back(batch_of(count));
        reactor_.post([this, &request] {
            request.task = append_all(partition_.get(), &request);
            request.task.start([](void*) {}, nullptr);
        });
        return request;
    }
    // Turns the reactor until nothing is left to do, the pool's work included.
    void settle() {
        for (int idle = 0; idle < 3;) {
            std::atomic<bool> pool_is_empty{false};
            pool_.submit([&](io::MayBlock) {
                pool_is_empty = true;
                pool_is_empty.notify_one();
            });
            pool_is_empty.wait(false);
            idle = reactor_.run_ready() ? 0 : idle + 1;
        }
    }
    std::uint64_t writes_of(const std::function<void()>& work) {
        const std::uint64_t before = files_.counts().writes;
        work();
        return files_.counts().writes - before;
    }

    ManualClock clock_;
    io::SimulatedFileSystem files_;
    io::Reactor reactor_{0, clock_};
    io::BlockingPool pool_{1};
    std::shared_ptr<Partition> partition_;
    std::deque<Request> requests_;
};

TEST_F(PartitionTest, ABatchGetsTheNextOffsetAndMovesTheHighWatermark) {
    Request& first = append({3});
    settle();
    Request& second = append({2});
    settle();
    EXPECT_EQ(first.told, "0 ");
    EXPECT_EQ(second.told, "3 ");
    EXPECT_EQ(partition_->high_watermark(), Offset{5});
}

TEST_F(PartitionTest, AllRequestsOfOneTurnShareOneWrite) {
    append({1});
    settle();  // the segment is open now
    std::vector<Request*> burst;
    const std::uint64_t writes = writes_of([&] {
        for (int i = 0; i < 20; ++i) burst.push_back(&append({1, 1}));
        settle();
    });
    EXPECT_EQ(writes, 1u);
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(burst[static_cast<std::size_t>(i)]->told,
                  std::to_string(1 + 2 * i) + " " + std::to_string(2 + 2 * i) + " ");
    }
}

TEST_F(PartitionTest, AppendsThatWaitForARollKeepTheirOrder) {
    config::LogConfig small;
    small.segment_bytes = 1000;
    open(small);
    std::vector<Request*> all;
    for (int i = 0; i < 50; ++i) all.push_back(&append({1}));
    settle();
    for (int i = 0; i < 50; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)]->told, std::to_string(i) + " ");
    EXPECT_GT(partition_->log().segment_count(), 3u);
}

TEST_F(PartitionTest, WithFlushMessagesTheAnswerWaitsForTheSyncAndManyShareOne) {
    config::LogConfig durable;
    durable.flush_messages = 1;
    open(durable);
    append({1});
    settle();
    const std::uint64_t syncs_before = files_.counts().syncs;
    std::vector<Request*> burst;
    for (int i = 0; i < 10; ++i) burst.push_back(&append({1}));
    settle();
    for (const Request* request : burst) EXPECT_FALSE(request->told.empty());
    EXPECT_EQ(partition_->log().recovery_point(), Offset{11});
    const std::uint64_t syncs = files_.counts().syncs - syncs_before;
    EXPECT_GE(syncs, 1u);
    EXPECT_LE(syncs, 5u);  // log, indexes and epochs; far fewer than one for each request
}

TEST_F(PartitionTest, AFailedSyncIsToldToEveryRequestThatWaitedForIt) {
    config::LogConfig durable;
    durable.flush_messages = 1;
    open(durable);
    append({1});
    settle();
    files_.fail_syncs(100, EIO);
    Request& unlucky = append({1});
    settle();
    EXPECT_EQ(unlucky.told, "!KAFKA_STORAGE_ERROR ");
    EXPECT_EQ(partition_->high_watermark(), Offset{1});
}

TEST_F(PartitionTest, AClosedPartitionRefusesAppends) {
    partition_->close();
    Request& late = append({1});
    settle();
    EXPECT_EQ(late.told, "!NOT_LEADER_OR_FOLLOWER ");
    EXPECT_EQ(partition_->log().log_end_offset(), Offset{0});
}

TEST_F(PartitionTest, APartitionWhoseDirectoryFailedSaysSo) {
    partition_->log().set_offline();
    Request& before = append({1});
    settle();
    partition_->close();
    Request& late = append({1});
    settle();
    EXPECT_EQ(before.told + late.told, "!KAFKA_STORAGE_ERROR !KAFKA_STORAGE_ERROR ");
}

TEST_F(PartitionTest, OneBadBatchDoesNotSpoilItsNeighbours) {
    append({1});
    settle();
    Request& request = append({1, 1, 1});
    record::MutableRecordBatch::parse(request.batches[1])
        ->set_producer_state(ProducerId{7}, ProducerEpoch{0}, 5, false);  // an unknown producer's, not its first
    settle();
    Request& after = append({1});
    settle();
    EXPECT_EQ(request.told.substr(0, 2), "1 ");
    EXPECT_EQ(after.told, std::to_string(partition_->log().log_end_offset().raw() - 1) + " ");
}

// --- waiting fetches

io::Task<void> fetch_once(Partition* partition, io::Reactor* reactor, std::int64_t bytes, std::int64_t wait_ms,
                          std::string* told) {
    FetchWaiter waiter{*reactor, bytes, 1};
    if (!partition->wait_for_data(waiter.entries()[0], partition->high_watermark())) {
        *told = "at once";
        co_return;
    }
    const std::int64_t began = reactor->now_ms();
    co_await waiter.until_ready(wait_ms);
    partition->stop_waiting(waiter.entries()[0]);
    *told = "after " + std::to_string(reactor->now_ms() - began) + " ms";
}

class WaitingFetchTest : public PartitionTest {
protected:
    io::Task<void> start_fetch(std::int64_t bytes, std::int64_t wait_ms) {
        io::Task<void> task = fetch_once(partition_.get(), &reactor_, bytes, wait_ms, &told_);
        task.start([](void*) {}, nullptr);
        return task;
    }
    std::string told_;
};

TEST_F(WaitingFetchTest, AnAppendWakesIt) {
    const auto task = start_fetch(1, 500);
    append({1});
    settle();
    EXPECT_EQ(told_, "after 0 ms");
}

TEST_F(WaitingFetchTest, TooFewBytesLetItSleepUntilItsTimeIsUp) {
    const auto task = start_fetch(1'000'000, 500);
    append({1});
    settle();
    EXPECT_EQ(told_, "");
    clock_.advance_ms(500);
    settle();
    EXPECT_EQ(told_, "after 500 ms");
}

TEST_F(WaitingFetchTest, BytesOfSeveralAppendsAddUp) {
    const auto task = start_fetch(static_cast<std::int64_t>(batch_of(1).size()) * 3, 500);
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(told_, "");
        append({1});
        settle();
    }
    EXPECT_EQ(told_, "after 0 ms");
}

TEST_F(WaitingFetchTest, ClosingThePartitionWakesIt) {
    const auto task = start_fetch(1, 500);
    partition_->close();
    settle();
    EXPECT_EQ(told_, "after 0 ms");
}

TEST_F(PartitionTest, AFetchThatSawLessThanIsThereDoesNotWait) {
    FetchWaiter waiter{reactor_, 1, 1};
    append({1});
    settle();
    EXPECT_FALSE(partition_->wait_for_data(waiter.entries()[0], Offset{0}));
    EXPECT_TRUE(partition_->wait_for_data(waiter.entries()[0], Offset{1}));
    partition_->stop_waiting(waiter.entries()[0]);
}

// Hangs on two partitions; the first moves on while it hangs itself on the second, which moved on before.
io::Task<void> fetch_both(Partition* first, Partition* second, io::Reactor* reactor, bool* is_done) {
    FetchWaiter waiter{*reactor, 1, 2};
    EXPECT_TRUE(first->wait_for_data(waiter.entries()[0], first->high_watermark()));
    std::thread{[first] { first->close(); }}.join();
    EXPECT_FALSE(second->wait_for_data(waiter.entries()[1], Offset{-1}));
    const bool must_wait = !waiter.give_up();
    EXPECT_TRUE(must_wait);
    if (must_wait) co_await waiter.until_ready(500);
    first->stop_waiting(waiter.entries()[0]);
    *is_done = true;
}

TEST_F(WaitingFetchTest, AWakeUpUnderWayIsAwaitedBeforeTheWaiterGoes) {
    const std::shared_ptr<Partition> first = partition_;
    open({});
    bool is_done = false;
    auto task = fetch_both(first.get(), partition_.get(), &reactor_, &is_done);
    task.start([](void*) {}, nullptr);
    EXPECT_FALSE(is_done);
    settle();
    EXPECT_TRUE(is_done);
}

TEST_F(PartitionTest, AWaiterThatGaveUpIsNotWoken) {
    FetchWaiter waiter{reactor_, 1, 1};
    EXPECT_TRUE(partition_->wait_for_data(waiter.entries()[0], Offset{0}));
    EXPECT_TRUE(waiter.give_up());
    partition_->close();
    settle();  // resuming it would crash: nothing sleeps
    partition_->stop_waiting(waiter.entries()[0]);
}

// --- several reactors

TEST(PartitionThreadsTest, AppendsFromSeveralReactorsAreAllInTheLogOnce) {
    io::SimulatedFileSystem files;
    io::BlockingPool pool{2};
    auto log = storage::open_log(io::MayBlock::for_test(), {.files = &files},
                                 {.directory = "/logs/shared-0",
                                  .topic_partition = {"shared", PartitionIndex{0}},
                                  .config = std::make_shared<const config::LogConfig>()});
    ASSERT_TRUE(log);
    const auto partition = std::make_shared<Partition>(*log, LeaderEpoch{0}, system_clock(), pool);
    constexpr int kReactors = 3;
    constexpr int kAppends = 500;
    struct Loop {
        static io::Task<void> run(Partition* at, std::vector<std::int64_t>* offsets, io::Reactor* reactor) {
            for (int i = 0; i < kAppends; ++i) {
                std::vector<std::uint8_t> bytes = batch_of(1);
                AppendGroup group;
                at->enqueue(group.add({.batch = *record::MutableRecordBatch::parse(bytes)}));
                co_await group.done();
                offsets->push_back(group.at(0).pending.result->base_offset.raw());
            }
            reactor->stop();
        }
    };
    std::vector<std::vector<std::int64_t>> offsets(kReactors);
    std::vector<std::thread> threads;
    for (int i = 0; i < kReactors; ++i) {
        threads.emplace_back([&, i] {
            io::Reactor reactor{i, system_clock()};
            reactor.post(
                [&] { io::spawn(Loop::run(partition.get(), &offsets[static_cast<std::size_t>(i)], &reactor)); });
            reactor.run();
        });
    }
    for (std::thread& thread : threads) thread.join();
    std::vector<bool> seen(kReactors * kAppends, false);
    for (const auto& mine : offsets) {
        EXPECT_TRUE(std::ranges::is_sorted(mine));
        for (const std::int64_t offset : mine) {
            ASSERT_FALSE(seen[static_cast<std::size_t>(offset)]) << offset;
            seen[static_cast<std::size_t>(offset)] = true;
        }
    }
    EXPECT_EQ(partition->high_watermark(), Offset{kReactors * kAppends});
}

}  // namespace
}  // namespace odr::replication
