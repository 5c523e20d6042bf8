#include "coordinator/group_coordinator.h"

#include <gtest/gtest.h>

#include <latch>
#include <thread>

#include "io/simulated_file_system.h"
#include "metadata/test_records.h"

namespace odr::coordinator {
namespace {

namespace records = metadata::testing_records;

io::MayBlock may_block() { return io::MayBlock::for_test(); }

// A broker that leads, or not, the one partition of __consumer_offsets; its reactor has a thread.
class GroupCoordinatorTest : public testing::Test {
protected:
    GroupCoordinatorTest() {
        std::string reason;
        storage::LogManagerConfig config;
        config.log_dirs = {"/logs"};
        config.node_id = kSelf;
        config.cluster_id = "cluster";
        logs_ = std::move(*storage::LogManager::open(may_block(), files_, clock_, random_, config, reason));
        EXPECT_TRUE(logs_->load_logs(may_block(), [this](const std::string&) { return log_config_; }, {}));
        replicas_ = std::make_unique<replication::ReplicaManager>(*logs_, clock_, pool_);
        EXPECT_TRUE(replicas_->become_leader(may_block(),
                                             {.topic_partition = {std::string{kGroupMetadataTopic}, PartitionIndex{0}},
                                              .topic_id = kTopic,
                                              .leader_epoch = LeaderEpoch{0},
                                              .config = log_config_,
                                              .directory_id = std::nullopt}));
        groups_ = std::make_unique<GroupCoordinator>(
            ShardEnvironment{.clock = &clock_, .random = &random_, .pool = &pool_, .images = &images_}, *replicas_,
            std::vector<io::Reactor*>{&reactor_}, kSelf, [] { return GroupSettings{}; });
    }
    ~GroupCoordinatorTest() override {
        groups_->stop();
        reactor_.stop();
        thread_.join();
    }

    template <class... Records>
    void change_metadata(const Records&... changes) {
        const auto before = image_;
        metadata::MetadataDelta delta{image_};
        (delta.replay(changes).value(), ...);
        image_ = delta.apply({.last_contained_offset = Offset{++offset_}});
        groups_->on_metadata_update(delta.changes(), before, image_);
    }
    static auto topic() { return records::topic(kGroupMetadataTopic, kTopic); }
    static auto led_by(std::int32_t broker) { return records::partition(kTopic, 0, {broker}, broker); }
    // What was posted before this has run.
    void turn() {
        std::latch done{1};
        reactor_.post([&done] { done.count_down(); });
        done.wait();
    }
    ErrorCode found() const {
        const auto shard = groups_->find("g");
        return shard ? ErrorCode::none : shard.error().code;
    }

    static constexpr BrokerId kSelf{1};
    static constexpr Uuid kTopic{{7}};
    ManualClock clock_;
    SeededRandom random_{1};
    io::SimulatedFileSystem files_;
    io::BlockingPool pool_{1};
    metadata::ImageHolder images_;
    std::shared_ptr<const config::LogConfig> log_config_ = std::make_shared<const config::LogConfig>();
    std::unique_ptr<storage::LogManager> logs_;
    std::unique_ptr<replication::ReplicaManager> replicas_;
    std::unique_ptr<GroupCoordinator> groups_;
    std::shared_ptr<const metadata::MetadataImage> image_ = std::make_shared<const metadata::MetadataImage>();
    std::int64_t offset_ = 0;
    io::Reactor reactor_{0, clock_};
    std::thread thread_{[this] { reactor_.run(); }};
};

TEST_F(GroupCoordinatorTest, CoordinatesTheGroupsOfPartitionsThatItLeads) {
    EXPECT_EQ(found(), ErrorCode::not_coordinator);
    change_metadata(topic(), led_by(1));
    EXPECT_EQ(found(), ErrorCode::none);
    change_metadata(led_by(2));
    EXPECT_EQ(found(), ErrorCode::not_coordinator);
    change_metadata(led_by(1));
    EXPECT_EQ(found(), ErrorCode::none);
    change_metadata(records::remove(kTopic));
    EXPECT_EQ(found(), ErrorCode::not_coordinator);
    groups_->stop();
    EXPECT_EQ(found(), ErrorCode::coordinator_not_available);
}

TEST_F(GroupCoordinatorTest, AStopWaitsForShardsThatItHasLetGoOfAndThatStillWork) {
    std::latch gate{1};
    pool_.submit([&gate](io::MayBlock) { gate.wait(); });  // the load waits behind it
    change_metadata(topic(), led_by(1));
    const std::weak_ptr<ShardRuntime> shard = groups_->shards().front();
    turn();
    change_metadata(led_by(2));
    std::thread opener{[&] {
        while (found() != ErrorCode::coordinator_not_available) std::this_thread::yield();
        gate.count_down();
    }};
    groups_->stop();
    turn();
    EXPECT_TRUE(shard.expired());
    opener.join();
}

}  // namespace
}  // namespace odr::coordinator
