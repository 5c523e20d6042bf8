#include <gtest/gtest.h>

#include "io/simulated_file_system.h"
#include "raft/snapshot_reader.h"
#include "raft/snapshot_writer.h"
#include "record/record_batch.h"

namespace odr::raft {

class SnapshotTest : public testing::Test {
protected:
    static constexpr OffsetAndEpoch kId{Offset{27}, LeaderEpoch{1}};
    io::MayBlock may_block_ = io::MayBlock::for_test();
    io::SimulatedFileSystem files_;

    void SetUp() override {
        ASSERT_TRUE(files_.create_directories("/d"));
        ASSERT_TRUE(files_.sync_directory(may_block_, "/"));
    }
    static std::string of_kafka(const std::string& name) {
        return *io::real_file_system().read_file(std::string{ODR_TESTDATA} + "/kafka-4.3.0/" + name);
    }
    // Gives: every record as text, or the error's code.
    Result<std::vector<std::string>> read(const std::string& path) {
        ODR_TRY(reader, SnapshotReader::open(may_block_, files_, path, kId));
        std::vector<std::string> all;
        for (;;) {
            ODR_TRY(records, reader->next(may_block_));
            if (records.empty()) break;
            for (const ByteView record : records) all.emplace_back(as_text(record));
        }
        last_reader_ = std::move(reader);
        return all;
    }
    std::unique_ptr<SnapshotWriter> writer(SnapshotWriter::Options options) {
        options.path = "/d/" + snapshot_file_name(kId);
        options.id = kId;
        return std::move(*SnapshotWriter::create(may_block_, files_, std::move(options)));
    }
    static void append(SnapshotWriter& to, const std::vector<std::string>& records) {
        std::vector<ByteView> views;
        for (const std::string& record : records) views.push_back(as_bytes(record));
        ASSERT_TRUE(to.append(views));
    }
    // Times and checksums differ between two writers; everything else must not.
    static std::string without_times(std::string bytes) {
        std::size_t at = 0;
        while (at + record::kRecordBatchOverhead <= bytes.size()) {
            const auto size = 12 + load_be<std::uint32_t>(as_bytes(bytes).data() + at + 8);
            std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at) + 17, 4, '\0');
            std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at) + 27, 16, '\0');
            at += size;
        }
        return bytes;
    }
    std::unique_ptr<SnapshotReader> last_reader_;
};

TEST_F(SnapshotTest, WhatKafkaWroteIsReadAndWrittenAgainByteForByteButForTheTime) {
    const std::string kafka = of_kafka("00000000000000000027-0000000001.checkpoint");
    files_.set_contents("/d/kafka", kafka);
    const auto records = read("/d/kafka");
    ASSERT_TRUE(records);
    EXPECT_EQ(records->size(), 16U);
    EXPECT_EQ(last_reader_->kraft_version(), 1);
    ASSERT_TRUE(last_reader_->voters());
    ASSERT_EQ(last_reader_->voters()->size(), 1U);
    EXPECT_EQ(last_reader_->voters()->front().key.id, BrokerId{1});
    EXPECT_EQ(last_reader_->voters()->front().endpoints.front(), (VoterEndpoint{"CONTROLLER", "127.0.0.1", 29693}));

    SnapshotWriter::Options options;
    options.last_contained_log_timestamp = last_reader_->last_contained_log_timestamp();
    options.kraft_version = 1;
    options.voters = *last_reader_->voters();
    const auto again = writer(options);
    append(*again, *records);
    ASSERT_TRUE(again->freeze(may_block_));
    EXPECT_EQ(without_times(files_.contents("/d/00000000000000000027-0000000001.checkpoint")), without_times(kafka));
}

TEST_F(SnapshotTest, TheFirstSnapshotOfADynamicQuorumIsAsKafkaFormatsIt) {
    const std::string kafka = of_kafka("00000000000000000000-0000000000.checkpoint");
    files_.set_contents("/d/kafka", kafka);
    EXPECT_EQ(*read("/d/kafka"), std::vector<std::string>{});
    SnapshotWriter::Options options;
    options.path = "/d/ours";
    options.last_contained_log_timestamp = last_reader_->last_contained_log_timestamp();
    options.kraft_version = 1;
    options.voters = *last_reader_->voters();
    const auto ours = SnapshotWriter::create(may_block_, files_, options);
    ASSERT_TRUE((*ours)->freeze(may_block_));
    EXPECT_EQ(without_times(files_.contents("/d/ours")), without_times(kafka));
}

