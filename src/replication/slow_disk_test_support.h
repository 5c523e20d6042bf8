#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <thread>

#include "base/clock.h"
#include "base/random.h"
#include "io/gated_file_system.h"
#include "io/simulated_file_system.h"
#include "io/task.h"
#include "record/record.h"
#include "replication/replica_manager.h"
#include "storage/disk.h"

namespace odr::replication {

// Two log directories, /fast and /slow, whose gate a test shuts: what a slow disk does not hold up.

inline const io::MayBlock kMayBlock = io::MayBlock::for_test();

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
    int turn = 0;                          // in which it was answered, from 1
    io::Task<void> task;
};

inline io::Task<void> append_one(Partition* partition, Request* request, int* answered) {
    AppendGroup group;
    partition->enqueue(group.add({.batch = *record::MutableRecordBatch::parse(request->bytes)}));
    co_await group.done();
    const auto& result = group.at(0).pending.result;
    request->turn = ++*answered;
    request->offset = result ? result->base_offset.raw() : -2;
}

inline io::Task<void> follow(Partition* partition, io::Reactor* reactor, std::atomic<bool>* has_data) {
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
        wait_for(fast_->log().disk()->small_commits());
        wait_for(slow_->log().disk()->small_commits());
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
    Request& append(Partition& partition, std::string_view value = "value") {
        Request& request = requests_.emplace_back();
        record::RecordBatchBuilder builder{{}};
        builder.append(clock_.now(), std::nullopt, as_bytes(value));
        request.bytes = *builder.build();
        reactor_.post([this, &partition, &request] {
            request.task = append_one(&partition, &request, &answered_);
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
    int answered_ = 0;
};

}  // namespace odr::replication
