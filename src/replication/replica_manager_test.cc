#include "replication/replica_manager.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "io/simulated_file_system.h"

namespace odr::replication {
namespace {

io::MayBlock may_block() { return io::MayBlock::for_test(); }

class PartitionCacheTest : public testing::Test {
protected:
    PartitionCacheTest() {
        std::string reason;
        storage::LogManagerConfig config;
        config.log_dirs = {"/logs"};
        config.node_id = BrokerId{1};
        config.cluster_id = "cluster";
        logs_ = std::move(*storage::LogManager::open(may_block(), files_, clock_, random_, config, reason));
        EXPECT_TRUE(logs_->load_logs(may_block(), [this](const std::string&) { return settings_; }, {}));
        replicas_ = std::make_unique<ReplicaManager>(*logs_, clock_, pool_);
        cache_ = std::make_unique<PartitionCache>(*replicas_);
    }

    static TopicIdPartition key(int topic) {
        return {.topic_id = Uuid{{static_cast<std::uint8_t>(topic), 7}}, .partition = PartitionIndex{0}};
    }
    void lead(int topic) {
        const Uuid id = key(topic).topic_id;
        EXPECT_TRUE(replicas_->become_leader(may_block(),
                                             {.topic_partition = {"topic" + std::to_string(topic), PartitionIndex{0}},
                                              .topic_id = id,
                                              .leader_epoch = LeaderEpoch{0},
                                              .config = settings_,
                                              .directory_id = std::nullopt}));
    }
    void remove(int topic) { EXPECT_TRUE(replicas_->remove(may_block(), key(topic), true)); }

    io::SimulatedFileSystem files_;
    ManualClock clock_;
    SeededRandom random_{1};
    io::BlockingPool pool_{1};
    std::shared_ptr<const config::LogConfig> settings_ = std::make_shared<const config::LogConfig>();
    std::unique_ptr<storage::LogManager> logs_;
    std::unique_ptr<ReplicaManager> replicas_;
    std::unique_ptr<PartitionCache> cache_;
};

TEST_F(PartitionCacheTest, ALookUpFindsWhatIsLedAndNothingElse) {
    EXPECT_EQ(cache_->find(key(1)), nullptr);
    lead(1);
    ASSERT_NE(cache_->find(key(1)), nullptr);
    EXPECT_EQ(cache_->find(key(1)), replicas_->find(key(1)));
    EXPECT_EQ(cache_->find(key(2)), nullptr);
}

TEST_F(PartitionCacheTest, ALookUpOfAnyPartitionLetsGoOfThoseThatWereRemoved) {
    lead(1);
    lead(2);
    const std::weak_ptr<Partition> removed = cache_->find(key(1));
    const std::weak_ptr<Partition> kept = cache_->find(key(2));
    remove(1);
    ASSERT_FALSE(removed.expired()) << "the cache was not what held it, so this test shows nothing";
    EXPECT_NE(cache_->find(key(2)), nullptr);
    EXPECT_TRUE(removed.expired());
    EXPECT_FALSE(kept.expired());
    EXPECT_EQ(cache_->find(key(1)), nullptr);
}

TEST_F(PartitionCacheTest, ATopicMadeAnewUnderItsIdIsFoundAnew) {
    lead(1);
    const std::weak_ptr<Partition> first = cache_->find(key(1));
    remove(1);
    lead(1);
    ASSERT_NE(cache_->find(key(1)), nullptr);
    EXPECT_TRUE(cache_->find(key(1))->is_open());
    EXPECT_TRUE(first.expired());
}

}  // namespace
}  // namespace odr::replication