TEST_F(SnapshotTest, RecordsOverTheBatchLimitGoIntoSeveralBatches) {
    SnapshotWriter::Options options;
    options.batch_bytes_max = 300;
    const auto snapshot = writer(options);
    const std::vector<std::string> records(10, std::string(100, 'x'));
    append(*snapshot, records);
    ASSERT_TRUE(snapshot->freeze(may_block_));
    EXPECT_EQ(*read("/d/" + snapshot_file_name(kId)), records);
}

TEST_F(SnapshotTest, ASnapshotDroppedBeforeItsEndLeavesNoFile) {
    append(*writer({}), {"a"});
    EXPECT_TRUE(files_.list("/d")->empty());
}

TEST_F(SnapshotTest, APowerCutBeforeTheEndNeverLeavesASnapshotUnderItsName) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        auto half = writer({});
        append(*half, {std::string(5000, 'x')});
        files_.crash(seed);
        EXPECT_FALSE(files_.exists("/d/" + snapshot_file_name(kId)));
        half.reset();
    }
}

TEST_F(SnapshotTest, APowerCutAfterTheEndLosesNothing) {
    const auto whole = writer({});
    append(*whole, {"a", "b"});
    ASSERT_TRUE(whole->freeze(may_block_));
    files_.crash(7);
    EXPECT_EQ(*read("/d/" + snapshot_file_name(kId)), (std::vector<std::string>{"a", "b"}));
}

TEST_F(SnapshotTest, EveryTruncationAndEveryFlippedByteIsNoticed) {
    const std::string kafka = of_kafka("00000000000000000027-0000000001.checkpoint");
    for (std::size_t size = 0; size < kafka.size(); ++size) {
        files_.set_contents("/d/cut", kafka.substr(0, size));
        EXPECT_FALSE(read("/d/cut")) << size;
    }
    // Outside the CRC stand offset and epoch; a wrong length shows as a wrong CRC or a missing footer.
    for (std::size_t at = record::kRecordBatchOverhead; at < kafka.size(); at += 7) {
        std::string flipped = kafka;
        flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
        files_.set_contents("/d/flipped", flipped);
        const auto records = read("/d/flipped");
        if (records) {
            EXPECT_EQ(records->size(), 16U) << at;
        }
    }
}

TEST(SnapshotFileNameTest, GoesBothWays) {
    EXPECT_EQ(snapshot_file_name({Offset{123}, LeaderEpoch{4}}), "00000000000000000123-0000000004.checkpoint");
    EXPECT_EQ(parse_snapshot_file_name("00000000000000000123-0000000004.checkpoint"),
              (OffsetAndEpoch{Offset{123}, LeaderEpoch{4}}));
    EXPECT_FALSE(parse_snapshot_file_name("00000000000000000123-0000000004.checkpoint.part"));
    EXPECT_FALSE(parse_snapshot_file_name("99999999999999999999-0000000004.checkpoint"));
    EXPECT_FALSE(parse_snapshot_file_name("leader-epoch-checkpoint"));
}

TEST(StaticVotersTest, AreParsedAndSorted) {
    const auto voters = parse_static_voters("2@b:9093, 1@[::1]:9094", "CONTROLLER");
    ASSERT_TRUE(voters);
    ASSERT_EQ(voters->size(), 2U);
    EXPECT_EQ((*voters)[0].key.id, BrokerId{1});
    EXPECT_EQ((*voters)[0].endpoints.front(), (VoterEndpoint{"CONTROLLER", "::1", 9094}));
    EXPECT_FALSE(parse_static_voters("1@a:9093,1@b:9093", "C"));
    EXPECT_FALSE(parse_static_voters("a:9093", "C"));
    EXPECT_FALSE(parse_static_voters("1@a", "C"));
}

}  // namespace odr::raft
