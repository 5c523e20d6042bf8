// Partitions come and go as the metadata say, and a disk that does not answer holds up only its own: /fast and /slow,
// whose gate a test shuts.
#include "server/local_partitions.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/config/broker_config.h"
#include "io/gated_file_system.h"
#include "io/simulated_file_system.h"
#include "server/handlers/test_cluster.h"
#include "storage/disk.h"

namespace odr::server {
namespace {

using testing::TestCluster;
using testing::uuid;

const io::MayBlock kMayBlock = io::MayBlock::for_test();

class LocalPartitionsTest : public ::testing::Test {
protected:
    LocalPartitionsTest() {
        std::string reason;
        storage::LogManagerConfig config;
        config.log_dirs = {"/fast", "/slow"};
        config.cluster_id = "cluster";
        auto logs = storage::LogManager::open(kMayBlock, files_, clock_, random_, config, reason);
        EXPECT_TRUE(logs) << reason;
        logs_ = std::move(*logs);
        EXPECT_TRUE(logs_->load_logs(
            kMayBlock, [](const std::string&) { return std::make_shared<const config::LogConfig>(); }, {}));
        replicas_ = std::make_unique<replication::ReplicaManager>(*logs_, clock_, pool_);
        partitions_ = std::make_unique<LocalPartitions>(*replicas_, configs_, pool_, BrokerId{1},
                                                        [this](const Uuid& topic) { note_late(topic); });
        images_.add_publisher(*partitions_);
    }
    ~LocalPartitionsTest() override {
        files_.open_gate();
        partitions_->stop();
        logs_->stop(kMayBlock, 1);
    }

    static storage::TopicPartition name_of(const std::string& topic) { return {topic, PartitionIndex{0}}; }
    // A topic of one partition, in that directory.
    void create(const std::string& topic, std::uint8_t id, const std::string& directory) {
        logs_->prefer_directory(name_of(topic), directory);
        topics_[id] = topic;
        metadata::MetadataChanges changes;
        changes.changed_topics.insert(uuid(id));
        publish(changes);
    }
    void remove(std::uint8_t id) {
        metadata::MetadataChanges changes;
        changes.deleted_topics.emplace(uuid(id), topics_.at(id));
        topics_.erase(id);
        publish(changes);
    }
    void publish(const metadata::MetadataChanges& changes) {
        TestCluster cluster;
        cluster.broker(1);
        for (const auto& [id, topic] : topics_) cluster.topic(topic, id).partition(id, 0, {1}, 1);
        images_.publish(changes, cluster.finish());
    }
    bool is_led(std::uint8_t id) const {
        const auto partition = replicas_->find({uuid(id), PartitionIndex{0}});
        return partition != nullptr && partition->is_open();
    }
    std::vector<std::string> folders_in(const std::string& directory) {
        std::vector<std::string> out;
        for (const auto& entry : *simulated_.list(directory)) {
            if (entry.is_directory) out.push_back(entry.name);
        }
        return out;
    }
    void note_late(const Uuid& topic) {
        std::lock_guard guard{mutex_};
        late_.push_back(topic);
        told_.notify_all();
    }
    void await_late(std::uint8_t id) {
        std::unique_lock guard{mutex_};
        told_.wait(guard, [&] { return std::ranges::find(late_, uuid(id)) != late_.end(); });
    }

