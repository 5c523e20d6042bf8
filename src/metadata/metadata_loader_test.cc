#include "metadata/metadata_loader.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "io/simulated_file_system.h"
#include "metadata/bootstrap.h"
#include "metadata/image_writer.h"
#include "metadata/snapshot_generator.h"
#include "metadata/test_records.h"
#include "protocol/generated/abort_transaction_record.h"
#include "protocol/generated/begin_transaction_record.h"
#include "protocol/generated/end_transaction_record.h"

namespace odr::metadata {

using namespace testing_records;

class Publisher final : public MetadataPublisher {
public:
    std::string_view name() const override { return "test"; }
    void on_metadata_update(const MetadataChanges& changes, const std::shared_ptr<const MetadataImage>&,
                            const std::shared_ptr<const MetadataImage>& after) override {
        last = changes;
        offsets.push_back(after->offset());
    }
    void on_controller_change(BrokerId leader, LeaderEpoch) override { controller = leader; }
    MetadataChanges last;
    std::vector<Offset> offsets;
    BrokerId controller = kNoBroker;
};

class MetadataLoaderTest : public testing::Test {
protected:
    io::MayBlock may_block_ = io::MayBlock::for_test();
    io::SimulatedFileSystem files_;
    ManualClock clock_;
    raft::MetadataLogOptions options_;
    Publisher publisher_;
    std::unique_ptr<ImageHolder> holder_;
    std::unique_ptr<MetadataLoader> loader_;
    std::unique_ptr<raft::MetadataLog> log_;

    void SetUp() override {
        options_.directory = "/logs";
        options_.self = {BrokerId{1}, id(1)};
        options_.static_voters = *raft::parse_static_voters("1@localhost:9093", "CONTROLLER");
        ASSERT_TRUE(files_.create_directories("/logs"));
    }
    void TearDown() override { log_.reset(); }

