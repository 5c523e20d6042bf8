#include "coordinator/shard_runtime.h"

#include <gtest/gtest.h>

#include <deque>

#include "base/log.h"
#include "coordinator/group_coordinator.h"
#include "coordinator/offset_store.h"
#include "io/simulated_file_system.h"
#include "protocol/generated/offset_commit_key.h"
#include "protocol/generated/offset_commit_value.h"

namespace odr::coordinator {
namespace {

// A shard on a real partition on simulated files, and one reactor turned by hand.
class ShardRuntimeTest : public testing::Test {
protected:
    ShardRuntimeTest() { open(); }
    ~ShardRuntimeTest() override { unload(); }

    static config::LogConfig log_config() {
        config::LogConfig config;
        config.max_message_bytes = 2'000;
        return config;
    }
    void open() {
        auto log = storage::open_log(io::MayBlock::for_test(), {.files = &files_},
                                     {.directory = "/logs/__consumer_offsets-3",
                                      .topic_partition = {"__consumer_offsets", PartitionIndex{3}},
                                      .config = std::make_shared<const config::LogConfig>(log_config()),
                                      .now = clock_.now()});
        ASSERT_TRUE(log);
        partition_ = std::make_shared<replication::Partition>(*log, LeaderEpoch{1}, clock_, pool_);
        make_shard();
    }
    void make_shard() {
        shard_ = std::make_shared<ShardRuntime>(
            ShardEnvironment{.clock = &clock_, .random = &random_, .pool = &pool_, .images = &images_}, partition_,
            reactor_, std::make_shared<const GroupSettings>(settings_));
    }
    void load() {
        shard_->load();
        settle();
    }
    bool unload() {
        bool is_done = false;
        shard_->unload([&is_done] { is_done = true; });
        settle();
        return is_done;
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

    // One request: what it was told is "ok ..." or the name of the error.
    struct Asked {
        std::string group;
        std::int64_t offset = 0;
        std::string metadata;
        std::string told = "waits";
        io::Task<void> task;
    };
    static io::Task<void> commit_one(ShardRuntimeTest* test, Asked* asked) {
        protocol::OffsetCommitRequest request{.group_id = asked->group};
        request.topics.push_back(
            {.name = "orders",
             .partitions = {
                 {.partition_index = 0, .committed_offset = asked->offset, .committed_metadata = asked->metadata}}});
        const auto operation = [&request](GroupShard& shard) { return shard.offsets().commit(request, 8); };
        const auto answer = co_await WriteAwaiter<protocol::OffsetCommitResponse, decltype(operation)>{
            test->shard_, &test->reactor_, operation};
        asked->told = answer ? "ok" : std::string{to_string(answer.error().code)};
    }
    static io::Task<void> fetch_one(ShardRuntimeTest* test, Asked* asked) {
        const auto operation = [asked](GroupShard& shard) {
            CoordinatorResult<std::int64_t> result;
            const CommittedOffset* const found = shard.offsets().find(asked->group, "orders", 0);
            result.response = found == nullptr ? -1 : found->offset;
            return Result<CoordinatorResult<std::int64_t>>{std::move(result)};
        };
        const auto answer =
            co_await WriteAwaiter<std::int64_t, decltype(operation)>{test->shard_, &test->reactor_, operation};
        asked->told = answer ? std::to_string(*answer) : std::string{to_string(answer.error().code)};
    }
    // Keeps its answer open until somebody completes kept_.
    static io::Task<void> join_one(ShardRuntimeTest* test, Asked* asked) {
        const auto operation = [test](GroupShard&, Deferred<std::string> answer) {
            test->kept_ = std::move(answer);
            return Result<CoordinatorResult<Nothing>>{CoordinatorResult<Nothing>{}};
        };
        const auto answer =
            co_await DeferredAwaiter<std::string, decltype(operation)>{test->shard_, &test->reactor_, operation};
        asked->told = answer ? *answer : std::string{to_string(answer.error().code)};
    }
    Asked& ask(io::Task<void> (*how)(ShardRuntimeTest*, Asked*), Asked given) {
        Asked& asked = asked_.emplace_back(std::move(given));
        reactor_.post([this, how, &asked] {
            asked.task = how(this, &asked);
            asked.task.start([](void*) {}, nullptr);
        });
        return asked;
    }
    Asked& commit(std::string group, std::int64_t offset, std::string metadata = "") {
        return ask(&commit_one, {.group = std::move(group), .offset = offset, .metadata = std::move(metadata)});
    }
    std::string fetch(std::string group) {
        Asked& asked = ask(&fetch_one, {.group = std::move(group)});
        settle();
        return asked.told;
    }
    template <class Key, class Value>
    void append(const Key& key, std::int16_t version, const Value& value) {
        const CoordinatorRecord record = record_of(key, version, value);
        append_bytes(record.key, *record.value);
    }
    void append_bytes(const std::vector<std::uint8_t>& key, const std::vector<std::uint8_t>& value) {
        record::RecordBatchBuilder builder;
        builder.append(clock_.now(), ByteView{key}, ByteView{value});
        const storage::AppendLock lock = partition_->log().lock_for_append();
        auto bytes = *builder.build();
        storage::PendingAppend pending{.batch = *record::MutableRecordBatch::parse(bytes),
                                       .origin = storage::AppendOrigin::coordinator};
        storage::AppendDemand demand;
        demand.add(pending.batch);
        ASSERT_TRUE(partition_->log().ready_to_append(lock, demand, clock_.now()));
        partition_->log().append(lock, {&pending, 1}, LeaderEpoch{1}, clock_.now());
        ASSERT_TRUE(pending.result);
    }

    // So that the CRC of the last batch does not match.
    void damage_last_byte() {
        const std::string path = "/logs/__consumer_offsets-3/00000000000000000000.log";
        std::string bytes = files_.contents(path);
        bytes.back() = static_cast<char>(bytes.back() ^ 1);
        files_.set_contents(path, bytes);
    }

    ManualClock clock_;
    SeededRandom random_{7};
    io::SimulatedFileSystem files_;
    io::Reactor reactor_{0, clock_};
    io::BlockingPool pool_{1};
    metadata::ImageHolder images_;
    GroupSettings settings_;
    std::shared_ptr<replication::Partition> partition_;
    std::shared_ptr<ShardRuntime> shard_;
    std::deque<Asked> asked_;
    Deferred<std::string> kept_;
};

TEST_F(ShardRuntimeTest, OperationsAreRefusedUntilTheLogIsRead) {
    EXPECT_EQ(fetch("g"), "COORDINATOR_LOAD_IN_PROGRESS");
    load();
    EXPECT_EQ(fetch("g"), "-1");
}

TEST_F(ShardRuntimeTest, ACommitIsAnsweredOnceItIsInTheLog) {
    load();
    Asked& first = commit("g", 5);
    settle();
    EXPECT_EQ(first.told, "ok");
    EXPECT_EQ(partition_->high_watermark(), Offset{1});
    EXPECT_EQ(fetch("g"), "5");
}

TEST_F(ShardRuntimeTest, AllCommitsOfOneTurnShareOneBatchAndOneWrite) {
    load();
    commit("g", 1);
    settle();  // the segment is open now
    const std::uint64_t writes = files_.counts().writes;
    std::vector<Asked*> burst;
    for (int i = 0; i < 10; ++i) burst.push_back(&commit("g" + std::to_string(i), i));
    settle();
    EXPECT_EQ(files_.counts().writes - writes, 1u);
    EXPECT_EQ(partition_->high_watermark(), Offset{11});
    for (const Asked* each : burst) EXPECT_EQ(each->told, "ok");
}

TEST_F(ShardRuntimeTest, WhatExceedsOneBatchGoesIntoTheNextInOrder) {
    load();
    std::vector<Asked*> burst;
    for (int i = 0; i < 40; ++i) burst.push_back(&commit("g", i, std::string(200, 'm')));
    settle();
    for (const Asked* each : burst) EXPECT_EQ(each->told, "ok");
    EXPECT_EQ(partition_->high_watermark(), Offset{40});
    EXPECT_EQ(fetch("g"), "39");
    unload();
    make_shard();
    load();
    EXPECT_EQ(fetch("g"), "39");
}

TEST_F(ShardRuntimeTest, WhatFitsIntoNoBatchIsRefusedAndLeavesTheStateAlone) {
    load();
    Asked& large = commit("g", 1, std::string(2'000, 'm'));
    settle();
    EXPECT_EQ(large.told, "UNKNOWN_SERVER_ERROR");
    EXPECT_EQ(fetch("g"), "-1");
}

TEST_F(ShardRuntimeTest, ARestartReplaysWhatWasCommitted) {
    load();
    for (int i = 0; i < 3; ++i) {
        commit("g", i);
        settle();
    }
    unload();
    make_shard();
    load();
    EXPECT_EQ(fetch("g"), "2");
}

TEST_F(ShardRuntimeTest, RecordsThatNobodyKnowsOrCanReadAreNamedInTheLogAndLeftOut) {
    load();
    commit("g", 1);
    settle();
    unload();
    append_bytes({0, 99, 1, 2, 3}, {0, 0});  // a type of the future
    append_bytes({0, 1, 0}, {0, 4});         // cut short
    append_bytes({7}, {});                   // not even a type
    append(protocol::OffsetCommitKey{.group = "damaged", .topic = "orders", .partition = 0}, 1,
           protocol::OffsetCommitValue{.offset = 9});
    damage_last_byte();
    make_shard();
    log::set_level(log::Level::info);  // other tests of this program turn it down
    testing::internal::CaptureStderr();
    load();
    const std::string said = testing::internal::GetCapturedStderr();
    for (const char* place : {"offset 1 ", "offset 2 ", "offset 3 ", "offset 4 "}) {
        EXPECT_NE(said.find(std::string{"__consumer_offsets-3: the record at "} + place), std::string::npos) << said;
    }
    EXPECT_NE(said.find("1 records loaded in 0 ms, 4 left out"), std::string::npos) << said;
    EXPECT_EQ(fetch("g"), "1");
    EXPECT_EQ(fetch("damaged"), "-1");
    Asked& after = commit("g", 2);
    settle();
    EXPECT_EQ(after.told, "ok");
    EXPECT_EQ(partition_->high_watermark(), Offset{6});
}

TEST_F(ShardRuntimeTest, AFailedWriteIsAnsweredAndTheStateIsThatOfTheLogAgain) {
    load();
    commit("g", 1);
    settle();
    files_.fail_writes(1, ENOSPC);
    Asked& lost = commit("g", 2);
    Asked& read = ask(&fetch_one, {.group = "g"});  // sees what is never written, so it must not be told
    settle();
    EXPECT_EQ(lost.told, "NOT_COORDINATOR");
    EXPECT_EQ(read.told, "NOT_COORDINATOR");
    EXPECT_EQ(fetch("g"), "1");
    Asked& again = commit("g", 3);
    settle();
    EXPECT_EQ(again.told, "ok");
    EXPECT_EQ(fetch("g"), "3");
}

TEST_F(ShardRuntimeTest, AppendsOfSomebodyElseMakeTheShardLoadAnew) {
    load();
    commit("g", 1);
    settle();
    append(protocol::OffsetCommitKey{.group = "other", .topic = "orders", .partition = 0}, 4,
           protocol::OffsetCommitValue{.offset = 77});
    Asked& surprised = commit("g", 2);
    settle();
    EXPECT_EQ(surprised.told, "UNKNOWN_SERVER_ERROR");
    EXPECT_EQ(fetch("other"), "77");
    EXPECT_EQ(fetch("g"), "2") << "it did get into the log";
}

TEST_F(ShardRuntimeTest, UnloadAnswersThoseWhoWait) {
    load();
    Asked& joining = ask(&join_one, {.group = "g"});
    settle();
    EXPECT_EQ(joining.told, "waits");
    Asked& writing = commit("g", 1);
    shard_->unload([] {});
    reactor_.post([this] { kept_ = {}; });  // as the state does when it goes
    settle();
    EXPECT_EQ(joining.told, "NOT_COORDINATOR");
    EXPECT_TRUE(writing.told == "NOT_COORDINATOR" || writing.told == "ok") << writing.told;
    EXPECT_EQ(fetch("g"), "NOT_COORDINATOR");
}

TEST_F(ShardRuntimeTest, UnloadWhileTheLogIsReadEndsTheLoad) {
    bool is_done = false;
    shard_->load();
    shard_->unload([&is_done] { is_done = true; });
    settle();
    EXPECT_TRUE(is_done);
    EXPECT_EQ(fetch("g"), "NOT_COORDINATOR");
}

TEST_F(ShardRuntimeTest, ADeferredAnswerComesWhenItIsGiven) {
    load();
    Asked& joining = ask(&join_one, {.group = "g"});
    settle();
    EXPECT_EQ(joining.told, "waits");
    reactor_.post([this] { kept_.complete("generation 1"); });
    settle();
    EXPECT_EQ(joining.told, "generation 1");
}

TEST_F(ShardRuntimeTest, TimersRunAsOperationsAndOneNameHasOneTimer) {
    load();
    int fired = 0;
    reactor_.post([&] {
        for (int i = 0; i < 2; ++i) {
            shard_->schedule("t", 100, [&fired]() -> Result<CoordinatorResult<Nothing>> {
                ++fired;
                return CoordinatorResult<Nothing>{};
            });
        }
        shard_->schedule("cancelled", 100, [&fired]() -> Result<CoordinatorResult<Nothing>> {
            fired += 100;
            return CoordinatorResult<Nothing>{};
        });
        shard_->cancel("cancelled");
    });
    settle();
    clock_.advance_ms(99);
    settle();
    EXPECT_EQ(fired, 0);
    clock_.advance_ms(2);
    settle();
    EXPECT_EQ(fired, 1);
}

TEST_F(ShardRuntimeTest, OffsetsExpireByTheTimerAndTakeTheEmptyGroupAlong) {
    load();
    commit("g", 1);
    settle();
    clock_.advance_ms(settings_.offsets_retention_ms - settings_.offsets_retention_check_interval_ms);
    settle();
    EXPECT_EQ(fetch("g"), "1");
    for (int i = 0; i < 3; ++i) {
        clock_.advance_ms(settings_.offsets_retention_check_interval_ms + 1);
        settle();
    }
    EXPECT_EQ(fetch("g"), "-1");
    unload();
    make_shard();
    load();
    EXPECT_EQ(fetch("g"), "-1");
}

struct ErrorRow {
    ErrorCode append;
    ErrorCode client;
};
constexpr ErrorRow kErrors[] = {
    {ErrorCode::unknown_topic_or_partition, ErrorCode::coordinator_not_available},
    {ErrorCode::not_enough_replicas, ErrorCode::coordinator_not_available},
    {ErrorCode::request_timed_out, ErrorCode::coordinator_not_available},
    {ErrorCode::not_leader_or_follower, ErrorCode::not_coordinator},
    {ErrorCode::kafka_storage_error, ErrorCode::not_coordinator},
    {ErrorCode::message_too_large, ErrorCode::unknown_server_error},
    {ErrorCode::record_list_too_large, ErrorCode::unknown_server_error},
    {ErrorCode::invalid_fetch_size, ErrorCode::unknown_server_error},
    {ErrorCode::unknown_member_id, ErrorCode::unknown_member_id},
};

TEST(CoordinatorErrors, OfAppendsAreWhatClientsOfCoordinatorsUnderstand) {
    for (const ErrorRow& row : kErrors) {
        EXPECT_EQ(to_string(coordinator_error_of(row.append)), to_string(row.client)) << to_string(row.append);
    }
}

struct PartitionRow {
    const char* group;
    std::int32_t partition;  // of 50, as Kafka's Utils.abs(hashCode) gives
};
constexpr PartitionRow kPartitions[] = {
    {"", 0},
    {"g", 3},
    {"my-group", 12},           // a negative hash
    {"simple", 26},             // another
    {"polygenelubricants", 0},  // the smallest number
    {"gro\xc3\x9f", 41},
    {"\xe6\xb6\x88\xe8\xb2\xbb", 17},
    {"\xf0\x9f\x98\x80", 49},
};

TEST(PartitionFor, IsWhatJavaSays) {
    for (const PartitionRow& row : kPartitions) EXPECT_EQ(partition_for(row.group, 50), row.partition) << row.group;
}

}  // namespace
}  // namespace odr::coordinator