    ManualClock clock_;
    io::SimulatedFileSystem simulated_;
    io::GatedFileSystem files_{simulated_};
    SeededRandom random_{1};
    io::BlockingPool pool_{2};
    Services services_;
    DynamicConfig configs_{
        std::make_shared<const config::BrokerConfig>(config::BrokerConfig::load(config::dev_defaults("/data"))),
        services_};
    metadata::ImageHolder images_;
    std::unique_ptr<storage::LogManager> logs_;
    std::unique_ptr<replication::ReplicaManager> replicas_;
    std::unique_ptr<LocalPartitions> partitions_;
    std::map<std::uint8_t, std::string> topics_;
    std::mutex mutex_;
    std::condition_variable told_;
    std::vector<Uuid> late_;  // under mutex_
};

TEST_F(LocalPartitionsTest, ATopicIsThereWhenTheUpdateIsOver) {
    create("orders", 1, "/fast");
    EXPECT_TRUE(is_led(1));
    remove(1);
    EXPECT_FALSE(is_led(1));
    EXPECT_EQ(logs_->get(name_of("orders")), nullptr);
    EXPECT_EQ(late_.size(), 0u);
}

TEST_F(LocalPartitionsTest, ATopicOnADiskThatDoesNotAnswerHoldsUpNoOtherTopic) {
    create("old", 1, "/fast");
    files_.shut("/slow");
    create("slow", 2, "/slow");
    files_.await_waiting(1);
    EXPECT_FALSE(is_led(2));
    create("fast", 3, "/fast");
    EXPECT_TRUE(is_led(3));
    remove(1);
    EXPECT_EQ(logs_->get(name_of("old")), nullptr);
    EXPECT_FALSE(is_led(2));
    files_.open_gate();
    await_late(2);
    EXPECT_TRUE(is_led(2));
    create("slow-again", 4, "/slow");
    EXPECT_TRUE(is_led(4)) << "a disk that answers again is waited for";
}

TEST_F(LocalPartitionsTest, ATopicDeletedOnADiskThatDoesNotAnswerIsGoneForClientsAtOnce) {
    create("slow", 1, "/slow");
    create("fast", 2, "/fast");
    files_.shut("/slow");
    remove(1);
    files_.await_waiting(1);
    EXPECT_FALSE(is_led(1));
    remove(2);
    EXPECT_EQ(logs_->get(name_of("fast")), nullptr);
    files_.open_gate();
    await_late(1);
    EXPECT_EQ(logs_->get(name_of("slow")), nullptr);
}

TEST_F(LocalPartitionsTest, WhatHappensToOneNameHappensInItsOrder) {
    files_.shut("/slow");
    create("again", 1, "/slow");
    files_.await_waiting(1);
    remove(1);
    create("again", 2, "/slow");
    remove(2);
    create("again", 3, "/slow");
    files_.open_gate();
    await_late(3);
    EXPECT_FALSE(is_led(1));
    EXPECT_FALSE(is_led(2));
    EXPECT_TRUE(is_led(3));
    ASSERT_NE(logs_->get(name_of("again")), nullptr);
    EXPECT_EQ(logs_->get(name_of("again"))->topic_id(), uuid(3));
    std::vector<std::string> folders = folders_in("/slow");
    for (std::string& each : folders_in("/fast")) folders.push_back(std::move(each));
    EXPECT_EQ(std::ranges::count_if(folders, [](const auto& each) { return each.ends_with("-delete"); }), 2);
    EXPECT_EQ(std::ranges::count(folders, "again-0"), 1);
}

TEST_F(LocalPartitionsTest, PartitionsThatAreMadeTogetherSpreadOverTheDirectories) {
    TestCluster cluster;
    cluster.broker(1).topic("many", 1);
    for (int index = 0; index < 100; ++index) cluster.partition(1, index, {1}, 1);
    images_.publish(cluster.changes(), cluster.finish());
    EXPECT_EQ(logs_->logs_in("/fast").size(), 50u);
    EXPECT_EQ(logs_->logs_in("/slow").size(), 50u);
}

TEST_F(LocalPartitionsTest, AStopLeavesWhatHasNotBegun) {
    files_.shut("/slow");
    create("again", 1, "/slow");
    files_.await_waiting(1);
    remove(1);
    std::thread stopping{[&] { partitions_->stop(); }};
    files_.open_gate();
    stopping.join();
    create("late", 2, "/fast");
    EXPECT_FALSE(is_led(2));
}

}  // namespace
}  // namespace odr::server
