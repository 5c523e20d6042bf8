#include "raft/metadata_log.h"

#include <fmt/format.h>

#include <gtest/gtest.h>

#include <thread>

#include "io/simulated_file_system.h"
#include "raft/quorum_state.h"
#include "record/record_batch.h"

namespace odr::raft {

// Remembers the records of the log as texts.
class Listener final : public MetadataLogListener {
public:
    Result<void> handle_load_snapshot(io::MayBlock may_block, SnapshotReader& snapshot) override {
        records.clear();
        for (;;) {
            ODR_TRY(batch, snapshot.next(may_block));
            if (batch.empty()) return {};
            for (const ByteView record : batch) records.emplace_back(as_text(record));
        }
    }
    Result<void> handle_commit(io::MayBlock, const CommittedBatch& batch) override {
        EXPECT_EQ(batch.base_offset, next_offset < batch.base_offset ? batch.base_offset : next_offset);
        next_offset = batch.last_offset + 1;
        for (const ByteView record : batch.records) records.emplace_back(as_text(record));
        return {};
    }
    void handle_leader_change(const LeaderAndEpoch& now, std::int16_t) override { leader = now; }

    std::vector<std::string> records;
    Offset next_offset{0};
    LeaderAndEpoch leader;
};

class MetadataLogTest : public testing::Test {
protected:
    io::MayBlock may_block_ = io::MayBlock::for_test();
    io::SimulatedFileSystem files_;
    ManualClock clock_;
    MetadataLogOptions options_;
    std::unique_ptr<Listener> listener_;
    std::unique_ptr<MetadataLog> log_;

    void SetUp() override {
        options_.directory = "/logs";
        options_.self = {BrokerId{1}, Uuid{{1, 2, 3}}};
        options_.static_voters = *parse_static_voters("1@localhost:9093", "CONTROLLER");
        ASSERT_TRUE(files_.create_directories("/logs"));
        ASSERT_TRUE(files_.sync_directory(may_block_, "/"));
    }
    void TearDown() override {
        log_.reset();  // before its listener
    }
    Result<void> start() {
        log_.reset();
        listener_ = std::make_unique<Listener>();
        ODR_TRY(log, MetadataLog::open(may_block_, files_, clock_, options_));
        log_ = std::move(log);
        ODR_CHECK(log_->register_listener(may_block_, *listener_));
        return log_->become_leader(may_block_);
    }
    Result<Offset> append(const std::vector<std::string>& records) {
        std::vector<ByteView> views;
        for (const std::string& record : records) views.push_back(as_bytes(record));
        return log_->append(may_block_, log_->leader_and_epoch().epoch, views);
    }
    std::string contents(const std::string& name) { return files_.contents("/logs/__cluster_metadata-0/" + name); }
    void put(const std::string& name, std::string_view bytes) {
        files_.set_contents("/logs/__cluster_metadata-0/" + name, bytes);
    }
    void put_kafkas_log() {
        ASSERT_TRUE(files_.create_directories("/logs/__cluster_metadata-0"));
        const std::string folder = std::string{ODR_TESTDATA} + "/kafka-4.3.0/";
        const auto entries = io::real_file_system().list(folder);
        for (const auto& entry : *entries) put(entry.name, *io::real_file_system().read_file(folder + entry.name));
        options_.static_voters.clear();
        options_.self = {BrokerId{1}, *Uuid::parse("xwnSooX6S5Oc6ciGPC-Aqg")};
        options_.local_endpoints = {{"CONTROLLER", "127.0.0.1", 29693}};
    }
    Result<bool> snapshot(const std::vector<std::string>& state) {
        ODR_TRY(writer, log_->create_snapshot(may_block_, {log_->high_watermark(), log_->leader_and_epoch().epoch},
                                              clock_.now()));
        if (writer == nullptr) return false;
        std::vector<ByteView> views;
        for (const std::string& record : state) views.push_back(as_bytes(record));
        ODR_CHECK(writer->append(views));
        ODR_CHECK(writer->freeze(may_block_));
        return true;
    }
};

using Texts = std::vector<std::string>;

TEST_F(MetadataLogTest, AFreshLogLeadsEpochOneAndBeginsWithALeaderChange) {
    ASSERT_TRUE(start());
    EXPECT_EQ(listener_->leader, (LeaderAndEpoch{BrokerId{1}, LeaderEpoch{1}}));
    EXPECT_EQ(log_->log_end_offset(), Offset{1});
    EXPECT_EQ(log_->high_watermark(), Offset{1});
    EXPECT_EQ(
        contents("quorum-state"),
        R"({"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0})");
    EXPECT_EQ(contents("partition.metadata"), "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ");
    EXPECT_EQ(contents("leader-epoch-checkpoint"), "0\n1\n1 0\n");
}