    Result<void> start() {
        log_.reset();
        publisher_ = {};
        holder_ = std::make_unique<ImageHolder>();
        holder_->add_publisher(publisher_);
        loader_ = std::make_unique<MetadataLoader>(*holder_);
        ODR_TRY(log, raft::MetadataLog::open(may_block_, files_, clock_, options_));
        log_ = std::move(log);
        ODR_CHECK(log_->register_listener(may_block_, *loader_));
        return log_->become_leader(may_block_);
    }
    Result<Offset> append(const RecordList& records) {
        return log_->append(may_block_, log_->leader_and_epoch().epoch, records.views());
    }
    template <class... Records>
    Result<Offset> append_records(const Records&... records) {
        RecordList list;
        (list.add(records, records.kMaxVersion), ...);
        return append(list);
    }
    const TopicsImage& topics() { return holder_->current()->topics(); }
    // The bytes stand with the layer that reads them first.
    static std::string testdata(const std::string& name) {
        const std::string_view here = ODR_TESTDATA;
        const std::string layers{here.substr(0, here.rfind("metadata/testdata"))};
        const auto bytes = io::real_file_system().read_file(layers + "raft/testdata/kafka-4.3.0/" + name);
        EXPECT_TRUE(bytes) << name;
        return bytes.value_or("");
    }
    void put_kafkas_log(const std::vector<std::string>& names) {
        ASSERT_TRUE(files_.create_directories("/logs/__cluster_metadata-0"));
        for (const std::string& name : names) files_.set_contents("/logs/__cluster_metadata-0/" + name, testdata(name));
        options_.static_voters.clear();
        options_.self = {BrokerId{1}, *Uuid::parse("xwnSooX6S5Oc6ciGPC-Aqg")};
    }
    void expect_what_kafka_had() {
        const MetadataImage& image = *holder_->current();
        EXPECT_EQ(image.features().metadata_version, kMetadataVersionLatest);
        EXPECT_EQ(image.features().level("transaction.version"), 2);
        EXPECT_EQ(image.features().kraft_version, 1);
        EXPECT_EQ(image.topics().size(), 1U);
        const TopicImage* orders = image.topics().find("orders");
        ASSERT_NE(orders, nullptr);
        EXPECT_EQ(orders->id.to_string(), "s2cXEXv4RQSR9Asdx-jUFw");
        EXPECT_EQ(orders->partitions.size(), 4U);
        EXPECT_EQ(orders->partition(PartitionIndex{2})->replicas, std::vector{BrokerId{1}});
        EXPECT_EQ(orders->partition(PartitionIndex{0})->leader, kNoBroker) << "the broker was shut down";
        EXPECT_EQ(orders->partition(PartitionIndex{0})->elr, std::vector{BrokerId{1}});
        EXPECT_EQ(image.configs().find(ConfigResourceType::topic, "orders"),
                  (config::ConfigMap{{"max.message.bytes", "2000000"}}));
        EXPECT_EQ(image.configs().find(ConfigResourceType::broker, ""),
                  (config::ConfigMap{{"log.cleaner.threads", "2"}, {"min.insync.replicas", "1"}}));
        const BrokerRegistration* broker = image.cluster().broker(BrokerId{1});
        ASSERT_NE(broker, nullptr);
        EXPECT_EQ(broker->rack, "r1");
        EXPECT_TRUE(broker->fenced);
        EXPECT_TRUE(broker->in_controlled_shutdown);
        EXPECT_EQ(broker->listener("PLAINTEXT")->port, 29692);
        EXPECT_EQ(image.cluster().controllers.size(), 1U);
        EXPECT_EQ(image.scram().find(ScramMechanism::scram_sha_512, "bob")->iterations, 4096);
        EXPECT_NE(image.scram().find(ScramMechanism::scram_sha_256, "alice"), nullptr);
        EXPECT_EQ(image.acls().acls.size(), 1U);
        EXPECT_EQ(image.producer_ids().next_producer_id, 1000);
        EXPECT_EQ(
            (*image.client_quotas().entities.find(ClientQuotaEntity{{"user", "alice"}, {"client-id", std::nullopt}}))
                ->at("producer_byte_rate"),
            1024);
    }
};

TEST_F(MetadataLoaderTest, EachBatchIsAnImageWithItsChanges) {
    ASSERT_TRUE(start());
    EXPECT_EQ(publisher_.controller, BrokerId{1});
    EXPECT_FALSE(loader_->has_seen_record());
    ASSERT_TRUE(append_records(topic("t", id(1)), partition(id(1), 0, {1}, 1)));
    EXPECT_EQ(topics().size(), 1U);
    EXPECT_EQ(publisher_.offsets.back(), Offset{2});
    EXPECT_TRUE(publisher_.last.created_topics.contains(id(1)));
    EXPECT_EQ(holder_->current()->provenance().last_contained_epoch, LeaderEpoch{1});
}

TEST_F(MetadataLoaderTest, AStartPublishesTheWholeStateOnce) {
    ASSERT_TRUE(start());
    for (std::uint8_t i = 1; i <= 5; ++i) ASSERT_TRUE(append_records(topic(std::string(i, 'a'), id(i))));
    ASSERT_TRUE(start());
    EXPECT_EQ(publisher_.offsets.size(), 1U);
    EXPECT_TRUE(publisher_.last.is_snapshot);
    EXPECT_EQ(publisher_.last.created_topics.size(), 5U);
    EXPECT_EQ(topics().size(), 5U);
}

TEST_F(MetadataLoaderTest, ATransactionShowsWholeAndOnlyAtItsEnd) {
    ASSERT_TRUE(start());
    ASSERT_TRUE(append_records(protocol::BeginTransactionRecord{}, topic("a", id(1))));
    ASSERT_TRUE(append_records(topic("b", id(2))));
    EXPECT_EQ(topics().size(), 0U);
    EXPECT_TRUE(loader_->open_transaction());
    ASSERT_TRUE(append_records(protocol::EndTransactionRecord{}));
    EXPECT_EQ(topics().size(), 2U);
    EXPECT_EQ(publisher_.last.created_topics.size(), 2U);
    EXPECT_FALSE(loader_->open_transaction());
}

TEST_F(MetadataLoaderTest, AnAbortedTransactionNeverShowsButWhatStoodBeforeItDoes) {
    ASSERT_TRUE(start());
    ASSERT_TRUE(append_records(topic("before", id(1)), protocol::BeginTransactionRecord{}, topic("in", id(2))));
    EXPECT_EQ(topics().size(), 1U);
    EXPECT_FALSE(holder_->current()->provenance().is_offset_batch_aligned);
    ASSERT_TRUE(append_records(protocol::AbortTransactionRecord{}, topic("after", id(3))));
    EXPECT_NE(topics().find("before"), nullptr);
    EXPECT_EQ(topics().find("in"), nullptr);
    EXPECT_NE(topics().find("after"), nullptr);
    ASSERT_TRUE(start());
    EXPECT_EQ(topics().size(), 2U);
}

TEST_F(MetadataLoaderTest, ATransactionThatAStartFindsOpenStaysOutUntilItIsAborted) {
    ASSERT_TRUE(start());
    ASSERT_TRUE(append_records(topic("before", id(1))));
    ASSERT_TRUE(append_records(protocol::BeginTransactionRecord{}, topic("in", id(2))));
    ASSERT_TRUE(start());
    EXPECT_TRUE(loader_->open_transaction());
    EXPECT_EQ(topics().size(), 1U);
    ASSERT_TRUE(append_records(protocol::AbortTransactionRecord{}));
    EXPECT_EQ(topics().size(), 1U);
}

TEST_F(MetadataLoaderTest, ARecordThatDoesNotFitStopsTheLog) {
    ASSERT_TRUE(start());
    EXPECT_EQ(append_records(remove(id(9))).error().code, ErrorCode::invalid_record);
    EXPECT_FALSE(append_records(topic("t", id(1))));
}

TEST_F(MetadataLoaderTest, ASnapshotIsWrittenWhenTheLogGrewAndAStartReadsIt) {
    ASSERT_TRUE(start());
    SnapshotGenerator generator{*log_, *holder_, *loader_, clock_, {.max_record_bytes = 1000, .max_interval_ms = 0}};
    ASSERT_TRUE(append_records(topic("t", id(1)), partition(id(1), 0, {1}, 1)));
    EXPECT_FALSE(*generator.run_if_due(may_block_));
    ASSERT_TRUE(append_records(config(ConfigResourceType::topic, "t", "x", std::string(1000, 'x'))));
    EXPECT_TRUE(*generator.run_if_due(may_block_));
    EXPECT_EQ(log_->latest_snapshot(), (raft::OffsetAndEpoch{Offset{4}, LeaderEpoch{1}}));
    EXPECT_FALSE(*generator.run_if_due(may_block_));
    ASSERT_TRUE(append_records(topic("u", id(2))));
    ASSERT_TRUE(start());
    EXPECT_EQ(topics().size(), 2U);
    EXPECT_EQ(holder_->current()->configs().find(ConfigResourceType::topic, "t").at("x").size(), 1000U);
}

TEST_F(MetadataLoaderTest, ASnapshotIsWrittenAfterItsIntervalIfThereIsAnythingNew) {
    ASSERT_TRUE(start());
    ASSERT_TRUE(append_records(topic("t", id(1))));
    SnapshotGenerator generator{
        *log_, *holder_, *loader_, clock_, {.max_record_bytes = 1 << 20, .max_interval_ms = 50}};
    EXPECT_FALSE(*generator.run_if_due(may_block_));
    clock_.advance_ms(50);
    EXPECT_TRUE(*generator.run_if_due(may_block_));
    clock_.advance_ms(50);
    EXPECT_FALSE(*generator.run_if_due(may_block_));
}

TEST_F(MetadataLoaderTest, KafkasSnapshotAndLogGiveWhatKafkaHad) {
    put_kafkas_log({"00000000000000000000.log", "00000000000000000000-0000000000.checkpoint",
                    "00000000000000000027-0000000001.checkpoint", "quorum-state", "leader-epoch-checkpoint"});
    ASSERT_TRUE(start());
    expect_what_kafka_had();
}

TEST_F(MetadataLoaderTest, KafkasLogAloneGivesTheSame) {
    put_kafkas_log({"00000000000000000000.log", "00000000000000000000-0000000000.checkpoint", "quorum-state",
                    "leader-epoch-checkpoint"});
    ASSERT_TRUE(start());
    expect_what_kafka_had();
}

TEST_F(MetadataLoaderTest, OurSnapshotOfKafkasStateGivesTheSame) {
    put_kafkas_log({"00000000000000000000.log", "00000000000000000000-0000000000.checkpoint", "quorum-state",
                    "leader-epoch-checkpoint"});
    ASSERT_TRUE(start());
    SnapshotGenerator generator{*log_, *holder_, *loader_, clock_, {}};
    ASSERT_TRUE(*generator.run_now(may_block_));
    ASSERT_TRUE(start());
    expect_what_kafka_had();
}

TEST_F(MetadataLoaderTest, ACacheFollowsTheHolder) {
    ImageHolder holder;
    ImageCache cache{holder};
    EXPECT_EQ(cache.get().offset(), Offset{-1});
    const auto first = cache.shared();
    MetadataDelta delta{holder.current()};
    ASSERT_TRUE(delta.replay(topic("t", id(1))));
    holder.publish(delta.changes(), delta.apply({.last_contained_offset = Offset{5}}));
    EXPECT_EQ(cache.get().offset(), Offset{5});
    EXPECT_EQ(first->offset(), Offset{-1});
    EXPECT_EQ(&cache.get(), &cache.get());
}

// --- bootstrap

TEST_F(MetadataLoaderTest, KafkasBootstrapFileIsReadAndItsRecordsAreThoseOfKafkasFirstTransaction) {
    files_.set_contents("/logs/bootstrap.checkpoint", testdata("bootstrap.checkpoint"));
    const auto bootstrap = read_bootstrap(may_block_, files_, "/logs");
    ASSERT_TRUE(bootstrap);
    EXPECT_EQ(bootstrap->metadata_version, kMetadataVersionLatest);
    const auto records = activation_records(*bootstrap, 1, false);
    ASSERT_TRUE(records);

    // Offsets 3 to 12 of Kafka's log are the same records.
    const std::string log = testdata("00000000000000000000.log");
    record::BatchIterator batches{as_bytes(log)};
    ASSERT_TRUE(batches.next());
    const auto batch = batches.next();
    record::RecordIterator of_kafka{**batch};
    for (std::size_t i = 0; i < records->size(); ++i) {
        const auto record = of_kafka.next();
        ASSERT_TRUE(record && *record) << i;
        EXPECT_EQ(as_text(*(*record)->value), as_text((*records)[i])) << i;
    }
    EXPECT_FALSE(*of_kafka.next()) << "no more than that";

    ASSERT_TRUE(start());
    ASSERT_TRUE(append(*records));
    EXPECT_EQ(holder_->current()->features().level("share.version"), 1);
    EXPECT_EQ(holder_->current()->configs().find(ConfigResourceType::broker, "").at("min.insync.replicas"), "1");
}

TEST_F(MetadataLoaderTest, WithoutABootstrapFileTheNewestMetadataVersionIsTaken) {
    const auto bootstrap = read_bootstrap(may_block_, files_, "/logs");
    ASSERT_TRUE(bootstrap);
    EXPECT_EQ(bootstrap->records.size(), 1U);
    EXPECT_EQ(bootstrap->metadata_version, kMetadataVersionLatest);
}

TEST_F(MetadataLoaderTest, AnInterruptedBootstrapIsAbortedAndWrittenAgain) {
    const auto bootstrap = read_bootstrap(may_block_, files_, "/logs");
    ASSERT_TRUE(start());
    ASSERT_TRUE(append_records(protocol::BeginTransactionRecord{}, topic("half", id(1))));
    ASSERT_TRUE(start());
    ASSERT_TRUE(append(*activation_records(*bootstrap, 1, loader_->open_transaction().has_value())));
    EXPECT_EQ(topics().size(), 0U);
    EXPECT_EQ(holder_->current()->features().metadata_version, kMetadataVersionLatest);
}

}  // namespace odr::metadata
