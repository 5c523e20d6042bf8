// A shard on the thread of one reactor, and callers on those of others.
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <latch>
#include <thread>

#include "coordinator/offset_store.h"
#include "coordinator/shard_runtime.h"
#include "io/simulated_file_system.h"

namespace odr::coordinator {
namespace {

constexpr int kReactors = 3;  // the shard's is the first
constexpr std::int64_t kCommits = 300;

class ShardThreadsTest : public testing::Test {
protected:
    ShardThreadsTest() {
        auto log = storage::open_log(io::MayBlock::for_test(), {.files = &files_},
                                     {.directory = "/logs/__consumer_offsets-0",
                                      .topic_partition = {"__consumer_offsets", PartitionIndex{0}},
                                      .config = std::make_shared<const config::LogConfig>(),
                                      .now = clock_.now()});
        partition_ = std::make_shared<replication::Partition>(*log, LeaderEpoch{1}, clock_, pool_);
        shard_ = std::make_shared<ShardRuntime>(
            ShardEnvironment{.clock = &clock_, .random = &random_, .pool = &pool_, .images = &images_}, partition_,
            reactors_.front(), std::make_shared<const GroupSettings>());
        for (io::Reactor& reactor : reactors_) threads_.emplace_back([&reactor] { reactor.run(); });
    }
    ~ShardThreadsTest() override {
        unload();
        for (io::Reactor& reactor : reactors_) reactor.stop();
        for (std::thread& thread : threads_) thread.join();
    }
    void unload() {
        std::latch done{1};
        shard_->unload([&done] { done.count_down(); });
        done.wait();
    }

    // A client's connection.
    struct Caller {
        io::Reactor* home;
        std::string group;
        std::latch* done;
        std::int64_t commits = kCommits;
        std::int64_t answered = 0;
        std::int64_t refused = 0;
        std::int64_t strayed = 0;  // answers that came on another thread
        std::string told;          // of a deferred answer
        io::Task<void> task;
    };
    // One offset after the other, again while the shard is being loaded.
    static io::Task<void> commit_all(ShardThreadsTest* test, Caller* caller) {
        for (std::int64_t offset = 1; offset <= caller->commits;) {
            protocol::OffsetCommitRequest request{.group_id = caller->group};
            request.topics.push_back(
                {.name = "orders", .partitions = {{.partition_index = 0, .committed_offset = offset}}});
            const auto operation = [&request](GroupShard& shard) { return shard.offsets().commit(request, 8); };
            const auto answer = co_await WriteAwaiter<protocol::OffsetCommitResponse, decltype(operation)>{
                test->shard_, &test->reactors_.front(), operation};
            caller->strayed += io::Reactor::current() == caller->home ? 0 : 1;
            if (answer) {
                ++caller->answered;
                ++offset;
            } else if (answer.error().code != ErrorCode::coordinator_load_in_progress) {
                ++caller->refused;
                ++offset;
            }
        }
        caller->done->count_down();
    }
    static io::Task<void> join(ShardThreadsTest* test, Caller* caller) {
        const auto operation = [test](GroupShard&, Deferred<std::string> answer) {
            test->kept_.push_back(std::move(answer));
            return Result<CoordinatorResult<Nothing>>{CoordinatorResult<Nothing>{}};
        };
        const auto answer = co_await DeferredAwaiter<std::string, decltype(operation)>{
            test->shard_, &test->reactors_.front(), operation};
        caller->strayed += io::Reactor::current() == caller->home ? 0 : 1;
        caller->told = answer ? *answer : std::string{to_string(answer.error().code)};
        caller->done->count_down();
    }
    Caller& call(io::Task<void> (*how)(ShardThreadsTest*, Caller*), int reactor, std::string group, std::latch& done,
                 std::int64_t commits = kCommits) {
        Caller& caller = callers_.emplace_back(Caller{.home = &reactors_[static_cast<std::size_t>(reactor)],
                                                      .group = std::move(group),
                                                      .done = &done,
                                                      .commits = commits});
        caller.home->post([this, how, &caller] {
            caller.task = how(this, &caller);
            caller.task.start([](void*) {}, nullptr);
        });
        return caller;
    }
    // One commit, from another thread than the shard's, which must not be kept busy meanwhile.
    void load() {
        shard_->load();
        std::latch done{1};
        call(&commit_all, 1, "probe", done, 1);
        done.wait();
        on(1, [] {});  // the call has ended there
        callers_.clear();
    }
    template <class Function>
    void on(std::size_t reactor, Function function) {
        std::latch done{1};
        reactors_[reactor].post([&] {
            function();
            done.count_down();
        });
        done.wait();
    }
    std::size_t waiting() {
        std::size_t count = 0;
        on(0, [&] { count = kept_.size(); });
        return count;
    }

    ManualClock clock_;
    SeededRandom random_{7};
    io::SimulatedFileSystem files_;
    io::BlockingPool pool_{1};
    metadata::ImageHolder images_;
    std::array<io::Reactor, kReactors> reactors_{io::Reactor{0, clock_}, io::Reactor{1, clock_},
                                                 io::Reactor{2, clock_}};
    std::shared_ptr<replication::Partition> partition_;
    std::shared_ptr<ShardRuntime> shard_;
    std::vector<std::thread> threads_;
    std::deque<Caller> callers_;
    std::vector<Deferred<std::string>> kept_;  // on the shard's reactor
};

TEST_F(ShardThreadsTest, CommitsFromAllReactorsAreAnsweredWhereTheyCameFrom) {
    load();
    std::latch done{2 * kReactors};
    for (int i = 0; i < 2 * kReactors; ++i) call(&commit_all, i % kReactors, "g" + std::to_string(i), done);
    done.wait();
    for (const Caller& each : callers_) {
        EXPECT_EQ(each.answered, kCommits) << each.group;
        EXPECT_EQ(each.refused, 0) << each.group;
        EXPECT_EQ(each.strayed, 0) << each.group;
    }
    EXPECT_EQ(partition_->high_watermark(), Offset{2 * kReactors * kCommits + 1});
}

TEST_F(ShardThreadsTest, WhoWaitsForOthersIsAnsweredWhereHeWaits) {
    load();
    std::latch done{kReactors};
    for (int i = 0; i < kReactors; ++i) call(&join, i, "g", done);
    while (waiting() < kReactors) std::this_thread::yield();
    on(0, [&] {
        for (auto& answer : std::exchange(kept_, {})) answer.complete("all are here");
    });
    done.wait();
    for (const Caller& each : callers_) EXPECT_EQ(each.told, "all are here");
    for (const Caller& each : callers_) EXPECT_EQ(each.strayed, 0);
}

TEST_F(ShardThreadsTest, AnUnloadAmidCommitsAnswersEveryCall) {
    load();
    std::latch done{kReactors};
    for (int i = 0; i < kReactors; ++i) call(&commit_all, i, "g" + std::to_string(i), done);
    while (partition_->high_watermark() < Offset{50}) std::this_thread::yield();
    unload();
    done.wait();
    std::int64_t answered = 0;
    for (const Caller& each : callers_) {
        EXPECT_EQ(each.answered + each.refused, kCommits) << each.group;
        answered += each.answered;
    }
    // What was acknowledged is in the log; so may be what was being written.
    EXPECT_GE(partition_->high_watermark(), Offset{answered + 1});
}

}  // namespace
}  // namespace odr::coordinator