TEST_F(MetadataLogTest, WhatWasAppendedIsToldOnceAndAgainAfterAStart) {
    ASSERT_TRUE(start());
    EXPECT_EQ(*append({"a", "b"}), Offset{2});
    EXPECT_EQ(*append({"c"}), Offset{3});
    EXPECT_EQ(listener_->records, (Texts{"a", "b", "c"}));
    EXPECT_EQ(log_->high_watermark(), Offset{4});
    ASSERT_TRUE(log_->close(may_block_));
    ASSERT_TRUE(start());
    EXPECT_EQ(listener_->records, (Texts{"a", "b", "c"}));
    EXPECT_EQ(listener_->leader.epoch, LeaderEpoch{2});
    EXPECT_EQ(log_->log_end_offset(), Offset{5});
}

TEST_F(MetadataLogTest, AnUnflushedAppendIsToldNobodyBeforeItsCommit) {
    ASSERT_TRUE(start());
    const std::string record = "a";
    const ByteView view = as_bytes(record);
    const auto last = log_->append_unflushed(may_block_, LeaderEpoch{1}, {&view, 1});
    ASSERT_TRUE(last);
    EXPECT_TRUE(listener_->records.empty());
    EXPECT_EQ(log_->high_watermark(), Offset{1});
    ASSERT_TRUE(log_->commit(may_block_, *last));
    EXPECT_EQ(listener_->records, Texts{"a"});
    EXPECT_EQ(log_->high_watermark(), Offset{2});
}

TEST_F(MetadataLogTest, AppendsOfAnotherEpochAreRefused) {
    ASSERT_TRUE(start());
    const ByteView view = as_bytes("a");
    EXPECT_EQ(log_->append(may_block_, LeaderEpoch{0}, {&view, 1}).error().code, ErrorCode::not_leader_or_follower);
    EXPECT_EQ(log_->append(may_block_, LeaderEpoch{2}, {&view, 1}).error().code, ErrorCode::not_leader_or_follower);
}

TEST_F(MetadataLogTest, AnAppendLargerThanABatchIsRefusedAndChangesNothing) {
    ASSERT_TRUE(start());
    EXPECT_EQ(append(Texts(3, std::string(4 << 20, 'x'))).error().code, ErrorCode::record_list_too_large);
    EXPECT_EQ(log_->log_end_offset(), Offset{1});
    EXPECT_TRUE(append({"a"}));
}

TEST_F(MetadataLogTest, NothingIsToldAfterAFailedSync) {
    ASSERT_TRUE(start());
    files_.fail_syncs(1, EIO);
    EXPECT_EQ(append({"a"}).error().code, ErrorCode::kafka_storage_error);
    EXPECT_TRUE(listener_->records.empty());
    EXPECT_FALSE(append({"b"})) << "nothing is known of the tail any more";
    EXPECT_TRUE(listener_->records.empty());
}

TEST_F(MetadataLogTest, APowerCutAtAnyMomentLosesNothingThatWasAnswered) {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        SCOPED_TRACE(seed);
        files_.~SimulatedFileSystem();
        new (&files_) io::SimulatedFileSystem;
        ASSERT_TRUE(files_.create_directories("/logs"));
        ASSERT_TRUE(files_.sync_directory(may_block_, "/"));
        ASSERT_TRUE(start());
        Texts answered;
        LeaderEpoch epoch = log_->leader_and_epoch().epoch;
        for (int round = 0; round < 3; ++round) {
            for (std::uint64_t i = 0; i < seed % 5 + 1; ++i) {
                const std::string text = fmt::format("{}-{}-{}", seed, round, i);
                ASSERT_TRUE(append({text, text + "+"}));
                answered.insert(answered.end(), {text, text + "+"});
            }
            const ByteView lost = as_bytes("perhaps");
            ASSERT_TRUE(log_->append_unflushed(may_block_, epoch, {&lost, 1}));
            files_.crash(seed * 100 + static_cast<std::uint64_t>(round));
            clock_.advance_ms(1000);
            ASSERT_TRUE(start());
            EXPECT_GT(log_->leader_and_epoch().epoch, epoch);
            epoch = log_->leader_and_epoch().epoch;
            // The record that was never committed may be there or not; nothing else may differ.
            if (listener_->records.size() > answered.size()) answered.emplace_back("perhaps");
            EXPECT_EQ(listener_->records, answered);
        }
    }
}

TEST_F(MetadataLogTest, ATornTailIsCut) {
    ASSERT_TRUE(start());
    ASSERT_TRUE(append({"a"}));
    ASSERT_TRUE(append({"b"}));
    log_.reset();
    const std::string bytes = contents("00000000000000000000.log");
    put("00000000000000000000.log", bytes.substr(0, bytes.size() - 3));
    ASSERT_TRUE(start());
    EXPECT_EQ(listener_->records, Texts{"a"});
}

TEST_F(MetadataLogTest, ALogThatLostWhatAnEarlierEpochConfirmedIsRefusedAndLeftAsItIs) {
    ASSERT_TRUE(start());
    ASSERT_TRUE(append({"a"}));
    ASSERT_TRUE(append({"b"}));
    const auto end_of_first_epoch = contents("00000000000000000000.log").size();
    ASSERT_TRUE(start());
    ASSERT_TRUE(append({"c"}));
    log_.reset();
    const std::string name = "00000000000000000000.log";
    const std::string sound = contents(name);
    const auto flipped = [&](std::size_t at) {
        std::string bytes = sound;
        bytes[at] = static_cast<char>(bytes[at] ^ 1);
        return bytes;
    };
    for (const std::string& bytes :
         {std::string{}, sound.substr(0, end_of_first_epoch - 3), flipped(0), flipped(end_of_first_epoch - 5)}) {
        put(name, bytes);
        for (int again = 0; again < 2; ++again) {
            const auto started = start();
            ASSERT_FALSE(started) << bytes.size();
            EXPECT_EQ(started.error().what, "confirmed metadata are lost");
            EXPECT_EQ(contents(name), bytes);
        }
    }
    // What the latest epoch wrote may not have been durable.
    put(name, sound.substr(0, sound.size() - 3));
    ASSERT_TRUE(start());
    EXPECT_EQ(listener_->records, (Texts{"a", "b"}));
}

TEST_F(MetadataLogTest, ACheckpointOfEpochsThatTheLogContradictsRefusesNothing) {
    ASSERT_TRUE(start());
    ASSERT_TRUE(append({"a"}));
    ASSERT_TRUE(start());
    log_.reset();
    put("leader-epoch-checkpoint", "0\n2\n1 0\n2 700\n");
    ASSERT_TRUE(start());
    EXPECT_EQ(listener_->records, Texts{"a"});
}

TEST_F(MetadataLogTest, WhatASnapshotHasIsNotLostWithTheLog) {
    ASSERT_TRUE(start());
    ASSERT_TRUE(append({"a"}));
    ASSERT_TRUE(start());
    ASSERT_TRUE(snapshot({"a"}).value());
    log_.reset();
    put("00000000000000000000.log", "");
    ASSERT_TRUE(start());
    EXPECT_EQ(listener_->records, Texts{"a"});
}

TEST_F(MetadataLogTest, AStartReadsTheNewestSnapshotAndTheLogBehindIt) {
    ASSERT_TRUE(start());
    ASSERT_TRUE(append({"a", "b"}));
    ASSERT_TRUE(*snapshot({"ab"}));
    EXPECT_FALSE(*snapshot({"ab"})) << "it is there already";
    ASSERT_TRUE(append({"c"}));
    ASSERT_TRUE(start());
    EXPECT_EQ(listener_->records, (Texts{"ab", "c"}));
}

TEST_F(MetadataLogTest, ABrokenSnapshotIsPassedOverWhileTheLogHasWhatItStoodFor) {
    ASSERT_TRUE(start());
    ASSERT_TRUE(append({"a"}));
    ASSERT_TRUE(*snapshot({"A"}));
    ASSERT_TRUE(append({"b"}));
    const std::string name = snapshot_file_name(*log_->latest_snapshot());
    put(name, contents(name).substr(0, 100));
    put("00000000000000000009-0000000001.checkpoint.part", "half");
    ASSERT_TRUE(start());
    EXPECT_EQ(listener_->records, (Texts{"a", "b"}));
    EXPECT_FALSE(files_.exists("/logs/__cluster_metadata-0/00000000000000000009-0000000001.checkpoint.part"));
}

TEST_F(MetadataLogTest, RetentionBySizeKeepsTheNewestSnapshotAndWhatFollowsIt) {
    options_.retention_bytes = 1;
    ASSERT_TRUE(start());
    ASSERT_TRUE(append({"a"}));
    ASSERT_TRUE(*snapshot({"A"}));
    ASSERT_TRUE(append({"b"}));
    ASSERT_TRUE(*snapshot({"AB"}));
    const OffsetAndEpoch newest = *log_->latest_snapshot();
    ASSERT_TRUE(append({"c"}));
    EXPECT_EQ(*log_->clean(may_block_) > 0, true);
    EXPECT_EQ(log_->log_start_offset(), newest.offset);
    EXPECT_EQ(log_->latest_snapshot(), newest);
    EXPECT_EQ(*log_->clean(may_block_), 0U);
    ASSERT_TRUE(start());
    EXPECT_EQ(listener_->records, (Texts{"AB", "c"}));
}

TEST_F(MetadataLogTest, RetentionByTimeRemovesSnapshotsThatAreOldEnough) {
    options_.retention_ms = 1000;
    ASSERT_TRUE(start());
    ASSERT_TRUE(append({"a"}));
    ASSERT_TRUE(*snapshot({"A"}));
    ASSERT_TRUE(append({"b"}));
    ASSERT_TRUE(*snapshot({"AB"}));
    EXPECT_EQ(*log_->clean(may_block_), 0U);
    clock_.advance_ms(1001);
    EXPECT_GT(*log_->clean(may_block_), 0U);
    ASSERT_TRUE(start());
    EXPECT_EQ(listener_->records, Texts{"AB"});
}

TEST_F(MetadataLogTest, KafkasOwnLogIsReadFromItsSnapshotOnAndGoesOn) {
    put_kafkas_log();
    ASSERT_TRUE(start());
    EXPECT_EQ(listener_->records.size(), 16U + 13U) << "16 in the snapshot, offsets 27 to 39 behind it";
    EXPECT_EQ(log_->kraft_version(), 1);
    EXPECT_EQ(listener_->leader.epoch, LeaderEpoch{2});
    EXPECT_EQ(log_->log_end_offset(), Offset{43})
        << "LeaderChange with KRaftVersion and KRaftVoters, as Kafka after a start";
    const QuorumInfo quorum = log_->describe_quorum();
    EXPECT_EQ(quorum.leader, BrokerId{1});
    EXPECT_EQ(quorum.high_watermark, Offset{43});
    ASSERT_EQ(quorum.current_voters.size(), 1U);
    EXPECT_EQ(quorum.current_voters[0].key, options_.self);
    EXPECT_EQ(quorum.current_voters[0].log_end_offset, Offset{43});
    EXPECT_EQ(
        contents("quorum-state"),
        R"({"leaderId":1,"leaderEpoch":2,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1})");
}

TEST_F(MetadataLogTest, ALogWhoseVotersAreNotThisNodeAloneDoesNotStart) {
    const auto refused = [&] { return start().error().code; };
    options_.static_voters = *parse_static_voters("1@a:1,2@b:1", "C");
    EXPECT_EQ(refused(), ErrorCode::invalid_config);
    options_.static_voters = *parse_static_voters("2@b:1", "C");
    EXPECT_EQ(refused(), ErrorCode::invalid_config);
    options_.static_voters.clear();
    EXPECT_EQ(refused(), ErrorCode::invalid_config);
    put_kafkas_log();
    options_.self.directory_id = Uuid{{9}};
    EXPECT_EQ(refused(), ErrorCode::invalid_config);
}

TEST_F(MetadataLogTest, AppendsOfManyThreadsAreAllThereInOneOrder) {
    ASSERT_TRUE(start());
    constexpr int kThreads = 4;
    constexpr int kEach = 50;
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < kEach; ++i) EXPECT_TRUE(append({fmt::format("{}-{}", t, i)}));
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(listener_->records.size(), static_cast<std::size_t>(kThreads * kEach));
    const Texts told = listener_->records;
    ASSERT_TRUE(start());
    EXPECT_EQ(listener_->records, told);
}

}  // namespace odr::raft
